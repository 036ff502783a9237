"use strict";

// The report, continued: what enhancements gain over the codecs they follow, and crops.

function drawGains(name) {
  const table = element("gains");
  table.replaceChildren();
  const metric = name === "time_s" ? null : DATA.metrics.find((one) => one.name === name);
  const key = metric ? metric.column : "time_s";
  const headOf = (row) => `${row.codec} ${row.quality}`;
  const heads = [...new Set(DATA.gains.map(headOf))];
  fillHead(table, ["Method", ...heads]);
  const body = table.createTBody();
  for (const method of new Set(DATA.gains.map((row) => row.method))) {
    const line = body.insertRow();
    line.insertCell().textContent = method;
    for (const head of heads) {
      const value = DATA.gains.find((row) => row.method === method && headOf(row) === head)?.[key];
      const cell = line.insertCell();
      if (value == null) {
        cell.textContent = "–";
        continue;
      }
      const better = metric ? (metric.upside_down ? -value : value) : -value;
      cell.textContent = metric ? signed(value, metric.decibels ? 4 : 2) : `${(1000 * value).toFixed(0)} ms`;
      if (metric && value) cell.className = better > 0 ? "saves" : "costs";
    }
  }
  element("gains-note").textContent = metric
    ? `Mean ${metric.label} with the method, less the mean without; columns are codecs and ` +
      `qualities. ${metric.upside_down ? "Less is better." : "More is better."}`
    : "How much longer decoding takes with the method.";
}

function drawCropRow(index) {
  const { crops, codec, quality } = DATA.crops[index];
  element("crops").replaceChildren(...crops.map(({ label, source, psnr_rgb_db }) => {
    const [figure, image, caption, score] = ["figure", "img", "figcaption", "span"].map((name) =>
      document.createElement(name));
    Object.assign(image, { src: source, alt: `${label}, enlarged` });
    score.textContent = psnr_rgb_db == null ? "" : ` ${psnr_rgb_db.toFixed(2)} dB`;
    caption.append(label === codec ? `${label}, quality ${quality}` : label, score);
    figure.append(image, caption);
    return figure;
  }));
}

if (DATA.gains.length) {
  element("gains-section").hidden = false;
  const choices = DATA.metrics.map((metric) => [metric.name, metric.label]);
  if (DATA.gains.some((row) => row.time_s != null)) choices.push(["time_s", "time"]);
  if (choices.length) {
    fillSelect("gain-metric", choices, choices[0][0], drawGains);
    drawGains(choices[0][0]);
  }
  const rows = DATA.crops.map((row, i) => [i, `${row.photo}, ${row.codec}`]);
  element("crop-row").parentElement.hidden = !rows.length;
  if (rows.length) {
    fillSelect("crop-row", rows, 0, drawCropRow);
    drawCropRow(0);
  }
}
