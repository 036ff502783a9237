/** The bytes of an answer while they arrive. */

const UNKNOWN = 1 << 16; // bytes that a file is supposed to have whose length is not said

export class Arriving {
  ended = false;
  parts = [];
  size = 0;
  waiting = () => {};

  /** @param {Response} answer */
  constructor(answer) {
    this.total = Number(answer.headers.get("Content-Length")) || UNKNOWN;
    /** Kept when all of it is there. */
    this.end = this.read(answer.body.getReader());
    this.end.catch(() => {}); // told where it is waited for
  }

  async read(reader) {
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        this.parts.push(value);
        this.size += value.length;
        this.waiting();
      }
    } finally {
      this.ended = true;
      this.waiting();
    }
  }

  /** Wait for a share of the bytes; tell whether it is there and is not all of them. */
  async reaches(share) {
    while (!this.ended && this.size < share * this.total) {
      await new Promise((resolve) => (this.waiting = resolve));
    }
    return !this.ended && this.size < this.total && share < 1;
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
}
