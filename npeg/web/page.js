/**
 * The page: pictures come in, each is shown beside its .npeg file and beside others of that size.
 *
 * A picture is {name, file, npeg, image}: `file` returns the photograph and is null where there is
 * a .npeg file alone; `npeg` returns the .npeg file and is null where that is still to be made;
 * `image` is the photograph's pixels while it is shown.
 */

import { openEngine } from "./engine.js";
import { info, isLossless } from "./npeg.js";
import { isTransparent, pixelsOf, psnrDb, rivalsOf } from "./rivals.js";

const PAUSE_MS = 150; // after the last move of the slider
const NOTE =
  "JPEG and WebP are this browser's own, each the largest file that is not above npeg's. " +
  "PSNR is of what is shown, in sRGB.";
const NOTE_ON_ALPHA = " JPEG holds no transparency: its picture and all PSNR are in front of white.";

const element = (id) => document.getElementById(id);
const count = (number) => number.toLocaleString("en-US");
const isNpeg = (name) => name.toLowerCase().endsWith(".npeg");
const decibels = (db) => (db === Infinity ? "∞" : db.toFixed(2));
const stem = (name) => name.replace(/\.[^.]*$/, "");

const pictures = [];
let engine = null;
let current = null;
let viewer = null;
let running = new AbortController();
let pause = 0;
let urls = []; // of what is shown now

// --- pictures come in ---

async function add(files) {
  say("");
  const placed = files.map((file) => place(file.name, async () => file));
  if (placed.length) await show(placed[0]);
}

/** Put a file among the pictures: a photograph and a .npeg file of one name are one picture. */
function place(name, load) {
  const part = isNpeg(name) ? "npeg" : "file";
  let picture = pictures.find((other) => stem(other.name) === stem(name) && !other[part]);
  if (!picture) {
    picture = { name, file: null, npeg: null, image: null };
    pictures.push(picture);
  }
  picture[part] = load;
  return picture;
}

async function fetchPicture(name, i) {
  const answer = await fetch(`pictures/${i}`);
  if (!answer.ok) throw new Error(`${name}: ${answer.statusText}`);
  return new File([await answer.blob()], name);
}

function listen() {
  const drop = element("drop");
  element("choose").onchange = ({ target }) => {
    add([...target.files]);
    target.value = "";
  };
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    add([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => add([...event.clipboardData.files]));
  element("quality").oninput = () => {
    element("quality-value").textContent = element("quality").value;
    later();
  };
  element("tune").onchange = element("effort").onchange = later;
  element("settings").onsubmit = (event) => event.preventDefault();
  element("cancel").onclick = () => running.abort();
}

function drawList() {
  const list = pictures.length > 1 ? pictures : [];
  element("pictures").replaceChildren(
    ...list.map((picture) => {
      const [item, button] = [document.createElement("li"), document.createElement("button")];
      button.textContent = picture.name;
      button.onclick = () => show(picture);
      if (picture === current) button.setAttribute("aria-current", "true");
      item.append(button);
      return item;
    })
  );
}

// --- one picture is shown ---

async function show(picture) {
  if (current && current !== picture) current.image = null;
  current = picture;
  viewer = null;
  element("viewer").replaceChildren();
  element("summary").textContent = "";
  element("picture").hidden = false;
  document.body.classList.add("compact");
  element("name").textContent = picture.name;
  element("settings").hidden = Boolean(picture.npeg);
  drawList();
  await work();
}

function later() {
  clearTimeout(pause);
  running.abort();
  pause = setTimeout(work, PAUSE_MS);
}

/** Encode and decode the current picture with the settings, and show it; give way to the next. */
async function work() {
  clearTimeout(pause);
  running.abort();
  running = new AbortController();
  const [picture, { signal }] = [current, running];
  const onProgress = (share) => signal.aborted || (element("progress").value = share);
  say("");
  element("progress").removeAttribute("value");
  element("work").classList.add("busy");
  try {
    const [file, given] = await Promise.all([picture.file?.(), picture.npeg?.()]);
    if (file) picture.image ??= await opened(file);
    const { image } = picture;
    const start = performance.now();
    const options = { ...settings(), signal, onProgress };
    const made = given ?? (await engine.encode({ file, image }, options));
    const between = performance.now();
    const decoded = await engine.decodeToPng(made, { signal, onProgress });
    const end = performance.now();
    const views = await viewsOf(file, image, made, decoded);
    signal.throwIfAborted();
    draw(picture, views, made, decoded);
    summarise(views, made, given ? 0 : between - start, end - between);
    element("work").classList.remove("busy");
    if (image) await addRivals(image, views, made.size, signal);
  } catch (error) {
    if (error.name !== "AbortError") say(error.message);
  } finally {
    if (running.signal === signal) element("work").classList.remove("busy");
  }
}

async function opened(file) {
  try {
    return await pixelsOf(file);
  } catch {
    throw new Error(`${file.name}: this browser cannot open it`);
  }
}

function settings() {
  const [quality, effort] = ["quality", "effort"].map((id) => Number(element(id).value));
  return { quality, effort, tune: element("tune").value };
}

async function viewsOf(file, image, made, decoded) {
  const bytes = new Uint8Array(await made.arrayBuffer());
  const quality = isLossless(bytes) ? "lossless" : info(bytes).quality;
  const npeg = { label: "npeg", blob: decoded, quality, sizeBytes: made.size };
  const pixels = await pixelsOf(decoded);
  Object.assign(npeg, { width: pixels.width, height: pixels.height });
  if (!image) return [npeg];
  if (image.width !== pixels.width || image.height !== pixels.height) {
    throw new Error("the two files of that name are not of one size");
  }
  npeg.psnrDb = psnrDb(image, pixels);
  return [{ ...npeg, label: "Original", blob: file, sizeBytes: file.size, quality: null, psnrDb: null }, npeg];
}

async function addRivals(image, views, sizeBytes, signal) {
  const found = await rivalsOf(image, sizeBytes, signal);
  for (const { label, blob, quality } of found) {
    const db = psnrDb(image, await pixelsOf(blob));
    signal.throwIfAborted();
    views.push({ ...views[0], label, blob, quality, sizeBytes: blob.size, psnrDb: db });
  }
  draw(current, views);
}

/** Draw the viewer and the table; and the links, where files have been made. */
function draw(picture, views, made, decoded) {
  const before = urls;
  urls = [];
  const urlOf = (blob) => {
    urls.push(URL.createObjectURL(blob));
    return urls.at(-1);
  };
  for (const view of views) {
    view.source = urlOf(view.blob);
    const psnr = view.psnrDb == null ? "" : ` · ${decibels(view.psnrDb)} dB`;
    view.detail = `${count(view.sizeBytes)} bytes${psnr}`;
  }
  if (viewer) {
    viewer.replace([...views]);
  } else {
    const root = document.createElement("div");
    element("viewer").replaceChildren(root);
    const { width, height } = views[0];
    viewer = new Viewer(root, [width, height], [...views], 0, views.length > 1 ? 1 : 0);
  }
  drawTable(views);
  if (made) {
    const links = { "save-npeg": [made, "npeg"], "save-png": [decoded, "png"] };
    for (const [id, [blob, extension]] of Object.entries(links)) {
      URL.revokeObjectURL(element(id).href);
      element(id).href = URL.createObjectURL(blob);
      element(id).download = `${stem(picture.name)}.${extension}`;
    }
  }
  const more = picture.image && isTransparent(picture.image) ? NOTE_ON_ALPHA : "";
  element("notes").textContent = views.length > 2 ? NOTE + more : "";
  setTimeout(() => before.forEach((url) => URL.revokeObjectURL(url)), 1000); // once they are replaced
}

function drawTable(views) {
  const rows = views.map((view) => {
    const row = document.createElement("tr");
    const bpp = (8 * view.sizeBytes) / (view.width * view.height);
    const psnr = view.psnrDb == null ? "–" : decibels(view.psnrDb);
    for (const text of [view.label, view.quality ?? "–", count(view.sizeBytes), bpp.toFixed(3), psnr]) {
      row.insertCell().textContent = text;
    }
    return row;
  });
  element("numbers").tBodies[0].replaceChildren(...rows);
}

function summarise(views, made, encodeMs, decodeMs) {
  const { width, height, psnrDb: db } = views.at(-1);
  const bpp = (8 * made.size) / (width * height);
  const times = [
    encodeMs && `encoded in ${(encodeMs / 1000).toFixed(2)} s`,
    `decoded in ${(decodeMs / 1000).toFixed(2)} s`,
  ];
  const parts = [
    `${width} × ${height}`,
    `${count(made.size)} bytes`,
    `${bpp.toFixed(3)} bits per pixel`,
    views.at(-1).quality === "lossless" && "lossless",
    db != null && `${decibels(db)} dB`,
    ...times,
  ];
  element("summary").textContent = parts.filter(Boolean).join(" · ");
}

function say(text) {
  element("error").textContent = text;
}

async function start() {
  listen();
  const found = await openEngine();
  engine = found.engine;
  element("where").textContent = engine.about;
  found.pictures.forEach((name, i) => place(name, () => fetchPicture(name, i)));
  if (pictures.length) await show(pictures[0]);
}

start();
