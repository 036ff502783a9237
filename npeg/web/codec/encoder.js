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
 *         withResidual: what the networks leave, behind them or alone, where that pays
 *
 * It writes alpha as it is, and no exact tiles: of few colours its files are less exact than Python's.
 *
 * @typedef {import("./networks.js").Planes} Planes
 */

import { checkSize, LEVELS, VERSION } from "./container.js";
import { fromNetworks, planesOf, tripled } from "./decoder.js";
import { InputError } from "./errors.js";
import * as latents from "./latents.js";
import * as rule from "./residual_rule.js";
import { ALPHA, HYPER, RESIDUAL, TILE } from "./sections.js";
import { analyse, LATENT, padded, synthesise, tilesOf, usualSide } from "./tiles.js";
import * as transparency from "./transparency.js";

/**
 * Return the sections of the tiles of an image.
 * @param {import("./networks.js").Models} models
 * @param {Planes} pixels
 * @param {import("./container.js").Header} header
 * @param {{tune: import("./encoder_rule.js").Tune, effort: 0 | 1}} options
 * @param {() => Promise<void>} step called after each part of the work, `stepsOf` times
 * @returns {Promise<import("./sections.js").Parts[]>}
 */
export async function encode(models, pixels, header, { tune, effort }, step) {
  const [model, level] = [await models.get(header.modelId), header.networksLevel];
  const { colours, alpha } = transparency.split(pixels);
  const filled = header.alpha ? transparency.fill(colours, alpha) : colours;
  const rgb = header.channels === 1 ? tripled(filled) : filled;
  const tiles = tilesOf(header);
  const found = [];
  for (const tile of tiles) {
    const [y, z] = await analyse(model, rgb, tile, level);
    found.push(await latents.quantise(model, y, z, level, tune));
    await step();
  }
  if (effort) await correctAll(model, rgb, found, header, tune, step);
  const coded = found.map((tile) => latents.code(model, tile, level));
  const planes = planesOf(header) === 1 ? firstChannel(filled) : filled;
  await addResiduals(models, planes, { found, coded }, header, tune, step);
  if (!header.alpha) return coded;
  return coded.map((parts, i) => ({ [ALPHA]: transparency.encode(cut(alpha, tiles[i])), ...parts }));
}

/** Return the header of a file with these tiles: without networks they have no level. */
export function settled(header, tiles) {
  const isAlone = tiles.every((parts) => !(HYPER in parts) && !parts[TILE]?.length);
  return isAlone ? { ...header, networksLevel: header.level } : header;
}

/** Put beside each coded tile what the networks leave, or in its place a residual alone. */
async function addResiduals(models, planes, { found, coded }, header, tune, step) {
  const steps = {
    code: rule.stepCode(tune.schedule, header.level),
    behind: rule.stepsBehind(tune.schedule, header.level),
    alone: rule.stepsAlone(tune.schedule, header.level),
  };
  const isAlways = header.level >= tune.schedule.first;
  const wanted = tilesOf(header).map((tile) => cut(planes, tile));
  if (!isAlways && !wanted.some(rule.hasEdges)) return;
  const decoded = await fromNetworks(models, found, header, step);
  const tables = await models.residualTables();
  for (const [i, tile] of tilesOf(header).entries()) {
    if (isAlways || rule.hasEdges(wanted[i])) {
      const known = cut(decoded, tile);
      const letters = rule.hasLetters(wanted[i]);
      const isTried = isAlways || (letters && header.level >= tune.schedule.letters);
      coded[i] = withResidual(coded[i], wanted[i], known, { steps, tables, isTried, letters });
    }
    await step();
  }
  await addAgain(models, wanted, { found, coded, steps, tables }, header, step);
}

/** Code residuals behind the networks again where tiles gave up latents that were reckoned with. */
async function addAgain(models, wanted, { found, coded, steps, tables }, header, step) {
  const isLost = coded.map((parts) => !(HYPER in parts) && !parts[TILE]?.length);
  const left = coded.flatMap((parts, i) => (RESIDUAL in parts && !isLost[i] ? [i] : []));
  if (!left.length || !isLost.includes(true)) return;
  const kept = found.map((tile, i) => (isLost[i] ? { yHat: null } : tile));
  const decoded = await fromNetworks(models, kept, header, step);
  for (const i of left) {
    const known = cut(decoded, tilesOf(header)[i]);
    const own = rule.hasLetters(wanted[i]) ? steps.behind : { code: steps.code, slopes: [0, 0, 0] };
    const { payload } = rule.choose(wanted[i], known, own, tables);
    const { [RESIDUAL]: _, ...parts } = coded[i];
    coded[i] = payload ? { ...parts, [RESIDUAL]: payload } : parts;
  }
}

/**
 * Return the cheapest of a tile as it is, with a residual, or that alone; text and drawings have other
 * steps then.
 * @param {import("./container.js").Parts} parts as the networks code it
 * @param {Planes} wanted its pixels, (h, w, C)
 * @param {Planes} known what the networks make of it
 */
function withResidual(parts, wanted, known, { steps, tables, isTried, letters }) {
  const found = cheapest(parts, wanted, known, { code: steps.code, tables, isTried });
  if (!(RESIDUAL in found) || !letters) return found;
  const isAlone = !(HYPER in found) && !found[TILE].length;
  const choice = isAlone
    ? rule.choose(wanted, null, steps.alone, tables)
    : rule.choose(wanted, known, steps.behind, tables);
  if (choice.payload) return { ...found, [RESIDUAL]: choice.payload };
  return isAlone ? found : parts;
}

/** Return the cheapest way with the steps that photographs have. */
function cheapest(parts, wanted, known, { code, tables, isTried }) {
  const steps = { code, slopes: [0, 0, 0] };
  const bits = 8 * Object.values(parts).reduce((sum, payload) => sum + payload.length, 0);
  const isBehind = isTried || rule.isOdd(wanted, known, code);
  const isAlone =
    (isBehind && rule.hasEdges(wanted)) || rule.seemsAlone(wanted, known, code, bits);
  const without = bits + rule.costWithout(wanted, known, code);
  let [best, least] = [parts, (isTried ? 1 : rule.PAYS) * without];
  const consider = (payload, cost, before) => {
    if (payload && cost < least) [best, least] = [{ ...before, [RESIDUAL]: payload }, cost];
  };
  if (isBehind || isAlone) {
    const { payload, cost } = rule.choose(wanted, known, steps, tables);
    consider(payload, bits + cost, parts);
  }
  if (isAlone) {
    const { payload, cost } = rule.choose(wanted, null, steps, tables);
    consider(payload, cost, { [TILE]: new Uint8Array() });
  }
  return best;
}

/** Return how often `encode` calls its step, about. */
export function stepsOf(header, effort, tune) {
  const residuals = header.level >= tune.schedule.first ? 2 : 0;
  return ((effort ? 4 : 1) + residuals) * tilesOf(header).length;
}

/** Return a tile of (H, W, C). */
function cut({ data, shape: [, width, channels] }, { top, bottom, left, right }) {
  const line = channels * (right - left);
  const found = new Uint8Array((bottom - top) * line);
  for (let row = top; row < bottom; row++) {
    const start = channels * (row * width + left);
    found.set(data.subarray(start, start + line), (row - top) * line);
  }
  return { data: found, shape: [bottom - top, right - left, channels] };
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
    networksLevel: rule.networksLevel(tune.schedule, level),
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
