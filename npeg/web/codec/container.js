/**
 * The .npeg file: header, sections, CRC-32. A transcription of SPEC.md, sections 2 and 3.
 *
 * Bytes enter, checked fields and payloads leave; this module knows no pixels and no networks.
 *
 * @typedef {{version: number, modelId: number, level: number, networksLevel: number,
 *   width: number, height: number, channels: number, neutral: boolean, alpha: boolean,
 *   bitDepth: number, tileSize: number}} Header alpha is beside the channels
 * @typedef {{type: string, payload: Uint8Array}} Section
 * @typedef {Record<string, Uint8Array>} Parts the payloads of a tile by their types
 */

import { crc32 } from "./crc32.js";
import { FormatError, LimitError } from "./errors.js";

export const VERSION = 1;
export const LEVELS = 201; // the quality byte: 0..200, in half steps of the user's 0..100
export const TILE_UNIT = 64; // the hyper-latents' stride, in pixels
export const MAX_TILE_UNITS = 32; // tiles of at most 2048x2048 pixels bound what a payload asks for
export const MAX_PIXELS = 2 * 89_478_485; // what one file can ask for: as npeg/limits.py
export const METADATA = "iexpdck"; // types of sections, each at most once
export const MAX_METADATA = 2 ** 22; // bytes that one of these sections may have
export const MOST_METADATA = 2 ** 23; // that all of them may have together
export const HEADER_SIZE = 20;
export const [TILE, EXACT, ALPHA, RESIDUAL] = ["T", "E", "A", "R"];

const MAGIC = "NPEG";
const DITHER_MAGIC = "NPGD";
const SECTION_SIZE = 9; // type, length, CRC-32
/** Sections of a tile and their places in it; it has one in place 1, others may be there. */
const PARTS = { [ALPHA]: 0, [TILE]: 1, [EXACT]: 1, [RESIDUAL]: 2 };
const PIXELS = 1;
/** Of each code: channels of colour, whether these are equal everywhere, whether alpha is there. */
const LAYOUTS = [
  [1, false, false],
  [3, false, false],
  [3, true, false],
  [1, false, true],
  [3, false, true],
  [3, true, true],
];

const hex = (number, digits = 8) => number.toString(16).padStart(digits, "0");
const ascii = (bytes) => String.fromCharCode(...bytes);
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Throw LimitError for an image of more pixels than it may have. */
export function checkSize(width, height) {
  if (width * height > MAX_PIXELS) {
    const most = `expected at most ${Math.round(MAX_PIXELS / 1e6)} million`;
    throw new LimitError(`found ${width}x${height} pixels, ${most}`);
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
  if (layout >= LAYOUTS.length || networks > LEVELS) {
    const found = `layout ${hex(layout, 2)} and byte 15 ${hex(networks, 2)}`;
    throw new FormatError(`${found} are not defined`);
  }
  if (!width || !height || units < 1 || units > MAX_TILE_UNITS) {
    throw new FormatError(`image of ${width}x${height} pixels in tiles of ${units * TILE_UNIT}`);
  }
  checkSize(width, height);
  const [channels, neutral, alpha] = LAYOUTS[layout];
  return {
    version: data[4],
    modelId: data[5],
    level,
    networksLevel: networks ? networks - 1 : level,
    width,
    height,
    channels,
    neutral,
    alpha,
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
    if (!(type in PARTS) && !/^[a-z]$/.test(type)) {
      throw new FormatError(`section type '${type}' is not known and needed for the pixels`);
    }
  }
  checkMetadata(sections);
  checkTiles(header, tileParts(sections));
  if (!(sections.at(-1).type in PARTS)) {
    throw new FormatError("sections follow the last tile, which ends a file");
  }
  return { header, sections };
}

/**
 * Return the sections of each tile in raster order: one that does not come later in a tile begins
 * the next.
 * @param {Section[]} sections
 * @returns {Parts[]}
 */
export function tileParts(sections) {
  const tiles = [];
  let before = Infinity;
  for (const { type, payload } of sections) {
    if (!(type in PARTS)) continue;
    if (PARTS[type] <= before) tiles.push({});
    tiles.at(-1)[type] = payload;
    before = PARTS[type];
  }
  return tiles;
}

/** Throw FormatError unless all tiles are there, each with what it needs. */
function checkTiles({ width, height, tileSize, alpha }, tiles) {
  const hasPixels = (parts) => Object.keys(parts).some((type) => PARTS[type] === PIXELS);
  const count = tiles.filter(hasPixels).length;
  const expected = Math.ceil(height / tileSize) * Math.ceil(width / tileSize);
  if (count !== expected) {
    throw new FormatError(`truncated: ${count} of ${expected} tiles are there`);
  }
  if (tiles.length !== count || tiles.some((parts) => ALPHA in parts !== alpha)) {
    const found = tiles.filter((parts) => ALPHA in parts).length;
    const wanted = alpha ? expected : 0;
    throw new FormatError(`${found} tiles have an alpha section, expected ${wanted}`);
  }
  if (tiles.some((parts) => RESIDUAL in parts && !(TILE in parts))) {
    throw new FormatError("a residual is behind an exact tile, expected the networks' section");
  }
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
  const { channels, neutral, alpha } = header;
  const layout = LAYOUTS.findIndex((one) => `${one}` === `${[channels, neutral, alpha]}`);
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
 * @param {Parts[]} tiles their sections, in raster order
 */
export function write(header, tiles) {
  const inOrder = (parts) => Object.keys(parts).sort((a, b) => PARTS[a] - PARTS[b]);
  const sections = tiles.flatMap((parts) =>
    inOrder(parts).map((type) => packSection(type, parts[type]))
  );
  return concat([packHeader(header), ...sections]);
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
