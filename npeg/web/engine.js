/**
 * What decodes and encodes for the page: npeg in Python behind `npeg serve`, else this browser.
 *
 * An engine has `about`, `decodeToPng(blob, work)` and `encode(picture, options)`; a picture is
 * {file, image}, its own file and its pixels as ImageData.
 */

import * as npeg from "./npeg.js";

/** Return the engine, and the names of the pictures that a server shows. */
export async function openEngine() {
  const server = await serverOf();
  const inBrowser = !server || new URLSearchParams(location.search).has("browser");
  return { engine: inBrowser ? BROWSER : new Python(), pictures: server?.pictures ?? [] };
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
  encode: async ({ image }, options) => new Blob([await npeg.encode(image, options)]),
};

/** npeg in Python on this machine. One request at a time: what is cancelled still has to end. */
class Python {
  about = "It stays on this machine: npeg in Python does the work.";
  last = Promise.resolve();

  async decodeToPng(file, work = {}) {
    return this.ask("decode", file, work);
  }

  async encode({ file }, { quality, tune, effort, ...work }) {
    return this.ask(`encode?${new URLSearchParams({ quality, tune, effort })}`, file, work);
  }

  ask(path, body, { signal }) {
    const work = this.last.then(async () => {
      signal?.throwIfAborted();
      const answer = await fetch(path, { method: "POST", body });
      if (answer.ok) return answer.blob();
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
