/**
 * Arrays of an .npz file, which is a zip archive of .npy files.
 *
 * Source: NumPy's NEP 1 (.npy); PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16 (zip).
 */

import { FormatError } from "./errors.js";
import { inflate } from "./streams.js";

const TYPES = {
  "|u1": Uint8Array,
  "<u2": Uint16Array,
  "<i4": Int32Array,
  "<i8": BigInt64Array,
  "<f4": Float32Array,
};
const END_OF_ARCHIVE = 0x06054b50;
const END_SIZE = 22; // an archive of NumPy's has no comment behind it
const STORED = 0;

/**
 * Return the arrays of an .npz file by their names.
 * @param {Uint8Array} data
 * @returns {Promise<Record<string, {data: ArrayLike<number>, shape: number[]}>>}
 */
export async function readNpz(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const end = data.length - END_SIZE;
  if (end < 0 || view.getUint32(end, true) !== END_OF_ARCHIVE) {
    throw new FormatError("not an archive of arrays");
  }
  const arrays = {};
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left; left--) {
    const [nameLength, extra, comment] = [28, 30, 32].map((i) => view.getUint16(at + i, true));
    const name = new TextDecoder().decode(data.subarray(at + 46, at + 46 + nameLength));
    const file = await fileAt(data, view, at);
    arrays[name.replace(/\.npy$/, "")] = readNpy(file);
    at += 46 + nameLength + extra + comment;
  }
  return arrays;
}

/** Return the contents of the file whose entry in the archive's directory is at `entry`. */
async function fileAt(data, view, entry) {
  const method = view.getUint16(entry + 10, true);
  const size = view.getUint32(entry + 20, true);
  const local = view.getUint32(entry + 42, true);
  const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
  const packed = data.subarray(start, start + size);
  return method === STORED ? packed : inflate(packed, "deflate-raw");
}

/** Return the array of an .npy file, of C order. */
function readNpy(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isFirst = bytes[6] === 1; // version 1 has a shorter length
  const start = isFirst ? 10 : 12;
  const end = start + (isFirst ? view.getUint16(8, true) : view.getUint32(8, true));
  const head = new TextDecoder().decode(bytes.subarray(start, end));
  const type = TYPES[/'descr': *'([^']*)'/.exec(head)?.[1]];
  if (!type || /'fortran_order': *True/.test(head)) throw new FormatError(`array is ${head}`);
  const shape = /'shape': *\(([^)]*)\)/.exec(head)[1].split(",").filter((n) => n.trim()).map(Number);
  const numbers = new type(bytes.slice(end).buffer);
  return { data: type === BigInt64Array ? Array.from(numbers, Number) : numbers, shape };
}
