/**
 * Turns requests of a page for .npeg pictures into PNG files, so that <img src="photo.npeg"> and CSS
 * backgrounds work as they are. register.js registers it.
 *
 * What is decoded is kept by the hash of its file: a file that changes is decoded anew. A service
 * worker may neither start workers nor import modules later, so one thread decodes, and the runtime
 * is the bundle that needs no other module.
 */

import { decodePixels } from "./codec/codec.js";
import * as metadata from "./codec/metadata_sections.js";
import { Models } from "./codec/networks.js";
import { encodePng } from "./codec/png.js";
import * as ort from "./ort/ort.wasm.bundle.min.mjs";

const CACHE = "npeg-decoded";
const MOST_KEPT = 200; // pictures

const here = new URL("./", self.location.href);
let models = null;
let last = Promise.resolve(); // pictures are decoded one after the other

self.addEventListener("install", (event) => {
  const routes = { condition: { not: { urlPattern: { pathname: "*.npeg" } } }, source: "network" };
  event.addRoutes?.(routes)?.catch?.(() => {}); // where browsers know it: all else does not wait for this
  self.skipWaiting();
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const isPicture = request.method === "GET" && request.destination === "image";
  if (isPicture && new URL(request.url).pathname.toLowerCase().endsWith(".npeg")) {
    event.respondWith(answer(request.url));
  }
});

/** Return the picture of an address as a PNG file, or what the server says that is wrong. */
async function answer(url) {
  const found = await fetch(url); // of another site where that allows it (CORS)
  if (!found.ok) return found;
  const bytes = new Uint8Array(await found.arrayBuffer());
  const cache = await caches.open(CACHE);
  const key = new URL(`${CACHE}/${await digest(bytes)}`, here).href;
  const kept = await cache.match(key);
  if (kept) return kept;
  const work = last.then(() => toPng(bytes));
  last = work.catch(() => {});
  try {
    const headers = { "Content-Type": "image/png", "Cross-Origin-Resource-Policy": "same-origin" };
    const png = new Response(await work, { headers });
    await keep(cache, key, png.clone());
    return png;
  } catch (error) {
    console.warn(`npeg: ${url}: ${error.message}`);
    return new Response(error.message, { status: 422, statusText: "Unprocessable Content" });
  }
}

async function toPng(bytes) {
  models ??= open();
  return encodePng(await decodePixels(models, bytes), await metadata.read(bytes));
}

function open() {
  ort.env.wasm.wasmPaths = { wasm: new URL("ort/ort-wasm-simd-threaded.wasm", here).href };
  ort.env.wasm.numThreads = 1;
  return new Models(ort, async (name) => {
    const found = await fetch(new URL(`models/${name}`, here));
    if (!found.ok) throw new Error(`${name}: ${found.status} ${found.statusText}`);
    return new Uint8Array(await found.arrayBuffer());
  });
}

async function digest(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Keep an answer, and give up the oldest where there are too many. */
async function keep(cache, key, answer) {
  await cache.put(key, answer).catch(() => {}); // such as: the browser's store is full
  const keys = await cache.keys();
  await Promise.all(keys.slice(0, -MOST_KEPT).map((old) => cache.delete(old)));
}
