/**
 * How the encoder chooses symbols: the one home of what no decoder knows.
 *
 * A first pass rounds with a dead zone; a second one, after the first has been decoded, takes for
 * each latent the symbol that costs least in bits and distortion (RDOQ). As npeg/encoder_rule.py.
 *
 * @typedef {{levels: number[], networks: number[], codes: number[], first: number,
 *   letters: number, alone: number[], slopes: number[]}} Schedule which level of the networks and which step of the residual belong to
 *   each level of the file, with others between; from `first` on a residual is tried of every image, from
 *   `letters` on of text and drawings.
 *   Text and drawings have the codes `alone` where a residual is all there is, and steps that grow
 *   with frequency by `slopes`
 */

import { MAX_MAGNITUDE, TOKEN_OF_MAGNITUDE } from "./entropy.js";
import { InputError } from "./errors.js";
import { ENTRIES } from "./rans.js";

const FREE_BITS = 2; // that a symbol may cost beyond a 0 before the dead zone widens
const TO_INTEGER = 3 * 2 ** 51; // a sum with it has no fraction left: rounded, half to even

/** What the encoder minimises: the model that has learned it, and what errors weigh. */
export const TUNES = {
  visual: {
    modelId: 8,
    deadZone: 0.01,
    chroma: 1.3,
    masking: 0.25,
    weight: 1.5,
    bySymbol: true,
    schedule: {
      levels: [0, 150, 168, 182, 200],
      networks: [0, 150, 168, 182, 200],
      codes: [70, 40, 37, 26, 14],
      first: 168,
      letters: 168,
      alone: [60, 31, 27, 19, 6],
      slopes: [2, 3, 3],
    },
  },
  psnr: {
    modelId: 7,
    deadZone: 0.03,
    chroma: 1.3,
    masking: 0,
    weight: 1,
    bySymbol: false,
    schedule: {
      levels: [0, 160, 182, 200],
      networks: [0, 160, 200, 200],
      codes: [66, 35, 26, 14],
      first: 160,
      letters: 150,
      alone: [60, 29, 21, 11],
      slopes: [1, 1, 1],
    },
  },
};

/** Return the tune of a name. */
export function tuneOf(name) {
  if (!Object.hasOwn(TUNES, name)) {
    throw new InputError(`tune is '${name}', expected ${Object.keys(TUNES).join(" or ")}`);
  }
  return TUNES[name];
}

/** Round to a whole number, half to even, within what can be coded. */
export function round(value) {
  return Math.min(Math.max(value + TO_INTEGER - TO_INTEGER, -MAX_MAGNITUDE), MAX_MAGNITUDE);
}

/** Return how far from its mean a latent of each table must be for a symbol, (T,). */
export function thresholds(model, tune) {
  const saved = model.bitsOfOne().map((bits) => Math.max(bits - FREE_BITS, 0));
  return saved.map((bits, table) => (table < model.firstCoded ? Infinity : 0.5 + tune.deadZone * bits));
}

/**
 * Return the symbol of a residual: rounded, or one nearer to 0 where that costs less.
 *
 * A symbol costs its bits + weight * (symbol - residual)^2.
 *
 * @param {import("./networks.js").Model} model
 * @param {number} residual in symbols
 * @param {number} index of its table
 * @param {number} weight
 */
export function cheapest(model, residual, index, weight) {
  const size = Math.abs(residual);
  if (index < model.firstCoded || !(size > 0.5)) return 0;
  const bits = model.tables.tokenBits;
  const cost = (magnitude) =>
    bits[index * ENTRIES + TOKEN_OF_MAGNITUDE[magnitude]] + weight * (magnitude - size) ** 2;
  const magnitude = round(size);
  const smaller = Math.max(magnitude - 1, 0);
  return Math.sign(residual) * (cost(smaller) < cost(magnitude) ? smaller : magnitude);
}
