/**
 * npeg in the browser: pictures to .npeg files and back, in a worker.
 *
 *     import { decode, encode } from "./npeg.js";
 *     canvas.getContext("2d").putImageData(await decode(bytes), 0, 0);
 *
 * The types of all of it are in index.d.ts.
 */

import * as errors from "./codec/errors.js";
import { readHeader, readSections } from "./codec/container.js";
import { Arriving } from "./arriving.js";
import { read as readMetadata } from "./codec/metadata_sections.js";
import { EXACT } from "./codec/sections.js";

export const { NpegError, FormatError, LimitError, InputError } = errors;

const jobs = new Map(); // id -> {resolve, reject, onProgress}
let worker = null;
let ids = 0;

/** Decode a file to pixels of its own colour space, which is sRGB unless `metadata` has a profile. */
export async function decode(source, options = {}) {
  const { data, width, height } = await ask({ task: "decode", data: await bytesOf(source) }, options);
  return new ImageData(data, width, height);
}

/** Decode a file to a PNG file, which carries the colour profile. */
export async function decodeToPng(source, options = {}) {
  const data = await ask({ task: "decodeToPng", data: await bytesOf(source) }, options);
  return new Blob([data], { type: "image/png" });
}

/**
 * Yield PNG files of a .npeg file as it arrives: what can be seen of it after a tenth of its bytes,
 * then more whenever there is more to see, at last all of it.
 *
 * Half of the time the worker rests meanwhile, and once all bytes are there it does nothing else
 * than their picture. Where not all arrive, what did is yielded before the error.
 */
export async function* decodeAsItArrives(answer, options = {}) {
  const arriving = new Arriving(answer, options.signal);
  const paintings = new Paintings(arriving, options);
  try {
    while (await arriving.grows()) {
      const start = performance.now();
      const found = await paintings.next(arriving.ending.signal);
      const timeMs = performance.now() - start;
      if (found) yield found;
      await arriving.rest(timeMs);
    }
    await arriving.end;
    options.signal?.throwIfAborted();
    const bytes = arriving.bytes();
    const blob = arriving.failure ? null : await decodeToPng(bytes, options).catch(unlessCut);
    if (blob) return yield { blob, bytes, isWhole: true };
    const found = await paintings.next(options.signal);
    if (found) yield found;
    const isSeen = paintings.sections ? "; the picture shows these" : "";
    throw new errors.TruncatedError(`truncated: ${arriving}${isSeen}`);
  } finally {
    arriving.stop();
  }
}

/** What can be seen of a file that arrives: of other sections each time. */
class Paintings {
  sections = 0;

  constructor(arriving, options) {
    Object.assign(this, { arriving, options });
  }

  /** Return what can be seen now; null if that is no more than before, or a signal ends the work. */
  async next(signal) {
    const bytes = this.arriving.bytes();
    const message = { task: "arrivedToPng", data: bytes, before: this.sections };
    const found = await ask(message, { ...this.options, signal }).catch((error) => {
      this.options.signal?.throwIfAborted();
      if (error.name !== "AbortError") throw error;
    });
    if (!found) return null;
    this.sections = found.sections;
    return { blob: new Blob([found.data], { type: "image/png" }), bytes, isWhole: false };
  }
}

/** Throw an error again unless it says that the file goes on behind what has arrived. */
function unlessCut(error) {
  if (!(error instanceof errors.TruncatedError)) throw error;
  return null;
}

/** Encode pixels of sRGB, and their alpha without loss; all of them without if `lossless`. */
export async function encode(image, options = {}) {
  const { quality = 75, tune = "visual", effort = 1, lossless = false, ...others } = options;
  const { width, height, data } = image;
  return ask({ task: "encode", data, width, height, quality, tune, effort, lossless }, others);
}

/** Return how many bits of a file are of each block of 16x16 pixels. */
export async function bitMap(source, options = {}) {
  return ask({ task: "bits", data: await bytesOf(source) }, options);
}

/** Return what a file says first: its size, quality and channels. */
export function info(bytes) {
  const header = readHeader(bytes);
  return { ...header, quality: header.level / 2 };
}

/** Tell whether every pixel of a whole file is as it was. */
export function isLossless(bytes) {
  return readSections(bytes).tiles.every((parts) => EXACT in parts);
}

/** Return a file's metadata. */
export async function metadata(source) {
  return readMetadata(await bytesOf(source));
}

/** End the worker and give its memory back; the next call starts another. */
export function close() {
  worker?.terminate();
  worker = null;
  for (const { reject } of jobs.values()) reject(aborted());
  jobs.clear();
}

/** Send a job to the worker; reject once it fails or is cancelled. */
function ask(message, { signal, onProgress }) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const id = ++ids;
    const cancel = () => {
      jobs.delete(id);
      worker?.postMessage({ id, cancel: true });
      reject(signal.reason);
    };
    const end = (settle) => (value) => {
      signal?.removeEventListener("abort", cancel);
      settle(value);
    };
    signal?.addEventListener("abort", cancel, { once: true });
    jobs.set(id, { resolve: end(resolve), reject: end(reject), onProgress });
    worker ??= start();
    worker.postMessage({ id, ...message });
  });
}

function start() {
  const started = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  started.onmessage = ({ data: { id, progress, result, error } }) => {
    const job = jobs.get(id);
    if (!job) return; // cancelled
    if (progress !== undefined) return job.onProgress?.(progress);
    jobs.delete(id);
    if (error) job.reject(thrown(error));
    else job.resolve(result);
  };
  started.onerror = (event) => {
    for (const { reject } of jobs.values()) {
      reject(new Error(event.message || "npeg's worker did not start"));
    }
    jobs.clear();
    started.terminate();
    worker = null;
  };
  return started;
}

/** Return an error of this side for one that the worker told of. */
function thrown({ name, message }) {
  if (name in errors) return new errors[name](message);
  if (name === "AbortError") return aborted();
  return new Error(message);
}

function aborted() {
  return new DOMException("the work was cancelled", "AbortError");
}

async function bytesOf(source) {
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  return source;
}
