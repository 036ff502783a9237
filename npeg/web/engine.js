/**
 * What decodes and encodes for the page: npeg in Python behind `npeg serve`, else this browser.
 *
 * An engine has `about`, `decodeToPng(blob, work)`, `bitMap(blob, work)`, `encode(picture, options)`
 * and `avif(picture, sizeBytes, comparison, work)`; a picture is {file, image}, its own file and its
 * pixels as ImageData. This browser has `decodeAsItArrives(answer, work)`, too.
 */

import * as npeg from "./npeg.js";

const FOUND = { pictures: [], reports: [] };

/** Return the engine, and the names of the pictures and reports that a server shows. */
export async function openEngine() {
  const server = await serverOf();
  const inBrowser = !server || new URLSearchParams(location.search).has("browser");
  return { engine: inBrowser ? BROWSER : new Python(), ...FOUND, ...server };
}

async function serverOf() {
  try {
    const answer = await fetch("server.json");
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

const BROWSER = {
  about: "It stays in this browser: nothing is sent anywhere.",
  decodeToPng: npeg.decodeToPng,
  decodeAsItArrives: npeg.decodeAsItArrives,
  bitMap: npeg.bitMap,
  avif: (_, sizeBytes, comparison, { signal }) => comparison.avif(sizeBytes, signal),
  encode: async ({ image }, options) => new Blob([await npeg.encode(image, options)]),
};

/** npeg in Python on this machine. One request at a time: what is cancelled still has to end. */
class Python {
  about = "It stays on this machine: npeg in Python does the work.";
  last = Promise.resolve();

  async decodeToPng(file, work = {}) {
    return (await this.ask("decode", file, work)).blob();
  }

  async bitMap(file, work = {}) {
    const data = new Float32Array(await (await this.ask("bits", file, work)).arrayBuffer());
    const { width, height } = npeg.info(new Uint8Array(await file.slice(0, 20).arrayBuffer()));
    return { data, shape: [Math.ceil(height / 16), Math.ceil(width / 16)] };
  }

  async avif({ file }, size, _, work) {
    const answer = await this.ask(`avif?${new URLSearchParams({ size })}`, file, work);
    return { blob: await answer.blob(), quality: Number(answer.headers.get("Npeg-Quality")) };
  }

  async encode({ file }, { quality, tune, effort, ...work }) {
    const options = new URLSearchParams({ quality, tune, effort });
    return (await this.ask(`encode?${options}`, file, work)).blob();
  }

  ask(path, body, { signal }) {
    const work = this.last.then(async () => {
      signal?.throwIfAborted();
      const answer = await fetch(path, { method: "POST", body });
      if (answer.ok) return answer;
      const { error } = await answer.json().catch(() => ({ error: answer.statusText }));
      throw new npeg.NpegError(error);
    });
    this.last = work.catch(() => {});
    return abortable(work, signal);
  }
}

function abortable(promise, signal) {
  return new Promise((resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    promise.then(resolve, reject);
  });
}
