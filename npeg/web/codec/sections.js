/**
 * The sections of a .npeg file: heads, payloads, CRC-32. A transcription of SPEC.md, section 3.
 *
 * Bytes enter or leave; this module knows no header, no pixels and no networks.
 *
 * @typedef {{type: string, tile: number, last: boolean, payload: Uint8Array}} Section
 * @typedef {Record<string, Uint8Array>} Parts the payloads of a tile by their types
 */

import { crc32 } from "./crc32.js";
import { FormatError, TruncatedError } from "./errors.js";

export const [HYPER, LOW, ALPHA, MIDDLE, TILE, EXACT, RESIDUAL] = "HLAMTER";
/** Sections of a tile and their order; it has one in place 4, others may be there. */
export const PARTS = {
  [HYPER]: 0,
  [LOW]: 1,
  [ALPHA]: 2,
  [MIDDLE]: 3,
  [TILE]: 4,
  [EXACT]: 4,
  [RESIDUAL]: 5,
};
export const NAME = "N"; // of a model of one's own, which browsers do not have
export const METADATA = "iexpdck"; // types of sections, each at most once
export const MAX_METADATA = 2 ** 22; // bytes that one of these sections may have
export const MOST_METADATA = 2 ** 23; // that all of them may have together

const PIXELS = 4;
const LAST = 128; // bit of the type of the section that ends the file
const NUMBER_BYTES = 4; // of a length or a tile's number at most, seven bits each
const CRC_BYTES = 4;

const hex = (number) => number.toString(16).padStart(8, "0");
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * Return one section.
 * @param {string} type one letter
 * @param {Uint8Array} payload
 * @param {?number} tile the number of its tile, in a file of several
 * @param {boolean} last whether it ends the file
 */
export function packSection(type, payload, tile = null, last = false) {
  const start = [type.charCodeAt(0) | (last ? LAST : 0), ...packedNumber(payload.length)];
  if (tile !== null) start.push(...packedNumber(tile));
  const data = new Uint8Array(start.length + CRC_BYTES + payload.length);
  data.set(start);
  const crc = crc32(payload, crc32(data.subarray(0, start.length)));
  view(data).setUint32(start.length, crc, true);
  data.set(payload, start.length + CRC_BYTES);
  return data;
}

/** Return a number of seven bits a byte, the lowest first; all but the last have bit 7. */
function packedNumber(value) {
  const found = [];
  for (; value > 127; value >>= 7) found.push((value & 127) | 128);
  return [...found, value];
}

/**
 * Yield the sections of a file, each CRC verified, up to the one that ends it.
 * @param {Uint8Array} data
 * @param {number} at where the first begins
 * @param {boolean} numbered whether sections of tiles say which tile they belong to
 * @returns {Generator<Section>}
 * @throws {TruncatedError} the file ends before
 * @throws {FormatError} damaged, or a section that is needed for the pixels and not known
 */
export function* sectionsOf(data, at, numbered) {
  const take = (count) => {
    if (at + count > data.length) {
      throw new TruncatedError("truncated: the file ends before its last section");
    }
    at += count;
    return data.subarray(at - count, at);
  };
  for (let last = false; !last; ) {
    const start = at;
    const code = take(1)[0];
    const type = String.fromCharCode(code % LAST);
    last = code >= LAST;
    checkType(type, last);
    const length = readNumber(take, type);
    const tile = numbered && type in PARTS ? readNumber(take, type) : 0;
    const head = data.subarray(start, at);
    const written = view(take(CRC_BYTES)).getUint32(0, true);
    const payload = data.subarray(at, at + length);
    if (payload.length < length) {
      const found = `section '${type}' has ${payload.length} of ${length} bytes`;
      throw new TruncatedError(`truncated: ${found}`);
    }
    const crc = crc32(payload, crc32(head));
    if (crc !== written) {
      const found = `section '${type}' is damaged: CRC-32 ${hex(crc)}`;
      throw new FormatError(`${found}, written ${hex(written)}`);
    }
    at += length;
    yield { type, tile, last, payload };
  }
  if (at < data.length) throw new FormatError("bytes follow the section that ends the file");
}

function checkType(type, last) {
  if (type === NAME) {
    throw new FormatError("file needs a model of somebody's own, which browsers do not have");
  }
  if (!(type in PARTS) && !/^[a-z]$/.test(type)) {
    throw new FormatError(`section type '${type}' is not known and needed for the pixels`);
  }
  if (last && !(type in PARTS)) {
    throw new FormatError(`section '${type}' ends the file, expected one of a tile`);
  }
}

function readNumber(take, type) {
  let value = 0;
  for (let place = 0; place < NUMBER_BYTES; place++) {
    const byte = take(1)[0];
    value += (byte & 127) * 2 ** (7 * place);
    if (byte < 128 && (byte || !place)) return value;
    if (byte < 128) break;
  }
  throw new FormatError(`section '${type}' has a number of too many bytes`);
}

/** Return how many bytes the payloads of a tile have. */
export function sizeOf(parts) {
  return Object.values(parts).reduce((sum, payload) => sum + payload.length, 0);
}

/**
 * Return the sections of each of `count` tiles by its number.
 * @param {Section[]} sections
 * @param {number} count
 * @returns {Map<number, Parts>}
 */
export function byTile(sections, count) {
  const tiles = new Map();
  for (const { type, tile, payload } of sections) {
    if (!(type in PARTS)) continue;
    if (tile >= count) {
      throw new FormatError(`section '${type}' of tile ${tile}, there are ${count}`);
    }
    if (!tiles.has(tile)) tiles.set(tile, {});
    const parts = tiles.get(tile);
    const before = Object.keys(parts).sort();
    if (before.some((kind) => PARTS[kind] >= PARTS[type])) {
      throw new FormatError(`section '${type}' of tile ${tile} is behind ${before.join(", ")}`);
    }
    parts[type] = payload;
  }
  return tiles;
}

/**
 * Throw FormatError unless all tiles are there, each with what it needs.
 * @param {Map<number, Parts>} tiles
 * @param {number} count
 * @param {boolean} alpha
 */
export function checkTiles(tiles, count, alpha) {
  const every = [...tiles.values()];
  const hasPixels = (parts) => Object.keys(parts).some((type) => PARTS[type] === PIXELS);
  const there = every.filter(hasPixels).length;
  if (there !== count) throw new FormatError(`truncated: ${there} of ${count} tiles are there`);
  if (every.some((parts) => ALPHA in parts !== alpha)) {
    const found = every.filter((parts) => ALPHA in parts).length;
    const wanted = alpha ? count : 0;
    throw new FormatError(`${found} tiles have an alpha section, expected ${wanted}`);
  }
  every.forEach(checkParts);
}

/** Throw FormatError for sections of a tile that do not go together, all there or not. */
export function checkParts(parts) {
  if (RESIDUAL in parts && !(TILE in parts)) {
    throw new FormatError("a residual is behind an exact tile, expected the networks' section");
  }
  if (EXACT in parts && (HYPER in parts || LOW in parts || MIDDLE in parts)) {
    throw new FormatError("an exact tile is behind latents, expected the networks' section");
  }
  if (!(HYPER in parts) && (LOW in parts || MIDDLE in parts)) {
    throw new FormatError("latents of a tile have no hyper-latents before them");
  }
}

/** Throw FormatError for metadata that is there twice or larger than it may be. */
export function checkMetadata(sections) {
  const sizes = new Map();
  for (const { type, payload } of sections) {
    if (!METADATA.includes(type)) continue;
    if (sizes.has(type)) throw new FormatError(`metadata section '${type}' is there twice`);
    sizes.set(type, payload.length);
  }
  const sum = [...sizes.values()].reduce((a, b) => a + b, 0);
  if (Math.max(0, ...sizes.values()) > MAX_METADATA || sum > MOST_METADATA) {
    throw new FormatError(`metadata has ${sum} bytes, more than it may have`);
  }
}
