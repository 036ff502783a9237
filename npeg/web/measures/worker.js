/**
 * Measures and AVIF in a worker: jobs come in as messages, one is done after the other.
 *
 * A message is {id, task, ...}; answers are {id, result} or {id, error}. The original is sent once.
 */

import { onWhite, psnrDb } from "./psnr.js";
import { largest } from "./search.js";
import { ssimulacra2 } from "./ssimulacra2.js";

/** As `npeg bench` has AVIF: 4:4:4 at speed 6. */
const AVIF = {
  qualityAlpha: -1,
  denoiseLevel: 0,
  tileColsLog2: 0,
  tileRowsLog2: 0,
  speed: 6,
  subsample: 3,
  chromaDeltaQ: false,
  sharpness: 0,
  tune: 0,
  enableSharpYUV: false,
  bitDepth: 8,
  lossless: false,
};

let original = null;
let opaque = null; // the original in front of white
let encoder = null; // a promise

const TASKS = {
  open({ image }) {
    original = image;
    opaque = onWhite(image);
  },
  measure({ image }) {
    const shown = onWhite(image);
    return { psnrDb: psnrDb(opaque, shown), ssimulacra2: ssimulacra2(opaque, shown) };
  },
  async avif({ sizeBytes }) {
    encoder ??= openEncoder();
    const module = await encoder;
    const { data, width, height } = original;
    const pixels = new Uint8Array(data.buffer);
    const encode = async (quality) => module.encode(pixels, width, height, { ...AVIF, quality });
    const { file, quality } = await largest(encode, (made) => made.length, sizeBytes);
    return { data: file.slice(), quality };
  },
};

async function openEncoder() {
  const folder = new URL("../avif/", import.meta.url);
  const { default: open } = await import(new URL("avif_enc.js", folder));
  return open({ noInitialRun: true, locateFile: (name) => new URL(name, folder).href });
}

let last = Promise.resolve();
self.onmessage = ({ data: message }) => {
  last = last.then(() => work(message));
};

async function work({ id, task, ...message }) {
  try {
    self.postMessage({ id, result: await TASKS[task](message) });
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
}
