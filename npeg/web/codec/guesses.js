/**
 * Guesses of pixels: what followed the same neighbours the last time. SPEC.md, section 10.
 *
 * Enters: the codes of pixels and of their neighbours. Leaves: guesses, and the rows of the tables
 * for them. Knows no coder.
 *
 * Source: Bloom 1998, PPMZ (guesses from long contexts).
 */

const PLACES = 1 << 16; // of a table of guesses
const CERTAIN = 7; // hits in a row from which a guess is as certain as it gets
const LEVELS = [12, 9, 4]; // neighbours that each guess depends on, the surest first
/** How many rows of tables the guesses have. */
export const GUESS_ROWS = 64 * (CERTAIN + 1) * LEVELS.length;

const LIMB = 2 ** 20; // codes are multiplied modulo its square, in two parts
const MULTIPLIERS = [
  0x9e3779b1n, 0x85ebca6bn, 0xc2b2ae35n, 0x27d4eb2fn, 0x165667b1n, 0x2545f491n,
  0x3c6ef373n, 0x1b873593n, 0x5bd1e995n, 0x7feb352dn, 0x846ca68bn, 0x2c1b3c6dn,
].map((odd) => Number((odd * 0x2c1b3c6dn) & 0xffffffffffn));
const LOW_MULTIPLIERS = MULTIPLIERS.map((factor) => factor % LIMB);
const HIGH_MULTIPLIERS = MULTIPLIERS.map((factor) => Math.floor(factor / LIMB));

/** What followed the same neighbours the last time, by three templates. */
export class Guesses {
  /**
   * @param {number} height of the planes
   * @param {number} firstRow of the tables for guesses
   */
  constructor(height, firstRow) {
    this.firstRow = firstRow;
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
      rows[at] = this.firstRow + shape + 64 * (hits + (CERTAIN + 1) * level);
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
