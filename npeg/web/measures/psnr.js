/** What a picture has lost by squared error, and pictures in front of white. */

const WHITE = 255;

/** Tell whether any pixel of an image is not opaque. */
export function isTransparent({ data }) {
  for (let i = 3; i < data.length; i += 4) {
    if (data[i] < 255) return true;
  }
  return false;
}

/** Return an image in front of white. */
export function onWhite(image) {
  if (!isTransparent(image)) return image;
  const data = image.data.slice();
  for (let i = 0; i < data.length; i += 4) {
    const share = data[i + 3] / 255;
    for (let c = i; c < i + 3; c++) data[c] = data[c] * share + WHITE * (1 - share);
    data[i + 3] = 255;
  }
  return new ImageData(data, image.width, image.height);
}

/** Return the RGB PSNR of two opaque images of one size, in dB; of equal ones Infinity. */
export function psnrDb(a, b) {
  let sum = 0;
  for (let i = 0; i < a.data.length; i += 4) {
    for (let c = i; c < i + 3; c++) sum += (a.data[c] - b.data[c]) ** 2;
  }
  return 10 * Math.log10((255 ** 2 * 3 * a.width * a.height) / sum);
}
