/**
 * The adaptive tables of planes, and which row and symbol a pixel has. SPEC.md, section 10.
 *
 * Enters: neighbours and values. Leaves: rows, symbols, tables. Knows no bytes and no diagonals.
 *
 * Source: Weinberger et al. 2000 (LOCO-I: activity contexts); ISO/IEC 18181-1 (tokens).
 */

import { Tables } from "./adaptive.js";
import { GUESS_ROWS } from "./guesses.js";

export const PATTERNS = 512;
export const FLAT = PATTERNS - 1; // all neighbours are equal
export const PATTERN_ROWS = 2 * PATTERNS;
export const FLAG_ROW = PATTERN_ROWS + GUESS_ROWS;
export const BROKEN_ROW = FLAG_ROW + 1;
const MOST_EQUAL = 6; // symbols of what a pixel equals

const ACTIVITY = [0, 1, 2, 4, 7, 11, 17, 26, 40, 64, 110]; // upper ends of the contexts
export const CONTEXTS = ACTIVITY.length + 1;
const MOST_ACTIVITY = ACTIVITY.at(-1) + 1;
const CONTEXT_OF_ACTIVITY = Uint8Array.from({ length: MOST_ACTIVITY + 1 }, (_, activity) =>
  ACTIVITY.filter((end) => end < activity).length
);
const CONTEXT_BITS = 8; // of samples that the contexts are for; of more, so many leading ones count

export const SMALL = 16; // tokens that are the values themselves; then four an octave
export const DIRECT_ROWS = 64; // one for each value of the pixel to the left, the last for larger ones

/** The raw bits of each token, and the values that they begin at: those of 16-bit samples too. */
export const LOW_BITS = Uint8Array.from({ length: SMALL + 4 * 15 }, (_, token) =>
  token < SMALL ? 0 : (token - SMALL) / 4 + 2
);
export const FIRST_VALUE = Uint32Array.from(LOW_BITS, (_, token) =>
  LOW_BITS.subarray(0, token).reduce((sum, bits) => sum + 2 ** bits, 0)
);

/** Return the tables of what a pixel equals: by pattern, by guess, flags, broken runs. */
export function matchTables() {
  const prior = Array(BROKEN_ROW + 1).fill([12, 4, 3, 3, 3], 0, PATTERN_ROWS);
  prior.fill([3, 2, 2, 2, 6, 60], PATTERN_ROWS, FLAG_ROW);
  prior[FLAG_ROW] = [40, 1]; // whole, broken
  prior[BROKEN_ROW] = [40, 1, 1, 1, 4];
  return new Tables(MOST_EQUAL, prior);
}

/** Return the tables of the tokens of values up to the largest. */
export function tokenTables(channels, largest, direct) {
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

/** Return which of the neighbours' codes of a pixel are equal, 0..511. */
export function patternOf(near, i) {
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
export function activityOf(near, i, coarseness) {
  const [w, n, nw, ne] = [near[0][i], near[1][i], near[2][i], near[3][i]];
  const around = Math.abs(w - nw) + Math.abs(n - nw) + Math.abs(n - ne);
  const activity = around + Math.abs(near[4][i] - w) + Math.abs(near[5][i] - n);
  return CONTEXT_OF_ACTIVITY[Math.min(activity >> coarseness, MOST_ACTIVITY)];
}

/** Return the token of a value. */
export function tokenOf(value) {
  if (value < SMALL) return value;
  const octave = 31 - Math.clz32(value);
  return SMALL + 4 * (octave - 4) + ((value >> (octave - 2)) & 3);
}

/** Return the logarithm of what activity is divided by: samples of more bits than 8 differ by more. */
export function coarsenessOf(largest) {
  return Math.max(0, 32 - Math.clz32(largest) - CONTEXT_BITS);
}
