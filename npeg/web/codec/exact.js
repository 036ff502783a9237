/**
 * Pixels <-> payloads that give every pixel back: palettes, colour transforms. SPEC.md, section 10.
 *
 * Enters: 8-bit pixels. Leaves: a payload of section `E` or `A`, and the pixels. Knows no tiles,
 * files and networks. What it encodes is one channel alone, such as alpha, and its payloads
 * have no linear predictions, which Python's have where those are shorter.
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
const LARGEST = 255; // sample
const PALETTE_HEAD = 4; // bytes: kind, colours - 1, length of the colours

/**
 * Return the pixels of a payload.
 * @param {Uint8Array} payload
 * @param {number[]} shape [height, width, channels], 1 or 3 channels
 * @returns {import("./networks.js").Planes} Uint8Array, (H, W, C)
 * @throws {FormatError} it holds no such pixels
 */
export function decode(payload, [height, width, channels]) {
  const sides = height > width ? [width, height] : [height, width];
  const stack = read(payload, [channels, ...sides]);
  const ranges = stack.planes.map(planes.rangeOf).flat();
  const [low, high] = [Math.min(...ranges), Math.max(...ranges)];
  if (low < 0 || high > LARGEST) {
    throw new FormatError(`exact payload has samples of ${low}..${high}`);
  }
  const data = new Uint8Array(height * width * channels);
  stack.planes.forEach((plane, k) => {
    for (let i = 0; i < plane.length; i++) data[channels * i + k] = plane[i];
  });
  const pixels = { data, shape: [...sides, channels] };
  return height > width ? turned(pixels) : pixels;
}

/** Return pixels with rows and columns exchanged. */
function turned({ data, shape: [height, width, channels] }) {
  const found = new Uint8Array(data.length);
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const to = channels * (column * height + row);
      for (let k = 0; k < channels; k++) found[to + k] = data[at++];
    }
  }
  return { data: found, shape: [width, height, channels] };
}

/** Return planes of [C, H, W], not larger than asked for, whatever the payload holds. */
function read(payload, shape) {
  const kind = payload.length ? payload[0] : -1;
  if (kind === PALETTE) return readPalette(payload, shape);
  if (!(shape[0] === 1 ? [PLAIN] : [PLAIN, GREEN, YCOCG]).includes(kind)) {
    throw new FormatError(`exact payload of ${payload.length} bytes starts with kind ${kind}`);
  }
  const stack = planes.decode(payload.subarray(1), shape, boundsOf(kind, shape[0]));
  if (kind === GREEN) fromGreen(stack.planes);
  if (kind === YCOCG) fromYcocg(stack.planes);
  return stack;
}

/** Return planes whose pixels are indexes of colours. */
function readPalette(payload, [channels, height, width]) {
  if (payload.length < PALETTE_HEAD) {
    const found = `exact payload has ${payload.length} bytes`;
    throw new FormatError(`${found}, a palette has four or more`);
  }
  const count = payload[1] + 1;
  const size = payload[2] + 256 * payload[3];
  const head = payload.subarray(PALETTE_HEAD, PALETTE_HEAD + size);
  const body = payload.subarray(PALETTE_HEAD + size);
  if (head.length < size || size > count * channels) {
    throw new FormatError(`exact payload has a palette of ${size} bytes for ${count} colours`);
  }
  const colours = readColours(head, count, channels);
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
function readColours(head, count, channels) {
  if (head.length === count * channels) {
    const plane = (_, k) => Int32Array.from({ length: count }, (_, i) => head[channels * i + k]);
    return Array.from({ length: channels }, plane);
  }
  if (head[0] === PALETTE) throw new FormatError("exact payload has a palette in its palette");
  return read(head, [channels, 1, count]).planes;
}

/** Return the lowest and the highest value of each plane. */
function boundsOf(kind, channels) {
  const low = Array(channels).fill(kind === PLAIN ? 0 : -LARGEST);
  low[0] = 0;
  return { low, high: Array(channels).fill(LARGEST) };
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
  const [height, width] = pixels.shape;
  const { data, shape } = height > width ? turned(pixels) : pixels;
  const greys = [...new Set(data)].sort((a, b) => a - b);
  if (greys.length === 1) return Uint8Array.of(PALETTE, 0, 1, 0, greys[0]);
  const stackOf = (values) => ({ planes: [Int32Array.from(values)], height: shape[0], width: shape[1] });
  const matching = { matching: true, guessing: true, direct: false, weights: null };
  const plain = (method) =>
    concat([Uint8Array.of(PLAIN), planes.encode(stackOf(data), method, boundsOf(PLAIN, 1))]);
  if (greys.length > MOST_GREYS) {
    return shortest([matching, { ...matching, matching: false, guessing: false }].map(plain));
  }
  const indexOf = Uint8Array.from({ length: 256 }, (_, value) => greys.indexOf(value));
  const bounds = { low: [0], high: [greys.length - 1] };
  const head = Uint8Array.of(PALETTE, greys.length - 1, greys.length, 0, ...greys);
  const indexes = stackOf(data.map((value) => indexOf[value]));
  const indexed = [true, false].map((direct) =>
    concat([head, planes.encode(indexes, { ...matching, direct }, bounds)])
  );
  return shortest([...indexed, plain(matching)]);
}

function shortest(payloads) {
  return payloads.reduce((best, other) => (other.length < best.length ? other : best));
}
