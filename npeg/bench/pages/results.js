"use strict";

// The report, continued: pictures side by side, every result, conditions.

// --- pictures ---

function showPicture(index) {
  const { name, width, height, views, cut } = DATA.pictures[index];
  const box = document.createElement("div");
  box.id = "viewer";
  element("viewer").replaceWith(box);
  window.viewer = new Viewer(box, [width, height], views, views.length > 2 ? 1 : 0, Math.min(2, views.length - 1));
  const above = views.filter((view) => view.above).map((view) => view.label);
  element("pictures-note").textContent =
    `${name}: each codec's largest file of at most ${DATA.rate_bpp} bits per pixel` +
    (above.length ? `, but ${list(above)} cannot be that small: the smallest is shown` : "") +
    `. ${cut ? "The middle of the photograph is shown; files and PSNR are of all of it. " : ""}` +
    (DATA.pictures.length < DATA.photos.length
      ? `To keep this page small it holds ${DATA.pictures.length} of ${DATA.photos.length} ` +
        "photographs, evenly spread by name. "
      : "") +
    "Pictures are shown as decoded, without further loss.";
}

function fillPictures() {
  element("pictures-section").hidden = !DATA.pictures.length;
  if (!DATA.pictures.length) return;
  for (const view of DATA.pictures.flatMap((picture) => picture.views)) {
    view.detail = `${count(view.size_bytes)} bytes`;
    if (view.rate_bpp) view.detail += ` · ${view.rate_bpp.toFixed(3)} bpp`;
    if (view.psnr_rgb_db) view.detail += ` · ${view.psnr_rgb_db.toFixed(2)} dB`;
  }
  fillSelect("picture", DATA.pictures.map(({ name }, i) => [i, name]), 0, showPicture);
  showPicture(0);
}

// --- every result ---

const results = { photo: photoChoices[0][0], codec: -1, by: 0, descending: false };
const ALL = -2; // photographs

const cellOf = (row, k) =>
  k === 0 ? (row[0] === MEAN ? "mean" : DATA.photos[row[0]]) :
  k === 1 ? DATA.series[row[1]].name : row[k];

function drawResults() {
  const wanted = DATA.rows.filter((row) =>
    !DATA.series[row[1]].published &&
    (results.photo === ALL ? row[0] !== MEAN : row[0] === results.photo) &&
    (results.codec < 0 || row[1] === results.codec));
  const sign = results.descending ? -1 : 1;
  wanted.sort((a, b) => {
    const [x, y] = [cellOf(a, results.by), cellOf(b, results.by)];
    if (x == null || y == null) return (x == null) - (y == null); // gaps last
    return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
  });
  const body = document.createElement("tbody");
  for (const row of wanted) {
    const line = body.insertRow();
    row.forEach((_, k) => {
      const value = cellOf(row, k);
      line.insertCell().textContent = k < 2 ? value : format(DATA.columns[k - 2], value);
    });
    line.cells[1].className = "text";
  }
  element("results").tBodies[0]?.remove();
  element("results").append(body);
  element("row-count").textContent = `${count(wanted.length)} rows`;
  [...element("results").tHead.rows[0].cells].forEach((head, k) => {
    const order = results.descending ? "descending" : "ascending";
    head.setAttribute("aria-sort", k === results.by ? order : "none");
  });
}

function fillResults() {
  const heads = ["Photograph", "Codec", ...DATA.columns.map((name) => HEADS[name] || name)];
  const buttons = heads.map((text, k) => {
    const button = document.createElement("button");
    button.textContent = text;
    button.onclick = () => {
      results.descending = results.by === k && !results.descending;
      results.by = k;
      drawResults();
    };
    return button;
  });
  fillHead(element("results"), buttons).cells[1].className = "text";
  const read = (key) => (value) => {
    results[key] = Number(value);
    drawResults();
  };
  const photos = [...photoChoices, ...(DATA.photos.length > 1 ? [[ALL, "each photograph"]] : [])];
  const codecs = DATA.series.flatMap((one, i) => (one.published ? [] : [[i, one.label]]));
  fillSelect("only-photo", photos, results.photo, read("photo"));
  fillSelect("only-codec", [[-1, "all"], ...codecs], -1, read("codec"));
  drawResults();
}

// --- conditions ---

function fillConditions() {
  const item = (text) => {
    const node = document.createElement("li");
    node.textContent = text;
    return node;
  };
  element("conditions").append(...DATA.conditions.map(item));
  const published = DATA.series.filter((one) => one.published);
  if (!published.length) return;
  const [lead, items] = ["p", "ul"].map((name) => document.createElement(name));
  lead.textContent = "Published by others, not measured here:";
  items.append(...published.map((one) => item(`${one.label}: ${one.source}`)));
  element("published").append(lead, items);
}

fillPictures();
fillResults();
fillConditions();
