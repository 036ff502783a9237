/**
 * Integers <-> bytes: static tables, hybrid-integer tokens and interleaved rANS. SPEC.md, section 6.
 *
 * Enters: signed integers, and for each the index of the probability table that it follows.
 * Leaves: a payload of bytes. Does not know: images, networks, or the file around the payload.
 */

import { FormatError, InputError } from "./errors.js";
import { ENTRIES, LOWEST_STATE, Lookup, PRECISION } from "./rans.js";

export const TOKENS = 60; // 16 magnitudes, then four parts in each of the octaves 2^4 .. 2^15
export const ESCAPE = TOKENS; // last column of a table: "the token follows in six raw bits"
export const MAX_MAGNITUDE = (1 << 15) - 1;
const ESCAPE_BITS = 6;
const WORD_BITS = 16;
const MAX_LANES = 1 << 10;
const STEPS = 1024; // the fewest symbols of a long payload a lane
export const MAX_STEPS = 1 << 15; // the most: bounds what a few bytes can make a decoder do

/** Low bits of each token, (60,). */
const LOW_BITS = Uint8Array.from({ length: TOKENS }, (_, t) => (t < 16 ? 0 : 2 + ((t - 16) >> 2)));
/** Smallest magnitude of each token, (60,). */
const MAGNITUDE_OF_TOKEN = new Uint16Array(TOKENS);
/** Token of each magnitude, (32768,). */
export const TOKEN_OF_MAGNITUDE = new Uint8Array(MAX_MAGNITUDE + 1);
for (let token = 0, magnitude = 0; token < TOKENS; token++) {
  MAGNITUDE_OF_TOKEN[token] = magnitude;
  const end = magnitude + (1 << LOW_BITS[token]);
  TOKEN_OF_MAGNITUDE.fill(token, magnitude, end);
  magnitude = end;
}

/** The probability tables of a model. */
export class Tables {
  /** @param {Uint16Array} frequencies (T, 61): of each token, 0 if it is escaped, and of ESCAPE */
  constructor(frequencies) {
    this.frequencies = frequencies;
    this.lookup = new Lookup(frequencies);
    /** Ideal length of each entry without its raw bits, (T * 61,). */
    this.entryBits = Float64Array.from(frequencies, (f) => PRECISION - Math.log2(Math.max(f, 1)));
    /** Ideal length of each token, sign and low bits included, (T * 61,); the last is not used. */
    this.tokenBits = Float32Array.from(frequencies, (frequency, row) => {
      const token = row % ENTRIES;
      const escape = this.entryBits[row - token + ESCAPE] + ESCAPE_BITS;
      const known = frequency ? this.entryBits[row] : escape;
      return known + (token && token < TOKENS ? 1 + LOW_BITS[token] : 0);
    });
  }
}

/** Reads back the groups of one payload, in order. */
export class Decoder {
  /**
   * @param {Uint8Array} payload bytes, of any content
   * @param {Tables} tables those that the encoder used
   * @throws {FormatError} the payload does not hold the state of its lanes
   */
  constructor(payload, tables) {
    this.payload = payload;
    this.tables = tables;
    this.words = Uint16Array.from(
      { length: payload.length >> 1 },
      (_, i) => payload[2 * i] | (payload[2 * i + 1] << 8)
    );
    this.wordsRead = this.bitsRead = 0;
    this.hiddenRead = this.hiddenBits = 0; // raw bits that the states carry
    this.reserve(4);
    const logLanes = this.take(4);
    if (1 << logLanes > MAX_LANES) {
      throw new FormatError(`payload has 2^${logLanes} lanes, expected 2^10 at most`);
    }
    const lanes = 1 << logLanes;
    this.reserve(4 * lanes);
    const widths = Array.from({ length: lanes }, () => WORD_BITS + this.take(4));
    this.reserve(widths.reduce((a, b) => a + b));
    this.states = Uint32Array.from(widths, (width) => 2 ** width + this.take(width));
  }

  /**
   * Return the next group of symbols, (n,) Int32Array.
   * @param {Uint8Array} indexes the table of each symbol, (n,)
   * @param {boolean} last whether this is the payload's last group, which must then end where it does
   * @throws {FormatError} the payload is no coding of such a group
   */
  decode(indexes, last = false) {
    const lanes = this.states.length;
    if (indexes.length > lanes * MAX_STEPS) {
      const found = `payload has ${lanes} lanes for ${indexes.length} symbols`;
      throw new FormatError(`${found}, expected one for each ${MAX_STEPS}`);
    }
    const end = (this.payload.length - Math.ceil(this.bitsRead / 8)) >> 1;
    const words = this.words.subarray(this.wordsRead, Math.max(this.wordsRead, end));
    const { entries, read } = this.tables.lookup.pop(indexes, this.states, words);
    this.wordsRead += read;
    if (last) this.openStates();
    this.readEscapes(entries, indexes);
    const symbols = this.readSymbols(entries);
    if (last) this.checkEnd();
    return symbols;
  }

  /** Turn the states that the encoder started from into the raw bits that they carry. */
  openStates() {
    const largest = this.states.reduce((a, b) => Math.max(a, b));
    if (largest >= 2 * LOWEST_STATE) {
      throw new FormatError(`a lane ends in state ${largest}, expected 65536..131071`);
    }
    this.hiddenBits = WORD_BITS * this.states.length;
  }

  /** Put in the place of each ESCAPE the token that it stands for. */
  readEscapes(entries, indexes) {
    let escaped = 0;
    for (const entry of entries) escaped += entry === ESCAPE;
    this.reserve(ESCAPE_BITS * escaped);
    for (let i = 0; escaped && i < entries.length; i++) {
      if (entries[i] !== ESCAPE) continue;
      const token = this.take(ESCAPE_BITS);
      if (token >= TOKENS || this.tables.frequencies[indexes[i] * ENTRIES + token]) {
        const expected = `expected one below ${TOKENS} that its table lacks`;
        throw new FormatError(`payload escapes token ${token}, ${expected}`);
      }
      entries[i] = token;
    }
  }

  /** Complete tokens (n,) by their signs and low bits. */
  readSymbols(tokens) {
    const symbols = new Int32Array(tokens.length);
    let bits = 0;
    for (const token of tokens) bits += token && 1 + LOW_BITS[token];
    this.reserve(bits);
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i];
      if (!token) continue;
      const negative = this.take(1);
      const magnitude = MAGNITUDE_OF_TOKEN[token] + this.take(LOW_BITS[token]);
      symbols[i] = negative ? -magnitude : magnitude;
    }
    return symbols;
  }

  /** Throw FormatError unless so many raw bits are left. */
  reserve(count) {
    const end = this.bitsRead + Math.max(0, count - (this.hiddenBits - this.hiddenRead));
    if (end > 8 * (this.payload.length - 2 * this.wordsRead)) {
      throw new FormatError("payload ends within a group: its raw bits are used up");
    }
  }

  /** Return the next raw bits as a number, from the states while these have any. */
  take(width) {
    let value = 0;
    for (let i = 0; i < width; i++) {
      value = 2 * value + (this.hiddenRead < this.hiddenBits ? this.hiddenBit() : this.openBit());
    }
    return value;
  }

  hiddenBit() {
    const at = this.hiddenRead++;
    return (this.states[at >> 4] >> (15 - (at & 15))) & 1;
  }

  openBit() {
    const at = this.bitsRead++;
    return (this.payload[this.payload.length - 1 - (at >> 3)] >> (7 - (at & 7))) & 1;
  }

  /** Throw FormatError unless the payload is used up and its padding is zero. */
  checkEnd() {
    const used = 2 * this.wordsRead + Math.ceil(this.bitsRead / 8);
    const { length } = this.payload;
    if (used !== length) {
      throw new FormatError(`payload has ${length} bytes, its symbols take ${used}`);
    }
    let padding = 0;
    while (this.hiddenRead < this.hiddenBits) padding |= this.hiddenBit();
    while (this.bitsRead % 8) padding |= this.openBit();
    if (padding) throw new FormatError("payload has a 1 among its padding bits, expected zeros");
  }
}

/** A string of bits, most significant first. */
class Bits {
  constructor() {
    this.bits = [];
  }

  put(value, width) {
    for (let bit = width - 1; bit >= 0; bit--) this.bits.push(Math.floor(value / 2 ** bit) & 1);
  }
}

/**
 * Code groups of symbols so that `Decoder` returns them in the same order.
 * @param {{symbols: Int32Array, indexes: Uint8Array}[]} groups one or more; |symbol| < 2^15
 * @param {Tables} tables
 * @param {number} fewest lanes
 * @returns {Uint8Array} the payload
 */
export function encode(groups, tables, fewest = 1) {
  const coded = groups.map((group) => tokenize(group, tables));
  const last = coded.at(-1).raw;
  const lanes = chooseLanes(coded, tables, fewest);
  const states = new Uint32Array(lanes).fill(LOWEST_STATE);
  for (let i = 0; i < WORD_BITS * lanes && i < last.length; i++) {
    states[i >> 4] += last[i] << (15 - (i & 15));
  }
  const words = new Uint16Array(coded.reduce((sum, { rows }) => sum + rows.length, 0));
  let position = words.length;
  for (const { rows } of coded.toReversed()) {
    position = tables.lookup.push(rows, states, words, position);
  }
  const head = new Bits();
  head.put(Math.log2(lanes), 4);
  for (const state of states) head.put(15 - Math.clz32(state), 4);
  for (const state of states) head.put(state % 2 ** (31 - Math.clz32(state)), 31 - Math.clz32(state));
  const raw = [head.bits, ...coded.slice(0, -1).map((group) => group.raw)];
  return joinEnds(words.subarray(position), [...raw, last.slice(WORD_BITS * lanes)]);
}

/** Return words from the front and strings of bits from the back, as bytes. */
function joinEnds(words, strings) {
  const count = strings.reduce((sum, bits) => sum + bits.length, 0);
  const payload = new Uint8Array(2 * words.length + Math.ceil(count / 8));
  words.forEach((word, i) => payload.set([word & 255, word >> 8], 2 * i));
  let at = 0;
  for (const bits of strings) {
    for (const bit of bits) {
      payload[payload.length - 1 - (at >> 3)] |= bit << (7 - (at & 7));
      at++;
    }
  }
  return payload;
}

/** Split symbols (n,) in rows of the tables (n,) and the group's raw bits. */
function tokenize({ symbols, indexes }, tables) {
  const rows = new Uint16Array(symbols.length);
  const [escapes, fields] = [new Bits(), new Bits()];
  for (let i = 0; i < symbols.length; i++) {
    const magnitude = Math.abs(symbols[i]);
    if (!(magnitude <= MAX_MAGNITUDE)) {
      throw new InputError(`a symbol is ${symbols[i]}, expected magnitudes to ${MAX_MAGNITUDE}`);
    }
    const token = TOKEN_OF_MAGNITUDE[magnitude];
    const known = tables.frequencies[indexes[i] * ENTRIES + token] > 0;
    rows[i] = indexes[i] * ENTRIES + (known ? token : ESCAPE);
    if (!known) escapes.put(token, ESCAPE_BITS);
    if (!token) continue;
    fields.put(symbols[i] < 0, 1);
    fields.put(magnitude - MAGNITUDE_OF_TOKEN[token], LOW_BITS[token]);
  }
  const raw = escapes.bits; // then the fields, too many for the arguments of one call
  for (const bit of fields.bits) raw.push(bit);
  return { rows, raw };
}

/**
 * Return the lanes for groups of rows and raw bits.
 *
 * A lane costs about four bits, and sixteen more where no raw bits of the last group fill it. As
 * many as have STEPS symbols or more each, for no more than 0.26 % and ten bytes; but no fewer
 * than the decoder demands.
 */
function chooseLanes(coded, tables, fewest) {
  let symbols = 0;
  let bits = 0;
  for (const { rows, raw } of coded) {
    symbols += rows.length;
    fewest = Math.max(fewest, rows.length / MAX_STEPS);
    bits += raw.length;
    for (const row of rows) bits += tables.entryBits[row];
  }
  const carried = coded.at(-1).raw.length;
  const costs = (lanes) => 4 * lanes + Math.max(0, WORD_BITS * lanes - carried);
  let lanes = MAX_LANES;
  while (
    lanes / 2 >= fewest &&
    (lanes * STEPS > symbols || costs(lanes) > bits / 384 + 80)
  ) {
    lanes /= 2;
  }
  return lanes;
}
