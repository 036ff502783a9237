/**
 * The page: pictures come in, each is shown beside its .npeg file and beside others of that size.
 *
 * A picture is {name, file, npeg, image}: `file` returns the photograph and is null where there is
 * a .npeg file alone; `npeg` returns the .npeg file and is null where that is still to be made; both
 * return {file, decoded}, the latter null unless it was decoded while it arrived; `image` is the
 * photograph's pixels while it is shown.
 */

import { Comparison } from "./compare.js";
import { openEngine } from "./engine.js";
import { heatOf } from "./heat.js";
import { isTransparent } from "./measures/psnr.js";
import { info, isLossless } from "./npeg.js";
import { MOST_AVIF, pixelsOf, rivalsOf } from "./rivals.js";

const PAUSE_MS = 150; // after the last move of the slider
const NOTE =
  "JPEG and WebP are this browser's own, AVIF is 4:4:4 at speed 6; each is the largest file that is " +
  "not above npeg's. SSIMULACRA2 and PSNR are of what is shown, in sRGB.";
const NOTE_ON_ALPHA = " JPEG holds no transparency: its picture, SSIMULACRA2 and PSNR are in front of white.";
const NOTE_ON_AVIF = " AVIF is left out, since it would take minutes.";

const element = (id) => document.getElementById(id);
const count = (number) => number.toLocaleString("en-US");
const isNpeg = (name) => name.toLowerCase().endsWith(".npeg");
const score = (value) => (value == null ? "–" : value.toFixed(1));
const decibels = (db) => (db === Infinity ? "∞" : db.toFixed(2));
const stem = (name) => name.replace(/\.[^.]*$/, "");

const pictures = [];
const comparison = new Comparison();
let engine = null;
let current = null;
let viewer = null;
let running = new AbortController();
let pause = 0;
let urls = []; // of what is shown now
let views = null; // those too
let shown = {}; // made: the .npeg file, heat: the map of its bits, arrived: its bytes, until it is there

// --- pictures come in ---

async function add(files) {
  say("");
  const placed = files.map((file) => place(file.name, async () => ({ file, decoded: null })));
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

/** Put what an address leads to among the pictures. */
function placeAddress(address) {
  const url = URL.canParse(address, document.baseURI) ? new URL(address, document.baseURI) : null;
  if (!url) return say(`${address}: no address of a picture`);
  const name = decodeURIComponent(url.pathname.split("/").at(-1)) || url.host;
  place(name, (signal) => fetched(name, url, signal));
}

/** Return a picture from an address; of a .npeg file alone, show what there is while it arrives. */
async function fetched(name, address, signal) {
  const answer = await fetch(address, { signal }).catch((error) => {
    throw error.name === "AbortError" ? error : new Error(`${name}: ${error.message}`);
  });
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  if (!isNpeg(name) || current.file || !engine.decodeAsItArrives) {
    return { file: new File([await answer.blob()], name), decoded: null };
  }
  for await (const { blob, bytes, isWhole } of engine.decodeAsItArrives(answer, { signal })) {
    if (isWhole) return { file: new File([bytes], name), decoded: blob };
    await drawArrived(blob, bytes, signal);
  }
}

/** Show what can be seen of a .npeg file so far. */
async function drawArrived(blob, bytes, signal) {
  signal.throwIfAborted();
  shown.arrived = bytes.length;
  const { width, height, quality } = info(bytes);
  draw([{ label: "npeg", blob, width, height, quality, sizeBytes: bytes.length }]);
  const size = `${width} × ${height}`;
  element("summary").textContent = `${size} · ${count(bytes.length)} bytes have arrived`;
}

function cancel() {
  running.abort();
  if (shown.arrived) say(`Cancelled: the picture shows the first ${count(shown.arrived)} bytes`);
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
  element("bits").onclick = toggleBits;
  element("cancel").onclick = cancel;
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
  viewer = views = null;
  shown = {};
  element("viewer").replaceChildren();
  element("summary").textContent = element("legend").textContent = "";
  for (const id of ["save-npeg", "save-png"]) element(id).removeAttribute("href");
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
    const [{ file } = {}, { file: given, decoded: arrived } = {}] = await Promise.all([
      picture.file?.(signal),
      picture.npeg?.(signal),
    ]);
    if (file) picture.image ??= await opened(file);
    const { image } = picture;
    const start = performance.now();
    const options = { ...settings(), signal, onProgress };
    const made = given ?? (await engine.encode({ file, image }, options));
    const between = performance.now();
    const decoded = arrived ?? (await engine.decodeToPng(made, { signal, onProgress }));
    const end = performance.now();
    signal.throwIfAborted();
    shown = { made };
    link(picture, made, decoded);
    const pixels = await pixelsOf(decoded);
    const views = await viewsOf(file, image, made, decoded, pixels);
    signal.throwIfAborted();
    draw(views);
    summarise(views, made, given ? 0 : between - start, arrived ? 0 : end - between);
    element("work").classList.remove("busy");
    if (isPressed()) await addBits(signal);
    if (image) await compare({ file, image }, views, pixels, signal);
  } catch (error) {
    if (error.name !== "AbortError") say(error.message);
  } finally {
    if (running.signal === signal) {
      element("work").classList.remove("busy");
      element("comparing").textContent = "";
    }
  }
}

async function opened(file) {
  try {
    return await pixelsOf(file);
  } catch (error) {
    throw new Error(`${file.name}: ${error.message}`);
  }
}

function settings() {
  const [quality, effort] = ["quality", "effort"].map((id) => Number(element(id).value));
  return { quality, effort, tune: element("tune").value };
}

async function viewsOf(file, image, made, decoded, { width, height }) {
  const bytes = new Uint8Array(await made.arrayBuffer());
  const quality = isLossless(bytes) ? "lossless" : info(bytes).quality;
  const npeg = { label: "npeg", blob: decoded, quality, sizeBytes: made.size };
  Object.assign(npeg, { width, height });
  if (!image) return [npeg];
  if (image.width !== width || image.height !== height) {
    throw new Error("the two files of that name are not of one size");
  }
  return [{ ...npeg, label: "Original", blob: file, sizeBytes: file.size, quality: null }, npeg];
}

/** Measure what npeg's picture has lost, then each rival's as it comes. */
async function compare(picture, views, pixels, signal) {
  const tell = (text) => signal.aborted || (element("comparing").textContent = text);
  tell("Measuring …");
  comparison.open(picture.image);
  const npeg = Object.assign(views[1], await comparison.measure(pixels, signal));
  draw(views);
  addToSummary(npeg);
  tell("Encoding JPEG, WebP and AVIF at this size …");
  const avif = () => engine.avif(picture, npeg.sizeBytes, comparison, { signal });
  for await (const { label, blob, quality } of rivalsOf(picture.image, npeg.sizeBytes, signal, avif)) {
    const found = await comparison.measure(await pixelsOf(blob), signal);
    signal.throwIfAborted();
    views.push({ ...views[0], label, blob, quality, sizeBytes: blob.size, ...found });
    draw(views);
  }
  tell("");
}

// --- where the bits go ---

const isPressed = () => element("bits").getAttribute("aria-pressed") === "true";

async function toggleBits() {
  element("bits").setAttribute("aria-pressed", String(!isPressed()));
  element("legend").textContent = "";
  try {
    if (!shown.made) return;
    if (isPressed()) await addBits();
    else draw(views);
  } catch (error) {
    if (error.name !== "AbortError") say(error.message);
  }
}

/** Lay the map of the bits over npeg's picture. */
async function addBits(signal) {
  const { made } = shown;
  element("legend").textContent = "Counting bits …";
  shown.heat ??= await heatOf(await engine.bitMap(made, { signal }));
  if (shown.made !== made || !isPressed()) return;
  element("legend").textContent = shown.heat.text;
  draw(views);
}

/** Draw the viewer and the table. */
function draw(found) {
  views = found;
  const before = urls;
  urls = [];
  const urlOf = (blob) => {
    urls.push(URL.createObjectURL(blob));
    return urls.at(-1);
  };
  for (const view of views) {
    view.source = urlOf(view.blob);
    const lost = view.psnrDb == null ? "" : ` · ${score(view.ssimulacra2)} · ${decibels(view.psnrDb)} dB`;
    view.detail = `${count(view.sizeBytes)} bytes${lost}`;
    const { heat } = shown;
    const isMapped = view.label === "npeg" && heat && isPressed();
    view.overlay = isMapped ? { ...heat, source: urlOf(heat.blob) } : null;
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
  element("notes").textContent = views.length > 2 ? notesOn(current.image) : "";
  setTimeout(() => before.forEach((url) => URL.revokeObjectURL(url)), 1000); // once they are replaced
}

function notesOn(image) {
  const isLarge = image.width * image.height > MOST_AVIF;
  return NOTE + (isTransparent(image) ? NOTE_ON_ALPHA : "") + (isLarge ? NOTE_ON_AVIF : "");
}

/** Let the two files be downloaded. */
function link(picture, made, decoded) {
  const links = { "save-npeg": [made, "npeg"], "save-png": [decoded, "png"] };
  for (const [id, [blob, extension]] of Object.entries(links)) {
    URL.revokeObjectURL(element(id).href);
    element(id).href = URL.createObjectURL(blob);
    element(id).download = `${stem(picture.name)}.${extension}`;
  }
}

function drawTable(views) {
  const rows = views.map((view) => {
    const row = document.createElement("tr");
    const bpp = (8 * view.sizeBytes) / (view.width * view.height);
    const psnr = view.psnrDb == null ? "–" : decibels(view.psnrDb);
    const measured = [score(view.ssimulacra2), psnr];
    const cells = [view.label, view.quality ?? "–", count(view.sizeBytes), bpp.toFixed(3), ...measured];
    for (const text of cells) row.insertCell().textContent = text;
    return row;
  });
  element("numbers").tBodies[0].replaceChildren(...rows);
}

function summarise(views, made, encodeMs, decodeMs) {
  const { width, height } = views.at(-1);
  const bpp = (8 * made.size) / (width * height);
  const times = [
    encodeMs && `encoded in ${(encodeMs / 1000).toFixed(2)} s`,
    decodeMs && `decoded in ${(decodeMs / 1000).toFixed(2)} s`,
  ];
  const parts = [
    `${width} × ${height}`,
    `${count(made.size)} bytes`,
    `${bpp.toFixed(3)} bits per pixel`,
    views.at(-1).quality === "lossless" && "lossless",
    ...times,
  ];
  element("summary").textContent = parts.filter(Boolean).join(" · ");
}

function addToSummary({ ssimulacra2, psnrDb }) {
  const measured = [ssimulacra2 != null && `SSIMULACRA2 ${score(ssimulacra2)}`, `${decibels(psnrDb)} dB`];
  element("summary").textContent += ` · ${measured.filter(Boolean).join(" · ")}`;
}

function say(text) {
  element("error").textContent = text;
}

function drawReports(names) {
  const links = names.map((name, i) => {
    return Object.assign(document.createElement("a"), { href: `reports/${i}`, textContent: name });
  });
  if (links.length) element("reports").replaceChildren("Also: ", ...links);
}

async function start() {
  listen();
  const found = await openEngine();
  engine = found.engine;
  element("where").textContent = engine.about;
  drawReports(found.reports);
  found.pictures.forEach((name, i) => place(name, (signal) => fetched(name, `pictures/${i}`, signal)));
  new URLSearchParams(location.search).getAll("open").forEach(placeAddress);
  if (pictures.length) await show(pictures[0]);
}

start();
