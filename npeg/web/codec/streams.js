/** Deflated bytes <-> bytes, by the browser's own streams. */

import { concat } from "./container.js";

/**
 * Inflate bytes.
 * @param {Uint8Array} bytes
 * @param {"deflate" | "deflate-raw"} format with zlib's frame, or without
 * @param {number} most bytes
 * @throws what the stream throws for damaged, cut or trailing bytes; RangeError for more than most
 */
export function inflate(bytes, format, most = Infinity) {
  return through(bytes, new DecompressionStream(format), most);
}

/**
 * Deflate bytes into one zlib stream.
 * @param {Uint8Array} bytes
 */
export function deflate(bytes) {
  return through(bytes, new CompressionStream("deflate"), Infinity);
}

async function through(bytes, transform, most) {
  const reader = new Blob([bytes]).stream().pipeThrough(transform).getReader();
  const parts = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return concat(parts);
    parts.push(value);
    size += value.length;
    if (size > most) {
      await reader.cancel();
      throw new RangeError(`more than ${most} bytes`);
    }
  }
}
