"use strict";

// One photograph in several codecs at equal size: the viewer, and the numbers below it.
const [original, reference, ...rivals] = DATA.views;
const count = (number) => number.toLocaleString("en-US");
const list = (names) =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
const element = (id) => document.getElementById(id);

element("title").textContent = rivals.length
  ? `${reference.label} beside ${list(rivals.map((view) => view.label))}, at equal size`
  : reference.label;
element("lead").textContent =
  `${DATA.image}, ${DATA.width} × ${DATA.height} pixels. ` +
  `${reference.label} at quality ${reference.quality} takes ${count(reference.size_bytes)} bytes` +
  (rivals.length ? "; each other codec gets the largest file that is not above that." : ".");

for (const view of DATA.views) {
  view.detail = `${count(view.size_bytes)} bytes`;
  if (view.psnr_rgb_db) view.detail += ` · ${view.psnr_rgb_db.toFixed(2)} dB`;
}
const enlarged = DATA.width * Math.max(1, Math.floor(1120 / DATA.width)); // as the viewer will
document.querySelector("main").style.maxWidth =
  `calc(2.5rem + ${Math.min(Math.max(enlarged, 768), 1120)}px)`;
window.viewer = new Viewer(
  element("viewer"), [DATA.width, DATA.height], DATA.views, 1, rivals.length ? DATA.views.length - 1 : 0
);

const COLUMNS = [
  { key: "label", head: "Codec" },
  { key: "quality", head: "Its quality", text: (value) => `${value}` },
  { key: "size_bytes", head: "Bytes", text: count },
  { key: "rate_bpp", head: "Bits per pixel", text: (value) => value.toFixed(3) },
  { key: "psnr_rgb_db", head: "PSNR, dB", text: (value) => value.toFixed(2), compared: true },
  { key: "ms_ssim", head: "MS-SSIM", text: (value) => value.toFixed(4), compared: true },
  { key: "ssimulacra2", head: "SSIMULACRA2", text: (value) => value.toFixed(1), compared: true },
];

function fillTable(table) {
  const rows = [reference, ...rivals];
  const columns = COLUMNS.filter(({ key }) => rows.some((row) => row[key] != null));
  const head = table.createTHead().insertRow();
  for (const column of columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = column.head;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const { key, text, compared } of columns) {
      const cell = line.insertCell();
      const value = row[key];
      cell.textContent = value == null ? "–" : text ? text(value) : value;
      if (compared && value === Math.max(...rows.map((other) => other[key] ?? -Infinity))) {
        cell.className = "best";
      }
      if (key === "size_bytes" && row.above) cell.classList.add("warn");
    }
  }
}
fillTable(element("numbers"));

const above = rivals.filter((view) => view.above).map((view) => view.label);
const encoders = [reference, ...rivals].map((view) => `${view.label}: ${view.version}`);
element("notes").textContent =
  "Sizes are whole files. Pictures are shown as decoded, without loss. " +
  "Larger is better in every measure; the best is bold." +
  (above.length ? ` ${list(above)} cannot make a file that small: its smallest is shown.` : "") +
  ` Encoders: ${encoders.join("; ")}.`;
