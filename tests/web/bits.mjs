/** Write NAME.bits, float32, of each NAME.npeg in a folder: node bits.mjs FOLDER */

import { readdir, writeFile } from "node:fs/promises";

import { bitsOf } from "../../npeg/web/codec/bits.js";
import { bytesOf, models } from "./models.mjs";

const folder = process.argv[2];
for (const name of await readdir(folder)) {
  if (!name.endsWith(".npeg")) continue;
  const { data } = await bitsOf(models, await bytesOf(`${folder}/${name}`));
  await writeFile(`${folder}/${name.replace(/npeg$/, "bits")}`, data);
}
