"use strict";

// Two pictures of one size on one stage, with a divider between them, zoom and movement.
class Viewer {
  static LARGEST_SCALE = 32;
  static CHECKS = 16; // pixels of the screen, of a page's checkerboard behind transparent pictures

  // root: an empty element. size: [width, height] in pixels.
  // views: {label, detail, source}, source being the URL of a picture; perhaps an overlay,
  // {source, width, height}, a map to be laid over so many pixels. left, right: their indexes.
  constructor(root, size, views, left, right) {
    [this.width, this.height] = size;
    this.views = views;
    this.chosen = { left, right };
    this.divide = 0.5; // of the stage's width
    this.pointers = new Map();
    this.build(root);
    this.listen(root);
    new ResizeObserver(() => this.layout()).observe(root);
    this.layout();
    this.choose("left", left);
    this.choose("right", right);
  }

  build(root) {
    root.classList.add("viewer");
    root.innerHTML = `
      <div class="bar">
        <label>Left <select class="choose-left"></select></label>
        <span class="zoom">
          <button class="out" aria-label="Zoom out">−</button>
          <output aria-live="polite"></output>
          <button class="in" aria-label="Zoom in">+</button>
          <button class="fit">Fit</button>
          <button class="pixels">8×</button>
        </span>
        <label>Right <select class="choose-right"></select></label>
      </div>
      <div class="stage" tabindex="0" role="group" aria-label="The two pictures; arrow keys move them">
        <div class="layer right"><img alt=""><img class="overlay" alt="" hidden><span class="tag"></span></div>
        <div class="layer left"><img alt=""><img class="overlay" alt="" hidden><span class="tag"></span></div>
        <div class="divider" tabindex="0" role="slider" aria-label="Divider"
          aria-valuemin="0" aria-valuemax="100"></div>
      </div>
      <p class="hint faint"><span class="two">Drag the divider, or focus it and press
          <kbd>←</kbd> <kbd>→</kbd>.</span>
        Scroll or press <kbd>+</kbd> <kbd>−</kbd> to zoom to single pixels, <kbd>0</kbd> to fit;
        drag to move. <span class="two"><kbd>1</kbd>–<kbd class="last"></kbd> choose the right
          picture, with <kbd>Shift</kbd> the left. Hold <kbd>Space</kbd> to swap the two.</span></p>`;
    const find = (selector) => root.querySelector(selector);
    this.root = root;
    this.stage = find(".stage");
    this.divider = find(".divider");
    this.output = find("output");
    this.layers = { left: find(".layer.left"), right: find(".layer.right") };
    this.selects = { left: find(".choose-left"), right: find(".choose-right") };
    this.fillSelects();
    for (const side of ["left", "right"]) {
      this.selects[side].onchange = (event) => this.choose(side, Number(event.target.value));
    }
    find(".in").onclick = () => this.zoom(this.scale * 2);
    find(".out").onclick = () => this.zoom(this.scale / 2);
    find(".fit").onclick = () => this.zoom(this.fit);
    find(".pixels").onclick = () => this.zoom(8);
  }

  listen(root) {
    const stage = this.stage;
    stage.addEventListener("pointerdown", (event) => this.press(event));
    stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("dblclick", (event) => {
      this.zoom(this.isFit() ? 8 : this.fit, this.position(event));
    });
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("keyup", (event) => event.code === "Space" && this.swap(false));
    root.addEventListener("focusout", () => this.swap(false));
  }

  // --- what is shown ---

  // Show other views of the same picture, in the places of those that there are.
  replace(views) {
    const labels = (list) => list.map((view) => view.label).join("\n");
    const isSame = labels(views) === labels(this.views);
    this.views = views;
    if (!isSame) this.fillSelects();
    this.show();
  }

  fillSelects() {
    const last = this.views.length - 1;
    this.root.classList.toggle("single", !last);
    this.root.querySelector("kbd.last").textContent = last + 1;
    for (const side of ["left", "right"]) {
      this.chosen[side] = Math.min(this.chosen[side], last);
      const options = this.views.map((view, i) => new Option(view.label, i));
      this.selects[side].replaceChildren(...options);
      this.selects[side].value = this.chosen[side];
    }
  }

  choose(side, index) {
    this.chosen[side] = index;
    this.selects[side].value = index;
    this.show();
  }

  swap(swapped) {
    if (this.swapped === swapped) return;
    this.swapped = swapped;
    this.show();
  }

  show() {
    for (const side of ["left", "right"]) {
      const other = side === "left" ? "right" : "left";
      const view = this.views[this.chosen[this.swapped ? other : side]];
      const [image, overlay, tag] = this.layers[side].children;
      if (image.src !== view.source) image.src = view.source;
      image.alt = view.label;
      overlay.hidden = !view.overlay;
      if (view.overlay) {
        overlay.src = view.overlay.source;
        overlay.style.width = `${view.overlay.width}px`;
        overlay.style.height = `${view.overlay.height}px`;
        const [right, bottom] = [view.overlay.width - this.width, view.overlay.height - this.height];
        overlay.style.clipPath = `inset(0 ${right}px ${bottom}px 0)`;
      }
      tag.replaceChildren(view.label, document.createElement("span"));
      tag.lastChild.textContent = view.detail ? ` · ${view.detail}` : "";
    }
  }

  // Fit the stage to the page: small pictures are enlarged by whole numbers only.
  layout() {
    const width = this.root.clientWidth;
    if (!width) return;
    const wasFit = this.scale === undefined || this.isFit();
    const fit = Math.min(width / this.width, window.innerHeight * 0.78 / this.height);
    this.fit = fit > 1 ? Math.floor(fit) : fit;
    this.box = { width, height: this.height * this.fit };
    this.stage.style.height = `${this.box.height}px`;
    if (wasFit) {
      this.scale = this.fit;
      this.center = { x: this.width / 2, y: this.height / 2 };
    }
    this.draw();
  }

  draw() {
    const { width, height } = this.box;
    const keep = (center, size, box) => {
      const half = box / 2 / this.scale; // what the stage shows on each side of its centre
      return size <= 2 * half ? size / 2 : Math.min(Math.max(center, half), size - half);
    };
    this.center.x = keep(this.center.x, this.width, width);
    this.center.y = keep(this.center.y, this.height, height);
    const x = width / 2 - this.center.x * this.scale;
    const y = height / 2 - this.center.y * this.scale;
    for (const layer of Object.values(this.layers)) {
      const [image, overlay] = layer.children;
      image.style.transform = `translate(${x}px, ${y}px) scale(${this.scale})`;
      overlay.style.transform = image.style.transform;
      image.style.setProperty("--checks", `${Viewer.CHECKS / this.scale}px`);
      image.style.imageRendering = this.scale > 1 ? "pixelated" : "auto";
    }
    const edge = this.divide * width;
    this.layers.left.style.clipPath = `inset(0 ${width - edge}px 0 0)`;
    this.layers.right.style.clipPath = `inset(0 0 0 ${edge}px)`;
    this.divider.style.left = `${edge}px`;
    this.divider.setAttribute("aria-valuenow", Math.round(100 * this.divide));
    this.stage.classList.toggle("zoomed", !this.isFit());
    this.output.textContent =
      this.scale < 1 ? `${Math.round(100 * this.scale)} %` : `${+this.scale.toFixed(1)}×`;
  }

  isFit() {
    return this.scale < this.fit * 1.001;
  }

  // --- what moves it ---

  // scale: pixels of the screen for one of the picture. at: the point that stays, on the stage.
  zoom(scale, at = { x: this.box.width / 2, y: this.box.height / 2 }) {
    const before = this.scale;
    this.scale = Math.min(Math.max(scale, this.fit), Math.max(Viewer.LARGEST_SCALE, this.fit));
    this.center.x += (at.x - this.box.width / 2) * (1 / before - 1 / this.scale);
    this.center.y += (at.y - this.box.height / 2) * (1 / before - 1 / this.scale);
    this.draw();
  }

  move(dx, dy) {
    this.center.x -= dx / this.scale;
    this.center.y -= dy / this.scale;
    this.draw();
  }

  setDivider(share) {
    this.divide = Math.min(Math.max(share, 0), 1);
    this.draw();
  }

  position(event) {
    const box = this.stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  press(event) {
    if (event.button > 0) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.position(event));
    this.dividing = event.target === this.divider || this.isFit();
    if (this.dividing && this.pointers.size === 1) {
      this.setDivider(this.position(event).x / this.box.width);
      this.divider.focus({ preventScroll: true });
      event.preventDefault();
    }
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.position(event);
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
    this.pointers.set(event.pointerId, now);
    if (others.length) {
      this.pinch(before, now, others[0][1]);
    } else if (this.dividing) {
      this.setDivider(now.x / this.box.width);
    } else {
      this.move(now.x - before.x, now.y - before.y);
    }
  }

  pinch(before, now, other) {
    const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
    const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
    this.zoom(this.scale * distance(now) / distance(before), middle);
    this.move((now.x - before.x) / 2, (now.y - before.y) / 2);
  }

  wheel(event) {
    if (event.deltaY > 0 && this.isFit()) return; // the page may scroll on
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    this.zoom(this.scale * Math.exp(-event.deltaY * lines / 300), this.position(event));
  }

  key(event) {
    if (event.target.matches("select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.keyFor(event)) event.preventDefault();
  }

  // Do what a key says; return whether it says anything here.
  keyFor(event) {
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
    if (digit && this.views[digit[1] - 1]) {
      this.choose(event.shiftKey ? "left" : "right", digit[1] - 1);
      return true;
    }
    if (event.key === "+" || event.key === "=") return this.zoom(this.scale * 2), true;
    if (event.key === "-") return this.zoom(this.scale / 2), true;
    if (event.key === "0") return this.zoom(this.fit), true;
    if (event.code === "Space" && !event.target.matches("button")) return this.swap(true), true;
    const onDivider = event.target === this.divider;
    if (onDivider && event.key === "Home") return this.setDivider(0), true;
    if (onDivider && event.key === "End") return this.setDivider(1), true;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const [dx, dy] = arrow[event.key] || [0, 0];
    if (onDivider && dx) {
      return this.setDivider(this.divide + dx * (event.shiftKey ? 0.1 : 0.01)), true;
    }
    if (event.target === this.stage && (dx || dy) && !this.isFit()) {
      return this.move(-40 * dx, -40 * dy), true;
    }
    return false;
  }
}
