/**
 * Pixels to a .npeg file and back: encode and decode, facing each other.
 *
 * Enters or leaves: 8-bit pixels, (H, W, 3) RGB or (H, W, 1) grey, and the bytes of a file.
 *
 *     encodePixels                               decodePixels
 *     headerFor: what the file says first        container.readSections: header and payloads
 *     tiles.analyse: pixels to latents           latents.read: payloads to symbols
 *     latents.quantise, correct: to symbols      latents.dequantise: symbols to latents
 *     latents.code: symbols to payloads          tiles.synthesise: latents to pixels
 *     container.write: a file                    residual.unpack, add: what the networks left
 *
 * The encoder writes no residuals: at the highest qualities its files are less exact than Python's.
 *
 * @typedef {import("./networks.js").Planes} Planes
 * @typedef {(share: number) => Promise<void>} Step called with the share that is done; it may
 *   throw in order to stop the work
 */

import {
  checkSize,
  LEVELS,
  readSections,
  RESIDUAL,
  TILE,
  tileParts,
  VERSION,
  write,
} from "./container.js";
import { tuneOf } from "./encoder_rule.js";
import { FormatError, InputError } from "./errors.js";
import * as latents from "./latents.js";
import * as residual from "./residual.js";
import { analyse, latentShape, LATENT, padded, synthesise, tilesOf, usualSide } from "./tiles.js";

/**
 * Decode a .npeg file.
 * @param {import("./networks.js").Models} models
 * @param {Uint8Array} data a whole file
 * @param {Step} step
 * @returns {Promise<Planes>} Uint8Array, (H, W, 3) RGB or (H, W, 1) grey
 * @throws {FormatError} the bytes are not a valid file, or need what is not there
 * @throws {LimitError} larger than a decoder may allocate
 */
export async function decodePixels(models, data, step = async () => {}) {
  const { header, sections } = readSections(data);
  const model = await models.get(header.modelId);
  const parts = tileParts(sections);
  const tiles = tilesOf(header);
  const counted = countedSteps(step, 2 * tiles.length);
  const yHats = [];
  for (const [i, tile] of tiles.entries()) {
    yHats.push(await readLatents(model, header, parts[i], latentShape(tile)));
    await counted();
  }
  const residuals = [];
  for (const [i, tile] of tiles.entries()) {
    residuals.push(await readResidual(models, header, parts[i], tile));
  }
  const planes = await fromNetworks(model, header, yHats, counted);
  tiles.forEach((tile, i) => residuals[i] && residual.add(planes, tile, residuals[i]));
  return header.neutral ? tripled(planes) : planes;
}

/** Return a tile's latents (M, h, w); null of one in which the networks have no say. */
async function readLatents(model, { networksLevel }, parts, shape) {
  if (!parts[TILE].length) return null;
  const { zHat, symbols } = await latents.read(model, parts[TILE], shape, networksLevel);
  return latents.dequantise(model, zHat, symbols, networksLevel);
}

/** Return what is behind the networks in a tile, null where that is nothing. */
async function readResidual(models, header, parts, tile) {
  const alone = !parts[TILE].length;
  if (parts[RESIDUAL]) {
    const size = [tile.bottom - tile.top, tile.right - tile.left];
    const tables = await models.residualTables();
    return residual.unpack(parts[RESIDUAL], tables, size, planesOf(header), alone);
  }
  if (alone) throw new FormatError("tile has an empty payload and no residual");
  return null;
}

/** Return what the networks make of the latents of each tile, (H, W, C), C = 1 or 3. */
async function fromNetworks(model, header, yHats, step) {
  const { width, height } = header;
  const channels = planesOf(header);
  if (yHats.every((yHat) => !yHat)) {
    return { data: new Uint8Array(height * width * channels), shape: [height, width, channels] };
  }
  const known = tilesOf(header).map((tile, i) => yHats[i] ?? zeros([model.latents, ...latentShape(tile)]));
  const rgb = await synthesise(model, known, header, step);
  return channels === 3 ? rgb : meanOf(rgb);
}

/** Return how many channels are decoded: one where all are equal. */
function planesOf({ neutral, channels }) {
  return neutral ? 1 : channels;
}

function zeros(shape) {
  return { data: new Float32Array(shape.reduce((a, b) => a * b)), shape };
}

/**
 * Encode an image into a .npeg file.
 * @param {import("./networks.js").Models} models
 * @param {Planes} pixels Uint8Array, (H, W, 3) sRGB or (H, W, 1) grey
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
  const model = await models.get(header.modelId);
  const rgb = pixels.shape[2] === 1 ? tripled(pixels) : pixels;
  const tiles = tilesOf(header);
  const counted = countedSteps(step, (effort ? 4 : 1) * tiles.length);
  const found = [];
  for (const tile of tiles) {
    const [y, z] = await analyse(model, rgb, tile, header.level);
    found.push(await latents.quantise(model, y, z, header.level, tune));
    await counted();
  }
  if (effort) await correctAll(model, rgb, found, header, tune, counted);
  return write(header, found.map((tile) => latents.code(model, tile, header.level)));
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

/** Return the header of the file of an image. */
function headerFor({ data, shape }, quality, tune) {
  const [height, width, channels] = shape;
  if (!(quality >= 0 && quality <= 100)) {
    throw new InputError(`quality is ${quality}, expected 0 to 100`);
  }
  if ((channels !== 1 && channels !== 3) || !data.length || data.length !== height * width * channels) {
    throw new InputError(`pixels are ${data.length} in ${shape}, expected (H, W, 1) or (H, W, 3)`);
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
    channels,
    neutral: channels === 3 && isNeutral(data),
    bitDepth: 8,
    tileSize: usualSide(height, width),
  };
}

/** Tell RGB whose channels are equal everywhere: most end at once. */
function isNeutral(data) {
  for (let i = 0; i < data.length; i += 3) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  }
  return true;
}

/** Return the mean of the channels of (H, W, 3), (H, W, 1). */
function meanOf(rgb) {
  const [height, width] = rgb.shape;
  const data = new Uint8Array(height * width);
  for (let i = 0; i < data.length; i++) {
    const sum = rgb.data[3 * i] + rgb.data[3 * i + 1] + rgb.data[3 * i + 2];
    data[i] = Math.floor((sum + 1) / 3); // rounded
  }
  return { data, shape: [height, width, 1] };
}

/** Repeat the channel of (H, W, 1) three times. */
function tripled({ data, shape }) {
  const rgb = new Uint8Array(3 * data.length);
  data.forEach((value, i) => rgb.fill(value, 3 * i, 3 * i + 3));
  return { data: rgb, shape: [shape[0], shape[1], 3] };
}

/** Return a function that calls `step` with the share of `total` calls that are done. */
function countedSteps(step, total) {
  let done = 0;
  return () => step(Math.min(++done / total, 1));
}
