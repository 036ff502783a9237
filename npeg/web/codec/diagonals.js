/**
 * Pixels in diagonals, with their neighbours on those before. SPEC.md, section 10.
 *
 * Diagonal t holds the pixels with column + 2 * row = t: all neighbours above and to the left of
 * them are on earlier ones. Knows not what is coded of them.
 *
 * The code of a pixel, all its planes in one number, is taken with the sign of the third plane, so
 * that it is an integer of at most 2^53: two codes are equal where the specification's are.
 */

const BACK = 7; // diagonals that neighbours are looked up in, this one included
const MARGIN = 3; // rows above the plane that neighbours are looked up in; they hold 0
const VALUE = 2 ** 18; // of a sample in the code of a pixel: 16 bits and the sign of a difference
const VALUE_SIGN = VALUE / 2;

/** Diagonals back, rows up: W N NE NW WW NN NNE NWW NNEE WWW NNW NNN. */
export const NEIGHBOURS = [
  [1, 0], [2, 1], [1, 1], [3, 1], [2, 0], [4, 2], [3, 2], [4, 1], [2, 2], [3, 0], [5, 2], [6, 3],
];

/** The last diagonals of some numbers of each pixel; outside of the planes they are 0. */
export class Diagonals {
  constructor(Numbers, height) {
    this.rings = Array.from({ length: BACK }, () => new Numbers(height + MARGIN));
  }

  /** Return the diagonal t, emptied. */
  begin(t) {
    return this.rings[t % BACK].fill(0).subarray(MARGIN);
  }

  /** Return a neighbour of each of `count` pixels of diagonal t from row `first` on. */
  around(neighbour, t, first, count) {
    const [back, up] = NEIGHBOURS[neighbour];
    const start = first + MARGIN - up;
    return this.rings[(t - back + BACK) % BACK].subarray(start, start + count);
  }
}

/** Return one number for the values of a pixel, 0 for zeros. */
export function codeOf(values, i) {
  let code = values[0][i] & (VALUE - 1);
  if (values.length > 1) code += (values[1][i] & (VALUE - 1)) * VALUE;
  if (values.length > 2) code += signed(values[2][i]) * VALUE * VALUE;
  return code;
}

/** Set the values of a pixel to those of which a code is made. */
export function setCode(values, i, code) {
  for (const plane of values) {
    const rest = Math.floor(code / VALUE);
    plane[i] = signed(code - rest * VALUE);
    code = rest;
  }
}

/** Return the low 18 bits of a value with their sign. */
function signed(value) {
  return ((value & (VALUE - 1)) ^ VALUE_SIGN) - VALUE_SIGN;
}
