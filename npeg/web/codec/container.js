/**
 * The .npeg file: header, sections, CRC-32. A transcription of SPEC.md, sections 2 and 3.
 *
 * Bytes enter, checked fields and payloads leave; this module knows no pixels and no networks.
 *
 * @typedef {{version: number, modelId: number, level: number, networksLevel: number,
 *   width: number, height: number, channels: number, neutral: boolean, bitDepth: number,
 *   tileSize: number}} Header
 * @typedef {{type: string, payload: Uint8Array}} Section
 */

import { crc32 } from "./crc32.js";
import { FormatError, LimitError } from "./errors.js";

export const VERSION = 1;
export const LEVELS = 201; // the quality byte: 0..200, in half steps of the user's 0..100
export const TILE_UNIT = 64; // the hyper-latents' stride, in pixels
export const MAX_TILE_UNITS = 32; // tiles of at most 2048x2048 pixels bound what a payload asks for
export const MAX_PIXELS = 2 ** 26; // what one file can ask a decoder for: 64 Mpx
export const METADATA = "iexpdck"; // types of sections, each at most once
export const MAX_METADATA = 2 ** 22; // bytes that one of these sections may have
export const MOST_METADATA = 2 ** 23; // that all of them may have together
export const HEADER_SIZE = 20;
export const TILE = "T";
export const RESIDUAL = "R";

const MAGIC = "NPEG";
const DITHER_MAGIC = "NPGD";
const SECTION_SIZE = 9; // type, length, CRC-32
const GREY = 0;
const RGB = 1;
const NEUTRAL = 2; // RGB whose channels are equal everywhere, coded as grey
const TILE_PARTS = TILE + RESIDUAL; // a tile's sections in order: the first begins it

const hex = (number, digits = 8) => number.toString(16).padStart(digits, "0");
const ascii = (bytes) => String.fromCharCode(...bytes);
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Throw LimitError unless the format can hold an image of this size. */
export function checkSize(width, height) {
  if (width * height > MAX_PIXELS) {
    const most = `at most ${MAX_PIXELS / 2 ** 20} Mpx are supported so far`;
    throw new LimitError(`image is ${width}x${height} pixels, ${most}`);
  }
}

/**
 * Parse and check the header; later bytes are not looked at.
 * @param {Uint8Array} data at least the first 20 bytes of a file
 * @returns {Header}
 */
export function readHeader(data) {
  checkStart(data);
  const fields = view(data);
  const crc = crc32(data.subarray(0, 16));
  const written = fields.getUint32(16, true);
  if (crc !== written) {
    throw new FormatError(`header is damaged: CRC-32 ${hex(crc)}, written ${hex(written)}`);
  }
  const [level, layout] = [data[6], data[7]];
  const width = fields.getUint16(8, true) + 65536 * data[10];
  const height = fields.getUint16(11, true) + 65536 * data[13];
  const [units, networks] = [data[14], data[15]];
  if (level >= LEVELS) {
    throw new FormatError(`quality byte is ${level}, at most ${LEVELS - 1} is defined`);
  }
  if (layout > NEUTRAL || networks > LEVELS) {
    const found = `layout ${hex(layout, 2)} and byte 15 ${hex(networks, 2)}`;
    throw new FormatError(`${found} are not defined`);
  }
  if (!width || !height || units < 1 || units > MAX_TILE_UNITS) {
    throw new FormatError(`image of ${width}x${height} pixels in tiles of ${units * TILE_UNIT}`);
  }
  checkSize(width, height);
  return {
    version: data[4],
    modelId: data[5],
    level,
    networksLevel: networks ? networks - 1 : level,
    width,
    height,
    channels: layout === GREY ? 1 : 3,
    neutral: layout === NEUTRAL,
    bitDepth: 8,
    tileSize: units * TILE_UNIT,
  };
}

/** Throw FormatError unless data begins like a header of this version and has all of it. */
function checkStart(data) {
  const start = data.subarray(0, 4);
  if (ascii(start) === DITHER_MAGIC) {
    throw new FormatError("a file of the dither codecs, which browsers do not decode");
  }
  if (ascii(start) !== MAGIC) {
    const found = Array.from(start, (byte) => hex(byte, 2)).join("") || "nothing";
    throw new FormatError(`not an NPEG file: starts with ${found}`);
  }
  if (data.length >= 5 && data[4] !== VERSION) {
    throw new FormatError(`NPEG version ${data[4]}, this decoder reads version ${VERSION}`);
  }
  if (data.length < HEADER_SIZE) {
    const found = `truncated: ${data.length} bytes`;
    throw new FormatError(`${found}, the header alone has ${HEADER_SIZE}`);
  }
}

/** Return the sections after the header, each CRC verified. */
function sectionsOf(data) {
  const sections = [];
  const fields = view(data);
  for (let at = HEADER_SIZE; at < data.length; ) {
    const left = data.length - at;
    if (left < SECTION_SIZE) {
      throw new FormatError(`truncated: ${left} bytes at ${at}, a section has 9 or more`);
    }
    const length = fields.getUint32(at + 1, true);
    const written = fields.getUint32(at + 5, true);
    const payload = data.subarray(at + SECTION_SIZE, at + SECTION_SIZE + length);
    if (payload.length < length) {
      const found = `truncated: section at ${at}`;
      throw new FormatError(`${found} has ${payload.length} of ${length} bytes`);
    }
    const crc = crc32(payload, crc32(data.subarray(at, at + 5)));
    if (crc !== written) {
      const found = `section at ${at} is damaged`;
      throw new FormatError(`${found}: CRC-32 ${hex(crc)}, written ${hex(written)}`);
    }
    sections.push({ type: String.fromCharCode(data[at]), payload });
    at += SECTION_SIZE + length;
  }
  return sections;
}

/**
 * Parse a whole file into its header and its sections.
 *
 * A section of a type this version does not know is skipped when its letter is lower case
 * (it is not needed for the pixels), and refused when it is upper case.
 *
 * @param {Uint8Array} data
 * @returns {{header: Header, sections: Section[]}}
 * @throws {FormatError} truncated, damaged, a needed section is unknown, or tiles are missing
 */
export function readSections(data) {
  const header = readHeader(data);
  const sections = sectionsOf(data);
  for (const { type } of sections) {
    if (!TILE_PARTS.includes(type) && !/^[a-z]$/.test(type)) {
      throw new FormatError(`section type '${type}' is not known and needed for the pixels`);
    }
  }
  checkMetadata(sections);
  const tiles = tileParts(sections).length;
  const rows = Math.ceil(header.height / header.tileSize);
  const expected = rows * Math.ceil(header.width / header.tileSize);
  if (tiles !== expected) {
    throw new FormatError(`truncated: ${tiles} of ${expected} tiles are there`);
  }
  if (!TILE_PARTS.includes(sections.at(-1).type)) {
    throw new FormatError("sections follow the last tile, which ends a file");
  }
  return { header, sections };
}

/**
 * Return the sections of each tile, type to payload, in raster order.
 * @param {Section[]} sections
 * @returns {Record<string, Uint8Array>[]}
 * @throws {FormatError} one is there twice, out of order, or before the first tile
 */
export function tileParts(sections) {
  const tiles = [];
  let rank = TILE_PARTS.length;
  for (const { type, payload } of sections) {
    if (!TILE_PARTS.includes(type)) continue;
    const before = rank;
    rank = TILE_PARTS.indexOf(type);
    if (rank === 0) {
      tiles.push({});
    } else if (!tiles.length || rank <= before) {
      throw new FormatError(`section '${type}' is there twice or not behind its tile's`);
    }
    tiles.at(-1)[type] = payload;
  }
  return tiles;
}

/** Throw FormatError for metadata that is there twice or larger than it may be. */
function checkMetadata(sections) {
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

/**
 * Return the 20 bytes of a header.
 * @param {Header} header
 */
export function packHeader(header) {
  const data = new Uint8Array(HEADER_SIZE);
  const fields = view(data);
  const layout = header.neutral ? NEUTRAL : header.channels === 1 ? GREY : RGB;
  data.set(Array.from(MAGIC, (letter) => letter.charCodeAt(0)));
  data.set([VERSION, header.modelId, header.level, layout], 4);
  fields.setUint16(8, header.width & 65535, true);
  data[10] = header.width >> 16;
  fields.setUint16(11, header.height & 65535, true);
  data[13] = header.height >> 16;
  data[14] = header.tileSize / TILE_UNIT;
  data[15] = header.networksLevel === header.level ? 0 : header.networksLevel + 1;
  fields.setUint32(16, crc32(data.subarray(0, 16)), true);
  return data;
}

/**
 * Return one section: type, length, CRC-32, payload.
 * @param {string} type one letter
 * @param {Uint8Array} payload
 */
export function packSection(type, payload) {
  const data = new Uint8Array(SECTION_SIZE + payload.length);
  data[0] = type.charCodeAt(0);
  view(data).setUint32(1, payload.length, true);
  view(data).setUint32(5, crc32(payload, crc32(data.subarray(0, 5))), true);
  data.set(payload, SECTION_SIZE);
  return data;
}

/**
 * Return a whole file.
 * @param {Header} header
 * @param {Uint8Array[]} tiles payloads, in raster order
 */
export function write(header, tiles) {
  return concat([packHeader(header), ...tiles.map((payload) => packSection(TILE, payload))]);
}

/**
 * Return bytes one after another.
 * @param {Uint8Array[]} parts
 */
export function concat(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
