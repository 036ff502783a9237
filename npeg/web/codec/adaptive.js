/**
 * Symbols <-> bytes where the tables adapt to what is coded. SPEC.md, section 10, Symbols.
 *
 * Enters: groups of symbols, and for each symbol the row of the table that it follows. Leaves:
 * bytes. Knows no planes and no pixels, and not whether its bytes are intact.
 *
 * `Writer` and `Reader` have the same methods and are told the same rows in the same order, so one
 * function describes a bitstream in both directions: a reader fills the symbols that a writer
 * takes. Tables change between groups only, by integers below 2^53: exact.
 *
 * Source: Duda 2013, arXiv:1311.2540 (rANS); Giesen 2014, arXiv:1402.3392 (interleaved lanes).
 */

import { FormatError } from "./errors.js";
import { LOWEST_STATE, PRECISION, TOTAL } from "./rans.js";

const GAIN = 24; // what one symbol adds to its count; priors are in the same unit
const FIRST_REFRESH = 32; // symbols until tables change for the first time
const HALVED = GAIN << 16; // sum of a row's counts above which all are halved
const MAX_STEPS = 1 << 15; // symbols a lane: bounds what a few bytes can make a reader do
const MAX_LOG_LANES = 10;
const FEW = 8; // symbols of a row up to which comparing finds one faster than a table of all slots
const LANE_SYMBOLS = 1 << 13; // a lane for so many symbols, or for so many bits
const LANE_BITS = 8 * 400;

/** Rows of frequencies that follow the symbols coded with them. */
export class Tables {
  /**
   * @param {number} width of each row: symbols, at most
   * @param {number[][]} priors of each row the counts of its symbols before anything is coded
   */
  constructor(width, priors) {
    const size = priors.length * width;
    this.width = width;
    this.sizes = priors.map((prior) => prior.length);
    this.counts = new Float64Array(size);
    this.fresh = new Uint32Array(size); // symbols since the last refresh
    this.frequency = new Uint16Array(size);
    this.start = new Uint16Array(size).fill(TOTAL);
    this.symbolOfSlot = new Uint8Array(width > FEW ? priors.length * TOTAL : 0);
    for (const [row, prior] of priors.entries()) {
      this.counts.set(prior, row * width);
      this.rebuild(row);
    }
  }

  /** Return the symbol of a slot of a row. */
  find(row, slot) {
    if (this.width > FEW) return this.symbolOfSlot[row * TOTAL + slot];
    const first = row * this.width;
    let symbol = 0;
    while (symbol + 1 < this.width && this.start[first + symbol + 1] <= slot) symbol++;
    return symbol;
  }

  /** Let the tables follow the symbols since the last refresh. */
  refresh() {
    const { width, counts, fresh } = this;
    for (let row = 0; row < this.sizes.length; row++) {
      const [first, end] = [row * width, (row + 1) * width];
      let [added, sum] = [0, 0];
      for (let i = first; i < end; i++) {
        added += fresh[i];
        sum += counts[i] + GAIN * fresh[i];
      }
      if (!added) continue;
      for (let i = first; i < end; i++) {
        counts[i] += GAIN * fresh[i];
        if (sum > HALVED) counts[i] = Math.floor((counts[i] + 1) / 2);
      }
      fresh.fill(0, first, end);
      this.rebuild(row);
    }
  }

  /** Turn the counts of a row into frequencies with sum TOTAL, each 1 or more. */
  rebuild(row) {
    const { counts, frequency, start } = this;
    const first = row * this.width;
    const end = first + this.sizes[row];
    let sum = 0;
    for (let i = first; i < end; i++) sum += counts[i];
    let [largest, left] = [first, TOTAL];
    for (let i = first; i < end; i++) {
      frequency[i] = 1 + Math.floor((counts[i] * (TOTAL - this.sizes[row])) / sum);
      left -= frequency[i];
      if (frequency[i] > frequency[largest]) largest = i;
    }
    frequency[largest] += left;
    for (let i = first, at = 0; i < end; i++) {
      start[i] = at;
      if (this.width > FEW) {
        this.symbolOfSlot.fill(i - first, row * TOTAL + at, row * TOTAL + at + frequency[i]);
      }
      at += frequency[i];
    }
  }
}

/** When tables are refreshed: each time a quarter more symbols are coded than before. */
class Schedule {
  constructor(tables) {
    this.tables = tables;
    this.coded = 0;
    this.next = FIRST_REFRESH;
  }

  /** Refresh the tables if it is time; called where both directions know the same. */
  refresh() {
    if (this.coded < this.next) return;
    this.next = this.coded + (this.coded >> 2) + 16;
    for (const tables of this.tables) tables.refresh();
  }
}

/** Takes groups of symbols, first to last, and gives the payload at the end. */
export class Writer extends Schedule {
  isReading = false;
  groups = []; // [frequencies, starts] of each

  /**
   * Code a group.
   * @param {Tables} tables
   * @param {Uint16Array} rows (n,)
   * @param {Uint8Array} symbols (n,)
   */
  code(tables, rows, symbols) {
    const group = [new Uint16Array(rows.length), new Uint16Array(rows.length)];
    for (let i = 0; i < rows.length; i++) {
      const key = rows[i] * tables.width + symbols[i];
      group[0][i] = tables.frequency[key];
      group[1][i] = tables.start[key];
      tables.fresh[key]++;
    }
    this.add(group);
  }

  /**
   * Code values as they are.
   * @param {Uint8Array} widths (n,) bits, 0..13 each
   * @param {Int32Array} values (n,)
   */
  bits(widths, values) {
    const starts = Uint16Array.from(values, (value, i) => value << (PRECISION - widths[i]));
    this.add([Uint16Array.from(widths, (width) => TOTAL >> width), starts]);
  }

  add(group) {
    this.groups.push(group);
    this.coded += group[0].length;
  }

  /** Return the payload: log2 of the lanes, their states, words. */
  finish() {
    const logLanes = this.logLanes();
    const lanes = 1 << logLanes;
    const states = new Uint32Array(lanes).fill(LOWEST_STATE);
    const words = []; // the last first
    for (const [frequencies, starts] of this.groups.reverse()) {
      for (let i = frequencies.length - 1; i >= 0; i--) {
        const frequency = frequencies[i];
        let state = states[i & (lanes - 1)];
        if (state >= frequency * 2 ** (32 - PRECISION)) {
          words.push(state & 65535);
          state >>>= 16;
        }
        const quotient = Math.floor(state / frequency);
        states[i & (lanes - 1)] = quotient * TOTAL + (state - quotient * frequency) + starts[i];
      }
    }
    const head = 1 + 4 * lanes;
    const payload = new Uint8Array(head + 2 * words.length);
    const view = new DataView(payload.buffer);
    payload[0] = logLanes;
    states.forEach((state, lane) => view.setUint32(1 + 4 * lane, state, true));
    words.reverse().forEach((word, i) => view.setUint16(head + 2 * i, word, true));
    return payload;
  }

  /** Return the ideal length of what was coded so far, in bits. */
  sizeBits() {
    let bits = PRECISION * this.coded;
    for (const [frequencies] of this.groups) {
      for (const frequency of frequencies) bits -= Math.log2(frequency);
    }
    return bits;
  }

  /** Return how many lanes are fast enough and cost little: each costs about 2.5 bytes. */
  logLanes() {
    const lanes = Math.max(this.sizeBits() / LANE_BITS, this.coded / LANE_SYMBOLS, 1);
    const least = Math.ceil(Math.log2(Math.max(this.coded / MAX_STEPS, 1)));
    return Math.min(Math.max(Math.round(Math.log2(lanes)), least), MAX_LOG_LANES);
  }
}

/** Finds the groups of symbols that a `Writer` was given. */
export class Reader extends Schedule {
  isReading = true;
  read = 0; // words

  /**
   * @param {Uint8Array} payload of any content
   * @param {Tables[]} tables
   * @throws {FormatError} it does not hold the states of its lanes
   */
  constructor(payload, tables) {
    super(tables);
    const logLanes = payload.length ? payload[0] : MAX_LOG_LANES + 1;
    const head = 1 + 4 * 2 ** Math.min(logLanes, MAX_LOG_LANES);
    if (logLanes > MAX_LOG_LANES || payload.length < head || (payload.length - head) % 2) {
      const found = `exact payload of ${payload.length} bytes`;
      throw new FormatError(`${found} has no 2^${logLanes} lanes`);
    }
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    this.states = Uint32Array.from({ length: 1 << logLanes }, (_, i) => view.getUint32(1 + 4 * i, true));
    const count = (payload.length - head) / 2;
    this.words = Uint16Array.from({ length: count }, (_, i) => view.getUint16(head + 2 * i, true));
    if (this.states.some((state) => state < LOWEST_STATE)) {
      throw new FormatError("exact payload has a lane that starts below 2^16");
    }
  }

  /**
   * Find a group.
   * @param {Tables} tables
   * @param {Uint16Array} rows (n,)
   * @param {Uint8Array} symbols (n,), which are filled
   */
  code(tables, rows, symbols) {
    this.count(rows.length);
    for (let i = 0; i < rows.length; i++) {
      const lane = i & (this.states.length - 1);
      const slot = this.states[lane] & (TOTAL - 1);
      const symbol = tables.find(rows[i], slot);
      const key = rows[i] * tables.width + symbol;
      this.pop(lane, slot, tables.frequency[key], tables.start[key]);
      tables.fresh[key]++;
      symbols[i] = symbol;
    }
  }

  /**
   * Find values that are coded as they are.
   * @param {Uint8Array} widths (n,) bits, 0..13 each
   * @param {Int32Array} values (n,), which are filled
   */
  bits(widths, values) {
    this.count(widths.length);
    for (let i = 0; i < widths.length; i++) {
      const lane = i & (this.states.length - 1);
      const slot = this.states[lane] & (TOTAL - 1);
      const shift = PRECISION - widths[i];
      values[i] = slot >> shift;
      this.pop(lane, slot, TOTAL >> widths[i], values[i] << shift);
    }
  }

  count(more) {
    this.coded += more;
    const lanes = this.states.length;
    if (this.coded > MAX_STEPS * lanes) {
      throw new FormatError(`exact payload has ${lanes} lanes for ${this.coded} symbols`);
    }
  }

  pop(lane, slot, frequency, start) {
    let state = frequency * (this.states[lane] >>> PRECISION) + slot - start;
    if (state < LOWEST_STATE) {
      if (this.read === this.words.length) {
        throw new FormatError("exact payload ends too early: its words are used up");
      }
      state = 65536 * state + this.words[this.read++];
    }
    this.states[lane] = state;
  }

  /** Throw FormatError unless the payload is used up and all lanes are at rest. */
  finish() {
    const left = this.words.length - this.read;
    if (left || this.states.some((state) => state !== LOWEST_STATE)) {
      throw new FormatError(`exact payload does not end with its symbols: ${left} words are left`);
    }
  }
}
