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

import { HEADER_SIZE, readArrived, readSections, write } from "./container.js";
import * as decoder from "./decoder.js";
import { encode, headerFor, settled, stepsOf } from "./encoder.js";
import { tuneOf } from "./encoder_rule.js";
import { InputError } from "./errors.js";
import { tilesOf } from "./tiles.js";

const HIGHEST = 100; // the quality of files without loss

/**
 * Encode an image into a .npeg file.
 * @param {import("./networks.js").Models} models
 * @param {Planes} pixels Uint8Array, (H, W, 3) sRGB, (H, W, 1) grey, or with alpha (H, W, 4) or
 *   (H, W, 2)
 * @param {number} quality 0 to 100
 * @param {{tune?: "visual" | "psnr", effort?: 0 | 1, lossless?: boolean}} options lossless: every pixel
 *   comes back as it was, whatever the quality
 * @param {Step} step
 * @returns {Promise<Uint8Array>} the bytes of the file
 * @throws {InputError} not such an array, or an option is out of range
 * @throws {LimitError} the image is too large
 */
export async function encodePixels(models, pixels, quality, options, step = async () => {}) {
  const { tune: name = "visual", effort = 1, lossless = false } = options;
  if (effort !== 0 && effort !== 1) throw new InputError(`effort is ${effort}, expected 0 to 1`);
  const tune = tuneOf(name);
  const header = headerFor(pixels, lossless ? HIGHEST : quality, tune);
  const rule = { tune, effort, lossless };
  const counted = countedSteps(step, stepsOf(header, rule));
  const tiles = await encode(models, pixels, header, rule, counted);
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
  const { header, tiles } = readSections(data);
  return decodeTiles(models, header, (i) => tiles[i], decoder.read, step);
}

/**
 * Decode what has arrived of a .npeg file.
 *
 * What has not is guessed from what has, or is grey; alpha that has not is opaque.
 * @param {import("./networks.js").Models} models
 * @param {Uint8Array} data the bytes so far
 * @param {Step} step
 * @param {number} before sections of the picture that is known already
 * @returns {Promise<?{pixels: Planes, whole: boolean, sections: number}>} as `decodePixels` returns
 *   them; whether the file is whole; how many sections of tiles have arrived: as long as that stays
 *   the same, so does the picture. Null while there is no other picture
 * @throws {FormatError} the bytes do not begin a valid file, or need what is not there
 * @throws {LimitError} larger than a decoder may allocate
 */
export async function decodeArrived(models, data, step = async () => {}, before = 0) {
  if (data.length < HEADER_SIZE) return null;
  const { header, tiles, whole } = readArrived(data);
  const sections = [...tiles.values()].reduce((sum, parts) => sum + Object.keys(parts).length, 0);
  if (sections === before) return null;
  const partsOf = (i) => tiles.get(i) ?? {};
  const pixels = await decodeTiles(models, header, partsOf, decoder.readArrived, step);
  return { pixels, whole, sections };
}

/** Decode the tiles of a file, each by `read`, and put them together. */
async function decodeTiles(models, header, partsOf, read, step) {
  const places = tilesOf(header);
  const counted = countedSteps(step, 2 * places.length);
  const decoded = [];
  for (const [i, place] of places.entries()) {
    decoded.push(await read(models, partsOf(i), place, header));
    await counted();
  }
  return decoder.assemble(models, decoded, header, counted);
}

/** Return a function that calls `step` with the share of `total` calls that are done. */
function countedSteps(step, total) {
  let done = 0;
  return () => step(Math.min(++done / total, 1));
}
