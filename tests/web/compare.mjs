/**
 * Decode and encode what a folder of cases holds, for tests/test_web_codec.py.
 *
 * node compare.mjs FOLDER: each NAME.npeg gives NAME.json (digest of its symbols, shape, metadata,
 * or an error), NAME.decoded (its pixels) and NAME.png; each NAME.rgb, HxWxC-TUNE-EFFORT-QUALITY
 * in its name, the last a number or "lossless", gives NAME.encoded.
 */

import { createHash } from "node:crypto";
import { readdir, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

import { decodePixels, encodePixels } from "../../npeg/web/codec/codec.js";
import { readSections } from "../../npeg/web/codec/container.js";
import { NpegError } from "../../npeg/web/codec/errors.js";
import * as exact from "../../npeg/web/codec/exact.js";
import * as latents from "../../npeg/web/codec/latents.js";
import * as metadata from "../../npeg/web/codec/metadata_sections.js";
import { encodePng } from "../../npeg/web/codec/png.js";
import { ALPHA, EXACT, TILE } from "../../npeg/web/codec/sections.js";
import { latentShape, tilesOf } from "../../npeg/web/codec/tiles.js";
import * as transparency from "../../npeg/web/codec/transparency.js";
import { bytesOf, models } from "./models.mjs";

const folder = pathToFileURL(`${process.argv[2]}/`);
const out = (name, data) => writeFile(new URL(name, folder), data);

/** Return the SHA-256 of all that is exact in a file: hyper-latents and symbols as int32, pixels. */
async function digest(data) {
  const { header, tiles } = readSections(data);
  const channels = header.neutral ? 1 : header.channels;
  const hash = createHash("sha256");
  for (const [i, tile] of tilesOf(header).entries()) {
    const parts = tiles[i];
    const size = [tile.bottom - tile.top, tile.right - tile.left];
    if (header.alpha) hash.update(transparency.decode(parts[ALPHA], size, header.bitDepth > 8).data);
    if (parts[EXACT]) hash.update(exact.decode(parts[EXACT], [...size, channels], header.bitDepth).data);
    if (!parts[TILE]?.length) continue;
    const model = await models.get(header.modelId);
    const level = header.networksLevel;
    const { zHat, symbols } = await latents.read(model, parts, latentShape(tile), level);
    for (const { data } of [zHat, symbols]) hash.update(new Uint8Array(Int32Array.from(data).buffer));
  }
  return hash.digest("hex");
}

async function describe(data, name) {
  try {
    const found = await metadata.read(data);
    const decoded = await decodePixels(models, data);
    const { data: pixels, shape } = decoded;
    await out(`${name}.decoded`, pixels);
    await out(`${name}.png`, await encodePng(decoded, found));
    const told = Object.entries(found).map(([field, value]) => [field, plain(value)]);
    return { shape, symbols: await digest(data), metadata: Object.fromEntries(told) };
  } catch (error) {
    if (!(error instanceof NpegError)) throw error;
    return { error: error.message };
  }
}

const plain = (value) => (value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value);

for (const name of await readdir(folder)) {
  const [stem, extension] = name.split(/\.(?=[^.]*$)/);
  const data = await bytesOf(new URL(name, folder));
  if (extension === "npeg") await out(`${stem}.json`, JSON.stringify(await describe(data, stem)));
  if (extension === "rgb") {
    const shape = stem.split("-")[0].split("x").map(Number);
    const [, tune, effort, quality] = stem.split("-");
    const options = { tune, effort: Number(effort), lossless: quality === "lossless" };
    await out(`${stem}.encoded`, await encodePixels(models, { data, shape }, Number(quality) || 60, options));
  }
}
