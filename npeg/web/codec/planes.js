/**
 * Planes of integers <-> bytes without loss, a diagonal of pixels at a time. SPEC.md, section 10.
 *
 * Enters: planes. Leaves: a payload, and the same planes from it on every machine. Knows no
 * colours, palettes and files.
 *
 * The code of a pixel, all its planes in one number, is taken with the sign of the third plane, so
 * that it is an integer of at most 2^53: two codes are equal where the specification's are.
 *
 * Source: Rissanen and Langdon 1981 (templates); Weinberger et al. 2000 (LOCO-I: median prediction,
 * activity contexts); Bloom 1998, PPMZ (guesses from long contexts); ISO/IEC 18181-1 (tokens).
 *
 * @typedef {{planes: Int32Array[], height: number, width: number}} Stack planes of H * W values
 * @typedef {{low: number[], high: number[]}} Bounds of each plane's values
 * @typedef {{matching: boolean, guessing: boolean, direct: boolean, weights: ?Int16Array[]}} Method
 *   pixels are compared with their neighbours first; and with what followed the same neighbours
 *   before; what differs from all is coded as it is; of each plane 8 weights of the linear
 *   prediction, null: the median
 */

import { Reader, Tables, Writer } from "./adaptive.js";
import { concat } from "./container.js";
import { FormatError } from "./errors.js";

const BACK = 7; // diagonals that neighbours are looked up in, this one included
const MARGIN = 3; // rows above the plane that neighbours are looked up in; they hold 0
const RUN = 16; // pixels among equal neighbours that one symbol tells of
const WEST = 0; // what a pixel equals: one of the first four neighbours, none, or the guess
const OTHER = 4;
const GUESS = 5;

/** Diagonals back, rows up: W N NE NW WW NN NNE NWW NNEE WWW NNW NNN. */
export const NEIGHBOURS = [
  [1, 0], [2, 1], [1, 1], [3, 1], [2, 0], [4, 2], [3, 2], [4, 1], [2, 2], [3, 0], [5, 2], [6, 3],
];
export const LINEAR = [0, 1, 3, 2, 4, 5, 6, 7]; // of the predictions: W N NW NE WW NN NNE NWW
export const WEIGHT_BITS = 7; // of its weights' fraction
const ACTIVITY = [0, 1, 2, 4, 7, 11, 17, 26, 40, 64, 110]; // upper ends of the contexts
const CONTEXTS = ACTIVITY.length + 1;
const MOST_ACTIVITY = ACTIVITY.at(-1) + 1;
const CONTEXT_OF_ACTIVITY = Uint8Array.from({ length: MOST_ACTIVITY + 1 }, (_, activity) =>
  ACTIVITY.filter((end) => end < activity).length
);

const PLACES = 1 << 16; // of a table of guesses
const CERTAIN = 7; // hits in a row from which a guess is as certain as it gets
const LEVELS = [12, 9, 4]; // neighbours that each guess depends on, the surest first
const LIMB = 2 ** 20; // codes are multiplied modulo its square, in two parts
const MULTIPLIERS = [
  0x9e3779b1n, 0x85ebca6bn, 0xc2b2ae35n, 0x27d4eb2fn, 0x165667b1n, 0x2545f491n,
  0x3c6ef373n, 0x1b873593n, 0x5bd1e995n, 0x7feb352dn, 0x846ca68bn, 0x2c1b3c6dn,
].map((odd) => Number((odd * 0x2c1b3c6dn) & 0xffffffffffn));
const LOW_MULTIPLIERS = MULTIPLIERS.map((factor) => factor % LIMB);
const HIGH_MULTIPLIERS = MULTIPLIERS.map((factor) => Math.floor(factor / LIMB));

const PATTERNS = 512;
const FLAT = PATTERNS - 1; // all neighbours are equal
const PATTERN_ROWS = 2 * PATTERNS;
const GUESS_ROWS = 64 * (CERTAIN + 1) * LEVELS.length;
const FLAG_ROW = PATTERN_ROWS + GUESS_ROWS;
const BROKEN_ROW = FLAG_ROW + 1;
const MOST_EQUAL = 6; // symbols of what a pixel equals

const SMALL = 16; // tokens that are the values themselves; then four an octave
const DIRECT_ROWS = 64; // one for each value of the pixel to the left, the last for larger ones
const RAW_AT_ONCE = 8;
const CONTEXT_BITS = 8; // of samples that the contexts are for; of more, so many leading ones count
const VALUE = 2 ** 18; // of a sample in the code of a pixel: 16 bits and the sign of a difference
const VALUE_SIGN = VALUE / 2;
const MATCHING = 1; // flags
const GUESSING = 2;
const DIRECT = 4;
const WEIGHTS = 8;

/** The raw bits of each token, and the values that they begin at: those of 16-bit samples too. */
const LOW_BITS = Uint8Array.from({ length: SMALL + 4 * 15 }, (_, token) =>
  token < SMALL ? 0 : (token - SMALL) / 4 + 2
);
const FIRST_VALUE = Uint32Array.from(LOW_BITS, (_, token) =>
  LOW_BITS.subarray(0, token).reduce((sum, bits) => sum + 2 ** bits, 0)
);

/**
 * Return the payload of planes.
 * @param {Stack} stack
 * @param {Method} method
 * @param {Bounds} bounds
 */
export function encode(stack, method, bounds) {
  const walk = new Walk(stack, method, bounds);
  const writer = new Writer([walk.matches, walk.tokens]);
  walk.run(writer);
  return concat([headOf(method), writer.finish()]);
}

function headOf({ matching, guessing, direct, weights }) {
  const flags = (matching && MATCHING) | (guessing && GUESSING) | (direct && DIRECT);
  const all = (weights ?? []).flatMap((plane) => [...plane]);
  const head = new DataView(new ArrayBuffer(1 + 2 * all.length));
  head.setUint8(0, flags | (weights ? WEIGHTS : 0));
  all.forEach((weight, i) => head.setInt16(1 + 2 * i, weight, true));
  return new Uint8Array(head.buffer);
}

/**
 * Return the planes of a payload.
 * @param {Uint8Array} payload
 * @param {number[]} shape [planes, height, width]
 * @param {Bounds} bounds
 * @returns {Stack}
 * @throws {FormatError} it holds no such planes
 */
export function decode(payload, [channels, height, width], bounds) {
  const { method, body } = splitHead(payload, channels);
  const planes = Array.from({ length: channels }, () => new Int32Array(height * width));
  const stack = { planes, height, width };
  const walk = new Walk(stack, method, bounds);
  const reader = new Reader(body, [walk.matches, walk.tokens]);
  walk.run(reader);
  reader.finish();
  const ranges = planes.map(rangeOf);
  if (ranges.some(([low, high], k) => low < bounds.low[k] || high > bounds.high[k])) {
    const [low, high] = [Math.min(...ranges.flat()), Math.max(...ranges.flat())];
    throw new FormatError(`exact payload has samples of ${low}..${high}`);
  }
  return stack;
}

/** Return the lowest and the highest of some values. */
export function rangeOf(values) {
  let [low, high] = [values[0], values[0]];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function splitHead(payload, channels) {
  const flags = payload.length ? payload[0] : 255;
  const size = flags & WEIGHTS ? 2 * channels * LINEAR.length : 0;
  if (flags > 15 || payload.length < 1 + size || (flags & 3) === GUESSING) {
    const found = `exact payload of ${payload.length} bytes`;
    throw new FormatError(`${found} starts with ${flags.toString(16).padStart(2, "0")}`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const weight = (plane, i) => view.getInt16(1 + 2 * (LINEAR.length * plane + i), true);
  const weights = Array.from({ length: channels }, (_, plane) =>
    Int16Array.from(LINEAR, (_, i) => (size ? weight(plane, i) : 0))
  );
  const method = {
    matching: Boolean(flags & MATCHING),
    guessing: Boolean(flags & GUESSING),
    direct: Boolean(flags & DIRECT),
    weights: size ? weights : null,
  };
  return { method, body: payload.subarray(1 + size) };
}

/** Return the tables of what a pixel equals: by pattern, by guess, flags, broken runs. */
function matchTables() {
  const prior = Array(BROKEN_ROW + 1).fill([12, 4, 3, 3, 3], 0, PATTERN_ROWS);
  prior.fill([3, 2, 2, 2, 6, 60], PATTERN_ROWS, FLAG_ROW);
  prior[FLAG_ROW] = [40, 1]; // whole, broken
  prior[BROKEN_ROW] = [40, 1, 1, 1, 4];
  return new Tables(MOST_EQUAL, prior);
}

/** Return the tables of the tokens of values up to the largest. */
function tokenTables(channels, largest, direct) {
  const count = FIRST_VALUE.filter((value) => value <= largest).length;
  if (direct) return new Tables(count, Array(DIRECT_ROWS).fill(Array(count).fill(1)));
  const rows = [0, ...ACTIVITY.map((end) => 3 * end)].map((width) =>
    Array.from({ length: count }, (_, token) => priorOf(token, 2 + width))
  );
  return new Tables(count, Array(channels).fill(rows).flat());
}

/** Return the count of a token where differences spread so far, before anything is coded. */
function priorOf(token, spread) {
  const values = 2 ** LOW_BITS[token];
  const far = spread + FIRST_VALUE[token] + Math.floor(values / 2);
  let density = Math.floor((600 * spread) / far);
  for (let i = 0; i < 2; i++) density = Math.floor((density * spread) / far);
  return Math.max(1, Math.floor((density * values) / spread));
}

/** The last diagonals of some numbers of each pixel; outside of the planes they are 0. */
class Diagonals {
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

/** The way over the diagonals, the same for a writer and for a reader. */
class Walk {
  /**
   * @param {Stack} stack whose planes a writer takes and a reader fills
   * @param {Method} method
   * @param {Bounds} bounds
   */
  constructor({ planes, height, width }, method, { low, high }) {
    Object.assign(this, { planes, height, width, method, low, high });
    const span = Math.max(...high.map((value, k) => value - low[k]));
    this.coarseness = Math.max(0, 32 - Math.clz32(Math.max(...high)) - CONTEXT_BITS);
    this.matches = matchTables();
    this.tokens = tokenTables(planes.length, method.direct ? Math.max(...high) : 2 * span + 1, method.direct);
    this.values = planes.map(() => new Diagonals(Int32Array, height));
    this.codes = new Diagonals(Float64Array, height);
    this.guesses = method.guessing ? new Guesses(height) : null;
    const most = height * planes.length;
    this.rows = new Uint16Array(most);
    this.symbols = new Uint8Array(most);
    this.folded = new Int32Array(most);
    this.large = new Int32Array(most);
    this.widths = new Uint8Array(most);
    this.lows = new Int32Array(most);
    this.equal = new Uint8Array(height);
    this.all = Int32Array.from({ length: height }, (_, i) => i); // pixels of a diagonal
    this.flat = new Int32Array(height); // those whose neighbours are all equal
    this.mixed = new Int32Array(height); // the others
    this.others = new Int32Array(height); // pixels that equal no neighbour
    this.wanted = new Float64Array(height); // codes, of a writer
  }

  /** Write the planes, or fill them with what is read. */
  run(coder) {
    const { width, height } = this;
    for (let t = 0; t < width + 2 * height - 2; t++) {
      const first = Math.max(0, (t - width + 2) >> 1);
      const count = Math.min(height - 1, t >> 1) - first + 1;
      coder.refresh();
      const values = this.values.map((past) => past.begin(t).subarray(first, first + Math.max(count, 0)));
      const codes = this.codes.begin(t);
      if (count <= 0) continue;
      if (!coder.isReading) this.take(values, t, first);
      this.diagonal(coder, t, first, count, values);
      for (let i = 0; i < count; i++) codes[first + i] = codeOf(values, i);
      this.guesses?.learn(codes.subarray(first));
      if (coder.isReading) this.give(values, t, first);
    }
  }

  /** Take the values of a diagonal from the planes. */
  take(values, t, first) {
    const step = this.width - 2; // from a pixel to the next of its diagonal
    this.planes.forEach((plane, k) => {
      let at = first * step + t;
      for (let i = 0; i < values[k].length; i++, at += step) values[k][i] = plane[at];
    });
  }

  /** Put the values of a diagonal into the planes. */
  give(values, t, first) {
    const step = this.width - 2;
    this.planes.forEach((plane, k) => {
      let at = first * step + t;
      for (let i = 0; i < values[k].length; i++, at += step) plane[at] = values[k][i];
    });
  }

  /** Code the values of a diagonal. */
  diagonal(coder, t, first, count, values) {
    if (!this.method.matching) {
      this.differences(coder, t, first, this.all.subarray(0, count), values);
      return;
    }
    const near = NEIGHBOURS.map((_, i) => this.codes.around(i, t, first, count));
    this.equals(coder, near, count, values);
    let others = 0;
    for (let i = 0; i < count; i++) {
      const equal = this.equal[i];
      if (equal === OTHER) this.others[others++] = i;
      else if (coder.isReading) setCode(values, i, equal === GUESS ? this.guesses.guess[i] : near[equal][i]);
    }
    if (others) this.differences(coder, t, first, this.others.subarray(0, others), values);
  }

  /** Code what each pixel equals. */
  equals(coder, near, count, values) {
    const { equal, rows, symbols, guesses } = this;
    let [flats, mixes] = [0, 0];
    for (let i = 0; i < count; i++) {
      const pattern = patternOf(near, i);
      if (pattern === FLAT) {
        this.flat[flats++] = i;
      } else {
        rows[mixes] = pattern + (near[WEST][i] ? PATTERNS : 0);
        this.mixed[mixes++] = i;
      }
    }
    const mixed = this.mixed.subarray(0, mixes);
    const runRows = new Uint16Array(Math.ceil(flats / RUN)).fill(FLAG_ROW);
    equal.fill(0, 0, count);
    guesses?.lookUp(near, count, mixed, rows);
    if (!coder.isReading) this.compare(near, count, values);
    this.runs(coder, this.flat.subarray(0, flats), runRows);
    mixed.forEach((i, at) => (symbols[at] = equal[i]));
    coder.code(this.matches, rows.subarray(0, mixes), symbols.subarray(0, mixes));
    mixed.forEach((i, at) => (equal[i] = symbols[at]));
  }

  /** Find what each pixel equals, for a writer. */
  compare(near, count, values) {
    for (let i = 0; i < count; i++) {
      const code = codeOf(values, i);
      let equal = WEST;
      while (equal < OTHER && near[equal][i] !== code) equal++;
      this.equal[i] = this.guesses?.guess[i] === code ? GUESS : equal;
    }
  }

  /** Code the pixels among equal neighbours, RUN at once. */
  runs(coder, flat, rows) {
    const { equal, symbols } = this;
    const broken = new Uint8Array(rows.length);
    flat.forEach((i, at) => (broken[Math.floor(at / RUN)] ||= Number(equal[i] !== WEST)));
    coder.code(this.matches, rows, broken);
    const some = flat.filter((_, at) => broken[Math.floor(at / RUN)]);
    some.forEach((i, at) => (symbols[at] = equal[i]));
    coder.code(this.matches, new Uint16Array(some.length).fill(BROKEN_ROW), symbols.subarray(0, some.length));
    some.forEach((i, at) => (equal[i] = symbols[at]));
  }

  /** Code some pixels of a diagonal plane by plane. */
  differences(coder, t, first, some, values) {
    const { rows, folded } = this;
    const { direct } = this.method;
    const count = values[0].length;
    const expected = values.map((plane, k) => {
      const near = LINEAR.map((i) => this.values[k].around(i, t, first, count));
      const predictions = direct ? null : new Int32Array(some.length);
      for (let at = 0, to = k * some.length; at < some.length; at++, to++) {
        const i = some[at];
        if (direct) {
          rows[to] = Math.min(near[0][i], DIRECT_ROWS - 1);
          folded[to] = plane[i];
        } else {
          rows[to] = CONTEXTS * k + activityOf(near, i, this.coarseness);
          predictions[at] = this.prediction(near, i, k);
          const difference = plane[i] - predictions[at];
          folded[to] = difference < 0 ? -2 * difference - 1 : 2 * difference;
        }
      }
      return predictions;
    });
    this.codeTokens(coder, values.length * some.length);
    values.forEach((plane, k) => {
      for (let at = 0, from = k * some.length; at < some.length; at++, from++) {
        const value = folded[from];
        if (direct) plane[some[at]] = value;
        else plane[some[at]] = expected[k][at] + (value & 1 ? -((value + 1) >> 1) : value >> 1);
      }
    });
  }

  /** Return what the neighbours, in the order of LINEAR, make of a pixel of plane k. */
  prediction(near, i, k) {
    if (!this.method.weights) {
      const [w, n, nw] = [near[0][i], near[1][i], near[2][i]];
      return Math.max(Math.min(w, n), Math.min(Math.max(w, n), w + n - nw));
    }
    const weights = this.method.weights[k];
    let sum = 1 << (WEIGHT_BITS - 1);
    for (let j = 0; j < LINEAR.length; j++) sum += weights[j] * near[j][i];
    const predicted = Math.floor(sum / (1 << WEIGHT_BITS));
    return Math.min(Math.max(predicted, this.low[k]), this.high[k]);
  }

  /** Code values >= 0, of `rows`: those in `folded`. */
  codeTokens(coder, count) {
    const { folded, symbols, large, widths, lows } = this;
    if (!coder.isReading) {
      for (let i = 0; i < count; i++) symbols[i] = tokenOf(folded[i]);
    }
    coder.code(this.tokens, this.rows.subarray(0, count), symbols.subarray(0, count));
    let found = 0;
    for (let i = 0; i < count; i++) {
      const first = FIRST_VALUE[symbols[i]];
      if (symbols[i] >= SMALL) {
        lows[found] = folded[i] - first;
        widths[found] = LOW_BITS[symbols[i]];
        large[found++] = i;
      }
      folded[i] = first;
    }
    codeRaw(coder, widths.subarray(0, found), lows.subarray(0, found));
    for (let at = 0; at < found; at++) folded[large[at]] += lows[at];
  }
}

/** What followed the same neighbours the last time, by three templates. */
class Guesses {
  constructor(height) {
    this.codes = LEVELS.map(() => new Float64Array(PLACES).fill(NaN)); // which equals no code
    this.hits = LEVELS.map(() => new Uint8Array(PLACES));
    this.places = LEVELS.map(() => new Uint16Array(height));
    this.guess = new Float64Array(height); // of each pixel of a diagonal, NaN where there is none
    this.found = new Uint8Array(height); // hits, while they are counted
    this.mixed = null;
  }

  /**
   * Find the guesses of a diagonal, and the rows of the tables for them.
   * @param {Float64Array[]} near codes of the neighbours (12, m)
   * @param {number} count m
   * @param {Int32Array} mixed (n,) pixels
   * @param {Uint16Array} rows of these pixels, which change where there is a guess
   */
  lookUp(near, count, mixed, rows) {
    this.mixed = mixed;
    this.guess.fill(NaN, 0, count);
    for (let at = 0; at < mixed.length; at++) {
      const i = mixed[at];
      this.place(near, i, at);
      const place = (level) => this.places[level][at];
      const level = LEVELS.findIndex((_, k) => !Number.isNaN(this.codes[k][place(k)]));
      if (level < 0) continue;
      const guess = this.codes[level][place(level)];
      const [w, n, ne, nw] = [near[0][i], near[1][i], near[2][i], near[3][i]];
      let shape = Number(guess === w) | (Number(guess === n) << 1) | (Number(guess === ne) << 2);
      shape |= (Number(guess === nw) << 3) | (Number(w === n) << 4) | (Number(n === ne) << 5);
      const hits = this.hits[level][place(level)];
      rows[at] = PATTERN_ROWS + shape + 64 * (hits + (CERTAIN + 1) * level);
      this.guess[i] = guess;
    }
  }

  /** Find the places of a pixel in the tables: bits 24 to 39 of the sums of products. */
  place(near, i, at) {
    let [low, high, used] = [0, 0, 0];
    for (let level = LEVELS.length - 1; level >= 0; level--) {
      for (; used < LEVELS[level]; used++) {
        const code = near[used][i];
        const rest = Math.floor(code / LIMB);
        const [first, second] = [code - rest * LIMB, rest - Math.floor(rest / LIMB) * LIMB];
        low += first * LOW_MULTIPLIERS[used];
        high += first * HIGH_MULTIPLIERS[used] + second * LOW_MULTIPLIERS[used];
      }
      this.places[level][at] = Math.floor((low + (high % LIMB) * LIMB) / 2 ** 24) % PLACES;
    }
  }

  /** Remember the codes of the pixels of the diagonal looked up last. */
  learn(codes) {
    const { mixed, found } = this;
    for (const [level, places] of this.places.entries()) {
      const [known, hits] = [this.codes[level], this.hits[level]];
      for (let at = 0; at < mixed.length; at++) {
        const place = places[at];
        found[at] = known[place] === codes[mixed[at]] ? Math.min(hits[place] + 1, CERTAIN) : 0;
      }
      for (let at = 0; at < mixed.length; at++) {
        hits[places[at]] = found[at];
        known[places[at]] = codes[mixed[at]];
      }
    }
  }
}

/** Code values of so many bits: the low eight, and where there are more the others. */
function codeRaw(coder, widths, values) {
  const few = widths.map((width) => Math.min(width, RAW_AT_ONCE));
  const low = values.map((value, i) => value & ((1 << few[i]) - 1));
  coder.bits(few, low);
  const high = values.map((value) => value >> RAW_AT_ONCE);
  const rest = widths.map((width, i) => width - few[i]);
  if (rest.some((width) => width > 0)) coder.bits(rest, high);
  else high.fill(0);
  for (let i = 0; i < values.length; i++) values[i] = low[i] | (high[i] << RAW_AT_ONCE);
}

/** Return one number for the values of a pixel, 0 for zeros. */
function codeOf(values, i) {
  let code = values[0][i] & (VALUE - 1);
  if (values.length > 1) code += (values[1][i] & (VALUE - 1)) * VALUE;
  if (values.length > 2) code += signed(values[2][i]) * VALUE * VALUE;
  return code;
}

/** Set the values of a pixel to those of which a code is made. */
function setCode(values, i, code) {
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

/** Return which of the neighbours' codes of a pixel are equal, 0..511. */
function patternOf(near, i) {
  const [w, n, ne, nw] = [near[0][i], near[1][i], near[2][i], near[3][i]];
  return (
    Number(w === n) |
    (Number(w === nw) << 1) |
    (Number(w === ne) << 2) |
    (Number(n === nw) << 3) |
    (Number(n === ne) << 4) |
    (Number(near[4][i] === w) << 5) |
    (Number(near[5][i] === n) << 6) |
    (Number(near[6][i] === ne) << 7) |
    (Number(near[7][i] === nw) << 8)
  );
}

/** Return the context, 0..11, of a pixel by how much its neighbours differ, in 2^coarseness. */
function activityOf(near, i, coarseness) {
  const [w, n, nw, ne] = [near[0][i], near[1][i], near[2][i], near[3][i]];
  const around = Math.abs(w - nw) + Math.abs(n - nw) + Math.abs(n - ne);
  const activity = around + Math.abs(near[4][i] - w) + Math.abs(near[5][i] - n);
  return CONTEXT_OF_ACTIVITY[Math.min(activity >> coarseness, MOST_ACTIVITY)];
}

/** Return the token of a value. */
function tokenOf(value) {
  if (value < SMALL) return value;
  const octave = 31 - Math.clz32(value);
  return SMALL + 4 * (octave - 4) + ((value >> (octave - 2)) & 3);
}
