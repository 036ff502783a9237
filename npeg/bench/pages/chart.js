"use strict";

// Curves or single points on two axes, as SVG, with names at the curves and a tooltip.
class Chart {
  // root: an empty element. label: what it shows, for those who cannot see it.
  constructor(root, label) {
    this.root = root;
    this.svg = Chart.make("svg", { tabindex: 0, role: "group", "aria-label": label });
    this.tip = document.createElement("div");
    this.tip.className = "tip series";
    this.tip.setAttribute("role", "status");
    this.tip.hidden = true;
    root.append(this.svg, this.tip);
    this.svg.addEventListener("pointermove", (event) => this.hover(event));
    this.svg.addEventListener("pointerdown", (event) => this.hover(event));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("blur", () => this.point(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.plan && this.draw(this.plan)).observe(root);
  }

  static make(name, attributes = {}, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  // plan: {series, x: {label, log, limit}, y: {label, least, upsideDown}}; what is upside down
  // has negated values and is written without their sign.
  // A series: {name, classes, style, dash, span, points: [{x, y, facts: [[name, text], ...]}]};
  // span, if any, is a line from one x to another through its only point.
  draw(plan) {
    this.plan = plan;
    this.point(null);
    this.width = Math.max(280, this.root.clientWidth);
    this.height = Math.round(Math.min(Math.max(this.width * 0.62, 300), 540));
    const single = plan.series.some((one) => one.span);
    const named = single || this.width > 540;
    const margin = named && !single ? 150 : 14;
    this.box = { left: 52, right: this.width - margin, top: 12, bottom: this.height - 46 };
    this.setScales();
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.replaceChildren(...this.axes(), ...this.curves());
    if (named) this.names();
    this.ring = Chart.make("circle", { r: 7, class: "ring", visibility: "hidden" });
    this.svg.append(this.ring);
  }

  // --- scales ---

  setScales() {
    const { series, x, y } = this.plan;
    const all = series.flatMap((one) => one.points);
    const xs = [...all.map((point) => point.x), ...series.flatMap((one) => one.span || [])];
    const last = xs.length ? Math.max(...xs) : 1;
    const limit = x.limit && Math.min(...xs) < x.limit ? Math.min(x.limit, last) : last;
    const first = xs.length ? Math.min(...xs) : 0.1;
    const pad = x.limit ? 1 : 1.25; // single points do not sit on the frame
    this.x = x.log ? { low: first / 1.12, high: limit * pad } : { low: 0, high: limit * pad };
    this.visible = series.map((one) => Chart.within(one.points, this.x.high));
    const ys = this.visible.flat().map((point) => point.y);
    let [low, high] = ys.length ? [Math.min(...ys), Math.max(...ys)] : [0, 1];
    if (y.least != null && high > y.least) low = Math.max(low, y.least);
    const margin = (high - low || 1) * (x.limit ? 0.04 : 0.12);
    this.y = { low: low - margin, high: high + margin };
  }

  // Points up to a limit, where the curve is cut between two of them.
  static within(points, limit) {
    const inside = points.filter((point) => point.x <= limit * 1.0001);
    const [before, after] = [inside.at(-1), points[inside.length]];
    if (!before || !after) return inside;
    const y = before.y + (after.y - before.y) * (limit - before.x) / (after.x - before.x);
    return [...inside, { x: limit, y, cut: true }];
  }

  px(value) {
    const at = this.plan.x.log ? Math.log : (number) => number;
    const share = (at(value) - at(this.x.low)) / (at(this.x.high) - at(this.x.low));
    return this.box.left + share * (this.box.right - this.box.left);
  }

  py(value) {
    const share = (value - this.y.low) / (this.y.high - this.y.low);
    return this.box.bottom - share * (this.box.bottom - this.box.top);
  }

  static ticks(low, high, count) {
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
      ticks.push(Number((i * step).toPrecision(10)));
    }
    return ticks;
  }

  static logTicks(low, high) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
      ticks.push(...[1, 2, 5].map((factor) => Number((factor * 10 ** power).toPrecision(10))));
    }
    return ticks.filter((tick) => tick >= low && tick <= high);
  }

  // --- what is drawn ---

  axes() {
    const { left, right, top, bottom } = this.box;
    const nodes = [];
    const line = (x1, y1, x2, y2) => nodes.push(Chart.make("line", { x1, y1, x2, y2, class: "grid" }));
    const write = (text, place) => nodes.push(Chart.make("text", place, text));
    const xTicks = this.plan.x.log
      ? Chart.logTicks(this.x.low, this.x.high)
      : Chart.ticks(0, this.x.high, this.width / 90);
    for (const tick of xTicks) {
      line(this.px(tick), top, this.px(tick), bottom);
      write(String(tick), { x: this.px(tick), y: bottom + 17, "text-anchor": "middle" });
    }
    for (const tick of Chart.ticks(this.y.low, this.y.high, this.height / 60)) {
      line(left, this.py(tick), right, this.py(tick));
      const text = String(this.plan.y.upsideDown ? Math.abs(tick) : tick).replace("-", "−");
      write(text, { x: left - 8, y: this.py(tick) + 4, "text-anchor": "end" });
    }
    const middle = (left + right) / 2;
    write(this.plan.x.label, { x: middle, y: bottom + 38, "text-anchor": "middle", class: "axis-name" });
    const turned = `translate(13 ${(top + bottom) / 2}) rotate(-90)`;
    write(this.plan.y.label, { transform: turned, "text-anchor": "middle", class: "axis-name" });
    return nodes;
  }

  curves() {
    const { left, right, top, bottom } = this.box;
    const frame = { x: left - 6, y: top - 6, width: right - left + 12, height: bottom - top + 12 };
    const clip = Chart.make("clipPath", { id: `${this.root.id}-clip` }, Chart.make("rect", frame));
    this.groups = this.plan.series.map((one, i) => {
      const group = Chart.make("g", { class: `series ${one.classes}`, style: one.style });
      const inside = Chart.make("g", { "clip-path": `url(#${this.root.id}-clip)` });
      const line = one.span
        ? one.span.map((x) => [this.px(x), this.py(one.points[0].y)])
        : this.visible[i].map((point) => [this.px(point.x), this.py(point.y)]);
      const d = line.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
      if (d) inside.append(Chart.make("path", { d, class: "curve", "stroke-dasharray": one.dash }));
      for (const point of one.dash ? [] : this.visible[i]) {
        if (point.cut) continue;
        const place = { cx: this.px(point.x), cy: this.py(point.y), r: one.span ? 5 : 3.2 };
        inside.append(Chart.make("circle", { ...place, class: "mark" }));
      }
      group.append(inside);
      return group;
    });
    return [clip, ...this.groups];
  }

  // Write names in the right margin, moved apart, and at curves that end before it.
  names() {
    const { right, top, bottom } = this.box;
    const edge = [];
    this.plan.series.forEach((one, i) => {
      const end = this.visible[i].at(-1);
      if (!end) return;
      const [x, y] = [this.px(end.x), this.py(end.y)];
      if (!one.span && x > right - 90) return edge.push({ i, x, y, text: one.name });
      if (y < top || y > bottom) return;
      const anchor = !one.span || x > this.width / 2 ? "end" : "start";
      const place = { x: one.span ? x : x - 4, y: y - (one.span ? 10 : 7), "text-anchor": anchor };
      this.groups[i].append(Chart.make("text", { ...place, class: "name" }, one.name));
    });
    edge.sort((a, b) => a.y - b.y);
    let floor = top + 4;
    for (const label of edge) floor = (label.at = Math.max(label.y, floor)) + 15;
    let ceiling = bottom;
    for (const label of edge.reverse()) ceiling = (label.at = Math.min(label.at, ceiling)) - 15;
    for (const { i, x, y, at, text } of edge) {
      const d = `M${x + 3} ${y}L${right + 12} ${at}`;
      const short = text.length > 21 ? `${text.slice(0, 20)}…` : text;
      this.groups[i].append(
        Chart.make("path", { d, class: "leader" }),
        Chart.make("text", { x: right + 16, y: at + 4, class: "name" }, short)
      );
    }
  }

  // --- the tooltip ---

  candidates(index) {
    return this.visible[index].filter(
      (point) => !point.cut && point.y >= this.y.low && point.x >= this.x.low
    );
  }

  hover(event) {
    const box = this.svg.getBoundingClientRect();
    const scale = this.width / box.width;
    const at = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let nearest = null;
    this.plan.series.forEach((one, i) => this.candidates(i).forEach((point, k) => {
      const distance = Math.hypot(this.px(point.x) - at[0], this.py(point.y) - at[1]);
      if (distance < (nearest ? nearest.distance : 48)) nearest = { i, k, distance };
    }));
    this.point(nearest);
  }

  key(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key === "Escape") this.point(null);
    if (!step[event.key]) return;
    event.preventDefault();
    const full = this.plan.series.map((_, i) => i).filter((i) => this.candidates(i).length);
    if (!full.length) return;
    const [dSeries, dPoint] = step[event.key];
    const { i, k } = this.at || { i: full[0], k: -dPoint };
    const next = full[(full.indexOf(i) + dSeries + full.length) % full.length];
    const last = this.candidates(next).length - 1;
    this.point({ i: next, k: Math.min(Math.max(k + dPoint, 0), last) });
  }

  // Show the tooltip of a point, by numbers of its series and among its candidates; or hide it.
  point(at) {
    this.at = at;
    this.tip.hidden = !at;
    this.light(at ? at.i : null);
    if (this.ring) this.ring.setAttribute("visibility", at ? "visible" : "hidden");
    if (!at) return;
    const one = this.plan.series[at.i];
    const point = this.candidates(at.i)[at.k];
    const [x, y] = [this.px(point.x), this.py(point.y)];
    this.ring.setAttribute("cx", x);
    this.ring.setAttribute("cy", y);
    this.tip.style.cssText = one.style;
    const [title, facts] = ["strong", "dl"].map((name) => document.createElement(name));
    title.textContent = one.title || one.name;
    for (const [name, text] of point.facts) {
      const [term, value] = ["dt", "dd"].map((tag) => document.createElement(tag));
      term.textContent = name;
      value.textContent = text;
      facts.append(term, value);
    }
    this.tip.replaceChildren(title, facts);
    const left = x + 14 + this.tip.offsetWidth > this.width ? x - 14 - this.tip.offsetWidth : x + 14;
    const top = Math.min(Math.max(y - this.tip.offsetHeight / 2, 0), this.height - this.tip.offsetHeight);
    this.tip.style.transform = `translate(${Math.max(0, left)}px, ${top}px)`;
  }

  // Let one series stand out, or none.
  light(index) {
    this.svg.classList.toggle("dimmed", index !== null);
    (this.groups || []).forEach((group, i) => group.classList.toggle("lit", i === index));
  }
}
