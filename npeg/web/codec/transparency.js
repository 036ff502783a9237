/**
 * Alpha: apart from colours and with them again, coded, and what is under it filled.
 *
 * Enters: 8-bit pixels, (H, W, 2) grey or (H, W, 4) RGB, not premultiplied. Leaves: colours and
 * alpha, payloads of section `A`. Knows no files and no networks.
 *
 * Source: Gortler et al. 1996, The Lumigraph (push-pull).
 *
 * @typedef {import("./networks.js").Planes} Planes
 */

import { FormatError } from "./errors.js";
import { concat } from "./container.js";
import * as exact from "./exact.js";
import { encode as encodeExact, mayBeSmall } from "./exact_encoder.js";
import { rangeOf } from "./planes.js";

const [OPAQUE, FULL] = [255, 65535]; // of 8 and of 16 bits

/**
 * Return the colours, (H, W, 1) or (H, W, 3), and the alpha (H, W, 1) of pixels; null where there is none.
 * @param {Planes} pixels (H, W, 1..4)
 * @returns {{colours: Planes, alpha: ?Planes}}
 */
export function split(pixels) {
  const { data, shape: [height, width, channels] } = pixels;
  if (channels % 2) return { colours: pixels, alpha: null };
  const count = height * width;
  const colours = new Uint8Array(count * (channels - 1));
  const alpha = new Uint8Array(count);
  for (let i = 0, from = 0, to = 0; i < count; i++) {
    for (let c = 1; c < channels; c++) colours[to++] = data[from++];
    alpha[i] = data[from++];
  }
  return {
    colours: { data: colours, shape: [height, width, channels - 1] },
    alpha: { data: alpha, shape: [height, width, 1] },
  };
}

/** Put colours and alpha together again. */
export function join({ data, shape: [height, width, channels] }, alpha) {
  const joined = new Uint8Array(height * width * (channels + 1));
  for (let i = 0, from = 0, to = 0; i < alpha.data.length; i++) {
    for (let c = 0; c < channels; c++) joined[to++] = data[from++];
    joined[to++] = alpha.data[i];
  }
  return { data: joined, shape: [height, width, channels + 1] };
}

/** Tell whether pixels (H, W, 1..4) have alpha that is not opaque everywhere. */
export function isTransparent({ data, shape: [, , channels] }) {
  if (channels % 2) return false;
  for (let i = channels - 1; i < data.length; i += channels) {
    if (data[i] < OPAQUE) return true;
  }
  return false;
}

/** Return the payload of alpha (H, W, 1), every value as it is. */
export function encode(alpha) {
  return concat([Uint8Array.of(OPAQUE), encodeExact(alpha)]);
}

/**
 * Return the alpha of a payload, in 8 bits.
 * @param {Uint8Array} payload
 * @param {number[]} size [height, width]
 * @param {boolean} deep whether the file has more bits
 * @returns {Planes} (H, W, 1)
 * @throws {FormatError} it holds none
 */
export function decode(payload, size, deep) {
  const steps = deep ? payload[0] + 256 * payload[1] : payload[0];
  if (!steps) throw new FormatError("alpha section has no number of steps"); // or not all of it
  const bits = Math.max(8, 32 - Math.clz32(steps));
  const { data, shape } = exact.decode(payload.subarray(deep ? 2 : 1), [...size, 1], bits);
  const [, most] = rangeOf(data);
  if (most > steps) throw new FormatError(`alpha section has level ${most} of ${steps}`);
  const full = deep ? FULL : OPAQUE;
  const alpha = Uint8Array.from(data, (level) => {
    const value = Math.floor((2 * full * level + steps) / (2 * steps));
    return deep ? exact.inEight(value) : value;
  });
  return { data: alpha, shape };
}

/**
 * Return colours whose pixels under alpha 0 cost little and do not bleed into the others. Few
 * colours stay few: each row goes on in the colour last seen; else colours fade smoothly.
 * @param {Planes} colours (H, W, C)
 * @param {Planes} alpha (H, W, 1)
 * @returns {Planes}
 */
export function fill({ data, shape }, alpha) {
  const [height, width, channels] = shape;
  const seen = Float64Array.from(alpha.data, (value) => Number(value > 0));
  if (!seen.includes(0)) return { data, shape };
  if (!seen.includes(1)) return { data: new Uint8Array(data.length), shape };
  const flat = carriedOn({ data, shape }, seen);
  if (mayBeSmall(flat)) return flat;
  const filled = new Uint8ClampedArray(data.length); // rounds half to even, and clips
  for (let c = 0; c < channels; c++) {
    const plane = Float64Array.from(seen, (_, i) => data[channels * i + c]);
    pushedAndPulled(plane, seen, height, width).forEach((value, i) => (filled[channels * i + c] = value));
  }
  return { data: new Uint8Array(filled.buffer), shape };
}

/** Return colours (H, W, C) with each unseen pixel like the last seen one in raster order. */
function carriedOn({ data, shape }, seen) {
  const [, , channels] = shape;
  const found = data.slice();
  for (let i = 0, last = seen.indexOf(1); i < seen.length; i++) {
    if (seen[i]) last = i;
    else for (let c = 0; c < channels; c++) found[channels * i + c] = data[channels * last + c];
  }
  return { data: found, shape };
}

/** Return values (H, W), those of weight 0 from a picture of half the size. */
function pushedAndPulled(values, weight, height, width) {
  if (!weight.includes(0) || height * width === 1) return values;
  const [h, w] = [Math.ceil(height / 2), Math.ceil(width / 2)];
  const [total, sums] = [new Float64Array(h * w), new Float64Array(h * w)];
  for (let i = 0; i < values.length; i++) {
    const quarter = (Math.floor(i / width) >> 1) * w + ((i % width) >> 1);
    total[quarter] += weight[i];
    sums[quarter] += weight[i] * values[i];
  }
  const means = sums.map((sum, i) => sum / Math.max(total[i], 1e-6));
  const small = pushedAndPulled(means, total.map((sum) => Math.min(sum, 1)), h, w);
  const large = (row, column) => {
    const [y, x] = [Math.min(Math.max(row, 0), 2 * h - 1), Math.min(Math.max(column, 0), 2 * w - 1)];
    return small[(y >> 1) * w + (x >> 1)];
  };
  return values.map((value, i) => {
    if (weight[i] > 0) return value;
    const [row, column] = [Math.floor(i / width), i % width];
    const beside = large(row, column - 1) + large(row, column + 1);
    return (large(row - 1, column) + large(row + 1, column) + beside) / 4;
  });
}
