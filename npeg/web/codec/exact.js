/**
 * Payloads that give every pixel back to pixels: palettes, colour transforms. SPEC.md, section 10.
 * `exact_encoder` faces it.
 *
 * Enters: a payload of section `E` or `A`. Leaves: pixels. Knows no tiles, files and networks.
 *
 * Source: Malvar and Sullivan 2003, JVT-I014 (YCoCg-R).
 *
 * @typedef {import("./planes.js").Stack} Stack
 */

import { FormatError } from "./errors.js";
import * as planes from "./planes.js";

export const [PLAIN, GREEN, YCOCG, PALETTE] = [0, 1, 2, 3]; // the first byte of a payload
const FULL = 65535; // of 16 bits
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
export function turned({ data, shape: [height, width, channels] }) {
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
export function boundsOf(kind, channels, bits = 8) {
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
