/**
 * Entries of frequency tables <-> 16-bit words by interleaved rANS.
 *
 * Enters or leaves: for each symbol the number of its table and its entry there, the states of the
 * lanes, words. Knows no tokens and no payload. All arithmetic is on integers below 2^53: exact.
 *
 * Source: Duda 2013, arXiv:1311.2540 (rANS); Giesen 2014, arXiv:1402.3392 (interleaved lanes).
 */

import { FormatError } from "./errors.js";

export const PRECISION = 13; // bits of a table's total
export const TOTAL = 1 << PRECISION;
export const LOWEST_STATE = 1 << 16; // states grow and shrink by words of 16 bits
export const ENTRIES = 61; // 60 tokens and ESCAPE

/** Frequencies as the loops need them. */
export class Lookup {
  /** @param {Uint16Array} frequencies (T, 61), rows that sum to 8192 */
  constructor(frequencies) {
    this.frequencies = frequencies;
    this.starts = new Uint16Array(frequencies.length);
    this.entryOfSlot = new Uint8Array((frequencies.length / ENTRIES) * TOTAL);
    for (let row = 0, end = 0; row < frequencies.length; row++) {
      this.starts[row] = end % TOTAL; // each table begins at a multiple of TOTAL
      this.entryOfSlot.fill(row % ENTRIES, end, end + frequencies[row]);
      end += frequencies[row];
    }
  }

  /**
   * Run the lanes over a group, changing their states.
   * @param {Uint8Array} indexes table of each symbol, (n,)
   * @param {Uint32Array} states (lanes,)
   * @param {Uint16Array} words those of this group and perhaps others behind
   * @returns {{entries: Uint8Array, read: number}} entries (n,), and how many words they took
   * @throws {FormatError} there are too few words
   */
  pop(indexes, states, words) {
    const { frequencies, starts, entryOfSlot } = this;
    const entries = new Uint8Array(indexes.length);
    let read = 0;
    for (let i = 0; i < indexes.length; i++) {
      const lane = i & (states.length - 1);
      const slot = states[lane] & (TOTAL - 1);
      const entry = entryOfSlot[(indexes[i] << PRECISION) + slot];
      const row = indexes[i] * ENTRIES + entry;
      let state = frequencies[row] * (states[lane] >>> PRECISION) + slot - starts[row];
      if (state < LOWEST_STATE) {
        if (read === words.length) {
          throw new FormatError("payload ends within a group: its words are used up");
        }
        state = 65536 * state + words[read++];
      }
      states[lane] = state;
      entries[i] = entry;
    }
    return { entries, read };
  }

  /**
   * Run the lanes backwards over a group, changing their states.
   * @param {Uint16Array} rows table * 61 + entry of each symbol, (n,), of frequencies above 0
   * @param {Uint32Array} states (lanes,)
   * @param {Uint16Array} words filled up from `position` down
   * @param {number} position
   * @returns {number} where the words begin
   */
  push(rows, states, words, position) {
    const { frequencies, starts } = this;
    for (let i = rows.length - 1; i >= 0; i--) {
      const lane = i & (states.length - 1);
      const frequency = frequencies[rows[i]];
      let state = states[lane];
      if (state >= frequency * 2 ** 19) { // 2^32 / TOTAL
        words[--position] = state & 65535;
        state >>>= 16;
      }
      const quotient = Math.floor(state / frequency);
      states[lane] = quotient * TOTAL + (state - quotient * frequency) + starts[rows[i]];
    }
    return position;
  }
}
