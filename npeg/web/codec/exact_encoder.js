/**
 * Pixels to payloads that give every pixel back; `exact` faces it. A transcription of npeg/exact.py,
 * with its bytes.
 *
 * Enters: pixels of 8 bits. Leaves: a payload of section `E` or `A`. Knows no tiles, files and
 * networks.
 *
 * All ways are tried on small parts of a picture, the best of them on larger ones, and the best of
 * these is taken.
 *
 * @typedef {import("./planes.js").Stack} Stack
 * @typedef {import("./networks.js").Planes} Planes
 * @typedef {{head: Uint8Array, stack: Stack, bounds: import("./planes.js").Bounds,
 *   method: import("./planes.js").Method}} Candidate one way to code a picture: what comes before
 *   its planes, and how they are coded
 */

import { concat } from "./container.js";
import { boundsOf, GREEN, PALETTE, PLAIN, turned, YCOCG } from "./exact.js";
import { fit } from "./linear_fit.js";
import * as planes from "./planes.js";

const MOST_COLOURS = 256;
const MOST_GREYS = 16; // of a plane that has a palette
const LEAST_RUNS = 0.5; // share of pixels like their left neighbours, of greys that are no photograph
const LEAST_FLAT = 0.8; // of pictures of many colours that may be shorter exactly
const [FIRST, SECOND] = [64, 128]; // side of the parts by which all ways, then the best are compared
const KEPT = 3; // ways that are compared again
const MATCHING = { matching: true, guessing: true, direct: false, weights: null };
const SMOOTH = { ...MATCHING, matching: false, guessing: false };

/**
 * Return the payload of pixels.
 * @param {Planes} pixels (H, W, 1) or (H, W, 3)
 * @returns {Uint8Array}
 */
export function encode(pixels) {
  let found = candidatesOf(stackOf(pixels));
  if (found.length > 1) {
    found = ranked(found, FIRST).slice(0, KEPT);
    found = ranked(found, SECOND);
  }
  return payloadOf(found[0]);
}

/**
 * Tell what is worth a try where pixels may be lost: few colours, or nearly all in runs. Few greys
 * must be in runs too: all grey photographs have no more than 256.
 * @param {Planes} pixels (H, W, 1) or (H, W, 3)
 */
export function mayBeSmall(pixels) {
  const colours = coloursOf(planesOf(pixels));
  if (!colours) return inRuns(pixels) >= LEAST_FLAT;
  const isNeutral = colours.every((colour) => colour.every((value) => value === colour[0]));
  return !isNeutral || colours.length <= MOST_GREYS || inRuns(pixels) >= LEAST_RUNS;
}

/** Return the share of pixels of every fourth row that equal their left neighbours. */
function inRuns({ data, shape: [height, width, channels] }) {
  let [equal, count] = [0, 0];
  for (let row = 0; row < height; row += 4) {
    for (let at = channels * (row * width + 1); at < channels * (row + 1) * width; at += channels) {
      let k = 0;
      while (k < channels && data[at + k] === data[at + k - channels]) k++;
      equal += Number(k === channels);
      count++;
    }
  }
  return count ? equal / count : NaN;
}

// --- candidates ---

/** Return candidates, the shortest first, by parts of this side. */
function ranked(candidates, side) {
  const costs = candidates.map((candidate) => ({ candidate, bits: costBits(candidate, side) }));
  return costs.sort((a, b) => a.bits - b.bits).map(({ candidate }) => candidate);
}

/** Return about the length of a candidate in bits, by parts of a picture that are this high and wide. */
function costBits({ head, stack, method, bounds }, side) {
  const { height, width } = stack;
  const part = height * width > 4 * side ** 2 ? partOf(stack, side) : stack;
  const coded = planes.sizeBits(part, method, bounds);
  return 8 * head.length + ((height * width) / (part.height * part.width)) * coded;
}

/** Return four parts of planes side by side: what takes time is how many diagonals there are. */
function partOf({ planes: all, height, width }, side) {
  const [rows, columns] = [placesOf(height, side), placesOf(width, side)];
  const places = rows.flatMap((row) => columns.map((column) => [row, column]));
  const [high, wide] = [Math.min(side, height), Math.min(side, width)];
  const line = places.length * wide;
  const parts = all.map((plane) => {
    const part = new Int32Array(high * line);
    places.forEach(([top, left], i) => {
      for (let row = 0; row < high; row++) {
        const start = (top + row) * width + left;
        part.set(plane.subarray(start, start + wide), row * line + i * wide);
      }
    });
    return part;
  });
  return { planes: parts, height: high, width: line };
}

/** Return two places of this side along a longer one, or near the ends of a short one. */
function placesOf(length, side) {
  const first = (tenths) => Math.floor((length * tenths) / 10) - Math.floor(side / 2);
  return [3, 7].map((tenths) => Math.max(0, Math.min(first(tenths), length - side)));
}

function payloadOf({ head, stack, method, bounds }) {
  if (bounds.low.every((low, k) => low === bounds.high[k])) return head;
  return concat([head, planes.encode(stack, method, bounds)]);
}

/** Return the ways to code planes that may be the best. */
function candidatesOf(stack) {
  const isGrey = stack.planes.length === 1;
  const colours = coloursOf(stack.planes);
  if (colours?.length === 1) return [indexed(stack, colours, false)];
  const kinds = isGrey ? [PLAIN] : [GREEN, YCOCG];
  const main = transformed(stack, kinds[0], MATCHING);
  const found = [main, fitted(main)];
  if (colours && colours.length <= (isGrey ? MOST_GREYS : MOST_COLOURS)) {
    return [...[true, false].map((direct) => indexed(stack, colours, direct)), ...found];
  }
  found.push(fitted({ ...main, method: { ...MATCHING, guessing: false } }));
  for (const kind of kinds) {
    const smooth = transformed(stack, kind, SMOOTH);
    found.push(smooth, fitted(smooth));
  }
  return found;
}

/** Return a candidate with a linear prediction. */
function fitted(candidate) {
  const { stack, method } = candidate;
  const weights = stack.planes.map((plane) => fit(plane, stack.height, stack.width, method.matching));
  return { ...candidate, method: { ...method, weights } };
}

function transformed(stack, kind, method) {
  const forth = { [PLAIN]: (all) => all, [GREEN]: toGreen, [YCOCG]: toYcocg }[kind];
  const bounds = boundsOf(kind, stack.planes.length);
  return { head: Uint8Array.of(kind), stack: { ...stack, planes: forth(stack.planes) }, bounds, method };
}

/** Return planes as indexes of colours: by brightness, or the most frequent first. */
function indexed(stack, colours, direct) {
  const places = new Map(colours.map((colour, i) => [colour.reduce((code, value) => (code << 8) | value), i]));
  const found = codesOf(stack.planes).map((code) => places.get(code));
  const frequency = new Float64Array(colours.length);
  for (const place of found) frequency[place]++;
  const sum = (colour) => colour.reduce((a, b) => a + b);
  const rank = direct ? (i) => -frequency[i] : (i) => sum(colours[i]);
  const order = colours.map((_, i) => i).sort((a, b) => rank(a) - rank(b));
  const index = new Int32Array(colours.length);
  order.forEach((place, i) => (index[place] = i));
  const sorted = order.map((place) => colours[place]);
  return {
    head: concat([Uint8Array.of(PALETTE, colours.length - 1), paletteOf(sorted)]),
    stack: { ...stack, planes: [found.map((place) => index[place])] },
    bounds: { low: [0], high: [colours.length - 1] },
    method: { ...MATCHING, direct },
  };
}

/** Return colours behind their length, as they are or, where that is shorter, coded as a picture. */
function paletteOf(colours) {
  const plain = Uint8Array.from(colours.flat());
  const parts = colours[0].map((_, k) => Int32Array.from(colours, (colour) => colour[k]));
  const picture = { planes: parts, height: 1, width: colours.length };
  const coded = payloadOf(transformed(picture, parts.length === 1 ? PLAIN : GREEN, SMOOTH));
  const shortest = coded.length < plain.length ? coded : plain;
  return concat([Uint8Array.of(shortest.length & 255, shortest.length >> 8), shortest]);
}

// --- pixels and colours ---

/** Return pixels as planes, turned so that they are no higher than wide. */
function stackOf(pixels) {
  const isHigh = pixels.shape[0] > pixels.shape[1];
  const [height, width] = isHigh ? [pixels.shape[1], pixels.shape[0]] : pixels.shape;
  return { planes: planesOf(isHigh ? turned(pixels) : pixels), height, width };
}

function planesOf({ data, shape: [height, width, channels] }) {
  return Array.from({ length: channels }, (_, k) =>
    Int32Array.from({ length: height * width }, (_, i) => data[channels * i + k])
  );
}

/** Return the distinct colours of planes, sorted; null where there are more than a palette has. */
function coloursOf(all) {
  const codes = new Set();
  for (const code of codesOf(all)) {
    codes.add(code);
    if (codes.size > MOST_COLOURS) return null;
  }
  const shifts = all.length === 1 ? [0] : [16, 8, 0];
  return [...codes].sort((a, b) => a - b).map((code) => shifts.map((shift) => (code >> shift) & 255));
}

/** Return one number for the colour of each pixel. */
function codesOf([first, second, third]) {
  return second ? first.map((value, i) => (value << 16) | (second[i] << 8) | third[i]) : first;
}

function toGreen([r, g, b]) {
  return [g, r.map((value, i) => value - g[i]), b.map((value, i) => value - g[i])];
}

function toYcocg([r, g, b]) {
  const co = r.map((value, i) => value - b[i]);
  const middle = b.map((value, i) => value + (co[i] >> 1));
  const cg = g.map((value, i) => value - middle[i]);
  return [middle.map((value, i) => value + (cg[i] >> 1)), co, cg];
}
