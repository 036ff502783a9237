/** The codec in JavaScript: node --test tests/web */

import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeArrived, decodePixels, encodePixels } from "../../npeg/web/codec/codec.js";
import { packHeader, readArrived, readHeader, readSections, write } from "../../npeg/web/codec/container.js";
import { Decoder, encode } from "../../npeg/web/codec/entropy.js";
import { FormatError, InputError, NpegError } from "../../npeg/web/codec/errors.js";
import * as latents from "../../npeg/web/codec/latents.js";
import { packSection } from "../../npeg/web/codec/sections.js";
import { crop, latentShape, tilesOf } from "../../npeg/web/codec/tiles.js";
import { bytesOf, golden, models } from "./models.mjs";

const file = (name) => bytesOf(`tests/golden/${name}`);
const SMALL = "pixel-1x1-q100-model8.npeg";

/** Return a picture of waves, (H, W, C). */
function waves(height, width, channels = 3) {
  const data = Uint8Array.from({ length: height * width * channels }, (_, at) => {
    const [channel, x] = [at % channels, Math.floor(at / channels) % width];
    const y = Math.floor(at / channels / width);
    return 128 + 60 * Math.sin(x / 9 + channel) + 50 * Math.cos((y * (channel + 1)) / 13);
  });
  return { data, shape: [height, width, channels] };
}

function psnrDb(a, b) {
  let sum = 0;
  a.forEach((value, i) => (sum += (value - b[i]) ** 2));
  return 10 * Math.log10((255 ** 2 * a.length) / sum);
}

test("golden files decode for ever", async () => {
  for (const [name, height, width, mean] of await golden()) {
    const { data, shape } = await decodePixels(models, await file(name));
    const channels = (name.includes("grey") ? 1 : 3) + name.includes("alpha");
    assert.deepEqual(shape, [height, width, channels]);
    const found = data.reduce((a, b) => a + b) / data.length;
    assert.ok(Math.abs(found - mean) < 0.02, `${name}: mean ${found}`);
  }
});

test("the symbols of a golden file, coded again, are its bytes", async () => {
  for (const [name] of await golden()) {
    const data = await file(name);
    const { header, tiles } = readSections(data);
    if (tiles.some((parts) => "A" in parts || "E" in parts || "R" in parts)) continue;
    const model = await models.get(header.modelId);
    const payloads = [];
    for (const [i, tile] of tilesOf(header).entries()) {
      const read = await latents.read(model, tiles[i], latentShape(tile), header.level);
      const { zHat, symbols } = read;
      const indexes = crop(await model.scaleIndexes(zHat, header.level), symbols.shape.slice(1));
      payloads.push(latents.code(model, { zHat, indexes, symbols: symbols.data }, header.level));
    }
    assert.deepEqual(write(header, payloads), data, name);
  }
});

test("every truncation and every flipped bit of a file is refused", async () => {
  const data = await file(SMALL);
  for (let length = 0; length < data.length; length++) {
    assert.throws(() => readSections(data.subarray(0, length)), FormatError, `${length} bytes`);
  }
  for (let bit = 0; bit < 8 * data.length; bit++) {
    const damaged = data.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    assert.throws(() => readSections(damaged), NpegError, `bit ${bit}`);
  }
});

test("what has arrived of a file is a picture, better with each layer", async () => {
  const data = await file("coffee-layers-256x384-q75-model8.npeg");
  const whole = await decodePixels(models, data);
  for (const length of [0, 3, 20, 60]) {
    assert.equal(await decodeArrived(models, data.subarray(0, length)), null, `${length} bytes`);
  }
  const pictures = [];
  for (const share of [0.15, 0.5, 0.75, 1]) {
    const found = await decodeArrived(models, data.subarray(0, share * data.length));
    assert.deepEqual(found.pixels.shape, whole.shape);
    assert.equal(found.whole, share === 1);
    pictures.push({ sections: found.sections, db: psnrDb(found.pixels.data, whole.data) });
  }
  assert.deepEqual(pictures.map(({ sections }) => sections), [1, 2, 4, 5]);
  const best = pictures.map(({ db }) => db).sort((a, b) => a - b);
  assert.deepEqual(pictures.map(({ db }) => db), best); // the whole is without an error
  const damaged = data.slice();
  damaged[100] ^= 1;
  await assert.rejects(decodeArrived(models, damaged), /is damaged/);
});

test("errors say what was found", async () => {
  const bytes = (text) => new TextEncoder().encode(text);
  assert.throws(() => readHeader(bytes("NPGD.....")), /dither codecs, which browsers do not decode/);
  assert.throws(() => readHeader(bytes("\x7fELF")), /not an NPEG file: starts with 7f454c46/);
  assert.throws(() => readHeader(bytes("NPEG\x02")), /NPEG version 2, this decoder reads version 1/);
  const header = readHeader(await file(SMALL));
  const huge = packHeader({ ...header, width: 65536, height: 65536 });
  assert.throws(() => readHeader(huge), /found 65536x65536 pixels, expected at most 179 million/);
  const withdrawn = write({ ...header, modelId: 3 }, [{ T: new Uint8Array(9) }]);
  await assert.rejects(decodePixels(models, withdrawn), /model 3, a preview that was never/);
  const unknown = write({ ...header, modelId: 77 }, [{ T: new Uint8Array(9) }]);
  await assert.rejects(decodePixels(models, unknown), /needs model 77, this npeg has 7, 8/);
});

test("unknown lower-case sections are skipped, others refused by name", async () => {
  const data = await file(SMALL);
  const withSection = (type) =>
    Uint8Array.from([...data.subarray(0, 20), ...packSection(type, Uint8Array.of(1)), ...data.subarray(20)]);
  assert.equal(readSections(withSection("z")).sections.length, 2);
  assert.throws(() => readSections(withSection("Q")), /section type 'Q' is not known and needed/);
  const own = "file needs a model of somebody's own, which browsers do not have";
  for (const read of [readSections, readArrived]) {
    assert.throws(() => read(withSection("N")), { name: "FormatError", message: own });
  }
  const behind = Uint8Array.from([...data, ...packSection("z", Uint8Array.of(1))]);
  assert.throws(() => readSections(behind), /bytes follow the section that ends the file/);
});

test("symbols of all magnitudes come back, and damage is found or changes them", async () => {
  const { tables } = await models.get(8);
  const count = 3000;
  const symbols = Int32Array.from({ length: count }, (_, i) =>
    i % 5 ? 0 : ((i * 7919) % 65535) - 32767 >> i % 16);
  const indexes = Uint8Array.from({ length: count }, (_, i) => i % 64);
  const groups = [{ symbols: symbols.subarray(0, 7), indexes: indexes.subarray(0, 7) }, { symbols, indexes }];
  const payload = encode(groups, tables);
  const decoder = new Decoder(payload, tables);
  assert.deepEqual(decoder.decode(groups[0].indexes), groups[0].symbols.slice());
  assert.deepEqual(decoder.decode(indexes, true), symbols);
  for (let at = 0; at < payload.length; at += 37) {
    const damaged = payload.slice();
    damaged[at] ^= 255;
    try {
      const again = new Decoder(damaged, tables);
      again.decode(groups[0].indexes);
      assert.notDeepEqual(again.decode(indexes, true), symbols);
    } catch (error) {
      assert.ok(error instanceof FormatError, error.stack);
    }
  }
});

test("what is encoded here decodes here, and effort makes it smaller", async () => {
  for (const [height, width, channels] of [[1, 1, 3], [17, 31, 3], [65, 130, 1], [130, 200, 3]]) {
    const picture = waves(height, width, channels);
    const data = await encodePixels(models, picture, 80, { effort: 0 });
    const decoded = await decodePixels(models, data);
    assert.deepEqual(decoded.shape, picture.shape);
    assert.ok(psnrDb(picture.data, decoded.data) > 27, `${height}x${width}`);
  }
  for (const tune of ["visual", "psnr"]) {
    const picture = waves(96, 128);
    const quick = await encodePixels(models, picture, 60, { tune, effort: 0 });
    const slow = await encodePixels(models, picture, 60, { tune });
    assert.ok(slow.length <= quick.length, `${tune}: ${slow.length}, ${quick.length} bytes`);
  }
});

test("neutral RGB comes back neutral", async () => {
  const grey = waves(40, 50, 1);
  const data = Uint8Array.from({ length: 6000 }, (_, i) => grey.data[Math.floor(i / 3)]);
  const file = await encodePixels(models, { data, shape: [40, 50, 3] }, 50, {});
  assert.equal(readHeader(file).neutral, true);
  const decoded = await decodePixels(models, file);
  for (let i = 0; i < 6000; i += 3) assert.equal(decoded.data[i], decoded.data[i + 2]);
});

test("wrong arguments are refused", async () => {
  const wrong = [
    [waves(4, 4), 101, {}, /quality is 101, expected 0 to 100/],
    [waves(4, 4), 50, { tune: "loud" }, /tune is 'loud', expected visual or psnr/],
    [waves(4, 4), 50, { effort: 2 }, /effort is 2, expected 0 to 1/],
    [waves(4, 4, 5), 50, {}, /expected \(H, W, 1\.\.4\)/],
  ];
  for (const [picture, quality, options, text] of wrong) {
    const refused = (error) => error instanceof InputError && text.test(error.message);
    await assert.rejects(encodePixels(models, picture, quality, options), refused);
  }
});

test("a step is called up to the whole, and stops the work by throwing", async () => {
  const data = await file("coffee-tiles-140x130-q10-model8.npeg");
  const shares = [];
  await decodePixels(models, data, async (share) => void shares.push(share));
  assert.ok(shares.length > 5 && shares.every((share, i) => !i || share >= shares[i - 1]));
  const stop = async () => {
    throw new Error("stopped");
  };
  await assert.rejects(decodePixels(models, data, stop), /stopped/);
});
