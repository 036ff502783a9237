/**
 * Pixels to a .npeg file and back: encode and decode, facing each other.
 *
 * Enters or leaves: 8-bit pixels, (H, W, 3) RGB, (H, W, 1) grey or these with alpha, (H, W, 4) and
 * (H, W, 2), and the bytes of a file.
 *
 * @typedef {import("./networks.js").Planes} Planes
 * @typedef {(share: number) => Promise<void>} Step called with the share that is done; it may
 *   throw in order to stop the work
 */

import { readSections, tileParts, write } from "./container.js";
import { assemble, read } from "./decoder.js";
import { encode, headerFor, settled, stepsOf } from "./encoder.js";
import { tuneOf } from "./encoder_rule.js";
import { InputError } from "./errors.js";
import { tilesOf } from "./tiles.js";

/**
 * Encode an image into a .npeg file.
 * @param {import("./networks.js").Models} models
 * @param {Planes} pixels Uint8Array, (H, W, 3) sRGB, (H, W, 1) grey, or with alpha (H, W, 4) or
 *   (H, W, 2)
 * @param {number} quality 0 to 100
 * @param {{tune?: "visual" | "psnr", effort?: 0 | 1}} options
 * @param {Step} step
 * @returns {Promise<Uint8Array>} the bytes of the file
 * @throws {InputError} not such an array, or an option is out of range
 * @throws {LimitError} the image is too large
 */
export async function encodePixels(models, pixels, quality, options, step = async () => {}) {
  const { tune: name = "visual", effort = 1 } = options;
  if (effort !== 0 && effort !== 1) throw new InputError(`effort is ${effort}, expected 0 to 1`);
  const tune = tuneOf(name);
  const header = headerFor(pixels, quality, tune);
  const counted = countedSteps(step, stepsOf(header, effort, tune));
  const tiles = await encode(models, pixels, header, { tune, effort }, counted);
  return write(settled(header, tiles), tiles);
}

/**
 * Decode a .npeg file.
 * @param {import("./networks.js").Models} models
 * @param {Uint8Array} data a whole file
 * @param {Step} step
 * @returns {Promise<Planes>} Uint8Array, (H, W, 3) RGB, (H, W, 1) grey, or with alpha (H, W, 4) or
 *   (H, W, 2), not premultiplied
 * @throws {FormatError} the bytes are not a valid file, or need what is not there
 * @throws {LimitError} larger than a decoder may allocate
 */
export async function decodePixels(models, data, step = async () => {}) {
  const { header, sections } = readSections(data);
  const tiles = tilesOf(header);
  const counted = countedSteps(step, 2 * tiles.length);
  const decoded = [];
  for (const [i, parts] of tileParts(sections).entries()) {
    decoded.push(await read(models, parts, tiles[i], header));
    await counted();
  }
  return assemble(models, decoded, header, counted);
}

/** Return a function that calls `step` with the share of `total` calls that are done. */
function countedSteps(step, total) {
  let done = 0;
  return () => step(Math.min(++done / total, 1));
}
