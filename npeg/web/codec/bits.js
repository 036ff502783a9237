/**
 * Where the bits of a file go: how many are of each block of 16x16 pixels.
 *
 * Enters: a file. Leaves: bits, from the probabilities that the decoder reads symbols by. Exact
 * tiles and alpha adapt to what is read, so that theirs are spread over the tile evenly.
 *
 * @typedef {{data: Float32Array, shape: number[]}} BitMap bits, (H/16, W/16)
 */

import { readSections } from "./container.js";
import { planesOf } from "./decoder.js";
import { TOKEN_OF_MAGNITUDE } from "./entropy.js";
import * as latents from "./latents.js";
import { ENTRIES } from "./rans.js";
import * as residual from "./residual.js";
import { SIDE } from "./residual_order.js";
import * as sections from "./sections.js";
import { HYPER, LATENT, latentShape, tilesOf } from "./tiles.js";

const { ALPHA, EXACT, RESIDUAL, TILE } = sections;
const BLOCKS = LATENT / SIDE; // of a residual, in each direction of a block here

/**
 * Return how many bits of a file are of each block.
 * @param {import("./networks.js").Models} models
 * @param {Uint8Array} data a whole file
 * @param {() => Promise<void>} step called after each tile
 * @returns {Promise<BitMap>}
 * @throws {FormatError} the bytes are not a valid file
 */
export async function bitsOf(models, data, step = async () => {}) {
  const { header, tiles: coded } = readSections(data);
  const tiles = tilesOf(header);
  const width = Math.ceil(header.width / LATENT);
  const map = new Float32Array(width * Math.ceil(header.height / LATENT));
  for (const [i, parts] of coded.entries()) {
    const found = await ofTile(models, parts, tiles[i], header);
    const [h, w] = latentShape(tiles[i]);
    for (let row = 0; row < h; row++) {
      const start = (tiles[i].top / LATENT + row) * width + tiles[i].left / LATENT;
      map.set(found.subarray(row * w, (row + 1) * w), start);
    }
    await step((i + 1) / tiles.length);
  }
  return { data: map, shape: [map.length / width, width] };
}

/** Return the bits of each block of a tile, (h, w) flat. */
async function ofTile(models, parts, tile, header) {
  const [h, w] = latentShape(tile);
  const map = new Float32Array(h * w);
  for (const type of [ALPHA, EXACT]) {
    const bits = 8 * (parts[type]?.length ?? 0);
    for (let i = 0; i < map.length; i++) map[i] += bits / map.length;
  }
  const isAlone = !(sections.HYPER in parts) && !parts[TILE]?.length;
  if (!isAlone && !(EXACT in parts)) await addLatents(map, [h, w], models, parts, header);
  if (RESIDUAL in parts) {
    const size = [tile.bottom - tile.top, tile.right - tile.left];
    await addResidual(map, w, models, parts[RESIDUAL], size, planesOf(header), isAlone);
  }
  return map;
}

/** Return the bits of a symbol under a table. */
function cost(tables, index, symbol) {
  return tables.tokenBits[index * ENTRIES + TOKEN_OF_MAGNITUDE[Math.abs(symbol)]];
}

/** Add what latents and hyper-latents take; these are shared out among their blocks. */
async function addLatents(map, shape, models, parts, { modelId, networksLevel: level }) {
  const model = await models.get(modelId);
  const { zHat, symbols, indexes } = await latents.read(model, parts, shape, level);
  for (let i = 0; i < symbols.data.length; i++) {
    const index = indexes.data[i];
    if (index >= model.firstCoded) map[i % map.length] += cost(model.tables, index, symbols.data[i]);
  }
  const [, high, wide] = zHat.shape;
  const hyper = new Float32Array(high * wide);
  const rows = latents.indexZ(model, zHat.shape, level);
  zHat.data.forEach((symbol, i) => (hyper[i % hyper.length] += cost(model.tables, rows[i], symbol)));
  const side = HYPER / LATENT;
  for (let i = 0; i < map.length; i++) {
    const [row, column] = [Math.floor(i / shape[1]), i % shape[1]];
    const [y, x] = [Math.floor(row / side), Math.floor(column / side)];
    const shared = Math.min(side, shape[0] - side * y) * Math.min(side, shape[1] - side * x);
    map[i] += hyper[y * wide + x] / shared;
  }
}

/** Add what a residual takes. */
async function addResidual(map, width, models, payload, size, planes, isAlone) {
  const tables = await models.residualTables();
  const w = Math.ceil(size[1] / SIDE);
  const watch = (indexes, symbols, { bands, blocks }) => {
    for (let i = 0; i < bands.length * blocks.length; i++) {
      const block = blocks[i % blocks.length];
      const at = Math.floor(Math.floor(block / w) / BLOCKS) * width + Math.floor((block % w) / BLOCKS);
      map[at] += cost(tables, indexes[i], symbols[i]);
    }
  };
  residual.unpack(payload, tables, size, planes, isAlone, watch);
}
