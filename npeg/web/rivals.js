/** Other codecs at equal size: those of this browser's canvas, and AVIF, which no canvas writes. */

import { isTransparent, onWhite } from "./measures/psnr.js";
import { largest } from "./measures/search.js";

const CANVAS = [
  { label: "JPEG", type: "image/jpeg", alpha: false },
  { label: "WebP", type: "image/webp", alpha: true },
];
export const MOST_AVIF = 1 << 22; // pixels: beyond them its encoder takes too long to wait for

/**
 * Yield the largest files of each codec that are not above a size.
 *
 * A codec whose smallest file is above it gives that one. One that is not there is left out: a
 * canvas gives a PNG file instead. One that holds no alpha gets the picture on white.
 *
 * @param {ImageData} image
 * @param {number} sizeBytes
 * @param {AbortSignal} signal
 * @param {() => Promise<{blob: Blob, quality: number}>} avif
 * @returns {AsyncGenerator<{label: string, blob: Blob, quality: number}>}
 */
export async function* rivalsOf(image, sizeBytes, signal, avif) {
  for (const { label, type, alpha } of CANVAS) {
    const found = await byCanvas(alpha ? image : onWhite(image), type, sizeBytes, signal);
    if (found) yield { label, ...found };
  }
  if (image.width * image.height > MOST_AVIF) return;
  try {
    yield { label: "AVIF", ...(await avif()) };
  } catch (error) {
    signal.throwIfAborted();
    console.info(`npeg: no AVIF: ${error.message}`);
  }
}

async function byCanvas(image, type, sizeBytes, signal) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  const encode = async (quality) => {
    signal.throwIfAborted();
    return canvas.convertToBlob({ type, quality: quality / 100 });
  };
  if ((await encode(1)).type !== type) return null;
  const { file, quality } = await largest(encode, (blob) => blob.size, sizeBytes);
  return { blob: file, quality };
}

/**
 * Return the pixels of a picture's file as the browser shows them, in sRGB.
 * @param {Blob} file
 * @returns {Promise<ImageData>}
 * @throws {Error} the browser knows no such files, or the picture is too large for its canvas
 */
export async function pixelsOf(file) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error("this browser cannot open it");
  });
  const { width, height } = bitmap;
  try {
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    if (!holds(context, width, height)) throw new RangeError("the canvas stays empty");
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, width, height);
  } catch {
    throw new Error(`${width} × ${height} pixels are more than this browser's canvas holds`);
  } finally {
    bitmap.close();
  }
}

/** Tell whether a canvas has its last pixel: one that is too large may stay empty without a word. */
function holds(context, width, height) {
  context.fillRect(width - 1, height - 1, 1, 1);
  const [, , , alpha] = context.getImageData(width - 1, height - 1, 1, 1).data;
  context.clearRect(width - 1, height - 1, 1, 1);
  return alpha === 255;
}


