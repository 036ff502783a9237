/**
 * Model id to inference sessions and entropy tables.
 *
 * What runs ONNX graphs is handed in (onnxruntime-web), and so is what reads a model's files.
 *
 * @typedef {{data: Float32Array | Uint8Array, shape: number[]}} Planes an array in C order
 */

import { LEVELS } from "./container.js";
import { Tables } from "./entropy.js";
import { FormatError } from "./errors.js";
import { readNpz } from "./npz.js";
import { ENTRIES } from "./rans.js";

export const MODELS = { 7: "seventh", 8: "eighth" }; // model id -> folder below models/
const WITHDRAWN = [1, 2, 3, 4, 5, 6]; // previews that were never released

/** The models that this program has, each opened when it is first needed. */
export class Models {
  /**
   * @param {object} ort the module of onnxruntime-web
   * @param {(name: string) => Promise<Uint8Array>} read such as of "eighth/entropy.npz"
   */
  constructor(ort, read) {
    this.ort = ort;
    this.read = read;
    this.opened = new Map();
  }

  /**
   * Return the networks of a model id.
   * @param {number} id
   * @returns {Promise<Model>}
   * @throws {FormatError} the id is not one that there is
   */
  get(id) {
    if (WITHDRAWN.includes(id)) {
      throw new FormatError(`file needs model ${id}, a preview that was never released`);
    }
    if (!(id in MODELS)) {
      const there = Object.keys(MODELS).join(", ");
      throw new FormatError(`file needs model ${id}, this npeg has ${there}`);
    }
    return once(this.opened, id, () => Model.open(this.ort, this.read, MODELS[id]));
  }

  /** Return the probability tables of residuals, a promise. */
  residualTables() {
    return once(this.opened, "residual", async () => {
      const { tables } = await readNpz(await this.read("residual/tables.npz"));
      return new Tables(tables.data);
    });
  }
}

/** Return the promise of a key, made once; one that fails is made again the next time. */
function once(promises, key, make) {
  if (!promises.has(key)) {
    const promise = make();
    promise.catch(() => promises.delete(key));
    promises.set(key, promise);
  }
  return promises.get(key);
}

/**
 * Return the place of each of `count` latent channels by its frequency: low ones come first.
 *
 * Each axis of colour has its channels by frequency; there are about three of luma for one of each
 * chroma axis, and so do they take turns.
 */
function frequencyRanks(count) {
  const luma = Math.min(Math.floor((count * 5) / 8), 256);
  const counts = [luma, Math.ceil((count - luma) / 2), Math.floor((count - luma) / 2)];
  const shares = counts.flatMap((of) => Array.from({ length: of }, (_, i) => i / of));
  const ranks = new Uint16Array(count);
  const order = shares.map((_, channel) => channel).sort((a, b) => shares[a] - shares[b] || a - b);
  order.forEach((channel, rank) => (ranks[channel] = rank));
  return ranks;
}

/** One shipped set of networks. Every method takes one image or tile, and the level of quality. */
export class Model {
  static async open(ort, read, folder) {
    return new Model(ort, read, folder, await readNpz(await read(`${folder}/entropy.npz`)));
  }

  constructor(ort, read, folder, entropy) {
    this.ort = ort;
    this.read = read;
    this.folder = folder;
    this.entropy = entropy;
    this.sessions = new Map();
    this.tables = new Tables(entropy.tables.data);
    this.firstCoded = entropy.first_coded.data[0]; // lower table indexes: the symbol is 0, uncoded
    this.hyperLatents = entropy.index_z.shape[1]; // Z
    this.latents = entropy.offset_y.shape[1]; // M
    this.frequencyRanks = frequencyRanks(this.latents);
  }

  /** Return the table index of each hyper-latent channel, (Z,). */
  indexZ(level) {
    return this.row("index_z", level);
  }

  /** Return bits that a 1 costs beyond a 0 under each table, (T,). */
  bitsOfOne() {
    const bits = this.tables.tokenBits;
    const tables = bits.length / ENTRIES;
    return Float64Array.from({ length: tables }, (_, t) => bits[t * ENTRIES + 1] - bits[t * ENTRIES]);
  }

  /**
   * Return what the analysis makes of pixels, which its graph takes as floats.
   * @param {Planes} pixels (H, W, 3), sides multiples of 64
   * @returns {Promise<Planes[]>} y (M, H/16, W/16) and z (Z, H/64, W/64)
   */
  async analysis(pixels, level) {
    const found = await this.run("analysis", { pixels: floats(pixels), t: this.t(level) });
    return [found.y, found.z];
  }

  /** z_hat (Z, h, w), integers, to table indexes (M, 4h, 4w), the same on every machine. */
  async scaleIndexes(zHat, level) {
    const column = (name) => {
      const data = Float32Array.from(this.row(name, level));
      return { data, shape: [data.length, 1, 1] };
    };
    const inputs = { z_hat: zHat, multiplier: column("multiplier_z"), offset: column("offset_y") };
    return (await this.run("scale_head", inputs)).indexes;
  }

  /**
   * Return what is known of latents before any is decoded.
   * @param {Planes} zHat (Z, h, w)
   * @returns {Promise<{psi: Planes, means: Planes, steps: ?Planes}>} features (C, 4h, 4w); the
   *   anchors' means (M, 4h, 4w); what a symbol is worth, (M, 4h, 4w), or null where that is 1
   */
  async anchorMeans(zHat, level) {
    const { psi, means, steps } = await this.run("mean_head", { z_hat: zHat, t: this.t(level) });
    return { psi, means, steps: steps ?? null };
  }

  /** psi (C, h, w) and anchors (M, h, w), zero elsewhere, to means (M, h, w). */
  async contextMeans(psi, anchors, level) {
    return (await this.run("context", { psi, anchors, t: this.t(level) })).means;
  }

  /** y_hat (M, h, w) to pixels (16h, 16w, 3). */
  async synthesis(yHat, level) {
    const inputs = { y_hat: yHat, t: this.t(level) };
    return (await this.run("synthesis", inputs, ["pixels"])).pixels;
  }

  /**
   * Project the error of a decoded image (H, W, 3), sides multiples of 16, on the latents.
   * @returns {Promise<{error: Planes, weight: Planes}>} (M, H/16, W/16): by how many symbols each
   *   latent should be larger, and the bits that a squared symbol is worth
   */
  latentError(pixels, decoded, level, chroma, masking) {
    const inputs = { pixels: floats(pixels), decoded: floats(decoded), t: this.t(level) };
    return this.run("latent_error", { ...inputs, chroma: scalar(chroma), masking: scalar(masking) });
  }

  /** Return the t that a level of quality is to the networks, (1,). */
  t(level) {
    return scalar(this.entropy.t ? this.entropy.t.data[level] : level / (LEVELS - 1));
  }

  row(name, level) {
    const { data, shape } = this.entropy[name];
    return data.subarray(level * shape[1], (level + 1) * shape[1]);
  }

  /**
   * Run a graph on arrays of one image each; the graphs' own arrays have a batch of one.
   * @param {string} name
   * @param {Record<string, Planes>} inputs
   * @param {string[]} [wanted] the outputs, all if it is left out
   */
  async run(name, inputs, wanted) {
    const session = await once(this.sessions, name, () => this.open(name));
    const feeds = {};
    for (const [input, { data, shape }] of Object.entries(inputs)) {
      const type = data instanceof Uint8Array ? "uint8" : "float32";
      const dims = shape.length > 1 ? [1, ...shape] : shape;
      feeds[input] = new this.ort.Tensor(type, data, dims);
    }
    const outputs = {};
    for (const [output, tensor] of Object.entries(await (wanted ? session.run(feeds, wanted) : session.run(feeds)))) {
      outputs[output] = { data: tensor.data, shape: tensor.dims.slice(1) };
    }
    return outputs;
  }

  async open(name) {
    const graph = await this.read(`${this.folder}/${name}.onnx`);
    return this.ort.InferenceSession.create(graph, { logSeverityLevel: 3 });
  }
}

function floats({ data, shape }) {
  return { data: Float32Array.from(data), shape };
}

function scalar(value) {
  return { data: Float32Array.of(value), shape: [1] };
}
