/**
 * Pixels to a PNG file that carries their colour profile: what a browser shows as it should.
 *
 * Source: PNG specification, third edition, sections 5, 9 and 11.
 */

import { concat } from "./container.js";
import { crc32 } from "./crc32.js";
import { deflate } from "./streams.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const COLOUR_TYPES = { 1: 0, 2: 4, 3: 2, 4: 6 }; // of so many channels
const UP = 2; // the filter of each row: its difference to the one above
const PER_METRE = 1 / 0.0254; // of dots an inch

/**
 * Return a PNG file.
 * @param {import("./networks.js").Planes} pixels (H, W, 1..4), 8 bits: grey or RGB, or with alpha
 * @param {import("./metadata_sections.js").Metadata} metadata whose profile, EXIF and dpi it gets
 * @returns {Promise<Uint8Array>}
 */
export async function encodePng(pixels, metadata = {}) {
  const [height, width, channels] = pixels.shape;
  const colourType = COLOUR_TYPES[channels];
  const head = Uint8Array.from([...bigEndian(width), ...bigEndian(height), 8, colourType, 0, 0, 0]);
  const parts = [Uint8Array.from(SIGNATURE), chunk("IHDR", head)];
  if (metadata.iccProfile && channels >= 3) {
    const name = new TextEncoder().encode("ICC\0\0"); // its end, and zlib as the method
    parts.push(chunk("iCCP", concat([name, await deflate(metadata.iccProfile)])));
  } else {
    parts.push(chunk("sRGB", Uint8Array.of(0)));
  }
  if (metadata.dpi) {
    const [x, y] = metadata.dpi.map((dpi) => Math.min(Math.round(dpi * PER_METRE), 2 ** 31 - 1));
    parts.push(chunk("pHYs", Uint8Array.from([...bigEndian(x), ...bigEndian(y), 1])));
  }
  if (metadata.exif) parts.push(chunk("eXIf", metadata.exif));
  parts.push(chunk("IDAT", await deflate(filtered(pixels))), chunk("IEND", new Uint8Array()));
  return concat(parts);
}

function filtered({ data, shape: [height, width, channels] }) {
  const bytes = width * channels;
  const rows = new Uint8Array(height * (bytes + 1));
  for (let row = 0, at = 0; row < height; row++) {
    rows[at++] = UP;
    for (let i = row * bytes; i < (row + 1) * bytes; i++) {
      rows[at++] = row ? data[i] - data[i - bytes] : data[i];
    }
  }
  return rows;
}

function chunk(type, data) {
  const body = concat([new TextEncoder().encode(type), data]);
  return concat([bigEndian(data.length), body, bigEndian(crc32(body))]);
}

function bigEndian(number) {
  return Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
}
