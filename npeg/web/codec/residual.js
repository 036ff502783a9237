/**
 * What the networks leave of a tile, coded block by block behind them. SPEC.md, section 11.
 *
 * Enters: a payload, and a tile's pixels of the networks. Leaves: those pixels with a difference
 * added.
 *
 * @typedef {{symbols: Int32Array[][], steps: number[], slopes: number[], alone: boolean}} Residual
 *   of each plane 64 bands of h * w blocks; the code of its step and by how many sixteenths of an
 *   octave it grows from a diagonal of bands to the next; whether the networks have no say
 * @typedef {import("./residual_order.js").Place} Place
 */

import { Decoder, MAX_STEPS } from "./entropy.js";
import { FormatError } from "./errors.js";
import { bandsOf, DIAGONALS, Order, SIDE } from "./residual_order.js";

const STEP_CODES = 96; // steps of 2^(code / 8), 1 to 3756
export const GREY = 128; // what pixels are a difference to where the networks have no say
export const SHIFT_TABLE = 36; // of the shifts: magnitudes of about 1
export const MOST_SHIFT = 8;

/** The orthonormal cosine transform of 8 samples, (frequency, sample). */
export const COSINES = Float64Array.from({ length: SIDE * SIDE }, (_, i) => {
  const [frequency, sample] = [Math.floor(i / SIDE), i % SIDE];
  const length = frequency ? 0.5 : Math.sqrt(1 / SIDE);
  return length * Math.cos((Math.PI * frequency * (2 * sample + 1)) / (2 * SIDE));
});
/** Luma and two colours, orthonormal, of R, G and B. */
export const [LUMA, RED_BLUE, GREEN] = [1 / Math.sqrt(3), 1 / Math.sqrt(2), 1 / Math.sqrt(6)];

/** Return what a symbol is worth of an orthonormal coefficient, in levels. */
export const stepOf = (code) => 2 ** (code / 8);

/** Return what a symbol of each band is worth, (64,), by the code of a step and its slope. */
export function worthOf(code, slope) {
  const of = (band) => 2 ** (code / 8 + (slope / 16) * ((band >> 3) + (band & 7)));
  return Float64Array.from({ length: SIDE * SIDE }, (_, band) => of(band));
}

/**
 * Return the residual of a tile.
 * @param {Uint8Array} payload of its section
 * @param {import("./entropy.js").Tables} tables of residuals
 * @param {number[]} size [height, width] in pixels
 * @param {number} planes 1 or 3
 * @param {boolean} alone whether the networks have no say
 * @param {(indexes: Uint8Array, symbols: Int32Array, place: Place) => void} watch is told of each group
 * @returns {Residual}
 * @throws {FormatError} the payload holds none
 */
export function unpack(payload, tables, [height, width], planes, alone, watch = () => {}) {
  const { steps, slopes, extents } = readHead(payload, planes);
  const decoder = new Decoder(payload.subarray(2 * planes), tables);
  const shape = [Math.ceil(height / SIDE), Math.ceil(width / SIDE)];
  if (decoder.states.length < fewestLanes(extents, shape[0] * shape[1])) {
    const found = `residual of ${width}x${height} pixels`;
    throw new FormatError(`${found} has ${decoder.states.length} lanes`);
  }
  const diagonals = extents.reduce((a, b) => a + b);
  const coded = decoder.decode(new Uint8Array(diagonals).fill(SHIFT_TABLE));
  const largest = coded.reduce((most, shift) => Math.max(most, Math.abs(shift)), 0);
  if (largest > MOST_SHIFT) {
    throw new FormatError(`residual shifts tables by ${largest}, at most ${MOST_SHIFT}`);
  }
  let at = 0;
  const shifts = extents.map((extent) => coded.subarray(at, (at += extent)));
  let left = 2 * diagonals;
  const symbols = new Order(shape, extents).run(shifts, (indexes, place) => {
    const found = decoder.decode(indexes, --left === 0);
    watch(indexes, found, place);
    return found;
  });
  if (alone) symbols.forEach((bands) => sumRows(bands[0], shape[1]));
  return { symbols, steps, slopes, alone };
}

/** Return the step codes, the slopes and the extents of the planes. */
function readHead(payload, planes) {
  if (payload.length < 2 * planes) {
    const found = `residual has ${payload.length} bytes`;
    throw new FormatError(`${found}, its head alone ${2 * planes}`);
  }
  const head = [...payload.subarray(0, 2 * planes)];
  const [steps, shapes] = [0, 1].map((odd) => head.filter((_, i) => i % 2 === odd));
  const [slopes, extents] = [shapes.map((n) => n >> 4), shapes.map((n) => n & 15)];
  if (Math.max(...steps) >= STEP_CODES || !Math.max(...extents)) {
    const list = (numbers) => `(${numbers.join(", ")}${numbers.length > 1 ? "" : ","})`;
    throw new FormatError(`residual has steps ${list(steps)} and extents ${list(extents)}`);
  }
  return { steps, slopes, extents };
}

/** Return how many lanes a payload must have at least: they bound the time of decoding. */
export function fewestLanes(extents, blocks) {
  let bands = 0;
  for (const extent of extents) {
    for (let d = 0; d < extent; d++) bands += bandsOf(d);
  }
  const groups = Math.ceil((bands * blocks) / MAX_STEPS);
  return 2 ** Math.ceil(Math.log2(groups));
}

/** Undo that the means are coded as differences to the block at the left. */
function sumRows(band, width) {
  for (let i = 0; i < band.length; i++) {
    if (i % width) band[i] += band[i - 1];
  }
}

/**
 * Add a residual to a tile of pixels (H, W, C) in place, rounded and clipped.
 * @param {import("./networks.js").Planes} pixels
 * @param {import("./tiles.js").Tile} tile
 * @param {Residual} residual
 */
export function add(pixels, { top, bottom, left, right }, { symbols, steps, slopes, alone }) {
  const [, width, channels] = pixels.shape;
  const w = Math.ceil((right - left) / SIDE);
  const worth = steps.map((code, c) => worthOf(code, slopes[c]));
  for (let block = 0; block < symbols[0][0].length; block++) {
    const samples = symbols.map((bands, c) => inverse(bands, block, worth[c]));
    const [y0, x0] = [top + SIDE * Math.floor(block / w), left + SIDE * (block % w)];
    for (let y = y0; y < Math.min(y0 + SIDE, bottom); y++) {
      for (let x = x0; x < Math.min(x0 + SIDE, right); x++) {
        const colours = toColours(samples.map((plane) => plane[(y - y0) * SIDE + x - x0]));
        for (let c = 0; c < channels; c++) {
          const i = (y * width + x) * channels + c;
          clamped[0] = (alone ? GREY : pixels.data[i]) + colours[c];
          pixels.data[i] = clamped[0];
        }
      }
    }
  }
}

const clamped = new Uint8ClampedArray(1); // rounds half to even, and clips

/** Return 8x8 samples of the coefficients of a block, flat. */
function inverse(bands, block, worth) {
  const half = new Float64Array(SIDE * SIDE); // (y, v)
  const samples = new Float64Array(SIDE * SIDE); // (y, x)
  for (let band = 0; band < SIDE * SIDE; band++) {
    const coefficient = worth[band] * bands[band][block];
    if (!coefficient) continue;
    const [u, v] = [band >> 3, band & 7];
    for (let y = 0; y < SIDE; y++) half[y * SIDE + v] += coefficient * COSINES[u * SIDE + y];
  }
  for (let i = 0; i < SIDE * SIDE; i++) {
    if (!half[i]) continue;
    const [y, v] = [i >> 3, i & 7];
    for (let x = 0; x < SIDE; x++) samples[y * SIDE + x] += half[i] * COSINES[v * SIDE + x];
  }
  return samples;
}

/** Return R, G and B of a pixel's three planes; of one plane, that. */
function toColours(planes) {
  if (planes.length === 1) return planes;
  const [luma, red, green] = [planes[0] * LUMA, planes[1] * RED_BLUE, planes[2] * GREEN];
  return [luma + red + green, luma - 2 * green, luma - red + green];
}
