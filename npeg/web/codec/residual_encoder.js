/**
 * A tile's difference to what the networks decode, to coefficients and bytes; `residual` faces it.
 *
 * Enters: pixels and what is known of them. Leaves: coefficients, and payloads of section `R`.
 * As the encoder's part of npeg/residual.py.
 *
 * @typedef {import("./networks.js").Planes} Planes
 * @typedef {import("./residual.js").Residual} Residual
 * @typedef {{plane: number, bands: number[][], blocks: Int32Array, indexes: Uint8Array,
 *   symbols: Int32Array}} Group
 */

import { concat } from "./container.js";
import { encode, TOKEN_OF_MAGNITUDE } from "./entropy.js";
import { ENTRIES } from "./rans.js";
import * as residual from "./residual.js";
import { BINS, DIAGONALS, Order, SIDE, TABLES } from "./residual_order.js";

const { COSINES, GREEN, GREY, LUMA, MOST_SHIFT, RED_BLUE, SHIFT_TABLE } = residual;

/**
 * Return the coefficients of a difference, of each plane 64 bands of h * w blocks.
 * @param {Planes} wanted (H, W, C), C = 1 or 3
 * @param {?Planes} decoded of that shape; null for a difference to mid-grey
 * @returns {Float64Array[][]}
 */
export function forward({ data, shape: [height, width, channels] }, decoded) {
  const [h, w] = blocksOf([height, width]);
  const bands = Array.from({ length: channels }, () => manyBands(Float64Array, h * w));
  const samples = bands.map(() => new Float64Array(SIDE * SIDE));
  for (let block = 0; block < h * w; block++) {
    const [top, left] = [SIDE * Math.floor(block / w), SIDE * (block % w)];
    for (let i = 0; i < SIDE * SIDE; i++) {
      const y = Math.min(top + (i >> 3), height - 1); // beyond the picture its edge
      const x = Math.min(left + (i & 7), width - 1);
      const at = (y * width + x) * channels;
      for (let c = 0; c < channels; c++) {
        samples[c][i] = data[at + c] - (decoded ? decoded.data[at + c] : GREY);
      }
    }
    if (channels === 3) toPlanes(samples);
    samples.forEach((plane, c) => transform(plane, bands[c], block));
  }
  return bands;
}

/** Turn samples of R, G and B into luma and two colours, in place. */
function toPlanes([first, second, third]) {
  for (let i = 0; i < first.length; i++) {
    const [r, g, b] = [first[i], second[i], third[i]];
    first[i] = LUMA * (r + g + b);
    second[i] = RED_BLUE * (r - b);
    third[i] = GREEN * (r - 2 * g + b);
  }
}

/** Write the cosine transform of 8x8 samples to their places in the bands. */
function transform(samples, bands, block) {
  const half = new Float64Array(SIDE * SIDE); // (y, v)
  for (let y = 0; y < SIDE; y++) {
    for (let v = 0; v < SIDE; v++) {
      let sum = 0;
      for (let x = 0; x < SIDE; x++) sum += COSINES[v * SIDE + x] * samples[y * SIDE + x];
      half[y * SIDE + v] = sum;
    }
  }
  for (let band = 0; band < SIDE * SIDE; band++) {
    let sum = 0;
    for (let y = 0; y < SIDE; y++) sum += COSINES[(band & 56) + y] * half[y * SIDE + (band & 7)];
    bands[band][block] = sum;
  }
}

/** Return how many blocks cover a size, [h, w]. */
export function blocksOf(size) {
  return size.map((side) => Math.ceil(side / SIDE));
}

/** Return 64 bands of so many numbers. */
export function manyBands(Kind, blocks) {
  return Array.from({ length: SIDE * SIDE }, () => new Kind(blocks));
}

/**
 * Return the payload of a residual.
 * @param {Residual} what
 * @param {number[]} shape [h, w] in blocks
 * @param {import("./entropy.js").Tables} tables of residuals
 */
export function pack(what, shape, tables) {
  const symbols = codedSymbols(what, shape);
  const extents = symbols.map(extentOf);
  const groups = grouped(symbols, shape);
  const shifts = bestShifts(groups, symbols.length, tables);
  const told = extents.flatMap((extent, plane) => [...shifts[plane].subarray(0, extent)]);
  const indexes = new Uint8Array(told.length).fill(SHIFT_TABLE);
  const coded = [{ symbols: Int32Array.from(told), indexes }];
  for (const group of groups) coded.push({ symbols: group.symbols, indexes: shifted(group, shifts) });
  const head = Uint8Array.from(what.steps.flatMap((code, plane) => [code, extents[plane] | (what.slopes[plane] << 4)]));
  const fewest = residual.fewestLanes(extents, shape[0] * shape[1]);
  return concat([head, encode(coded, tables, fewest)]);
}

/** Return symbols as they are coded: without networks, means as differences to the left. */
export function codedSymbols({ symbols, alone }, [, w]) {
  if (!alone) return symbols;
  const left = (band) => band.map((value, i) => (i % w ? value - band[i - 1] : value));
  return symbols.map(([means, ...bands]) => [left(means), ...bands]);
}

/** Return up to which diagonal a plane has symbols. */
function extentOf(bands) {
  const used = bands.map((band, i) => (band.some(Boolean) ? (i >> 3) + (i & 7) + 1 : 0));
  return Math.max(...used);
}

/**
 * Return the groups of symbols in their order, with their tables, 0..79, before any shift and clipping.
 * @param {Int32Array[][]} symbols
 * @param {number[]} shape [h, w] in blocks
 * @returns {Group[]}
 */
export function grouped(symbols, shape) {
  const groups = [];
  const none = symbols.map(() => new Int32Array(DIAGONALS));
  new Order(shape, symbols.map(extentOf), BINS - 1).run(none, (indexes, { plane, bands, blocks }) => {
    const found = new Int32Array(indexes.length);
    let at = 0;
    for (const [u, v] of bands) {
      for (const block of blocks) found[at++] = symbols[plane][u * SIDE + v][block];
    }
    groups.push({ plane, bands, blocks, indexes, symbols: found });
    return found;
  });
  return groups;
}

const diagonalOf = ({ bands: [[u, v]] }) => u + v;

/** Return by how many tables each plane's diagonal is coded best, (15,) of each plane. */
export function bestShifts(groups, planes, tables) {
  const found = Array.from({ length: planes }, () => new Int32Array(DIAGONALS));
  const counts = new Map(); // plane and diagonal -> how often each table has each token
  for (const group of groups) {
    const key = DIAGONALS * group.plane + diagonalOf(group);
    if (!counts.has(key)) counts.set(key, new Uint32Array(BINS * ENTRIES));
    const own = counts.get(key);
    group.indexes.forEach((table, i) => {
      own[table * ENTRIES + TOKEN_OF_MAGNITUDE[Math.abs(group.symbols[i])]]++;
    });
  }
  for (const [key, own] of counts) {
    found[Math.floor(key / DIAGONALS)][key % DIAGONALS] = bestShift(own, tables.tokenBits);
  }
  return found;
}

/** Return the shift under which counts (BINS, ENTRIES) cost least. */
function bestShift(counts, bits) {
  let [best, least] = [0, Infinity];
  for (let shift = -MOST_SHIFT; shift <= MOST_SHIFT; shift++) {
    let cost = Math.abs(shift);
    for (let i = 0; i < counts.length; i++) {
      if (counts[i]) cost += counts[i] * bits[ENTRIES * moved(Math.floor(i / ENTRIES), shift) + (i % ENTRIES)];
    }
    if (cost < least) [best, least] = [shift, cost];
  }
  return best;
}

const moved = (table, shift) => Math.min(Math.max(table + shift, 0), TABLES - 1);

/** Return the tables of a group, each moved by its diagonal's shift. */
export function shifted(group, shifts) {
  const shift = shifts[group.plane][diagonalOf(group)];
  return group.indexes.map((table) => moved(table, shift));
}
