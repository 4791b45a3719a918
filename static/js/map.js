// The map of features on a canvas: moved, zoomed, pointed at and drawn around. Its points also stand in the table.
"use strict";

const REACH = 9; // pixels of the page around the pointer in which a point is found
const STEP = 60; // pixels of the page that an arrow key moves
const CORNERS = 200;

class FeatureMapView {
  constructor(panel, points) {
    this.panel = panel;
    this.points = points;
    this.canvas = panel.querySelector("#map-canvas");
    this.context = this.canvas.getContext("2d");
    this.tip = panel.querySelector("#map-tip");
    this.pointers = new Map();
    this.outline = [];
    this.corners = null;
    this.hovered = -1;
    this._offerChoices();
    this._listen();
    this._readSelection();
    new ResizeObserver(() => this._resize()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this._recolour());
    this._resize();
    this._whole();
    this._recolour();
  }

  // ---- colours

  _offerChoices() {
    this.by = this.panel.querySelector("#map-colour");
    this.choice = this.panel.querySelector("#map-choice");
    for (const [name, there] of [["tag", this.points.tagNames], ["concept", this.points.concepts]]) {
      if (!there.length) this.by.querySelector(`[value=${name}]`)?.remove();
    }
    this.by.addEventListener("change", () => {
      const names = { tag: this.points.tagNames, concept: this.points.concepts.map((concept) => concept.title) };
      const options = (names[this.by.value] ?? []).map((name, place) => new Option(name, place));
      this.choice.replaceChildren(...options);
      this.panel.querySelector("#map-choice-field").hidden = !options.length;
      this._recolour();
    });
    this.choice.addEventListener("change", () => this._recolour());
  }

  // Colours are the style sheet's, for light and dark: read from elements that have them.
  _recolour() {
    const probes = [...this.panel.querySelectorAll(".map-palette i")];
    const texts = probes.map((probe) => getComputedStyle(probe).backgroundColor);
    this.palette = new Uint32Array(texts.map((text) => {
      const [red, green, blue] = text.match(/[\d.]+/g).map(Number);
      return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    }));
    const choice = Number(this.choice.value || 0);
    this.points.colour(this.by.value, choice, this.corners && this.points.inside(this.corners));
    const items = this.points.legend(this.by.value, choice).map(([level, words]) => {
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      swatch.className = `map-colour-${level}`;
      item.append(swatch, words);
      return item;
    });
    this.panel.querySelector("#map-legend").replaceChildren(...items);
    this._draw();
  }

  // ---- where one looks

  _resize() {
    this.ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.canvas.width = Math.round(clientWidth * this.ratio);
    this.canvas.height = Math.round(clientHeight * this.ratio);
    this.image = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this._draw();
  }

  _whole() {
    this.scale = this._wholeScale();
    this.centre = [MAP_SIZE / 2, MAP_SIZE / 2];
    this._draw();
  }

  _wholeScale() {
    return (0.94 * Math.min(this.canvas.clientWidth, this.canvas.clientHeight)) / MAP_SIZE;
  }

  _toMap(x, y) {
    return [
      this.centre[0] + (x - this.canvas.clientWidth / 2) / this.scale,
      this.centre[1] - (y - this.canvas.clientHeight / 2) / this.scale,
    ];
  }

  _toPage([x, y]) {
    return [
      this.canvas.clientWidth / 2 + (x - this.centre[0]) * this.scale,
      this.canvas.clientHeight / 2 - (y - this.centre[1]) * this.scale,
    ];
  }

  // Zooms by a factor around a place of the canvas, which stays where it is.
  _zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const before = this._toMap(x, y);
    const whole = this._wholeScale();
    this.scale = Math.max(whole / 2, Math.min(whole * 400, this.scale * factor));
    const after = this._toMap(x, y);
    this._move(before[0] - after[0], before[1] - after[1]);
  }

  _move(x, y) {
    const bounded = (value) => Math.max(0, Math.min(MAP_SIZE, value));
    this.centre = [bounded(this.centre[0] + x), bounded(this.centre[1] + y)];
    this._draw();
  }

  // ---- drawing, at most once a frame

  _draw() {
    if (this.isAsked || !this.points.order || !this.image || !this.scale) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      const began = performance.now();
      this._paint();
      this.canvas.dataset.drawMs = (performance.now() - began).toFixed(2);
    });
  }

  _side() {
    const usual = this.points.count > 50000 ? 2 : this.points.count > 5000 ? 3 : 5;
    return Math.round(Math.min(9, usual * Math.max(1, (this.scale / this._wholeScale()) ** 0.35)) * this.ratio);
  }

  _paint() {
    const { x, y, level, order, count } = this.points;
    const { palette, pixels } = this;
    const { width, height } = this.canvas;
    const scale = this.scale * this.ratio, usual = this._side(), half = usual / 2;
    const strong = usual + Math.round(2 * this.ratio); // what is emphasised is larger too
    const left = width / 2 - this.centre[0] * scale - half, top = height / 2 + this.centre[1] * scale - half;
    pixels.fill(0);
    for (let place = 0; place < count; place++) {
      const i = order[place];
      const column = Math.round(left + x[i] * scale), row = Math.round(top - y[i] * scale);
      const side = level[i] === STRONG ? strong : usual;
      if (column < 0 || row < 0 || column + side > width || row + side > height) continue;
      const colour = palette[level[i]];
      for (let start = row * width + column, line = 0; line < side; line++, start += width) {
        for (let pixel = start; pixel < start + side; pixel++) pixels[pixel] = colour;
      }
    }
    this.context.putImageData(this.image, 0, 0);
    this._paintMarks();
  }

  _paintMarks() {
    const { context, ratio } = this;
    context.strokeStyle = getComputedStyle(this.canvas).color;
    context.lineWidth = 1.5 * ratio;
    const outline = this.outline.length ? this.outline : this.corners;
    if (outline?.length > 1) {
      context.beginPath();
      for (const corner of outline) context.lineTo(...this._toPage(corner).map((value) => value * ratio));
      context.closePath();
      context.stroke();
    }
    if (this.hovered >= 0) {
      const [x, y] = this._toPage([this.points.x[this.hovered], this.points.y[this.hovered]]);
      context.beginPath();
      context.arc(x * ratio, y * ratio, 7 * ratio, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  // ---- pointing

  _listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this._press(event));
    canvas.addEventListener("pointermove", (event) => this._drag(event));
    canvas.addEventListener("pointerup", (event) => this._release(event));
    canvas.addEventListener("pointercancel", (event) => this._release(event));
    canvas.addEventListener("pointerleave", () => this._hover(-1));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this._zoom(Math.exp(-event.deltaY * 0.0015), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this._key(event));
    this.lasso = this.panel.querySelector("#map-lasso");
    this.lasso.addEventListener("click", () => this._setDrawing(this.lasso.getAttribute("aria-pressed") !== "true"));
    this.panel.addEventListener("click", (event) => this._do(event.target.closest("[data-map-do]")?.dataset.mapDo));
  }

  _setDrawing(isDrawing) {
    this.lasso.setAttribute("aria-pressed", String(isDrawing));
    this.canvas.classList.toggle("map-drawing", isDrawing);
  }

  _press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.pressedAt = [event.offsetX, event.offsetY];
    this.isDrawing = this.pointers.size === 1 && (event.shiftKey || this.lasso.getAttribute("aria-pressed") === "true");
    this.outline = this.isDrawing ? [this._toMap(event.offsetX, event.offsetY)] : [];
  }

  _drag(event) {
    const now = [event.offsetX, event.offsetY];
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this._hover(this.points.nearest(...this._toMap(...now), REACH / this.scale));
    } else if (this.isDrawing) {
      if (distance(this._toPage(this.outline.at(-1)), now) < 4) return;
      this.outline.push(this._toMap(...now));
      this._draw();
    } else {
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      this.pointers.set(event.pointerId, now);
      if (others.length) this._zoom(distance(others[0], now) / Math.max(1, distance(others[0], before)), ...others[0]);
      else this._move((before[0] - now[0]) / this.scale, (now[1] - before[1]) / this.scale);
    }
  }

  _release(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const isClick = distance(this.pressedAt, [event.offsetX, event.offsetY]) < 4;
    const outline = this.outline;
    this.outline = [];
    if (this.isDrawing && !isClick) {
      this._setDrawing(false);
      this._select(outline);
    } else if (isClick && event.type === "pointerup") {
      this._open(this.points.nearest(...this._toMap(event.offsetX, event.offsetY), REACH / this.scale));
    }
    this.isDrawing = false;
  }

  _hover(i) {
    if (i === this.hovered) return;
    this.hovered = i;
    this.tip.hidden = i < 0;
    if (i >= 0) this.tip.textContent = `#${this.points.index[i]} ${this.points.texts.get(i) ?? "unlabelled"}`;
    this._draw();
  }

  _open(i) {
    if (i < 0) return;
    this._hover(i);
    htmx.ajax("GET", `${this.panel.dataset.page}features/${this.points.index[i]}/`, { target: "#map-card", swap: "innerHTML" });
  }

  // ---- keys and buttons

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEP / this.scale;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    const actions = { "+": "in", "=": "in", "-": "out", 0: "whole", Enter: "select", Escape: "nothing", " ": "open" };
    if (moves[event.key]) this._move(...moves[event.key]);
    else if (actions[event.key]) this._do(actions[event.key]);
    else return;
    event.preventDefault();
  }

  _do(action) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (action === "in") this._zoom(1.4);
    if (action === "out") this._zoom(1 / 1.4);
    if (action === "whole") this._whole();
    if (action === "open") this._open(this.points.nearest(...this.centre, Math.hypot(width, height) / 2 / this.scale));
    if (action === "select") this._select([[0, 0], [width, 0], [width, height], [0, height]].map((place) => this._toMap(...place)));
    if (action === "nothing") this._select([]);
  }

  // ---- the selection, which stands in the address

  _readSelection() {
    const [method, ...numbers] = (new URLSearchParams(location.search).get("within") ?? "").split(".");
    if (method !== this.panel.dataset.method || numbers.length < 6 || numbers.length % 2) return;
    this.corners = Array.from({ length: numbers.length / 2 }, (_, i) => [Number(numbers[2 * i]), Number(numbers[2 * i + 1])]);
  }

  _select(outline) {
    const every = Math.ceil(outline.length / CORNERS);
    const onMap = (value) => Math.max(0, Math.min(MAP_SIZE, Math.round(value)));
    const corners = outline.filter((_, place) => place % every === 0).map((corner) => corner.map(onMap));
    this.corners = corners.length < 3 ? null : corners;
    const address = new URL(location.href);
    for (const name of ["cursor", "within"]) address.searchParams.delete(name);
    address.searchParams.set("method", this.panel.dataset.method);
    if (this.corners) address.searchParams.set("within", [this.panel.dataset.method, ...corners.flat()].join("."));
    history.replaceState(history.state, "", address);
    htmx.ajax("GET", address.pathname + address.search, { target: "#map-table", swap: "outerHTML" });
    this._recolour();
  }
}

const distance = ([x1, y1], [x2, y2]) => Math.hypot(x2 - x1, y2 - y1);

// The panel is hidden without JavaScript. It may come later than the page: the map is being made while one waits.
const showMap = async () => {
  const panel = document.querySelector("#map-view[hidden]");
  if (!panel) return;
  panel.hidden = false;
  try {
    const response = await fetch(panel.dataset.positions);
    if (!response.ok) throw new Error((await response.json()).error.message);
    panel.view = new FeatureMapView(panel, new MapPoints(await response.arrayBuffer()));
  } catch (problem) {
    const notice = panel.querySelector("#map-problem");
    notice.textContent = `The points could not be read: ${problem.message}`;
    notice.hidden = false;
  }
};
document.addEventListener("DOMContentLoaded", showMap);
document.addEventListener("htmx:afterSettle", showMap);
