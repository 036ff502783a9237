/**
 * Pixels <-> payloads that give every pixel back: palettes, colour transforms. SPEC.md, section 10.
 *
 * Enters: pixels of 8 bits. Leaves: a payload of section `E` or `A`, and the pixels. Knows no tiles,
 * files and networks. What it encodes is one channel alone, such as alpha: each way is tried.
 *
 * Source: Malvar and Sullivan 2003, JVT-I014 (YCoCg-R).
 *
 * @typedef {import("./planes.js").Stack} Stack
 */

import { concat } from "./container.js";
import { FormatError } from "./errors.js";
import * as planes from "./planes.js";

const [PLAIN, GREEN, YCOCG, PALETTE] = [0, 1, 2, 3]; // the first byte of a payload
const MOST_GREYS = 16; // of a plane that has a palette
const FULL = 65535; // of 16 bits
const MATCHING = { matching: true, guessing: true, direct: false, weights: null };
const COMPARED = 4; // neighbours that a pixel is matched with
const FEWEST = 64; // pixels to fit a prediction to
const MOST = 1 << 16; // pixels that it is fitted to, about
const ROUNDS = 3; // of fitting
const RIDGE = 1e-3; // a pixel: how much the fit holds to the mean of two neighbours
const PALETTE_HEAD = 4; // bytes: kind, colours - 1, length of the colours

/**
 * Return the pixels of a payload.
 * @param {Uint8Array} payload
 * @param {number[]} shape [height, width, channels], 1 or 3 channels
 * @param {number} bits of the samples, 8 to 16
 * @returns {{data: Uint8Array | Uint16Array, shape: number[]}} (H, W, C)
 * @throws {FormatError} it holds no such pixels
 */
export function decode(payload, [height, width, channels], bits = 8) {
  const sides = height > width ? [width, height] : [height, width];
  const stack = read(payload, [channels, ...sides], bits);
  const ranges = stack.planes.map(planes.rangeOf).flat();
  const [low, high] = [Math.min(...ranges), Math.max(...ranges)];
  if (low < 0 || high >= 2 ** bits) {
    throw new FormatError(`exact payload has samples of ${low}..${high}`);
  }
  const data = new (bits === 8 ? Uint8Array : Uint16Array)(height * width * channels);
  stack.planes.forEach((plane, k) => {
    for (let i = 0; i < plane.length; i++) data[channels * i + k] = plane[i];
  });
  const pixels = { data, shape: [...sides, channels] };
  return height > width ? turned(pixels) : pixels;
}

/** Return samples of so many bits in 8 bits, by way of 16 as all decoders do. */
export function inEightBits({ data, shape }, bits) {
  if (bits === 8) return { data, shape };
  const most = 2 ** bits - 1;
  const wide = (value) => Math.floor((value * FULL + Math.floor(most / 2)) / most);
  return { data: Uint8Array.from(data, (value) => inEight(wide(value))), shape };
}

/** Return a sample of 16 bits in 8. */
export function inEight(value) {
  return Math.floor((value + 128) / 257);
}

/** Return pixels with rows and columns exchanged. */
function turned({ data, shape: [height, width, channels] }) {
  const found = new data.constructor(data.length);
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const to = channels * (column * height + row);
      for (let k = 0; k < channels; k++) found[to + k] = data[at++];
    }
  }
  return { data: found, shape: [width, height, channels] };
}

/** Return planes of [C, H, W], not larger than asked for, whatever the payload holds. */
function read(payload, shape, bits) {
  const kind = payload.length ? payload[0] : -1;
  if (kind === PALETTE) return readPalette(payload, shape, bits);
  if (!(shape[0] === 1 ? [PLAIN] : [PLAIN, GREEN, YCOCG]).includes(kind)) {
    throw new FormatError(`exact payload of ${payload.length} bytes starts with kind ${kind}`);
  }
  const stack = planes.decode(payload.subarray(1), shape, boundsOf(kind, shape[0], bits));
  if (kind === GREEN) fromGreen(stack.planes);
  if (kind === YCOCG) fromYcocg(stack.planes);
  return stack;
}

/** Return planes whose pixels are indexes of colours. */
function readPalette(payload, [channels, height, width], bits) {
  if (payload.length < PALETTE_HEAD) {
    const found = `exact payload has ${payload.length} bytes`;
    throw new FormatError(`${found}, a palette has four or more`);
  }
  const count = payload[1] + 1;
  const size = payload[2] + 256 * payload[3];
  const head = payload.subarray(PALETTE_HEAD, PALETTE_HEAD + size);
  const body = payload.subarray(PALETTE_HEAD + size);
  if (head.length < size || size > count * channels * bytesOf(bits)) {
    throw new FormatError(`exact payload has a palette of ${size} bytes for ${count} colours`);
  }
  const colours = readColours(head, count, channels, bits);
  if (count === 1 && body.length) {
    throw new FormatError(`exact payload of one colour has ${body.length} bytes more`);
  }
  if (count === 1) {
    const one = colours.map(([value]) => new Int32Array(height * width).fill(value));
    return { planes: one, height, width };
  }
  const [index] = planes.decode(body, [1, height, width], { low: [0], high: [count - 1] }).planes;
  return { planes: colours.map((plane) => index.map((i) => plane[i])), height, width };
}

/** Return the planes of colours: as they are, or a picture of one row. */
function readColours(head, count, channels, bits) {
  const bytes = bytesOf(bits);
  if (head.length === count * channels * bytes) {
    const sample = (i) => head[bytes * i] + (bytes > 1 ? 256 * head[bytes * i + 1] : 0);
    const plane = (_, k) => Int32Array.from({ length: count }, (_, i) => sample(channels * i + k));
    return Array.from({ length: channels }, plane);
  }
  if (head[0] === PALETTE) throw new FormatError("exact payload has a palette in its palette");
  return read(head, [channels, 1, count], bits).planes;
}

/** Return how many bytes a sample of a palette has. */
function bytesOf(bits) {
  return bits === 8 ? 1 : 2;
}

/** Return the lowest and the highest value of each plane. */
function boundsOf(kind, channels, bits = 8) {
  const largest = 2 ** bits - 1;
  const low = Array(channels).fill(kind === PLAIN ? 0 : -largest);
  low[0] = 0;
  return { low, high: Array(channels).fill(largest) };
}

/** Turn green and differences to it into R, G and B, in place. */
function fromGreen([first, second, third]) {
  for (let i = 0; i < first.length; i++) {
    const [g, r, b] = [first[i], second[i], third[i]];
    [first[i], second[i], third[i]] = [r + g, g, b + g];
  }
}

/** Turn luma and two colours into R, G and B, in place. */
function fromYcocg([first, second, third]) {
  for (let i = 0; i < first.length; i++) {
    const [y, co, cg] = [first[i], second[i], third[i]];
    const middle = y - (cg >> 1);
    const b = middle - (co >> 1);
    [first[i], second[i], third[i]] = [b + co, cg + middle, b];
  }
}

/**
 * Return the payload of pixels of one channel: the shortest that is found.
 * @param {import("./networks.js").Planes} pixels (H, W, 1)
 * @returns {Uint8Array}
 */
export function encode(pixels) {
  const { data, shape } = pixels.shape[0] > pixels.shape[1] ? turned(pixels) : pixels;
  const stackOf = (values) => ({ planes: [Int32Array.from(values)], height: shape[0], width: shape[1] });
  const greys = [...new Set(data)].sort((a, b) => a - b);
  const palette = Uint8Array.of(PALETTE, greys.length - 1, greys.length, 0, ...greys);
  if (greys.length === 1) return palette;
  const plain = stackOf(data);
  const ways = methodsOf(plain, greys.length).map((method) =>
    concat([Uint8Array.of(PLAIN), planes.encode(plain, method, boundsOf(PLAIN, 1))])
  );
  if (greys.length <= MOST_GREYS) {
    const bounds = { low: [0], high: [greys.length - 1] };
    const indexes = stackOf(data.map((value) => greys.indexOf(value)));
    for (const direct of [true, false]) {
      ways.push(concat([palette, planes.encode(indexes, { ...MATCHING, direct }, bounds)]));
    }
  }
  return ways.reduce((best, other) => (other.length < best.length ? other : best));
}

/** Return the ways to code a plane of so many greys that may be the best. */
function methodsOf({ planes: [plane], height, width }, greys) {
  const fitted = (method) => ({ ...method, weights: [fit(plane, height, width, method.matching)] });
  const few = [MATCHING, fitted(MATCHING)];
  if (greys <= MOST_GREYS) return few;
  const smooth = { ...MATCHING, matching: false, guessing: false };
  return [...few, fitted({ ...MATCHING, guessing: false }), smooth, fitted(smooth)];
}

/** Return weights (8,) that predict a plane (H, W), or its pixels unlike all neighbours. */
function fit(plane, height, width, matching) {
  const samples = samplesOf(plane, height, width).filter(
    ([value, ...near]) => !matching || !near.slice(0, COMPARED).includes(value)
  );
  const size = planes.LINEAR.length;
  const first = planes.LINEAR.map((_, i) => (i < 2 ? 0.5 : 0));
  let share = first;
  for (let round = 0; samples.length >= FEWEST && round < ROUNDS; round++) {
    const ridge = samples.length * RIDGE;
    const matrix = first.map((wanted, i) => {
      const row = new Float64Array(size + 1); // the last is what they shall give
      row[i] = ridge;
      row[size] = ridge * wanted;
      return row;
    });
    for (const [value, ...near] of samples) {
      const error = near.reduce((left, one, i) => left - share[i] * one, value);
      const weight = round ? Math.max(1, Math.abs(error)) ** -0.7 : 1; // less for what is far off
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < size; j++) matrix[i][j] += weight * near[i] * near[j];
        matrix[i][size] += weight * near[i] * value;
      }
    }
    share = solved(matrix);
  }
  const unit = 1 << planes.WEIGHT_BITS;
  return Int16Array.from(share, (one) => Math.min(Math.max(Math.round(one * unit), -32 * unit), 32 * unit));
}

/** Return some pixels within a plane (H, W), each with its neighbours behind it. */
function samplesOf(plane, height, width) {
  const offsets = planes.LINEAR.map((i) => {
    const [back, up] = planes.NEIGHBOURS[i];
    return -up * width - back + 2 * up;
  });
  const samples = [];
  for (let row = 2; row < height; row += 1 + Math.floor(plane.length / MOST)) {
    for (let at = row * width + 2; at < (row + 1) * width - 2; at++) {
      samples.push([plane[at], ...offsets.map((offset) => plane[at + offset])]);
    }
  }
  return samples;
}

/** Solve equations, each a row of factors and what they shall give; the matrix is positive definite. */
function solved(rows) {
  const size = rows.length;
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < size; k++) {
      const factor = rows[k][i] / rows[i][i];
      for (let j = i; k !== i && j <= size; j++) rows[k][j] -= factor * rows[i][j];
    }
  }
  return rows.map((row, i) => row[size] / row[i]);
}
