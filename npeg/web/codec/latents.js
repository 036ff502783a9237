/**
 * The latents of one tile: to symbols and bytes, and back. The two ways face each other.
 *
 * Enters: y and z of the analysis, or the payloads of a tile. Leaves: these, or y_hat.
 *
 *     encoder                        decoder
 *     quantise: y, z to symbols      dequantise: symbols to y_hat
 *     correct: symbols chosen anew
 *     code: symbols to payloads      read: payloads to symbols
 *
 * @typedef {import("./networks.js").Planes} Planes
 * @typedef {import("./networks.js").Model} Model
 * @typedef {import("./sections.js").Parts} Parts
 * @typedef {{zHat: Planes, indexes: Planes, psi: Planes, steps: ?Planes, means: Planes,
 *   symbols: Float32Array, yHat: Planes}} Quantised
 */

import { cheapest, round, thresholds } from "./encoder_rule.js";
import { Decoder, encode } from "./entropy.js";
import { HYPER, LOW, MIDDLE, TILE } from "./sections.js";
import { crop } from "./tiles.js";

/** How many channels are there with each layer, the lowest frequencies first. */
const LAYERS = { [LOW]: 6, [MIDDLE]: 20, [TILE]: Infinity };
const LAYERED = 4096; // bytes of a tile from which layers make it at most 1 % larger

/**
 * Quantise a tile's y (M, h, w) and z (Z, h/4, w/4): anchors first, then the rest.
 * @param {Model} model
 * @param {Planes} y
 * @param {Planes} z
 * @param {number} level
 * @param {object} tune
 * @returns {Promise<Quantised>}
 */
export async function quantise(model, y, z, level, tune) {
  const zHat = { data: z.data.map(round), shape: z.shape };
  const shape = y.shape.slice(1);
  const indexes = crop(await model.scaleIndexes(zHat, level), shape);
  const known = await anchorMeans(model, zHat, level, shape);
  const limits = thresholds(model, tune);
  const pick = (residual, i) =>
    Math.abs(residual) > limits[indexes.data[i]] ? round(residual) : 0;
  return { zHat, indexes, ...known, ...(await choose(model, known, y, level, pick)) };
}

/**
 * Choose the symbols anew by rate and distortion, around latents without their error (RDOQ).
 * @param {Model} model
 * @param {Quantised} tile
 * @param {{error: Planes, weight: Planes}} estimates see `Model.latentError`
 * @param {number} level
 * @param {object} tune
 * @returns {Promise<Quantised>}
 */
export async function correct(model, tile, { error, weight }, level, tune) {
  const data = tile.yHat.data.map((value, i) => value + error.data[i]);
  const pick = (residual, i) => {
    const squared = tune.bySymbol || !tile.steps ? 1 : tile.steps.data[i] ** 2;
    return cheapest(model, residual, tile.indexes.data[i], tune.weight * weight.data[i] * squared);
  };
  const wanted = { data, shape: tile.yHat.shape };
  return { ...tile, ...(await choose(model, tile, wanted, level, pick)) };
}

/**
 * Return the payloads of a tile: layers, or one where they would make it much larger.
 * @param {Model} model
 * @param {Quantised} tile
 * @returns {Parts}
 */
export function code(model, { zHat, indexes, symbols }, level) {
  const groupOf = (channels) => {
    const places = codedPlaces(model, indexes, channels);
    return {
      symbols: Int32Array.from(places, (i) => symbols[i]),
      indexes: Uint8Array.from(places, (i) => indexes.data[i]),
    };
  };
  const hyper = { symbols: Int32Array.from(zHat.data), indexes: indexZ(model, zHat.shape, level) };
  const parts = { [HYPER]: encode([hyper], model.tables) };
  for (const [type, channels] of layersOf(model, LAYERS)) {
    parts[type] = encode([groupOf(channels)], model.tables);
  }
  const size = Object.values(parts).reduce((sum, payload) => sum + payload.length, 0);
  if (size >= LAYERED) return parts;
  return { [TILE]: encode([hyper, groupOf(() => true)], model.tables) };
}

/**
 * Entropy-decode a tile of h x w latents: exact, whatever the machine. Symbols of layers that are
 * not there are 0.
 * @param {Model} model
 * @param {Parts} parts
 * @param {number[]} shape [h, w]
 * @param {number} level
 * @returns {Promise<{zHat: Planes, symbols: Planes, indexes: Planes}>} (Z, h/4, w/4), (M, h, w) and
 *   the table of each symbol
 * @throws {FormatError} the payloads do not hold these symbols
 */
export async function read(model, parts, shape, level) {
  const layered = HYPER in parts;
  let decoder = new Decoder(parts[layered ? HYPER : TILE], model.tables);
  const shapeZ = [model.hyperLatents, ...shape.map((side) => Math.ceil(side / 4))];
  const data = Float32Array.from(decoder.decode(indexZ(model, shapeZ, level), layered));
  const zHat = { data, shape: shapeZ };
  const indexes = crop(await model.scaleIndexes(zHat, level), shape);
  const symbols = new Float32Array(indexes.data.length);
  for (const [type, channels] of layersOf(model, parts)) {
    if (layered) decoder = new Decoder(parts[type], model.tables);
    const places = codedPlaces(model, indexes, channels);
    const coded = decoder.decode(Uint8Array.from(places, (i) => indexes.data[i]), true);
    places.forEach((place, i) => (symbols[place] = coded[i]));
  }
  return { zHat, symbols: { data: symbols, shape: indexes.shape }, indexes };
}

/**
 * Yield the layers of latents that are among `kinds`, each with a function that tells its channels.
 *
 * Each holds what those before it have left, of the channels of low frequencies alone but the last.
 */
function* layersOf(model, kinds) {
  let from = 0;
  for (const [type, to] of Object.entries(LAYERS)) {
    if (!(type in kinds)) continue;
    const begin = from;
    yield [type, (c) => begin <= model.frequencyRanks[c] && model.frequencyRanks[c] < to];
    from = to;
  }
}

/**
 * Return y_hat (M, h, w) of symbols (M, h, w): anchors first, then the rest.
 * @param {Model} model
 * @param {Planes} zHat
 * @param {Planes} symbols
 * @param {number} level
 * @returns {Promise<Planes>}
 */
export async function dequantise(model, zHat, symbols, level) {
  const known = await anchorMeans(model, zHat, level, symbols.shape.slice(1));
  const found = await choose(model, known, symbols, level, (_, i) => symbols.data[i]);
  return found.yHat;
}

/** Return psi, the anchors' means and the steps, cut to the latents' size. */
async function anchorMeans(model, zHat, level, shape) {
  const { psi, means, steps } = await model.anchorMeans(zHat, level);
  return { psi: crop(psi, shape), means: crop(means, shape), steps: steps && crop(steps, shape) };
}

/**
 * Pick the symbols of a tile and dequantise them: the anchors, whose row + column is even, then
 * the others, whose means the context network finds from those.
 * @param {Model} model
 * @param {{psi: Planes, means: Planes, steps: ?Planes}} known
 * @param {Planes} wanted latents (M, h, w), from which residuals are taken
 * @param {number} level
 * @param {(residual: number, i: number) => number} pick the symbol of latent i, by its residual
 */
async function choose(model, { psi, means, steps }, wanted, level, pick) {
  const { data, shape } = wanted;
  const symbols = new Float32Array(data.length);
  const yHat = new Float32Array(data.length);
  const width = shape[2];
  const pass = (parity, predicted) => {
    for (let line = 0, start = 0; start < data.length; line++, start += width) {
      const row = line % shape[1];
      for (let i = start + ((row + parity) % 2); i < start + width; i += 2) {
        const step = steps ? steps.data[i] : 1;
        const symbol = pick((data[i] - predicted[i]) / step, i);
        symbols[i] = symbol;
        yHat[i] = Math.fround(symbol * step) + predicted[i]; // rounded like floats of 32 bits
      }
    }
  };
  pass(0, means.data);
  const context = await model.contextMeans(psi, { data: yHat, shape }, level);
  pass(1, context.data);
  return { symbols, yHat: { data: yHat, shape } };
}

/** Return where table indexes (M, h, w) are such that a symbol is coded, in some channels, (n,). */
function codedPlaces(model, { data, shape: [latents, h, w] }, isOf) {
  const places = new Uint32Array(data.length);
  let count = 0;
  for (let c = 0; c < latents; c++) {
    if (!isOf(c)) continue;
    for (let i = c * h * w; i < (c + 1) * h * w; i++) {
      if (data[i] >= model.firstCoded) places[count++] = i;
    }
  }
  return places.subarray(0, count);
}

/** Return the table index of every hyper-latent, flat: one a channel. */
export function indexZ(model, [channels, h, w], level) {
  const indexes = new Uint8Array(channels * h * w);
  model.indexZ(level).forEach((index, c) => indexes.fill(index, c * h * w, (c + 1) * h * w));
  return indexes;
}
