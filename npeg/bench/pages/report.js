"use strict";

// The report: curves with their legend, sizes at equal quality, speed.
const element = (id) => document.getElementById(id);
const column = (name) => 2 + DATA.columns.indexOf(name); // of DATA.rows: photograph, series, ...
const has = (name) => DATA.columns.includes(name);
const MEAN = -1; // in the place of a photograph's number
const [QUALITY, SIZE, RATE] = ["quality", "size_bytes", "rate_bpp"].map(column);
const count = (number) => Math.round(number).toLocaleString("en-US");
const list = (names) =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
const signed = (number, digits) =>
  `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(digits)}`.replace(/^[−+](0(\.0+)?)$/, "$1");
const styleOf = (one) => `--on-light: ${one.colours[0]}; --on-dark: ${one.colours[1]}`;
const classesOf = (one) =>
  `series ${one.own ? "own" : ""} ${one.published ? "published" : ""}`.trim();

const FORMATS = {
  quality: (value) => `${value}`,
  size_bytes: count,
  rate_bpp: (value) => value.toFixed(3),
  compression_ratio: (value) => value.toFixed(1),
  ssim_y: (value) => value.toFixed(4),
  ms_ssim: (value) => value.toFixed(4),
  ssimulacra2: (value) => value.toFixed(1).replace("-", "−"),
  encode_time_s: (value) => `${Number((1000 * value).toPrecision(3))}`,
  decode_time_s: (value) => `${Number((1000 * value).toPrecision(3))}`,
  encode_memory_mib: (value) => value.toFixed(1),
  decode_memory_mib: (value) => value.toFixed(1),
};
const HEADS = {
  quality: "Quality",
  size_bytes: "Bytes",
  rate_bpp: "Bits per pixel",
  compression_ratio: "Ratio",
  encode_time_s: "Encode, ms",
  decode_time_s: "Decode, ms",
  encode_memory_mib: "Encode, MiB",
  decode_memory_mib: "Decode, MiB",
  ...DATA.heads,
};
const format = (name, value) => value == null ? "–" : (FORMATS[name] || ((v) => v.toFixed(2)))(value);

const state = {
  metric: DATA.metrics[0],
  photo: MEAN,
  scale: "Linear",
  range: "Usual",
  shown: new Set(DATA.series.flatMap((one, i) => (one.shown && !one.lossless ? [i] : []))),
  anchor: null,
  direction: "encode",
};

// --- small parts ---

// Fill a fieldset with radio buttons: choices are [value, text].
function fillSegments(id, choices, chosen, change) {
  for (const [value, text] of choices) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: id, value, checked: value === chosen });
    input.onchange = () => change(value);
    const span = document.createElement("span");
    span.textContent = text;
    label.append(input, span);
    element(id).append(label);
  }
}

function fillSelect(id, choices, chosen, change) {
  const select = element(id);
  for (const [value, text] of choices) select.add(new Option(text, value));
  select.value = chosen;
  select.onchange = () => change(select.value);
}

function fillHead(table, cells) {
  const row = (table.tHead || table.createTHead()).insertRow();
  for (const cell of cells) {
    const head = document.createElement("th");
    head.scope = "col";
    head.append(cell);
    row.append(head);
  }
  return row;
}

// --- curves ---

// On curves, larger is better.
const scoreOf = (metric, value) =>
  metric.decibels ? -10 * Math.log10(1 - value) : metric.upside_down ? -value : value;

// Points of a series on one photograph, or of its means.
function pointsOf(index, metric, photo) {
  if (DATA.series[index].lossless) return [];
  const at = column(metric.column);
  return DATA.rows
    .filter((row) => row[0] === photo && row[1] === index && row[at] != null)
    .map((row) => ({ x: row[RATE], y: scoreOf(metric, row[at]), facts: factsOf(row, metric) }))
    .filter((point) => Number.isFinite(point.y))
    .sort((a, b) => a.x - b.x);
}

function factsOf(row, metric) {
  const facts = DATA.columns
    .map((name, k) => [name, HEADS[name], row[k + 2]])
    .filter(([, head, value]) => head && value != null)
    .map(([name, head, value]) => [head, format(name, value)]);
  if (!metric.decibels) return facts;
  return [...facts, [metric.axis, scoreOf(metric, row[column(metric.column)]).toFixed(2)]];
}

function drawCurves() {
  const indexes = [...state.shown].sort((a, b) => b - a); // ours last: on top
  const series = indexes.map((i) => ({ ...drawn(i), points: pointsOf(i, state.metric, state.photo) }));
  const limit = state.range === "Usual" ? DATA.limit_bpp : Infinity;
  const [metric, log] = [state.metric, state.scale !== "Linear"];
  curves.draw({
    series: series.filter((one) => one.points.length),
    x: { label: "bits per pixel (whole files)", log, limit },
    y: { label: metric.axis, least: metric.least, upsideDown: metric.upside_down },
  });
  for (const button of element("legend").querySelectorAll("button")) {
    const index = Number(button.dataset.index);
    button.disabled = !pointsOf(index, metric, state.photo).length;
    button.setAttribute("aria-pressed", state.shown.has(index));
  }
  const published = DATA.series.some((one) => one.published);
  element("curves-note").textContent =
    "Point at a curve for its numbers, or focus the chart and press the arrow keys. " +
    "Names in the legend switch curves; with Shift, all the others." +
    (published ? " Dashed curves are published by others on these photographs, not measured here" +
      (state.photo === MEAN ? "." : ": they are means, and not shown for one photograph.") : "") +
    (metric.least != null ? ` Scores below ${metric.least} are cut off.` : "") +
    (metric.decibels ? ` ${metric.label} is drawn as −10 log₁₀(1 − x).` : "") +
    (metric.upside_down ? " The axis is upside down: further up is better." : "");
}

// How a series is drawn; its points are to be added.
const drawn = (i) => {
  const one = DATA.series[i];
  return {
    index: i,
    name: one.label,
    title: one.name,
    classes: classesOf(one),
    style: styleOf(one),
    dash: one.dash.join(" "),
  };
};

function fillLegend() {
  const groups = [["Measured", false], ["Published, not measured", true]];
  for (const [title, published] of groups) {
    const indexes = DATA.series.flatMap((one, i) =>
      one.published === published && !one.lossless ? [i] : []);
    if (!indexes.length) continue;
    const head = document.createElement("h3");
    head.textContent = title;
    element("legend").append(head, ...indexes.map(legendButton));
  }
}

function legendButton(index) {
  const one = DATA.series[index];
  const button = document.createElement("button");
  button.className = classesOf(one);
  button.style = styleOf(one);
  button.dataset.index = index;
  const line = Chart.make("line", { x1: 0, x2: 26, y1: 5, y2: 5, "stroke-dasharray": one.dash.join(" ") });
  const sample = Chart.make("svg", { viewBox: "0 0 26 10", "aria-hidden": true }, line);
  if (!one.published) sample.append(Chart.make("circle", { cx: 13, cy: 5, r: 3.5 }));
  button.append(sample, one.label);
  button.onclick = (event) => {
    if (event.shiftKey) {
      const alone = state.shown.size === 1 && state.shown.has(index);
      state.shown = new Set(alone ? DATA.series.keys() : [index]);
    } else if (!state.shown.delete(index)) {
      state.shown.add(index);
    }
    drawCurves();
    drawSpeed();
  };
  const place = () => curves.plan.series.findIndex((other) => other.index === index);
  button.onpointerenter = () => place() >= 0 && curves.light(place());
  button.onpointerleave = () => curves.light(null);
  return button;
}

// --- size at equal quality, and time ---

// BD-rate of a series against the anchor, in per cent, or null.
const rateOf = (metric, one, anchor = state.anchor) =>
  DATA.rates[metric.name]?.[anchor]?.[one.name] ?? null;

const medianTime = (one, key) => one.times[key]?.[1] ?? null;

function drawRates() {
  element("rates-section").hidden = !state.anchor;
  if (!state.anchor) return;
  const table = element("rates");
  const anchor = DATA.series.find((one) => one.name === state.anchor);
  const times = ["encode", "decode"].filter((what) => medianTime(anchor, `${what}_time_s`));
  table.replaceChildren();
  const ratios = times.map((what) => `${what === "encode" ? "Encoding" : "Decoding"} time`);
  fillHead(table, ["Codec", ...DATA.metrics.map((metric) => metric.label), ...ratios]);
  const body = table.createTBody();
  const known = DATA.series.filter((one) =>
    one.shown && DATA.metrics.some((metric) => rateOf(metric, one) !== null));
  const key = (one) => rateOf(state.metric, one) ?? Infinity;
  for (const one of known.sort((a, b) => key(a) - key(b) || 0)) {
    const row = body.insertRow();
    row.className = `${classesOf(one)} ${one === anchor ? "anchor" : ""}`;
    row.style = styleOf(one);
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    row.insertCell().append(swatch, one.name);
    for (const metric of DATA.metrics) fillRate(row.insertCell(), rateOf(metric, one), one === anchor);
    for (const what of times) {
      const time = medianTime(one, `${what}_time_s`);
      const ratio = time / medianTime(anchor, `${what}_time_s`);
      row.insertCell().textContent = time ? `${Number(ratio.toPrecision(2))} ×` : "–";
    }
  }
  const timed = times.length ? ` Times are medians over the qualities, as multiples of its.` : "";
  element("rates-note").textContent =
    `How many bytes more (+) or fewer (−) a codec needs than ${anchor.name} for the same ` +
    "quality, on average over the span that both reach (Bjøntegaard's delta rate, of the means). " +
    "– : there is no common span, or no such measure." + timed;
}

function fillRate(cell, rate, isAnchor) {
  cell.textContent = rate === null ? "–" : isAnchor ? "0" : `${signed(rate, 1)} %`;
  if (rate !== null && !isAnchor) cell.className = rate < 0 ? "saves" : "costs";
}

// --- speed against size ---

function drawSpeed() {
  element("speed-section").hidden = !state.anchor || !has("encode_time_s");
  if (element("speed-section").hidden) return;
  const key = `${state.direction}_time_s`;
  const perPixel = 1e6 / DATA.pixels; // seconds a photograph to seconds a megapixel
  const series = [...state.shown].sort((a, b) => b - a).flatMap((i) => {
    const [one, y] = [DATA.series[i], rateOf(state.metric, DATA.series[i])];
    if (y === null || !one.times[key]) return [];
    const [low, x, high] = one.times[key].map((time) => time * perPixel);
    const facts = [
      [`${state.metric.label}, size`, `${signed(y, 1)} %`],
      [`${state.direction}, median`, `${x.toPrecision(3)} s/Mpx`],
      ["fastest to slowest", `${low.toPrecision(2)} to ${high.toPrecision(2)}`],
    ];
    return [{ ...drawn(i), span: [low, high], points: [{ x, y, facts }] }];
  });
  speed.draw({
    series,
    x: { label: `seconds to ${state.direction} a megapixel`, log: true },
    y: { label: `bytes against ${state.anchor}, %` },
  });
  element("speed-note").textContent =
    `Further left is faster, further down is smaller at equal ${state.metric.label}. ` +
    "A point is the median over the qualities, its line reaches from the fastest to the slowest.";
}

// --- start ---

const photoChoices = [
  ...(DATA.photos.length > 1 ? [[MEAN, `mean of ${DATA.photos.length} photographs`]] : []),
  ...DATA.photos.map((name, i) => [i, name]),
];

const LEAD = 6; // codecs that the first sentence compares

function writeLead() {
  const first = DATA.series.find((one) => one.own) || DATA.series[0];
  const others = DATA.series.filter((one) => one !== first && !one.published && !one.lossless);
  const parts = others.flatMap((one) => {
    const rate = state.metric && rateOf(state.metric, first, one.name);
    if (rate == null) return [];
    const percent = Math.abs(rate).toFixed(0);
    if (percent === "0") return [`as large as ${one.label}'s`];
    return [`${percent} % ${rate < 0 ? "smaller" : "larger"} than ${one.label}'s`];
  });
  const measured = DATA.series.filter((one) => !one.published);
  element("title").textContent = document.title;
  element("lead").textContent = parts.length
    ? `At equal ${state.metric.label}, ${first.label} files are ${list(parts.slice(0, LEAD))}` +
      (parts.length > LEAD ? "; the others are in the table below." : ".")
    : `${list(measured.map((one) => one.label))}, measured.`;
  element("failures").hidden = !DATA.failures.length;
  element("failures").textContent =
    `Not measured, and left out: ${DATA.failures.length}. ${DATA.failures.slice(0, 5).join("; ")}`;
}

const again = (...draws) => (key, read = (value) => value) => (value) => {
  state[key] = read(value);
  draws.forEach((draw) => draw());
};
const curves = new Chart(element("curves"), "Quality against size; arrow keys move from point to point");
const speed = new Chart(element("speed"), "Speed against size; arrow keys move from point to point");

function start() {
  const metrics = DATA.metrics.map((metric) => [metric.name, metric.label]);
  const find = (name) => DATA.metrics.find((metric) => metric.name === name);
  fillSegments("metric", metrics, metrics[0][0], again(drawCurves, drawRates, drawSpeed)("metric", find));
  state.photo = photoChoices[0][0] === MEAN ? MEAN : 0;
  fillSelect("photo", photoChoices, state.photo, again(drawCurves)("photo", Number));
  const scales = [["Linear", "Linear"], ["Log", "Logarithmic"]];
  fillSegments("scale", scales, "Linear", again(drawCurves)("scale"));
  const ranges = [["Usual", `up to ${DATA.limit_bpp} bpp`], ["All", "All"]];
  fillSegments("range", ranges, "Usual", again(drawCurves)("range"));
  const anchors = DATA.series.filter((anchor) => DATA.metrics.some((metric) =>
    DATA.series.some((one) => one !== anchor && rateOf(metric, one, anchor.name) !== null)));
  state.anchor = (anchors.find((one) => /^AVIF/.test(one.name)) ||
    anchors.find((one) => !one.own) || anchors[0])?.name;
  fillSelect("anchor", anchors.map((one) => [one.name, one.name]), state.anchor,
    again(drawRates, drawSpeed)("anchor"));
  const directions = [["encode", "encode"], ["decode", "decode"]];
  fillSegments("direction", directions, "encode", again(drawSpeed)("direction"));
  fillLegend();
  drawCurves();
  drawRates();
  drawSpeed();
}

writeLead();
if (DATA.metrics.length) start();
else for (const part of ["curves", "rates", "speed"]) element(`${part}-section`).hidden = true;
