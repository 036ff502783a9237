/**
 * The order of a residual's coefficients, and the probability table of each. SPEC.md, section 11.
 *
 * Enters: symbols as they are decoded. Leaves: the table of each next group. Integers only. Which
 * table a coefficient has follows from magnitudes before it: in its block, in the blocks around, in
 * the planes before; and from how large those in the same context have been.
 *
 * @typedef {{plane: number, bands: number[][], blocks: Int32Array}} Place of a group: its bands
 *   [u, v], and of each of them these blocks
 */

export const SIDE = 8; // of a block
export const DIAGONALS = 2 * SIDE - 1; // of the bands (u, v) of a block: u + v = 0..14
export const TABLES = 76; // by the mean of their magnitudes, four an octave
const CLASSES = 4; // of contexts: which of the bands before are 0
export const BINS = 80; // of contexts
const UNIT = 1024; // of means of magnitudes
const CONTEXT_UNIT = 64; // what contexts are to magnitudes, about
const PRIOR = 24; // symbols that what is supposed beforehand counts as
const MEMORY = 4096; // symbols of a context after which the older ones count half
const LOOK_BACK = 5; // diagonals whose mean over the block counts
const MOST = 1 << 12; // what a larger magnitude is counted as

/** Return the bin of an integer >= 0: 0..3 are their own, then four an octave. */
function binOf(value) {
  if (value < 4) return value;
  const octave = 31 - Math.clz32(value);
  return Math.min(4 * (octave - 1) + ((value >> (octave - 2)) & 3), BINS - 1);
}

/** Return the mean of magnitudes in the middle of a bin. */
function middleOfBin(bin) {
  if (bin < 4) return (bin + 0.5) / UNIT;
  const octave = Math.floor(bin / 4) - 1;
  return ((4 + (bin % 4)) * 2 ** octave + 2 ** (octave - 1)) / UNIT;
}

/** Return how many bands a diagonal has. */
export const bandsOf = (diagonal) => Math.min(diagonal + 1, DIAGONALS - diagonal);

/** Walks through the coefficients of a tile, diagonal after diagonal, plane after plane. */
export class Order {
  /**
   * @param {number[]} shape [h, w], blocks of the tile in each direction
   * @param {number[]} extents diagonals that are coded of each plane, 0..15; all others are 0
   * @param {number} most the last table; an encoder that has no shifts yet asks for BINS - 1
   */
  constructor([h, w], extents, most = TABLES - 1) {
    this.most = most;
    this.shape = [h, w];
    this.blocks = h * w;
    this.extents = extents;
    const planes = extents.length;
    const arrays = (count) => Array.from({ length: count }, () => new Int32Array(this.blocks));
    const bands = SIDE + 2; // two bands of 0 first
    this.symbols = Array.from({ length: planes }, () => arrays(SIDE * SIDE));
    this.own = Array.from({ length: planes }, () => arrays(bands * bands));
    this.around = Array.from({ length: planes }, () => arrays(bands * bands));
    this.sums = Array.from({ length: planes }, () => arrays(DIAGONALS)); // of a block's magnitudes
    this.near = Array.from({ length: planes }, () => arrays(DIAGONALS)); // of those around it
    const indexes = Array.from({ length: this.blocks }, (_, i) => i);
    this.halves = [0, 1].map((parity) =>
      Int32Array.from(indexes.filter((i) => (Math.floor(i / w) + (i % w)) % 2 === parity))
    );
    this.counts = Array.from({ length: planes }, () => new Float64Array(CLASSES * BINS).fill(PRIOR));
    const supposed = (_, i) =>
      Math.round(((PRIOR * UNIT * UNIT) / CONTEXT_UNIT) * middleOfBin(i % BINS));
    this.totals = Array.from({ length: planes }, () =>
      Float64Array.from({ length: CLASSES * BINS }, supposed)
    );
  }

  /**
   * Visit all groups.
   * @param {Int32Array[]} shifts of each plane (15,), by how many tables those of a diagonal differ
   * @param {(tables: Uint8Array, place: Place) => Int32Array} visit returns the symbols of a group
   *   of tables
   * @returns {Int32Array[][]} all symbols: of each plane 64 bands of h * w blocks
   */
  run(shifts, visit) {
    for (let d = 0; d < DIAGONALS; d++) {
      for (const [plane, extent] of this.extents.entries()) {
        if (d < extent) this.diagonal(plane, d, shifts[plane][d], visit);
      }
    }
    return this.symbols;
  }

  /** Visit the bands of a diagonal: first every other block, then those between. */
  diagonal(plane, d, shift, visit) {
    const bands = [];
    for (let u = Math.max(0, d - SIDE + 1); u <= Math.min(d, SIDE - 1); u++) bands.push([u, d - u]);
    const means = this.meansBefore(plane, d);
    const contexts = bands.map(([u, v]) => this.contexts(plane, u, v, means));
    for (const [parity, blocks] of this.halves.entries()) {
      const tables = this.tables(plane, shift);
      const bins = new Uint16Array(bands.length * blocks.length);
      let at = 0;
      for (const [band, [u, v]] of bands.entries()) {
        const found = this.symbols[plane][u * SIDE + v];
        for (const block of blocks) {
          let context = contexts[band][block];
          if (parity) {
            const sides = this.sumAround(found, block, 1, 0);
            context = ((13 * context) >> 4) + (plane ? 5 : 3) * sides;
          }
          bins[at++] = binOf(Math.min(context, 65535)) + BINS * this.classOf(plane, u, v, block);
        }
      }
      const symbols = visit(Uint8Array.from(bins, (bin) => tables[bin]), { plane, bands, blocks });
      at = 0;
      for (const [u, v] of bands) {
        for (const block of blocks) this.symbols[plane][u * SIDE + v][block] = symbols[at++];
      }
      this.learn(plane, bins, symbols);
    }
    for (const [u, v] of bands) this.keep(plane, d, u, v);
  }

  /** Return the table of each context by what was counted so far. */
  tables(plane, shift) {
    return Uint8Array.from(this.counts[plane], (count, i) => {
      const table = binOf(Math.floor(this.totals[plane][i] / count)) + shift;
      return Math.min(Math.max(table, 0), this.most);
    });
  }

  /** Return what the diagonals before let expect of each block. */
  meansBefore(plane, d) {
    const means = new Int32Array(this.blocks);
    const first = Math.max(d - LOOK_BACK, 0);
    let count = 0;
    for (let k = first; k < d; k++) count += bandsOf(k);
    for (let block = 0; count && block < this.blocks; block++) {
      let [own, near] = [0, 0];
      for (let k = first; k < d; k++) {
        own += this.sums[plane][k][block];
        near += this.near[plane][k][block];
      }
      const sum = plane ? 4 * own + (near >> 1) : 12 * own + 2 * near;
      means[block] = Math.floor(sum / count);
    }
    return means;
  }

  /** Return what is to be expected of a band in each block, in 1/64 about. */
  contexts(plane, u, v, means) {
    const own = (du, dv) => this.own[plane][(u + 2 - du) * (SIDE + 2) + v + 2 - dv];
    const around = (du, dv) => this.around[plane][(u + 2 - du) * (SIDE + 2) + v + 2 - dv];
    const next = [own(1, 0), own(0, 1)];
    const near = [own(1, 1), own(2, 0), own(0, 2), around(1, 0), around(0, 1)];
    const before = plane && this.own[plane - 1][(u + 2) * (SIDE + 2) + v + 2];
    return means.map((mean, block) => {
      let context = mean + (plane ? 6 : 5) * (next[0][block] + next[1][block]);
      for (const band of near) context += band[block];
      return plane ? context + 5 * before[block] : context;
    });
  }

  /** Return 1 where the next two lower bands of the same u are 0, plus 2 where those of v are. */
  classOf(plane, u, v, block) {
    const own = (du, dv) => this.own[plane][(u + 2 - du) * (SIDE + 2) + v + 2 - dv][block];
    return Number(!own(0, 1) && !own(0, 2)) + 2 * Number(!own(1, 0) && !own(2, 0));
  }

  /** Count symbols by their contexts' bins. */
  learn(plane, bins, symbols) {
    const [counts, totals] = [this.counts[plane], this.totals[plane]];
    for (let i = 0; i < bins.length; i++) {
      counts[bins[i]] += 1;
      totals[bins[i]] += UNIT * Math.min(Math.abs(symbols[i]), MOST);
    }
    for (let bin = 0; bin < counts.length; bin++) {
      while (counts[bin] > MEMORY) {
        counts[bin] = Math.floor(counts[bin] / 2);
        totals[bin] = Math.floor(totals[bin] / 2);
      }
    }
  }

  /** Remember the magnitudes of a band. */
  keep(plane, d, u, v) {
    const place = (u + 2) * (SIDE + 2) + v + 2;
    const own = this.own[plane][place];
    own.set(this.symbols[plane][u * SIDE + v].map((symbol) => Math.min(Math.abs(symbol), MOST)));
    for (let block = 0; block < this.blocks; block++) {
      const around = this.sumAround(own, block, 2, 1);
      this.around[plane][place][block] = around;
      this.sums[plane][d][block] += own[block];
      this.near[plane][d][block] += around;
    }
  }

  /** Return the weighted sum of a band's magnitudes in the eight blocks around one. */
  sumAround(band, block, sides, corners) {
    const [h, w] = this.shape;
    const [row, column] = [Math.floor(block / w), block % w];
    let sum = 0;
    for (let i = Math.max(row - 1, 0); i <= Math.min(row + 1, h - 1); i++) {
      for (let j = Math.max(column - 1, 0); j <= Math.min(column + 1, w - 1); j++) {
        const distance = Math.abs(i - row) + Math.abs(j - column);
        if (distance) sum += (distance === 1 ? sides : corners) * Math.abs(band[i * w + j]);
      }
    }
    return sum;
  }
}
