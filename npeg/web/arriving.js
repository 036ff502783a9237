/** The bytes of an answer while they arrive, and when it is worth to look at them. */

const FIRST_SHARE = 0.1; // of a file's bytes after which it is looked at for the first time
const STEP = 0.05; // of its bytes, from one look to the next
const UNKNOWN = 1 << 16; // bytes that a file is supposed to have at least whose length is not said

export class Arriving {
  ended = false;
  failure = null; // why not all arrived, as far as that is known
  parts = [];
  size = 0;
  looked = 0; // the size at the last look
  waiting = () => {};
  ending = new AbortController();

  /**
   * @param {Response} answer
   * @param {AbortSignal} [signal] ends the download
   */
  constructor(answer, signal) {
    /** Bytes that there will be, 0 where the answer does not say. */
    this.length = Number(answer.headers.get("Content-Length")) || 0;
    this.reader = answer.body.getReader();
    this.signal = signal;
    signal?.addEventListener("abort", this.stop, { once: true });
    /** Kept when nothing more arrives, for whatever reason. */
    this.end = this.read();
    if (signal?.aborted) this.stop();
  }

  /** End the download: what has arrived is enough. */
  stop = () => {
    this.signal?.removeEventListener("abort", this.stop);
    if (!this.ended) this.reader.cancel().catch(() => {});
  };

  async read() {
    try {
      for (;;) {
        const { done, value } = await this.reader.read();
        if (done) break;
        this.parts.push(value);
        this.size += value.length;
        this.waiting();
      }
    } catch (error) {
      this.failure = error;
    }
    this.ended = true;
    this.ending.abort();
    this.waiting();
  }

  /** Wait for the next share of the bytes; tell whether it is there and is not all of them. */
  async grows() {
    const total = this.length || Math.max(UNKNOWN, 2 * this.size);
    const wanted = this.looked ? this.looked + STEP * total : FIRST_SHARE * total;
    while (!this.ended && this.size < wanted) {
      await new Promise((resolve) => (this.waiting = resolve));
    }
    this.looked = this.size;
    return !this.ended && !(this.size >= this.length && this.length);
  }

  /** Wait for some time, at most until nothing more arrives. */
  async rest(timeMs) {
    await Promise.race([this.end, new Promise((resolve) => setTimeout(resolve, timeMs))]);
  }

  /** Return a copy of what has arrived. */
  bytes() {
    const found = new Uint8Array(this.size);
    let at = 0;
    for (const part of this.parts) {
      found.set(part, at);
      at += part.length;
    }
    return found;
  }

  /** Return in words how much arrived of a file that is cut, and why. */
  toString() {
    const all = this.length ? ` of ${this.length}` : "";
    const why = this.failure ? ` (${this.failure.message})` : "";
    return `${this.size}${all} bytes arrived${why}`;
  }
}
