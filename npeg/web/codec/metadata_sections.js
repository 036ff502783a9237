/**
 * What a file says beside its pixels. SPEC.md, section 4.
 *
 * @typedef {{iccProfile?: Uint8Array, exif?: Uint8Array, xmp?: Uint8Array, iptc?: Uint8Array,
 *   comment?: Uint8Array, dpi?: [number, number], text?: Text[]}} Metadata
 * @typedef {{keyword: string, text: string, language: string, translated: string}} Text
 */

import { readArrived as readArrivedSections, readSections } from "./container.js";
import { FormatError } from "./errors.js";
import { MAX_METADATA } from "./sections.js";
import { inflate } from "./streams.js";

const MAX_TEXTS = 2 ** 12;
const PLAIN = 0; // the first byte of a payload
const DEFLATED = 1;
const FIELDS = {
  i: ["iccProfile", "ICC profile"],
  e: ["exif", "EXIF"],
  x: ["xmp", "XMP"],
  p: ["iptc", "IPTC"],
  d: ["dpi", "dpi"],
  c: ["comment", "comment"],
  k: ["text", "text"],
};
const UNPACK = { dpi: unpackDpi, text: unpackTexts };

/**
 * Return the metadata of a whole file.
 * @param {Uint8Array} data
 * @returns {Promise<Metadata>}
 * @throws {FormatError} truncated or damaged, or a metadata section has illegal contents
 */
export async function read(data) {
  return unpackedFrom(readSections(data).sections);
}

/** Return the metadata that has arrived of a file. */
export async function readArrived(data) {
  return unpackedFrom(readArrivedSections(data).sections);
}

async function unpackedFrom(sections) {
  const metadata = {};
  for (const { type, payload } of sections) {
    if (!(type in FIELDS)) continue;
    const [field, name] = FIELDS[type];
    const plain = await unpacked(payload, name);
    metadata[field] = field in UNPACK ? UNPACK[field](plain) : plain;
  }
  return metadata;
}

/** Undo a payload's packing, no further than a section may hold. */
async function unpacked(payload, name) {
  if (payload.length < 2 || payload[0] > DEFLATED) {
    const start = payload.length ? payload[0].toString(16).padStart(2, "0") : "nothing";
    throw new FormatError(`${name} section begins with ${start}`);
  }
  if (payload[0] === PLAIN) return payload.subarray(1);
  let plain = null;
  try {
    plain = await inflate(payload.subarray(1), "deflate", MAX_METADATA - 1);
  } catch {
    // damaged, cut, trailing or too much
  }
  if (!plain?.length) {
    throw new FormatError(`${name} section does not hold one zlib stream of less than 4 MiB`);
  }
  return plain;
}

function unpackDpi(plain) {
  if (plain.length !== 16) {
    throw new FormatError(`dpi section holds ${plain.length} bytes, expected 16`);
  }
  const view = new DataView(plain.buffer, plain.byteOffset);
  const dpi = [view.getFloat64(0, true), view.getFloat64(8, true)];
  if (!dpi.every((side) => side > 0 && side < Infinity)) {
    throw new FormatError(`dpi is ${dpi.join(" x ")}, expected finite numbers above 0`);
  }
  return dpi;
}

function unpackTexts(plain) {
  const parts = [];
  const view = new DataView(plain.buffer, plain.byteOffset, plain.byteLength);
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  for (let at = 0; at < plain.length; ) {
    const length = plain.length - at >= 4 ? view.getUint32(at, true) : plain.length;
    const part = plain.subarray(at + 4, at + 4 + length);
    if (part.length < length || parts.length >= 4 * MAX_TEXTS) {
      throw new FormatError(`text section has no text of ${length} bytes at ${at}`);
    }
    try {
      parts.push(utf8.decode(part));
    } catch {
      throw new FormatError(`text section is not UTF-8 at ${at}`);
    }
    at += 4 + length;
  }
  const texts = [];
  for (let i = 0; i + 3 < parts.length; i += 4) {
    const [keyword, text, language, translated] = parts.slice(i, i + 4);
    texts.push({ keyword, text, language, translated });
  }
  if (parts.length % 4 || !texts.every(({ keyword }) => keyword)) {
    throw new FormatError("text section has a text without a keyword");
  }
  return texts;
}
