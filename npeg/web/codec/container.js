/**
 * The .npeg file: header and sections. A transcription of SPEC.md, section 2.
 *
 * Bytes enter, checked fields and payloads leave; this module knows no pixels and no networks.
 *
 * @typedef {{version: number, modelId: number, level: number, networksLevel: number,
 *   width: number, height: number, channels: number, neutral: boolean, alpha: boolean,
 *   bitDepth: number, tileSize: number}} Header alpha is beside the channels
 * @typedef {import("./sections.js").Parts} Parts
 */

import { crc32 } from "./crc32.js";
import { FormatError, LimitError, TruncatedError } from "./errors.js";
import {
  ALPHA,
  byTile,
  checkMetadata,
  checkParts,
  checkTiles,
  HYPER,
  packSection,
  PARTS,
  sectionsOf,
  TILE,
} from "./sections.js";

export const VERSION = 1;
export const LEVELS = 201; // the quality byte: 0..200, in half steps of the user's 0..100
export const TILE_UNIT = 64; // the hyper-latents' stride, in pixels
export const MAX_TILE_UNITS = 32; // tiles of at most 2048x2048 pixels bound what a payload asks for
export const MAX_PIXELS = 2 * 89_478_485; // what one file can ask for: as npeg/limits.py
export const HEADER_SIZE = 20;

const [LEAST_DEPTH, MOST_DEPTH] = [8, 16]; // bits a sample
const MAGIC = "NPEG";
const DITHER_MAGIC = "NPGD";
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
  const depth = LEAST_DEPTH + (layout >> 4);
  if ((layout & 15) >= LAYOUTS.length || depth > MOST_DEPTH || networks > LEVELS) {
    const found = `layout ${hex(layout, 2)} and byte 15 ${hex(networks, 2)}`;
    throw new FormatError(`${found} are not defined`);
  }
  if (!width || !height || units < 1 || units > MAX_TILE_UNITS) {
    throw new FormatError(`image of ${width}x${height} pixels in tiles of ${units * TILE_UNIT}`);
  }
  checkSize(width, height);
  const [channels, neutral, alpha] = LAYOUTS[layout & 15];
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
    bitDepth: depth,
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

/**
 * Parse a whole file into its header and its sections.
 *
 * A section of a type this version does not know is skipped when its letter is lower case
 * (it is not needed for the pixels), and refused when it is upper case.
 *
 * @param {Uint8Array} data
 * @returns {{header: Header, sections: import("./sections.js").Section[], tiles: Parts[]}} tiles in
 *   raster order
 * @throws {FormatError} truncated, damaged, a needed section is unknown, or tiles are missing
 */
export function readSections(data) {
  const header = readHeader(data);
  const count = tilesIn(header);
  const sections = [...sectionsOf(data, HEADER_SIZE, count > 1)];
  checkMetadata(sections);
  const tiles = byTile(sections, count);
  checkTiles(tiles, count, header.alpha);
  return { header, sections, tiles: Array.from({ length: count }, (_, i) => tiles.get(i)) };
}

/**
 * Return what has arrived of a file that may be cut: the payloads of each tile of which there are
 * any, by its number, all sections, and whether the file is whole.
 * @param {Uint8Array} data at least the header
 * @returns {{header: Header, tiles: Map<number, Parts>, sections: import("./sections.js").Section[],
 *   whole: boolean}}
 * @throws {FormatError} damaged, or a needed section is unknown
 */
export function readArrived(data) {
  const header = readHeader(data);
  const count = tilesIn(header);
  const sections = [];
  try {
    for (const section of sectionsOf(data, HEADER_SIZE, count > 1)) sections.push(section);
  } catch (error) {
    if (!(error instanceof TruncatedError)) throw error;
  }
  checkMetadata(sections);
  const tiles = byTile(sections, count);
  tiles.forEach(checkParts);
  const whole = Boolean(sections.at(-1)?.last);
  if (whole) checkTiles(tiles, count, header.alpha);
  return { header, tiles, sections, whole };
}

/** Return how many tiles cover an image. */
function tilesIn({ width, height, tileSize }) {
  return Math.ceil(height / tileSize) * Math.ceil(width / tileSize);
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
 * Return a whole file.
 * @param {Header} header
 * @param {Parts[]} tiles their sections, in raster order
 */
export function write(header, tiles) {
  const ranked = tiles.flatMap((parts, tile) =>
    Object.keys(parts).map((type) => ({ type, tile, rank: rankOf(type, parts) }))
  );
  ranked.sort((a, b) => a.rank - b.rank || a.tile - b.tile);
  const sections = ranked.map(({ type, tile }, i) => {
    const number = tiles.length > 1 ? tile : null;
    return packSection(type, tiles[tile][type], number, i === ranked.length - 1);
  });
  return concat([packHeader(header), ...sections]);
}

/** Return where in a file a section of a tile belongs: early what is a picture alone. */
function rankOf(type, parts) {
  return type === TILE && !(HYPER in parts) ? PARTS[ALPHA] + 0.5 : PARTS[type];
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
