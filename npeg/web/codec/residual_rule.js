/**
 * How the encoder chooses what is behind the networks: whether, how fine, and which symbols.
 *
 * Enters: a tile's pixels, what the networks decode, the level. Leaves: its payload `R`, or none.
 * As npeg/residual_rule.py.
 *
 * @typedef {import("./networks.js").Planes} Planes
 * @typedef {import("./encoder_rule.js").Schedule} Schedule
 * @typedef {{code: number, slopes: number[]}} Steps the code of all planes' steps, and by how much they
 *   grow, see `Residual`
 * @typedef {{payload: ?Uint8Array, cost: number}} Choice in bits; null: every symbol is 0
 */

import { round } from "./encoder_rule.js";
import { MAX_MAGNITUDE, TOKEN_OF_MAGNITUDE } from "./entropy.js";
import { ENTRIES } from "./rans.js";
import { stepOf, worthOf } from "./residual.js";
import { bestShifts, blocksOf, codedSymbols, forward, grouped, manyBands, pack, shifted } from "./residual_encoder.js";
import { SIDE } from "./residual_order.js";

const BIT = 0.14; // squared steps that a bit is worth: 0.12 by theory, as D = step^2 / 12
const ROUND_UP = 0.67; // from which a first guess is the larger number
const ODD_STEPS = 1.5; // steps from which an error of a sample is more than what networks leave of photos
const ODD_SHARE = 1 / 2000; // of such samples
const EDGE = 96; // levels between neighbours that photographs hardly have
const EDGE_SHARE = 1 / 250;
const FLAT_SHARE = 0.6; // of neighbours that are equal
const LETTERS_SHARE = 1 / 20; // more than in any photograph that was looked at
const EVERY = 4; // rows of blocks, of which the first is looked at
/** Share of the cost that is left, below which a residual is not on a photograph. */
export const PAYS = 0.82;

/** Return the level of the networks for a level of the file. */
export function networksLevel(schedule, level) {
  return level < schedule.first ? level : between(schedule.levels, schedule.networks, level);
}

/** Return the code of the residual's step. */
export function stepCode(schedule, level) {
  return between(schedule.levels, schedule.codes, level);
}

/** Return the steps of a residual behind the networks, of what is no photograph. */
export function stepsBehind(schedule, level) {
  const { slopes } = schedule;
  return { code: Math.max(stepCode(schedule, level) - slopes[0], 0), slopes };
}

/** Return the steps of a residual that is all there is, of what is no photograph. */
export function stepsAlone({ levels, alone, slopes }, level) {
  return { code: between(levels, alone, level), slopes };
}

function between(places, values, at) {
  const i = Math.max(places.findIndex((place) => place >= at), 1);
  const share = (at - places[i - 1]) / (places[i] - places[i - 1]);
  return round(values[i - 1] + share * (values[i] - values[i - 1]));
}

/** Tell whether networks err on an image as they do not on photographs. */
export function isOdd(wanted, decoded, code) {
  const limit = ODD_STEPS * stepOf(code);
  const line = wanted.data.length / wanted.shape[0];
  let [odd, count] = [0, 0];
  for (let start = 0; start < wanted.data.length; start += 2 * line, count += line) {
    for (let i = start; i < start + line; i++) {
      if (Math.abs(wanted.data[i] - decoded.data[i]) > limit) odd++;
    }
  }
  return odd > ODD_SHARE * count;
}

/** Tell whether neighbours differ, or are equal, more often than in photographs. */
export function hasEdges(pixels) {
  const { flat, sharp } = sharesOf(pixels);
  return flat > FLAT_SHARE || sharp > EDGE_SHARE;
}

/** Tell whether neighbours differ as often as they do in text and drawings alone. */
export function hasLetters(pixels) {
  return sharesOf(pixels).sharp > LETTERS_SHARE;
}

/** Return the shares of neighbours that are equal, and that differ by more than in photographs. */
function sharesOf({ data, shape: [height, width, channels] }) {
  let [flat, sharp, count] = [0, 0, 0];
  for (let row = 0; row < height; row += 4) {
    const end = (row + 1) * width * channels;
    for (let i = row * width * channels + channels; i < end; i++, count++) {
      const step = Math.abs(data[i] - data[i - channels]);
      if (!step) flat++;
      else if (step > EDGE) sharp++;
    }
  }
  return { flat: flat / count, sharp: sharp / count }; // of no neighbours NaN, which is above nothing
}

/** Return what the error of the networks costs in bits where there is no residual. */
export function costWithout(wanted, decoded, code) {
  let sum = 0;
  for (let i = 0; i < wanted.data.length; i++) sum += (wanted.data[i] - decoded.data[i]) ** 2;
  return sum / (BIT * stepOf(code) ** 2);
}

/** Tell, by some of the blocks, whether a residual alone might be the shorter. */
export function seemsAlone(wanted, decoded, code, payloadBits) {
  const [some, known] = [someRows(wanted), someRows(decoded)];
  const alone = roughBits(forward(some, null), some.shape, code, true);
  const behind = roughBits(forward(some, known), some.shape, code, false);
  return alone < 1.1 * (behind + (payloadBits * some.shape[0]) / wanted.shape[0]);
}

function someRows({ data, shape: [height, width, channels] }) {
  const line = width * channels;
  const rows = Array.from({ length: height }, (_, y) => y).filter((y) => !(Math.floor(y / SIDE) % EVERY));
  const found = new Uint8Array(rows.length * line);
  rows.forEach((y, i) => found.set(data.subarray(y * line, (y + 1) * line), i * line));
  return { data: found, shape: [rows.length, width, channels] };
}

/** Return about how many bits coefficients take, alone or behind the networks. */
function roughBits(planes, size, code, alone) {
  const [, w] = blocksOf(size.slice(0, 2));
  const worth = stepOf(code);
  let bits = 0;
  for (const bands of planes) {
    for (const [place, band] of bands.entries()) {
      for (let i = 0; i < band.length; i++) {
        const before = alone && !place && i % w ? band[i - 1] : 0;
        bits += Math.log2(1 + ((band[i] - before) / worth) ** 2);
      }
    }
  }
  return bits;
}

/**
 * Return a payload, and what it costs: its bits and the error that it leaves.
 * @param {Planes} wanted the tile's pixels, (H, W, C)
 * @param {?Planes} decoded what the networks make of them; null for a residual that is all there is
 * @param {Steps} steps
 * @param {import("./entropy.js").Tables} tables of residuals
 * @returns {Choice}
 */
export function choose(wanted, decoded, steps, tables) {
  const shape = blocksOf(wanted.shape.slice(0, 2));
  const sizes = forward(wanted, decoded);
  for (const [plane, bands] of sizes.entries()) {
    const worth = worthOf(steps.code, steps.slopes[plane]);
    bands.forEach((band, place) => {
      for (let i = 0; i < band.length; i++) band[i] /= worth[place];
    });
  }
  const found = quantise(sizes, shape, steps, !decoded, tables);
  let error = 0;
  sizes.forEach((bands, plane) =>
    bands.forEach((band, place) => {
      const symbols = found.symbols[plane][place];
      for (let i = 0; i < band.length; i++) error += (band[i] - symbols[i]) ** 2;
    })
  );
  const isUsed = found.symbols.some((bands) => bands.some((band) => band.some(Boolean)));
  const payload = isUsed ? pack(found, shape, tables) : null;
  return { payload, cost: error / BIT + 8 * (payload?.length ?? 0) };
}

/** Choose symbols of coefficients in steps by rate and distortion: rounded, one less, or 0. */
function quantise(sizes, shape, { code, slopes }, alone, tables) {
  const guess = (size) => Math.sign(size) * Math.floor(Math.abs(size) + 1 - ROUND_UP);
  const symbols = sizes.map((bands) =>
    bands.map((band, place) => Int32Array.from(band, alone && !place ? round : guess))
  );
  const rows = tablesOf(codedSymbols({ symbols, alone }, shape), shape, tables);
  const chosen = sizes.map((bands, plane) =>
    bands.map((band, place) => {
      if (alone && !place) return symbols[plane][place];
      const row = rows[plane][place];
      return Int32Array.from(band, (size, i) => cheapest(size, row[i], tables.tokenBits));
    })
  );
  return { symbols: chosen, steps: sizes.map(() => code), slopes, alone };
}

/** Return the table of each symbol, 0 for those that are not coded. */
function tablesOf(symbols, shape, tables) {
  const groups = grouped(symbols, shape);
  const shifts = bestShifts(groups, symbols.length, tables);
  const rows = symbols.map((bands) => manyBands(Uint8Array, bands[0].length));
  for (const group of groups) {
    const indexes = shifted(group, shifts);
    let at = 0;
    for (const [u, v] of group.bands) {
      for (const block of group.blocks) rows[group.plane][u * SIDE + v][block] = indexes[at++];
    }
  }
  return rows;
}

/** Return the symbol of a coefficient in steps that costs least under a table. */
function cheapest(value, row, bits) {
  const size = Math.abs(value);
  if (!(size > 0.5)) return 0;
  const near = Math.min(round(size), MAX_MAGNITUDE);
  let [best, least] = [near, Infinity];
  for (const tried of [near, Math.max(near - 1, 0), 0]) {
    const cost = (size - tried) ** 2 + BIT * bits[row * ENTRIES + TOKEN_OF_MAGNITUDE[tried]];
    if (cost < least) [best, least] = [tried, cost];
  }
  return Math.sign(value) * best;
}
