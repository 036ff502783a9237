/** Where the bits of a file go, as a picture that is laid over its own. */

const BLOCK = 16; // pixels of the picture in each direction
const BRIGHTEST = 0.99; // share of the blocks that are not brighter than the last colour
/** From few bits to many: r, g, b and opacity, 0 to 255. */
const COLOURS = [
  [20, 10, 60, 150],
  [120, 20, 110, 170],
  [215, 60, 70, 190],
  [250, 150, 30, 205],
  [252, 250, 160, 220],
];

/**
 * Draw a map of bits, a pixel for each block.
 * @param {{data: Float32Array, shape: number[]}} map bits, (h, w)
 * @returns {Promise<{blob: Blob, width: number, height: number, mostBits: number, text: string}>}
 *   width and height are those that the map covers of the picture
 */
export async function heatOf({ data, shape: [h, w] }) {
  const sorted = data.slice().sort();
  const mostBits = Math.max(sorted[Math.floor(BRIGHTEST * (sorted.length - 1))], 1);
  const image = new ImageData(w, h);
  data.forEach((bits, i) => image.data.set(colourOf(bits / mostBits), 4 * i));
  const canvas = new OffscreenCanvas(w, h);
  canvas.getContext("2d").putImageData(image, 0, 0);
  const blob = await canvas.convertToBlob();
  return { blob, width: BLOCK * w, height: BLOCK * h, mostBits, text: textOf(sorted, mostBits) };
}

function colourOf(share) {
  const at = Math.min(Math.max(share, 0), 1) * (COLOURS.length - 1);
  const i = Math.min(Math.floor(at), COLOURS.length - 2);
  return COLOURS[i].map((low, c) => low + (at - i) * (COLOURS[i + 1][c] - low));
}

/** Say in words how unevenly the bits are spread. */
function textOf(sorted, mostBits) {
  const sum = sorted.reduce((a, b) => a + b, 0);
  let [count, half] = [0, 0];
  while (half < sum / 2) half += sorted[sorted.length - 1 - count++];
  const share = Math.round((100 * count) / sorted.length);
  return `Bits of each 16 × 16 pixels, dark for 0, bright for ${Math.round(mostBits)} and more. ` +
    `Half of all bits are in ${share} % of the picture.`;
}
