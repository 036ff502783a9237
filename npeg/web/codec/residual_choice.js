/**
 * Which way to code a tile whose networks' pixels are known: those alone, a residual behind them or
 * alone, or every pixel as it is. As in npeg/encoder.py.
 *
 * Enters: tiles as the networks code them. Leaves: the same, or others in their places.
 *
 * @typedef {import("./networks.js").Planes} Planes
 * @typedef {import("./sections.js").Parts} Parts
 */

import { fromNetworks } from "./decoder.js";
import * as exact from "./exact_encoder.js";
import * as rule from "./residual_rule.js";
import { EXACT, HYPER, RESIDUAL, sizeOf, TILE } from "./sections.js";
import { cut, tilesOf } from "./tiles.js";

/**
 * Put what costs least in the places of coded tiles.
 * @param {import("./networks.js").Models} models
 * @param {Planes} planes the image, (H, W, C)
 * @param {{found: Object[], coded: Parts[], payloads: ?Uint8Array[]}} tiles by the networks, as
 *   they are coded, and as exact tiles where that was tried
 * @param {import("./container.js").Header} header
 * @param {import("./encoder_rule.js").Tune} tune
 * @param {() => Promise<void>} step called after each part of the work
 */
export async function addResiduals(models, planes, { found, coded, payloads }, header, tune, step) {
  const steps = {
    code: rule.stepCode(tune.schedule, header.level),
    behind: rule.stepsBehind(tune.schedule, header.level),
    alone: rule.stepsAlone(tune.schedule, header.level),
  };
  const isAlways = header.level >= tune.schedule.first;
  const wanted = tilesOf(header).map((tile) => cut(planes, tile));
  const isMet = wanted.map((tile, i) => found[i].yHat && (isAlways || rule.hasEdges(tile)));
  if (!isMet.some(Boolean)) return;
  const decoded = await fromNetworks(models, found, header, step);
  const tables = await models.residualTables();
  for (const [i, tile] of tilesOf(header).entries()) {
    if (isMet[i]) {
      const hasLetters = rule.hasLetters(wanted[i]);
      const isTried = isAlways || (hasLetters && header.level >= tune.schedule.letters);
      const options = { exactly: payloads[i], steps, tables, isTried, hasLetters };
      coded[i] = withResidual(coded[i], wanted[i], cut(decoded, tile), options);
    }
    await step();
  }
  await addAgain(models, wanted, { found, coded, steps, tables }, header, step);
}

/** Code residuals behind the networks again where tiles gave up latents that were reckoned with. */
async function addAgain(models, wanted, { found, coded, steps, tables }, header, step) {
  const has = coded.map((parts) => HYPER in parts || parts[TILE]?.length > 0);
  const left = coded.flatMap((parts, i) => (RESIDUAL in parts && has[i] ? [i] : []));
  if (!left.length || found.every(({ yHat }, i) => !yHat || has[i])) return;
  const kept = found.map((tile, i) => (has[i] ? tile : { yHat: null }));
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
 * Return the cheapest of a tile as it is, with a residual, that alone, or exact; text and drawings
 * have other steps then.
 * @param {Parts} parts as the networks code it
 * @param {Planes} wanted its pixels, (h, w, C)
 * @param {Planes} known what the networks make of it
 */
function withResidual(parts, wanted, known, { exactly, steps, tables, isTried, hasLetters }) {
  const found = cheapest(parts, wanted, known, { exactly, code: steps.code, tables, isTried });
  if (!(RESIDUAL in found) || !hasLetters) return found;
  if (!(HYPER in found) && !found[TILE].length) return alone(wanted, exactly, steps.alone, tables);
  const { payload } = rule.choose(wanted, known, steps.behind, tables);
  return payload ? { ...parts, [RESIDUAL]: payload } : parts;
}

/** Return a tile as a residual alone, or exact where that is no longer or it says nothing. */
function alone(wanted, exactly, steps, tables) {
  const { payload, cost } = rule.choose(wanted, null, steps, tables);
  if (payload && !(exactly && 8 * exactly.length <= cost)) return { [TILE]: new Uint8Array(), [RESIDUAL]: payload };
  return { [EXACT]: exactly ?? exact.encode(wanted) };
}

/** Return the cheapest way with the steps that photographs have. */
function cheapest(parts, wanted, known, { exactly, code, tables, isTried }) {
  const steps = { code, slopes: [0, 0, 0] };
  const bits = 8 * sizeOf(parts);
  const isBehind = isTried || rule.isOdd(wanted, known, code);
  const isAlone = (isBehind && rule.hasEdges(wanted)) || rule.seemsAlone(wanted, known, code, bits);
  const without = bits + rule.costWithout(wanted, known, code);
  const ways = [{ cost: without, found: parts }];
  if (exactly) ways.push({ cost: 8 * exactly.length, found: { [EXACT]: exactly } });
  const add = ({ payload, cost }, before, more) => {
    if (payload) ways.push({ cost: more + cost, found: { ...before, [RESIDUAL]: payload } });
  };
  if (isBehind || isAlone) add(rule.choose(wanted, known, steps, tables), parts, bits);
  if (isAlone) add(rule.choose(wanted, null, steps, tables), { [TILE]: new Uint8Array() }, 0);
  const best = ways.reduce((one, other) => (other.cost < one.cost ? other : one));
  const isBest = EXACT in best.found || best.cost < (isTried ? 1 : rule.PAYS) * without;
  return isBest ? best.found : parts;
}
