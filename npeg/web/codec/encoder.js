/**
 * Pixels to payloads of tiles; `decoder` faces it.
 *
 * Enters: 8-bit pixels, (H, W, 1) grey, (H, W, 3) RGB, or these with alpha, (H, W, 2) and (H, W, 4).
 * Leaves: the header of a file and the sections of each tile.
 *
 *     headerFor: what the file says first
 *     encode: an image to tiles
 *         transparency.split, fill, encode: alpha apart from the colours
 *         tiles.analyse: pixels to latents
 *         latents.quantise, correct: to symbols
 *         latents.code: symbols to payloads
 *
 * It writes alpha as it is, and neither residuals nor exact tiles: at the highest qualities and of
 * few colours its files are less exact than Python's.
 *
 * @typedef {import("./networks.js").Planes} Planes
 */

import { checkSize, LEVELS, VERSION } from "./container.js";
import { tripled } from "./decoder.js";
import { InputError } from "./errors.js";
import * as latents from "./latents.js";
import { ALPHA } from "./sections.js";
import { analyse, LATENT, padded, synthesise, tilesOf, usualSide } from "./tiles.js";
import * as transparency from "./transparency.js";

/**
 * Return the sections of the tiles of an image.
 * @param {import("./networks.js").Model} model
 * @param {Planes} pixels
 * @param {import("./container.js").Header} header
 * @param {{tune: import("./encoder_rule.js").Tune, effort: 0 | 1}} options
 * @param {() => Promise<void>} step called after each part of the work, `stepsOf` times
 * @returns {Promise<import("./sections.js").Parts[]>}
 */
export async function encode(model, pixels, header, { tune, effort }, step) {
  const { colours, alpha } = transparency.split(pixels);
  const filled = header.alpha ? transparency.fill(colours, alpha) : colours;
  const rgb = header.channels === 1 ? tripled(filled) : filled;
  const tiles = tilesOf(header);
  const found = [];
  for (const tile of tiles) {
    const [y, z] = await analyse(model, rgb, tile, header.level);
    found.push(await latents.quantise(model, y, z, header.level, tune));
    await step();
  }
  if (effort) await correctAll(model, rgb, found, header, tune, step);
  return tiles.map((tile, i) => {
    const parts = latents.code(model, found[i], header.level);
    return header.alpha ? { [ALPHA]: transparency.encode(cut(alpha, tile)), ...parts } : parts;
  });
}

/** Return how often `encode` calls its step, at most. */
export function stepsOf(header, effort) {
  return (effort ? 4 : 1) * tilesOf(header).length;
}

/** Return a tile of (H, W, 1). */
function cut({ data, shape }, { top, bottom, left, right }) {
  const [height, width] = [bottom - top, right - left];
  const found = new Uint8Array(height * width);
  for (let row = 0; row < height; row++) {
    const start = (top + row) * shape[1] + left;
    found.set(data.subarray(start, start + width), row * width);
  }
  return { data: found, shape: [height, width, 1] };
}

/** Choose the symbols of all tiles anew, in place, by what the decoder makes of the first ones. */
async function correctAll(model, rgb, found, header, tune, step) {
  const { level } = header;
  const decoded = await synthesise(model, found.map((tile) => tile.yHat), header, step);
  for (const [i, tile] of tilesOf(header).entries()) {
    const pixels = padded(rgb, tile, LATENT);
    const known = withTile(pixels, decoded, tile); // beyond the picture there is no error
    const estimates = await model.latentError(pixels, known, level, tune.chroma, tune.masking);
    await step();
    found[i] = await latents.correct(model, found[i], estimates, level, tune);
    await step();
  }
}

/** Return a copy of pixels (h, w, 3) with those of a tile of the picture in its corner. */
function withTile(pixels, picture, { top, bottom, left, right }) {
  const data = pixels.data.slice();
  for (let row = top; row < bottom; row++) {
    const start = 3 * (row * picture.shape[1] + left);
    const line = picture.data.subarray(start, start + 3 * (right - left));
    data.set(line, 3 * (row - top) * pixels.shape[1]);
  }
  return { data, shape: pixels.shape };
}

/**
 * Return the header of the file of an image.
 * @throws {InputError} not such an array, or the quality is out of range
 * @throws {LimitError} the image is too large
 */
export function headerFor(pixels, quality, tune) {
  const { data, shape } = pixels;
  const [height, width, channels] = shape;
  if (!(quality >= 0 && quality <= 100)) {
    throw new InputError(`quality is ${quality}, expected 0 to 100`);
  }
  if (!(channels >= 1 && channels <= 4) || !data.length || data.length !== height * width * channels) {
    throw new InputError(`pixels are ${data.length} in ${shape}, expected (H, W, 1..4)`);
  }
  checkSize(width, height);
  const level = Math.min(Math.round(2 * quality), LEVELS - 1);
  return {
    version: VERSION,
    modelId: tune.modelId,
    level,
    networksLevel: level,
    width,
    height,
    channels: channels < 3 ? 1 : 3,
    neutral: channels >= 3 && isNeutral(data, channels),
    alpha: transparency.isTransparent(pixels),
    bitDepth: 8,
    tileSize: usualSide(height, width),
  };
}

/** Tell RGB whose channels are equal everywhere: most end at once. */
function isNeutral(data, channels) {
  for (let i = 0; i < data.length; i += channels) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  }
  return true;
}
