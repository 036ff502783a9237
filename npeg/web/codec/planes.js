/**
 * Planes of integers <-> bytes without loss, a diagonal of pixels at a time. SPEC.md, section 10.
 *
 * Enters: planes. Leaves: a payload, and the same planes from it on every machine. Knows no
 * colours, palettes and files.
 *
 * Source: Rissanen and Langdon 1981 (templates); Weinberger et al. 2000 (LOCO-I: median prediction).
 *
 * @typedef {{planes: Int32Array[], height: number, width: number}} Stack planes of H * W values
 * @typedef {{low: number[], high: number[]}} Bounds of each plane's values
 * @typedef {{matching: boolean, guessing: boolean, direct: boolean, weights: ?Int16Array[]}} Method
 *   pixels are compared with their neighbours first; and with what followed the same neighbours
 *   before; what differs from all is coded as it is; of each plane 8 weights of the linear
 *   prediction, null: the median
 */

import { Reader, Writer } from "./adaptive.js";
import { concat } from "./container.js";
import { codeOf, Diagonals, NEIGHBOURS, setCode } from "./diagonals.js";
import { FormatError } from "./errors.js";
import { Guesses } from "./guesses.js";
import {
  activityOf,
  BROKEN_ROW,
  coarsenessOf,
  CONTEXTS,
  DIRECT_ROWS,
  FIRST_VALUE,
  FLAG_ROW,
  FLAT,
  LOW_BITS,
  matchTables,
  PATTERN_ROWS,
  patternOf,
  PATTERNS,
  SMALL,
  tokenOf,
  tokenTables,
} from "./plane_tables.js";

const RUN = 16; // pixels among equal neighbours that one symbol tells of
const WEST = 0; // what a pixel equals: one of the first four neighbours, none, or the guess
const OTHER = 4;
const GUESS = 5;

export const LINEAR = [0, 1, 3, 2, 4, 5, 6, 7]; // of the predictions: W N NW NE WW NN NNE NWW
export const WEIGHT_BITS = 7; // of its weights' fraction
const RAW_AT_ONCE = 8;
const MATCHING = 1; // flags
const GUESSING = 2;
const DIRECT = 4;
const WEIGHTS = 8;

/**
 * Return the payload of planes.
 * @param {Stack} stack
 * @param {Method} method
 * @param {Bounds} bounds
 */
export function encode(stack, method, bounds) {
  return concat([headOf(method), written(stack, method, bounds).finish()]);
}

/** Return about how many bits such a payload has. */
export function sizeBits(stack, method, bounds) {
  return 8 * headOf(method).length + written(stack, method, bounds).sizeBits();
}

function written(stack, method, bounds) {
  const walk = new Walk(stack, method, bounds);
  const writer = new Writer([walk.matches, walk.tokens]);
  walk.run(writer);
  return writer;
}

function headOf({ matching, guessing, direct, weights }) {
  const flags = (matching && MATCHING) | (guessing && GUESSING) | (direct && DIRECT);
  const all = (weights ?? []).flatMap((plane) => [...plane]);
  const head = new DataView(new ArrayBuffer(1 + 2 * all.length));
  head.setUint8(0, flags | (weights ? WEIGHTS : 0));
  all.forEach((weight, i) => head.setInt16(1 + 2 * i, weight, true));
  return new Uint8Array(head.buffer);
}

/**
 * Return the planes of a payload.
 * @param {Uint8Array} payload
 * @param {number[]} shape [planes, height, width]
 * @param {Bounds} bounds
 * @returns {Stack}
 * @throws {FormatError} it holds no such planes
 */
export function decode(payload, [channels, height, width], bounds) {
  const { method, body } = splitHead(payload, channels);
  const planes = Array.from({ length: channels }, () => new Int32Array(height * width));
  const stack = { planes, height, width };
  const walk = new Walk(stack, method, bounds);
  const reader = new Reader(body, [walk.matches, walk.tokens]);
  walk.run(reader);
  reader.finish();
  const ranges = planes.map(rangeOf);
  if (ranges.some(([low, high], k) => low < bounds.low[k] || high > bounds.high[k])) {
    const [low, high] = [Math.min(...ranges.flat()), Math.max(...ranges.flat())];
    throw new FormatError(`exact payload has samples of ${low}..${high}`);
  }
  return stack;
}

/** Return the lowest and the highest of some values. */
export function rangeOf(values) {
  let [low, high] = [values[0], values[0]];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function splitHead(payload, channels) {
  const flags = payload.length ? payload[0] : 255;
  const size = flags & WEIGHTS ? 2 * channels * LINEAR.length : 0;
  if (flags > 15 || payload.length < 1 + size || (flags & 3) === GUESSING) {
    const found = `exact payload of ${payload.length} bytes`;
    throw new FormatError(`${found} starts with ${flags.toString(16).padStart(2, "0")}`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const weight = (plane, i) => view.getInt16(1 + 2 * (LINEAR.length * plane + i), true);
  const weights = Array.from({ length: channels }, (_, plane) =>
    Int16Array.from(LINEAR, (_, i) => (size ? weight(plane, i) : 0))
  );
  const method = {
    matching: Boolean(flags & MATCHING),
    guessing: Boolean(flags & GUESSING),
    direct: Boolean(flags & DIRECT),
    weights: size ? weights : null,
  };
  return { method, body: payload.subarray(1 + size) };
}

/** The way over the diagonals, the same for a writer and for a reader. */
class Walk {
  /**
   * @param {Stack} stack whose planes a writer takes and a reader fills
   * @param {Method} method
   * @param {Bounds} bounds
   */
  constructor({ planes, height, width }, method, { low, high }) {
    Object.assign(this, { planes, height, width, method, low, high });
    const span = Math.max(...high.map((value, k) => value - low[k]));
    this.coarseness = coarsenessOf(Math.max(...high));
    this.matches = matchTables();
    this.tokens = tokenTables(planes.length, method.direct ? Math.max(...high) : 2 * span + 1, method.direct);
    this.values = planes.map(() => new Diagonals(Int32Array, height));
    this.codes = new Diagonals(Float64Array, height);
    this.guesses = method.guessing ? new Guesses(height, PATTERN_ROWS) : null;
    const most = height * planes.length;
    this.rows = new Uint16Array(most);
    this.symbols = new Uint8Array(most);
    this.folded = new Int32Array(most);
    this.large = new Int32Array(most);
    this.widths = new Uint8Array(most);
    this.lows = new Int32Array(most);
    this.equal = new Uint8Array(height);
    this.all = Int32Array.from({ length: height }, (_, i) => i); // pixels of a diagonal
    this.flat = new Int32Array(height); // those whose neighbours are all equal
    this.mixed = new Int32Array(height); // the others
    this.others = new Int32Array(height); // pixels that equal no neighbour
    this.wanted = new Float64Array(height); // codes, of a writer
  }

  /** Write the planes, or fill them with what is read. */
  run(coder) {
    const { width, height } = this;
    for (let t = 0; t < width + 2 * height - 2; t++) {
      const first = Math.max(0, (t - width + 2) >> 1);
      const count = Math.min(height - 1, t >> 1) - first + 1;
      coder.refresh();
      const values = this.values.map((past) => past.begin(t).subarray(first, first + Math.max(count, 0)));
      const codes = this.codes.begin(t);
      if (count <= 0) continue;
      if (!coder.isReading) this.take(values, t, first);
      this.diagonal(coder, t, first, count, values);
      for (let i = 0; i < count; i++) codes[first + i] = codeOf(values, i);
      this.guesses?.learn(codes.subarray(first));
      if (coder.isReading) this.give(values, t, first);
    }
  }

  /** Take the values of a diagonal from the planes. */
  take(values, t, first) {
    const step = this.width - 2; // from a pixel to the next of its diagonal
    this.planes.forEach((plane, k) => {
      let at = first * step + t;
      for (let i = 0; i < values[k].length; i++, at += step) values[k][i] = plane[at];
    });
  }

  /** Put the values of a diagonal into the planes. */
  give(values, t, first) {
    const step = this.width - 2;
    this.planes.forEach((plane, k) => {
      let at = first * step + t;
      for (let i = 0; i < values[k].length; i++, at += step) plane[at] = values[k][i];
    });
  }

  /** Code the values of a diagonal. */
  diagonal(coder, t, first, count, values) {
    if (!this.method.matching) {
      this.differences(coder, t, first, this.all.subarray(0, count), values);
      return;
    }
    const near = NEIGHBOURS.map((_, i) => this.codes.around(i, t, first, count));
    this.equals(coder, near, count, values);
    let others = 0;
    for (let i = 0; i < count; i++) {
      const equal = this.equal[i];
      if (equal === OTHER) this.others[others++] = i;
      else if (coder.isReading) setCode(values, i, equal === GUESS ? this.guesses.guess[i] : near[equal][i]);
    }
    if (others) this.differences(coder, t, first, this.others.subarray(0, others), values);
  }

  /** Code what each pixel equals. */
  equals(coder, near, count, values) {
    const { equal, rows, symbols, guesses } = this;
    let [flats, mixes] = [0, 0];
    for (let i = 0; i < count; i++) {
      const pattern = patternOf(near, i);
      if (pattern === FLAT) {
        this.flat[flats++] = i;
      } else {
        rows[mixes] = pattern + (near[WEST][i] ? PATTERNS : 0);
        this.mixed[mixes++] = i;
      }
    }
    const mixed = this.mixed.subarray(0, mixes);
    const runRows = new Uint16Array(Math.ceil(flats / RUN)).fill(FLAG_ROW);
    equal.fill(0, 0, count);
    guesses?.lookUp(near, count, mixed, rows);
    if (!coder.isReading) this.compare(near, count, values);
    this.runs(coder, this.flat.subarray(0, flats), runRows);
    mixed.forEach((i, at) => (symbols[at] = equal[i]));
    coder.code(this.matches, rows.subarray(0, mixes), symbols.subarray(0, mixes));
    mixed.forEach((i, at) => (equal[i] = symbols[at]));
  }

  /** Find what each pixel equals, for a writer. */
  compare(near, count, values) {
    for (let i = 0; i < count; i++) {
      const code = codeOf(values, i);
      let equal = WEST;
      while (equal < OTHER && near[equal][i] !== code) equal++;
      this.equal[i] = this.guesses?.guess[i] === code ? GUESS : equal;
    }
  }

  /** Code the pixels among equal neighbours, RUN at once. */
  runs(coder, flat, rows) {
    const { equal, symbols } = this;
    const broken = new Uint8Array(rows.length);
    flat.forEach((i, at) => (broken[Math.floor(at / RUN)] ||= Number(equal[i] !== WEST)));
    coder.code(this.matches, rows, broken);
    const some = flat.filter((_, at) => broken[Math.floor(at / RUN)]);
    some.forEach((i, at) => (symbols[at] = equal[i]));
    coder.code(this.matches, new Uint16Array(some.length).fill(BROKEN_ROW), symbols.subarray(0, some.length));
    some.forEach((i, at) => (equal[i] = symbols[at]));
  }

  /** Code some pixels of a diagonal plane by plane. */
  differences(coder, t, first, some, values) {
    const { rows, folded } = this;
    const { direct } = this.method;
    const count = values[0].length;
    const expected = values.map((plane, k) => {
      const near = LINEAR.map((i) => this.values[k].around(i, t, first, count));
      const predictions = direct ? null : new Int32Array(some.length);
      for (let at = 0, to = k * some.length; at < some.length; at++, to++) {
        const i = some[at];
        if (direct) {
          rows[to] = Math.min(near[0][i], DIRECT_ROWS - 1);
          folded[to] = plane[i];
        } else {
          rows[to] = CONTEXTS * k + activityOf(near, i, this.coarseness);
          predictions[at] = this.prediction(near, i, k);
          const difference = plane[i] - predictions[at];
          folded[to] = difference < 0 ? -2 * difference - 1 : 2 * difference;
        }
      }
      return predictions;
    });
    this.codeTokens(coder, values.length * some.length);
    values.forEach((plane, k) => {
      for (let at = 0, from = k * some.length; at < some.length; at++, from++) {
        const value = folded[from];
        if (direct) plane[some[at]] = value;
        else plane[some[at]] = expected[k][at] + (value & 1 ? -((value + 1) >> 1) : value >> 1);
      }
    });
  }

  /** Return what the neighbours, in the order of LINEAR, make of a pixel of plane k. */
  prediction(near, i, k) {
    if (!this.method.weights) {
      const [w, n, nw] = [near[0][i], near[1][i], near[2][i]];
      return Math.max(Math.min(w, n), Math.min(Math.max(w, n), w + n - nw));
    }
    const weights = this.method.weights[k];
    let sum = 1 << (WEIGHT_BITS - 1);
    for (let j = 0; j < LINEAR.length; j++) sum += weights[j] * near[j][i];
    const predicted = Math.floor(sum / (1 << WEIGHT_BITS));
    return Math.min(Math.max(predicted, this.low[k]), this.high[k]);
  }

  /** Code values >= 0, of `rows`: those in `folded`. */
  codeTokens(coder, count) {
    const { folded, symbols, large, widths, lows } = this;
    if (!coder.isReading) {
      for (let i = 0; i < count; i++) symbols[i] = tokenOf(folded[i]);
    }
    coder.code(this.tokens, this.rows.subarray(0, count), symbols.subarray(0, count));
    let found = 0;
    for (let i = 0; i < count; i++) {
      const first = FIRST_VALUE[symbols[i]];
      if (symbols[i] >= SMALL) {
        lows[found] = folded[i] - first;
        widths[found] = LOW_BITS[symbols[i]];
        large[found++] = i;
      }
      folded[i] = first;
    }
    codeRaw(coder, widths.subarray(0, found), lows.subarray(0, found));
    for (let at = 0; at < found; at++) folded[large[at]] += lows[at];
  }
}

/** Code values of so many bits: the low eight, and where there are more the others. */
function codeRaw(coder, widths, values) {
  const few = widths.map((width) => Math.min(width, RAW_AT_ONCE));
  const low = values.map((value, i) => value & ((1 << few[i]) - 1));
  coder.bits(few, low);
  const high = values.map((value) => value >> RAW_AT_ONCE);
  const rest = widths.map((width, i) => width - few[i]);
  if (rest.some((width) => width > 0)) coder.bits(rest, high);
  else high.fill(0);
  for (let i = 0; i < values.length; i++) values[i] = low[i] | (high[i] << RAW_AT_ONCE);
}
