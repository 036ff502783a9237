/**
 * The codec in a worker: jobs come in as messages, one is done after the other.
 *
 * A message is {id, task, data, ...}, or {id, cancel: true}. Answers are {id, progress},
 * {id, result} or {id, error: {name, message}}.
 */

import { bitsOf } from "./codec/bits.js";
import { decodeArrived, decodePixels, encodePixels } from "./codec/codec.js";
import * as metadata from "./codec/metadata_sections.js";
import { Models } from "./codec/networks.js";
import { encodePng } from "./codec/png.js";

const MOST_THREADS = 8; // more gain little on networks of this size

const cancelled = new Set();
let models = null; // a promise
let last = Promise.resolve();

/** The jobs: each takes what the message holds, and a step; it returns the result. */
const TASKS = {
  async decode({ data }, step) {
    const pixels = await decodePixels(await opened(), data, step);
    const [height, width] = pixels.shape;
    return { width, height, data: rgba(pixels) };
  },
  async decodeToPng({ data }, step) {
    const found = await metadata.read(data);
    const pixels = await decodePixels(await opened(), data, step);
    return encodePng(pixels, found);
  },
  async arrivedToPng({ data, before }, step) {
    const found = await decodeArrived(await opened(), data, step, before);
    if (!found) return null;
    const { pixels, sections } = found;
    return { data: await encodePng(pixels, await metadata.readArrived(data)), sections };
  },
  async bits({ data }, step) {
    return bitsOf(await opened(), data, step);
  },
  async encode({ data, width, height, quality, ...options }, step) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
    const pixels = { data: bytes, shape: [height, width, 4] };
    return encodePixels(await opened(), pixels, quality, options, step);
  },
};

/** Return the models, and the runtime that they need, opened once. */
function opened() {
  models ??= open();
  models.catch(() => (models = null)); // such as offline: tried again the next time
  return models;
}

async function open() {
  const ort = await import(new URL("ort/ort.wasm.min.mjs", import.meta.url));
  ort.env.wasm.wasmPaths = new URL("ort/", import.meta.url).href;
  const cores = navigator.hardwareConcurrency || 1;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(cores, MOST_THREADS) : 1;
  return new Models(ort, async (name) => {
    const answer = await fetch(new URL(`models/${name}`, import.meta.url));
    if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
    return new Uint8Array(await answer.arrayBuffer());
  });
}

self.onmessage = ({ data: message }) => {
  if (message.cancel) {
    cancelled.add(message.id);
  } else {
    last = last.then(() => work(message));
  }
};

async function work(message) {
  const { id } = message;
  const step = async (progress) => {
    self.postMessage({ id, progress });
    await new Promise((done) => setTimeout(done)); // let a message come in
    if (cancelled.has(id)) throw new DOMException("the work was cancelled", "AbortError");
  };
  try {
    await step(0);
    const result = await TASKS[message.task](message, step);
    self.postMessage({ id, result }, result ? [(result.data ?? result).buffer] : []);
  } catch ({ name, message: text }) {
    self.postMessage({ id, error: { name, message: text } });
  }
  cancelled.delete(id);
}

/** Return (H, W, 1..4) as a canvas takes it, (H, W, 4), not premultiplied. */
function rgba({ data, shape: [height, width, channels] }) {
  const out = new Uint8ClampedArray(4 * height * width).fill(255);
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  for (let i = 0, at = 0; i < out.length; i += 4, at += channels) {
    out[i] = data[at];
    out[i + 1] = data[at + green];
    out[i + 2] = data[at + blue];
    if (channels % 2 === 0) out[i + 3] = data[at + channels - 1];
  }
  return out;
}
