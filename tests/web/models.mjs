/** The shipped models on onnxruntime-web in node, and Python's golden files. */

import { readFile } from "node:fs/promises";

import * as ort from "../../npeg/web/ort/ort.wasm.min.mjs";
import { Models } from "../../npeg/web/codec/networks.js";

const ROOT = new URL("../../", import.meta.url);
ort.env.wasm.numThreads = 1;

/** Return the bytes of a file below the repository's root, or of an absolute one. */
export async function bytesOf(path) {
  return new Uint8Array(await readFile(new URL(path, ROOT)));
}

export const models = new Models(ort, (name) => bytesOf(`npeg/models/${name}`));

/** Return [name, height, width, mean] of each golden file. */
export async function golden() {
  const text = new TextDecoder().decode(await bytesOf("tests/golden/sha256.txt"));
  return text.trim().split("\n").map((line) => {
    const [, name, ...numbers] = line.split(" ");
    return [name, ...numbers.map(Number)];
  });
}
