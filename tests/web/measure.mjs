/** Print what a.rgba and b.rgba of a folder, WxH pixels, score: node measure.mjs FOLDER W H */

import { psnrDb } from "../../npeg/web/measures/psnr.js";
import { ssimulacra2 } from "../../npeg/web/measures/ssimulacra2.js";
import { bytesOf } from "./models.mjs";

const [folder, width, height] = process.argv.slice(2);
const read = async (name) => ({ data: await bytesOf(`${folder}/${name}.rgba`), width: +width, height: +height });
const [a, b] = [await read("a"), await read("b")];
console.log(JSON.stringify([ssimulacra2(a, b), psnrDb(a, b)]));
