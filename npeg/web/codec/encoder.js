/**
 * Pixels to payloads of tiles; `decoder` faces it.
 *
 * Enters: 8-bit pixels, (H, W, 1) grey, (H, W, 3) RGB, or these with alpha, (H, W, 2) and (H, W, 4).
 * Leaves: the header of a file and the sections of each tile.
 *
 *     headerFor: what the file says first
 *     encode: an image to tiles
 *         transparency.split, fill, encode: alpha apart from the colours
 *         exactly: every pixel as it is, or
 *         cheapest: each tile by the way that costs least
 *             tiles.analyse: pixels to latents
 *             latents.quantise, correct: to symbols
 *             latents.code: symbols to payloads
 *             exact_encoder.encode: every pixel as it is, where that is no longer
 *             addResiduals: what the networks leave, behind them or alone, where that pays
 *
 * It writes alpha as it is.
 *
 * @typedef {import("./networks.js").Planes} Planes
 */

import { checkSize, LEVELS, VERSION } from "./container.js";
import { latentsOf, planesOf, tripled } from "./decoder.js";
import { InputError } from "./errors.js";
import * as exact from "./exact_encoder.js";
import * as latents from "./latents.js";
import { addResiduals } from "./residual_choice.js";
import { networksLevel } from "./residual_rule.js";
import { ALPHA, EXACT, HYPER, sizeOf, TILE } from "./sections.js";
import { analyse, cut, LATENT, padded, synthesise, tilesOf, usualSide } from "./tiles.js";
import * as transparency from "./transparency.js";

const HARDLY_LONGER = 1.1; // what an exact tile may cost beside the same with errors

/**
 * Return the sections of the tiles of an image.
 * @param {import("./networks.js").Models} models
 * @param {Planes} pixels
 * @param {import("./container.js").Header} header
 * @param {{tune: import("./encoder_rule.js").Tune, effort: 0 | 1, lossless: boolean}} options
 * @param {() => Promise<void>} step called after each part of the work, `stepsOf` times
 * @returns {Promise<import("./sections.js").Parts[]>}
 */
export async function encode(models, pixels, header, options, step) {
  const { colours, alpha } = transparency.split(pixels);
  const isFilled = header.alpha && !options.lossless;
  const filled = isFilled ? transparency.fill(colours, alpha) : colours;
  const planes = planesOf(header) === 1 ? firstChannel(filled) : filled;
  const coded = options.lossless
    ? await exactly(planes, header, step)
    : await cheapest(models, planes, header, options, step);
  if (!header.alpha) return coded;
  return tilesOf(header).map((tile, i) => ({ [ALPHA]: transparency.encode(cut(alpha, tile)), ...coded[i] }));
}

/** Return the tiles of an image (H, W, C), each exact. */
async function exactly(planes, header, step) {
  const coded = [];
  for (const tile of tilesOf(header)) {
    coded.push({ [EXACT]: exact.encode(cut(planes, tile)) });
    await step();
  }
  return coded;
}

/** Return the tiles of an image (H, W, C), each by the way that costs least. */
async function cheapest(models, planes, header, { tune, effort }, step) {
  const [model, level] = [await models.get(header.modelId), header.networksLevel];
  const rgb = planes.shape[2] === 1 ? tripled(planes) : planes;
  const [found, payloads] = [[], []]; // by the networks, and exact where that was tried
  for (const tile of tilesOf(header)) {
    const [y, z] = await analyse(model, rgb, tile, level);
    const quantised = await latents.quantise(model, y, z, level, tune);
    const payload = payloadIfSmall(cut(planes, tile));
    const most = payload ? HARDLY_LONGER * sizeOf(latents.code(model, quantised, level)) : 0;
    found.push(payload && payload.length <= most ? { yHat: null } : quantised);
    payloads.push(payload);
    await step();
  }
  if (effort) await correctAll(model, rgb, found, header, tune, step);
  const coded = found.map((tile, i) => (tile.yHat ? latents.code(model, tile, level) : { [EXACT]: payloads[i] }));
  await addResiduals(models, planes, { found, coded, payloads }, header, tune, step);
  return coded;
}

/** Return the payload of an exact tile (H, W, C) where that may be the shorter way, or null. */
function payloadIfSmall(planes) {
  return exact.mayBeSmall(planes) ? exact.encode(planes) : null;
}

/** Return the header of a file with these tiles: without networks they have no level. */
export function settled(header, tiles) {
  const isAlone = tiles.every((parts) => !(HYPER in parts) && !parts[TILE]?.length);
  return isAlone ? { ...header, networksLevel: header.level } : header;
}

/** Return how often `encode` calls its step, about. */
export function stepsOf(header, { effort, lossless, tune }) {
  if (lossless) return tilesOf(header).length;
  const residuals = header.level >= tune.schedule.first ? 2 : 0;
  return ((effort ? 4 : 1) + residuals) * tilesOf(header).length;
}

/** Return the first channel of (H, W, C), (H, W, 1). */
function firstChannel({ data, shape: [height, width, channels] }) {
  if (channels === 1) return { data, shape: [height, width, 1] };
  const found = Uint8Array.from({ length: height * width }, (_, i) => data[channels * i]);
  return { data: found, shape: [height, width, 1] };
}

/** Choose the symbols of all tiles anew, in place, by what the decoder makes of the first ones. */
async function correctAll(model, rgb, found, header, tune, step) {
  const level = header.networksLevel;
  if (found.every((tile) => !tile.yHat)) return;
  const decoded = await synthesise(model, latentsOf(found), header, step);
  for (const [i, tile] of tilesOf(header).entries()) {
    if (!found[i].yHat) continue;
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
    networksLevel: networksLevel(tune.schedule, level),
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
