/**
 * Rectangles of an image that are coded on their own, and networks run tile by tile.
 *
 * Enters: the size of an image, its pixels, or latents. Leaves: tiles, latents, pixels.
 * Knows how far the transforms see, but no symbols and no bytes.
 *
 * @typedef {{top: number, bottom: number, left: number, right: number}} Tile in pixels
 * @typedef {import("./networks.js").Planes} Planes
 */

import { MAX_TILE_UNITS } from "./container.js";

export const LATENT = 16; // pixels a latent covers in each direction
export const HYPER = 64; // pixels a hyper-latent covers
const HALO = 64; // pixels around a tile that the analysis sees
const REACH = 80; // pixels around a part of the picture that can change it in the synthesis
/** Rows and columns to the left, right, above and below. */
const BESIDE = [[0, -1], [0, 1], [-1, 0], [1, 0]];
const AT_ONCE = 3 << 19; // pixels up to which the synthesis runs on the whole picture
const TILE = 1024; // side of the tiles of larger pictures

/**
 * Return the tiles of an image in raster order.
 * @param {import("./container.js").Header} header
 * @returns {Tile[]}
 */
export function tilesOf({ width, height, tileSize }) {
  const tiles = [];
  for (let top = 0; top < height; top += tileSize) {
    for (let left = 0; left < width; left += tileSize) {
      const [bottom, right] = [Math.min(top + tileSize, height), Math.min(left + tileSize, width)];
      tiles.push({ top, bottom, left, right });
    }
  }
  return tiles;
}

/** Return how many latents cover a tile, [h, w]. */
export function latentShape({ top, bottom, left, right }) {
  return [Math.ceil((bottom - top) / LATENT), Math.ceil((right - left) / LATENT)];
}

/** Return the side of the tiles of an image for which none is asked. */
export function usualSide(height, width) {
  const side = Math.ceil(Math.max(height, width) / HYPER) * HYPER;
  const atOnce = height * width <= AT_ONCE && side <= MAX_TILE_UNITS * HYPER;
  return atOnce ? Math.max(TILE, side) : TILE;
}

/**
 * Run the analysis on a tile and a halo around it; return y and z of the tile alone.
 * @param {import("./networks.js").Model} model
 * @param {Planes} rgb (H, W, 3)
 * @param {Tile} tile
 * @returns {Promise<Planes[]>}
 */
export async function analyse(model, rgb, tile, level) {
  const [height, width] = rgb.shape;
  const [top, left] = [Math.max(tile.top - HALO, 0), Math.max(tile.left - HALO, 0)];
  const bottom = Math.min(tile.bottom + HALO, height);
  const right = Math.min(tile.right + HALO, width);
  const [y, z] = await model.analysis(padded(rgb, { top, bottom, left, right }, HYPER), level);
  const [h, w] = latentShape(tile);
  const [dy, dx] = [tile.top - top, tile.left - left];
  return [
    window(y, dy / LATENT, dx / LATENT, h, w),
    window(z, dy / HYPER, dx / HYPER, Math.ceil(h / 4), Math.ceil(w / 4)),
  ];
}

/**
 * Run the synthesis at once or tile by tile, each with its neighbours' latents: no seams.
 * @param {import("./networks.js").Model} model
 * @param {(?Planes)[]} latents those of each tile, (M, h, w), in raster order; null: it has none
 * @param {import("./container.js").Header} header
 * @param {() => Promise<void>} step called after each tile
 * @returns {Promise<Planes>} (H, W, 3)
 */
export async function synthesise(model, latents, header, step) {
  const { width, height, networksLevel: level } = header;
  const yHat = joined(latents, header);
  const whole = { top: 0, bottom: height, left: 0, right: width };
  const rgb = { data: new Uint8Array(3 * width * height), shape: [height, width, 3] };
  for (const tile of width * height <= AT_ONCE ? [whole] : tilesOf(header)) {
    const [top, left] = [Math.max(tile.top - REACH, 0), Math.max(tile.left - REACH, 0)];
    const bottom = Math.min(Math.ceil((tile.bottom + REACH) / LATENT), yHat.shape[1]);
    const right = Math.min(Math.ceil((tile.right + REACH) / LATENT), yHat.shape[2]);
    const [y0, x0] = [top / LATENT, left / LATENT];
    const part = window(yHat, y0, x0, bottom - y0, right - x0);
    pasteRows(rgb, await model.synthesis(part, level), tile, tile.top - top, tile.left - left);
    await step();
  }
  return rgb;
}

/** Copy into rgb's tile the pixels (h, w, 3) from row `dy` and column `dx` on. */
function pasteRows(rgb, pixels, tile, dy, dx) {
  const bytes = 3 * (tile.right - tile.left);
  for (let row = tile.top; row < tile.bottom; row++) {
    const start = 3 * ((row - tile.top + dy) * pixels.shape[1] + dx);
    const line = pixels.data.subarray(start, start + bytes);
    rgb.data.set(line, 3 * (row * rgb.shape[1] + tile.left));
  }
}

/**
 * Cut a tile out of pixels and repeat its last row and column until both sides are multiples.
 * @param {Planes} rgb (H, W, 3)
 * @param {Tile} tile
 * @param {number} multiple
 * @returns {Planes}
 */
export function padded(rgb, { top, bottom, left, right }, multiple) {
  const up = (side) => Math.ceil(side / multiple) * multiple;
  const [height, width] = [up(bottom - top), up(right - left)];
  const data = new Uint8Array(3 * height * width);
  for (let row = 0; row < height; row++) {
    const source = 3 * (Math.min(top + row, bottom - 1) * rgb.shape[1] + left);
    const line = rgb.data.subarray(source, source + 3 * (right - left));
    const start = 3 * row * width;
    data.set(line, start);
    const last = line.subarray(-3);
    for (let at = line.length; at < 3 * width; at += 3) data.set(last, start + at);
  }
  return { data, shape: [height, width, 3] };
}

/** Cut the last two axes of (C, H, W) to (h, w): the heads work on whole hyper-latents. */
export function crop(planes, [h, w]) {
  return window(planes, 0, 0, h, w);
}

/** Return rows y..y+h and columns x..x+w of (C, H, W). */
function window(planes, y, x, h, w) {
  const [channels, height, width] = planes.shape;
  if (h === height && w === width) return planes;
  const data = new planes.data.constructor(channels * h * w);
  for (let line = 0; line < channels * h; line++) {
    const start = (Math.floor(line / h) * height + y + (line % h)) * width + x;
    data.set(planes.data.subarray(start, start + w), line * w);
  }
  return { data, shape: [channels, h, w] };
}

/** Return the latents of the whole image, (M, h, w); a tile that has none takes those beside it. */
function joined(latents, header) {
  if (latents.length === 1) return latents[0];
  const [h, w] = [Math.ceil(header.height / LATENT), Math.ceil(header.width / LATENT)];
  const channels = latents.find(Boolean).shape[0];
  const data = new Float32Array(channels * h * w);
  const there = new Uint8Array(h * w);
  tilesOf(header).forEach((tile, i) => {
    if (!latents[i]) return;
    const [, rows, columns] = latents[i].shape;
    for (let row = 0; row < rows; row++) {
      const start = (tile.top / LATENT + row) * w + tile.left / LATENT;
      there.fill(1, start, start + columns);
    }
    for (let line = 0; line < channels * rows; line++) {
      const row = Math.floor(line / rows) * h + tile.top / LATENT + (line % rows);
      const part = latents[i].data.subarray(line * columns, (line + 1) * columns);
      data.set(part, row * w + tile.left / LATENT);
    }
  });
  spread(data, there, [channels, h, w]);
  return { data, shape: [channels, h, w] };
}

/** Give places without latents those of the first place beside them that has some. */
function spread(data, there, [channels, h, w]) {
  for (let place = 0; place < h * w; place++) {
    const [y, x] = [Math.floor(place / w), place % w];
    const beside = BESIDE.map(([dy, dx]) => [y + dy, x + dx])
      .filter(([y, x]) => y >= 0 && y < h && x >= 0 && x < w)
      .map(([y, x]) => y * w + x);
    const from = there[place] ? undefined : beside.find((near) => there[near]);
    if (from === undefined) continue;
    for (let c = 0; c < channels; c++) data[c * h * w + place] = data[c * h * w + from];
  }
}

/** Return a tile of (H, W, C). */
export function cut({ data, shape: [, width, channels] }, { top, bottom, left, right }) {
  const line = channels * (right - left);
  const found = new Uint8Array((bottom - top) * line);
  for (let row = top; row < bottom; row++) {
    const start = channels * (row * width + left);
    found.set(data.subarray(start, start + line), (row - top) * line);
  }
  return { data: found, shape: [bottom - top, right - left, channels] };
}
