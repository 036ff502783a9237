/**
 * Payloads of tiles to pixels; `encoder` faces it.
 *
 * Enters: the header of a file and what is in the sections of its tiles. Leaves: 8-bit pixels, also
 * of deeper files, (H, W, 1) grey, (H, W, 3) RGB, or these with alpha, (H, W, 2) and (H, W, 4).
 *
 *     read, readArrived: what the sections of one tile say, all of them or some
 *         latents.read, dequantise: payloads to latents
 *         residual.unpack: what the networks left
 *         exact.decode: pixels as they were
 *         transparency.decode: alpha
 *     assemble: tiles to an image
 *         fromNetworks: latents to pixels, by tiles.synthesise
 *         residual.add: what they left
 *         transparency.join: alpha beside the colours
 *
 * @typedef {import("./networks.js").Planes} Planes
 * @typedef {import("./container.js").Header} Header
 * @typedef {{yHat?: ?Planes, planes?: Planes, behind?: ?import("./residual.js").Residual,
 *   alpha: ?Planes}} Decoded latents (M, h, w), or the pixels (H, W, C) of an exact tile; what is
 *   added to what the networks make of the latents, if there are any; alpha (H, W, 1)
 */

import { FormatError } from "./errors.js";
import * as exact from "./exact.js";
import * as latents from "./latents.js";
import * as residual from "./residual.js";
import { ALPHA, EXACT, HYPER, RESIDUAL, TILE } from "./sections.js";
import { latentShape, synthesise, tilesOf } from "./tiles.js";
import * as transparency from "./transparency.js";

const GREY = 128; // of what nothing is known of

/**
 * Return what the payloads of a tile say.
 * @param {import("./networks.js").Models} models
 * @param {import("./sections.js").Parts} parts
 * @param {import("./tiles.js").Tile} tile
 * @param {Header} header
 * @returns {Promise<Decoded>}
 * @throws {FormatError} one holds nothing of its kind, or they do not go together
 */
export async function read(models, parts, tile, header) {
  const size = [tile.bottom - tile.top, tile.right - tile.left];
  const channels = planesOf(header);
  const deep = header.bitDepth > 8;
  const alpha = header.alpha ? transparency.decode(parts[ALPHA], size, deep) : null;
  if (EXACT in parts) {
    const planes = exact.decode(parts[EXACT], [...size, channels], header.bitDepth);
    return { planes: exact.inEightBits(planes, header.bitDepth), alpha };
  }
  await models.get(header.modelId); // an unknown model is refused, whatever the payload
  const yHat = await readLatents(models, parts, tile, header);
  let behind = null;
  if (!yHat && !(RESIDUAL in parts)) {
    throw new FormatError("tile has an empty payload and no residual");
  }
  if (RESIDUAL in parts) {
    const tables = await models.residualTables();
    behind = residual.unpack(parts[RESIDUAL], tables, size, channels, !yHat);
  }
  return { yHat, behind, alpha };
}

/**
 * Return what is known of a tile of which some sections may be missing: the means of the networks
 * stand for latents, opaqueness for alpha; what nothing is known of is grey.
 * @param {import("./networks.js").Models} models
 * @param {import("./sections.js").Parts} parts
 * @param {import("./tiles.js").Tile} tile
 * @param {Header} header
 * @returns {Promise<Decoded>}
 */
export async function readArrived(models, parts, tile, header) {
  const size = [tile.bottom - tile.top, tile.right - tile.left];
  if (header.alpha && !(ALPHA in parts)) {
    const found = await readArrived(models, parts, tile, { ...header, alpha: false });
    return { ...found, alpha: filled([...size, 1], 255) };
  }
  if (EXACT in parts || RESIDUAL in parts || parts[TILE]?.length) {
    return read(models, parts, tile, header);
  }
  const yHat = await readLatents(models, parts, tile, header);
  const alpha = header.alpha ? transparency.decode(parts[ALPHA], size, header.bitDepth > 8) : null;
  return yHat ? { yHat, alpha } : { planes: filled([...size, planesOf(header)], GREY), alpha };
}

/** Return the latents of a tile, (M, h, w); null where it has none. */
async function readLatents(models, parts, tile, header) {
  if (!(HYPER in parts) && !parts[TILE]?.length) return null;
  const [model, level] = [await models.get(header.modelId), header.networksLevel];
  const { zHat, symbols } = await latents.read(model, parts, latentShape(tile), level);
  return latents.dequantise(model, zHat, symbols, level);
}

function filled(shape, value) {
  return { data: new Uint8Array(shape.reduce((a, b) => a * b)).fill(value), shape };
}

/**
 * Return the image that tiles make, in the file's channels.
 * @param {import("./networks.js").Models} models
 * @param {Decoded[]} decoded
 * @param {Header} header
 * @param {() => Promise<void>} step called after each tile
 * @returns {Promise<Planes>}
 */
export async function assemble(models, decoded, header, step) {
  const planes = await fromNetworks(models, decoded, header, step);
  const { width, height } = header;
  const alpha = { data: new Uint8Array(header.alpha ? width * height : 0), shape: [height, width, 1] };
  for (const [i, tile] of tilesOf(header).entries()) {
    if (decoded[i].planes) paste(planes, decoded[i].planes, tile);
    if (decoded[i].behind) residual.add(planes, tile, decoded[i].behind);
    if (decoded[i].alpha) paste(alpha, decoded[i].alpha, tile);
  }
  const colours = header.neutral ? tripled(planes) : planes;
  return header.alpha ? transparency.join(colours, alpha) : colours;
}

/** Copy the pixels (h, w, C) of a tile into an image (H, W, C). */
function paste(image, { data, shape: [height, width, channels] }, { top, left }) {
  for (let row = 0; row < height; row++) {
    const line = data.subarray(channels * width * row, channels * width * (row + 1));
    image.data.set(line, channels * ((top + row) * image.shape[1] + left));
  }
}

/** Return what the networks make of the latents of each tile, (H, W, C), C = 1 or 3. */
export async function fromNetworks(models, decoded, header, step) {
  const { width, height } = header;
  const channels = planesOf(header);
  if (decoded.every(({ yHat }) => !yHat)) {
    return { data: new Uint8Array(height * width * channels), shape: [height, width, channels] };
  }
  const model = await models.get(header.modelId);
  const rgb = await synthesise(model, latentsOf(decoded), header, step);
  return channels === 3 ? rgb : meanOf(rgb);
}

/** Return the latents of each tile, null for those that have none. */
export function latentsOf(decoded) {
  return decoded.map(({ yHat }) => yHat ?? null);
}

/** Return how many channels are coded: one where all are equal. */
export function planesOf({ neutral, channels }) {
  return neutral ? 1 : channels;
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
export function tripled({ data, shape }) {
  const rgb = new Uint8Array(3 * data.length);
  data.forEach((value, i) => rgb.fill(value, 3 * i, 3 * i + 3));
  return { data: rgb, shape: [shape[0], shape[1], 3] };
}
