/** What a picture has lost, and AVIF: by a worker, so that the page never freezes. */

export class Comparison {
  worker = null;
  original = null;
  jobs = new Map(); // id -> {resolve, reject}
  ids = 0;

  /** Compare with another original from here on. @param {ImageData} image */
  open(image) {
    if (image === this.original) return;
    this.original = image;
    this.close();
  }

  /**
   * Return what a picture has lost, in front of white; PSNR of the same picture is Infinity.
   * @param {ImageData} image of the original's size; its pixels are gone afterwards
   * @returns {Promise<{psnrDb: number, ssimulacra2: ?number}>} null below 8x8 pixels
   */
  measure(image, signal) {
    return this.ask({ task: "measure", image }, signal, [image.data.buffer]);
  }

  /**
   * Return the largest AVIF file of the original that is not above a size.
   * @returns {Promise<{blob: Blob, quality: number}>}
   */
  async avif(sizeBytes, signal) {
    const { data, quality } = await this.ask({ task: "avif", sizeBytes }, signal);
    return { blob: new Blob([data], { type: "image/avif" }), quality };
  }

  /** Send a job to the worker; what is cancelled ends with the worker, as nothing can interrupt it. */
  ask(message, signal, moved = []) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      this.worker ??= this.start();
      const id = ++this.ids;
      const cancel = () => {
        if (this.jobs.delete(id)) this.close();
        reject(signal.reason);
      };
      signal?.addEventListener("abort", cancel, { once: true });
      this.jobs.set(id, { resolve, reject });
      this.worker.postMessage({ id, ...message }, moved);
    });
  }

  start() {
    const worker = new Worker(new URL("measures/worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data: { id, result, error } }) => {
      const job = this.jobs.get(id);
      this.jobs.delete(id);
      if (error === undefined) job?.resolve(result);
      else job?.reject(new Error(error));
    };
    worker.onerror = (event) => {
      for (const { reject } of this.jobs.values()) reject(new Error(event.message || "a worker did not start"));
      this.jobs.clear();
      this.close();
    };
    worker.postMessage({ id: 0, task: "open", image: this.original });
    return worker;
  }

  /** End the worker; the next job starts another. */
  close() {
    this.worker?.terminate();
    this.worker = null;
  }
}
