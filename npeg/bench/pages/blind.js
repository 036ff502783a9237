"use strict";

// Pairs of pictures whose makers are not told: one is shown at a time in the same place, or all
// side by side; what is answered is kept in the browser.
const SIDES = ["left", "original", "right"];
const NAMES = { left: "Left", original: "Original", right: "Right" };
const GAP = 6; // between pictures side by side, in pixels of the screen
const element = (id) => document.getElementById(id);

// The zoom and movement of Viewer, with all pictures of a pair at the same place.
class BlindViewer extends Viewer {
  build(root) {
    root.classList.add("viewer");
    const button = (name, text) => `<button data-show="${name}">${text}</button>`;
    root.innerHTML = `
      <div class="bar">
        <span class="modes" role="group" aria-label="What is shown">
          ${SIDES.map((side) => button(side, NAMES[side])).join("")}
          ${button("all", "Side by side")}
        </span>
        <span class="zoom">
          <button class="out" aria-label="Zoom out">−</button>
          <output aria-live="polite"></output>
          <button class="in" aria-label="Zoom in">+</button>
          <button class="fit">Fit</button>
        </span>
      </div>
      <div class="stage" tabindex="0" role="group" aria-label="The pictures">
        ${SIDES.map((side) => `<div class="panel" data-side="${side}">
          <img alt="${NAMES[side]}"><span class="tag">${NAMES[side]}</span></div>`).join("")}
      </div>`;
    const find = (selector) => root.querySelector(selector);
    this.root = root;
    this.stage = find(".stage");
    this.output = find("output");
    this.panels = SIDES.map((side) => find(`.panel[data-side="${side}"]`));
    this.shown = "original";
    this.flipped = "right"; // the side that Space leaves
    for (const choice of root.querySelectorAll("[data-show]")) {
      choice.onclick = () => this.choose(choice.dataset.show);
    }
    find(".in").onclick = () => this.step(1);
    find(".out").onclick = () => this.step(-1);
    find(".fit").onclick = () => this.zoom(this.fit);
  }

  // Show another pair, whole: its original first, so that no side is seen before the other.
  setPair(pair) {
    [this.width, this.height] = [pair.width, pair.height];
    this.panels.forEach((panel) => (panel.firstElementChild.src = pair[panel.dataset.side]));
    this.scale = undefined;
    this.flipped = "right";
    this.choose(this.shown === "all" ? "all" : "original");
  }

  // What is shown: a side, or all.
  choose(shown) {
    this.shown = shown;
    if (shown === "left" || shown === "right") this.flipped = shown;
    this.layout();
  }

  flip() {
    this.choose(this.flipped === "left" ? "right" : "left");
  }

  swap() {}

  visible() {
    if (this.shown !== "all") return [this.shown];
    return this.root.clientWidth < 640 ? ["left", "right"] : SIDES;
  }

  layout() {
    const width = this.root.clientWidth;
    if (!width || !this.panels) return;
    const wasFit = this.scale === undefined || this.isFit();
    const count = this.visible().length;
    const panel = (width - GAP * (count - 1)) / count;
    const fit = Math.min(panel / this.width, (window.innerHeight * 0.68) / this.height);
    this.fit = fit > 1 ? Math.floor(fit) : fit;
    this.box = { width: panel, height: this.height * this.fit };
    this.stage.style.height = `${this.box.height}px`;
    if (wasFit) {
      this.scale = this.fit;
      this.center = { x: this.width / 2, y: this.height / 2 };
    }
    this.scale = Math.max(this.scale, this.fit);
    this.draw();
  }

  draw() {
    const { width, height } = this.box;
    const keep = (center, size, box) => {
      const half = box / 2 / this.scale;
      return size <= 2 * half ? size / 2 : Math.min(Math.max(center, half), size - half);
    };
    this.center.x = keep(this.center.x, this.width, width);
    this.center.y = keep(this.center.y, this.height, height);
    const x = width / 2 - this.center.x * this.scale;
    const y = height / 2 - this.center.y * this.scale;
    const visible = this.visible();
    for (const panel of this.panels) {
      const place = visible.indexOf(panel.dataset.side);
      const image = panel.firstElementChild;
      panel.style.visibility = place < 0 ? "hidden" : "visible"; // stays decoded, flips at once
      panel.style.left = `${Math.max(place, 0) * (width + GAP)}px`;
      panel.style.width = `${width}px`;
      image.style.transform = `translate(${x}px, ${y}px) scale(${this.scale})`;
      image.style.imageRendering = this.scale > 1 ? "pixelated" : "auto";
    }
    for (const choice of this.root.querySelectorAll("[data-show]")) {
      choice.setAttribute("aria-pressed", choice.dataset.show === this.shown);
    }
    this.stage.classList.toggle("zoomed", !this.isFit());
    this.output.textContent =
      this.scale < 1 ? `${Math.round(100 * this.scale)} %` : `${+this.scale.toFixed(1)}×`;
  }

  // Zoom to the next power of two, so that pixels are shown as they are, or as whole squares.
  step(direction) {
    const power = Math.log2(this.scale);
    const next = direction > 0 ? Math.floor(power + 1.001) : Math.ceil(power - 1.001);
    this.zoom(2 ** next);
  }

  position(event) {
    const box = this.stage.getBoundingClientRect();
    return { x: (event.clientX - box.left) % (this.box.width + GAP), y: event.clientY - box.top };
  }

  press(event) {
    if (event.button > 0) return;
    this.stage.setPointerCapture(event.pointerId);
    this.dividing = false;
    this.pointers.set(event.pointerId, this.position(event));
  }

  key() {} // keys are the page's
}

// --- answers ---

const STORE = `npeg-blind-${DATA.comparison}`;
const pairs = DATA.pairs;
const answers = load(); // {number: {answer, time_s}}
let current = Math.max(0, pairs.findIndex(({ number }) => !answers[number]));
let since = Date.now();

function load() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) || {};
  } catch {
    return {}; // a browser that keeps nothing for pages from a disk
  }
}

function keep() {
  try {
    localStorage.setItem(STORE, JSON.stringify(answers));
  } catch {
    element("progress").textContent += " · not kept by this browser: download before you leave";
  }
}

function answer(which) {
  const { number } = pairs[current];
  answers[number] = { answer: which, time_s: Math.round((Date.now() - since) / 100) / 10 };
  go(current + 1);
  keep();
}

function go(index) {
  current = Math.min(Math.max(index, 0), pairs.length - 1);
  since = Date.now();
  viewer.setPair(pairs[current]);
  const next = pairs[current + 1];
  for (const side of next ? SIDES : []) new Image().src = next[side]; // so that it is there at once
  report();
}

function report() {
  const done = pairs.filter(({ number }) => answers[number]).length;
  const place = `Pair ${current + 1} of ${pairs.length}`;
  element("progress").textContent =
    done === pairs.length ? `${place} · all answered, thank you: download` : `${place} · ${done} answered`;
  element("meter").style.width = `${(100 * done) / pairs.length}%`;
  const given = answers[pairs[current].number];
  for (const button of document.querySelectorAll("[data-answer]")) {
    button.setAttribute("aria-pressed", given?.answer === button.dataset.answer);
  }
  element("back").disabled = current === 0;
  element("next").disabled = current === pairs.length - 1;
  element("next").textContent = given ? "Next" : "Skip";
}

function table() {
  const rows = pairs
    .filter(({ number }) => answers[number])
    .map(({ number }) => `${number}\t${answers[number].answer}\t${answers[number].time_s}`);
  return [`# comparison: ${DATA.comparison}`, "pair\tanswer\ttime_s", ...rows, ""].join("\n");
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], { type: "text/tab-separated-values" }));
  link.download = "answers.tsv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const KEYS = {
  1: () => answer("left"),
  2: () => answer("same"),
  3: () => answer("right"),
  ArrowLeft: () => viewer.choose("left"),
  ArrowUp: () => viewer.choose("original"),
  ArrowRight: () => viewer.choose("right"),
  " ": () => viewer.flip(),
  s: () => viewer.choose(viewer.shown === "all" ? viewer.flipped : "all"),
  "+": () => viewer.step(1),
  "=": () => viewer.step(1),
  "-": () => viewer.step(-1),
  0: () => viewer.zoom(viewer.fit),
  Backspace: () => go(current - 1),
};

const first = pairs[current];
window.viewer = new BlindViewer(element("viewer"), [first.width, first.height], [], "", "");
for (const button of document.querySelectorAll("[data-answer]")) {
  button.onclick = () => answer(button.dataset.answer);
}
element("back").onclick = () => go(current - 1);
element("next").onclick = () => go(current + 1);
element("save").onclick = save;
document.addEventListener("keydown", (event) => {
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.repeat && /^[123]$/.test(event.key)) return; // a key held down answers once
  event.preventDefault();
  act();
});
window.addEventListener("resize", () => viewer.layout());
go(current);
