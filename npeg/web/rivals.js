/** The browser's own codecs at equal size, and what a picture has lost. */

const WHITE = 255;
const RIVALS = [
  { label: "JPEG", type: "image/jpeg", alpha: false },
  { label: "WebP", type: "image/webp", alpha: true },
];

/**
 * Return the largest files of each codec that are not above a size.
 *
 * A codec whose smallest file is above it gives that one. One that the browser only reads is left
 * out: its canvas gives a PNG file instead. One that holds no alpha gets the picture on white.
 *
 * @param {ImageData} image
 * @param {number} sizeBytes
 * @param {AbortSignal} signal
 * @returns {Promise<{label: string, blob: Blob, quality: number}[]>}
 */
export async function rivalsOf(image, sizeBytes, signal) {
  const found = [];
  for (const { label, type, alpha } of RIVALS) {
    const canvas = new OffscreenCanvas(image.width, image.height);
    canvas.getContext("2d").putImageData(alpha ? image : onWhite(image), 0, 0);
    const encode = async (quality) => {
      signal.throwIfAborted();
      return canvas.convertToBlob({ type, quality: quality / 100 });
    };
    let [blob, quality] = [await encode(1), 1];
    if (blob.type !== type) continue;
    for (let above = 101; above - quality > 1; ) {
      const middle = Math.floor((quality + above) / 2);
      const tried = await encode(middle);
      if (tried.size <= sizeBytes) [blob, quality] = [tried, middle];
      else above = middle;
    }
    found.push({ label, blob, quality });
  }
  return found;
}

/**
 * Return the pixels of a picture's file as the browser shows them, in sRGB.
 * @param {Blob} file
 * @returns {Promise<ImageData>}
 */
export async function pixelsOf(file) {
  const bitmap = await createImageBitmap(file);
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

/** Tell whether any pixel of an image is not opaque. */
export function isTransparent({ data }) {
  for (let i = 3; i < data.length; i += 4) {
    if (data[i] < 255) return true;
  }
  return false;
}

/** Return an image in front of white. */
function onWhite(image) {
  if (!isTransparent(image)) return image;
  const data = image.data.slice();
  for (let i = 0; i < data.length; i += 4) {
    const share = data[i + 3] / 255;
    for (let c = i; c < i + 3; c++) data[c] = data[c] * share + WHITE * (1 - share);
    data[i + 3] = 255;
  }
  return new ImageData(data, image.width, image.height);
}

/** Return the RGB PSNR of two images of one size in front of white, in dB; of equal ones Infinity. */
export function psnrDb(first, second) {
  const [a, b] = [onWhite(first), onWhite(second)];
  let sum = 0;
  for (let i = 0; i < a.data.length; i += 4) {
    for (let c = i; c < i + 3; c++) sum += (a.data[c] - b.data[c]) ** 2;
  }
  return 10 * Math.log10((255 ** 2 * 3 * a.width * a.height) / sum);
}
