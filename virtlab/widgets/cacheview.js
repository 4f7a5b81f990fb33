// The translation cache: above, the units where their code stands in the guest's memory, a row of
// blocks for each page; below, the cache itself, a place for each unit that it can hold. Curves are
// links. `pagemap-paint.js` stands before this text in one module.

const NARROW_PX = 600; // as in virtlab.plots.style
const MOVE_MS = 260; // from one moment to the next
const BLOCK_PX = 26;
const ROW_PX = 37; // words above the blocks of a page, and the curves between them
const LINE_PX = 15; // between two lines of blocks, for the curves
const LARGE = 18; // pixels of an instruction, at most
const TALLEST_PX = 430; // of the map: smaller letters for instructions, before it is taller
const LOOKED_UP = "#B34700";
const GREY = "#8C8C8C";
const [NOT_YET, , RUNNING, NEW, EVICTED, INVALIDATED] = [0, 1, 2, 3, 4, 5];

const shorts = (view) => {
  const copy = bytes(view).slice(); // a view may start anywhere, numbers may not
  return new Uint16Array(copy.buffer, 0, copy.length >> 1);
};

class Cache {
  constructor(model, el) {
    this.model = model;
    this.over = -1; // the unit under the cursor
    this.width = 0;
    this.run = -1;
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.build(el);
  }

  build(el) {
    const root = element("div", "virtlab-pagemap virtlab-cache", el);
    this.title = element("div", "virtlab-pagemap-title", root);
    this.key = element("div", "virtlab-flight-legend", root, { "aria-hidden": "true" });
    const body = element("div", "virtlab-cache-body", root);
    this.stage = element("div", "virtlab-pagemap-stage", body, {
      role: "application",
      "aria-roledescription": "map of the translation cache",
      tabindex: "0",
    });
    this.canvas = element("canvas", "", this.stage, { "aria-hidden": "true" });
    this.table = element("table", "virtlab-cache-counts", body);
    const foot = element("div", "virtlab-pagemap-foot", root);
    this.words = element("div", "virtlab-pagemap-words", foot, { role: "status", "aria-live": "polite" });
    this.motion = element("button", "virtlab-button", foot, { type: "button" });
    this.root = root;
    this.stage.addEventListener("pointermove", (event) => this.hover(event));
    this.stage.addEventListener("pointerdown", (event) => this.hover(event));
    this.stage.addEventListener("keydown", (event) => this.press(event));
    this.motion.addEventListener("click", () => this.setMotion(!this.still));
    this.setMotion(this.still);
  }

  setMotion(still) {
    this.still = still;
    this.motion.textContent = still ? "Motion off" : "Motion on";
    this.motion.setAttribute("aria-pressed", String(!still));
    if (still) this.finish();
  }

  // --- what the kernel says -------------------------------------------------------------------

  follow() {
    const { model } = this;
    this.states = bytes(model.get("states")).slice();
    this.held = shorts(model.get("held"));
    this.links = shorts(model.get("links"));
    this.path = shorts(model.get("path"));
    this.units = model.get("units");
    this.rows = model.get("rows");
    this.legend = model.get("legend");
    this.limit = model.get("limit");
    this.title.textContent = model.get("title");
    this.stage.setAttribute("aria-label", `${model.get("alt")} Arrow keys move over the units.`);
    this.drawLegend();
    this.drawCounts();
    this.root.dataset.version = String(model.get("version"));
    if (model.get("run") !== this.run || !this.layout) {
      this.run = model.get("run");
      this.over = -1;
      this.width = 0;
      this.resize();
    } else this.move();
    this.speak();
  }

  drawLegend() {
    this.legend.forEach((entry, s) => {
      let item = this.key.children[s];
      if (!item) {
        item = element("span", "", this.key);
        element("canvas", "", item);
        element("span", "", item).textContent = entry.label;
      }
      const canvas = item.firstChild;
      const ratio = devicePixelRatio || 1;
      canvas.width = canvas.height = Math.round(18 * ratio);
      const context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      this.block(context, s, 1, 1, 16, 16, 1);
    });
  }

  drawCounts() {
    this.model.get("counts").forEach(([label, value], i) => {
      const row = this.table.rows[i] ?? this.table.insertRow();
      if (!row.firstChild) {
        element("th", "", row, { scope: "row" }).textContent = label;
        element("td", "", row);
      }
      row.lastChild.textContent = number.format(value);
    });
  }

  // --- layout ---------------------------------------------------------------------------------

  resize() {
    const width = this.stage.clientWidth;
    if (width < 1 || !this.units) return;
    this.root.classList.toggle("virtlab-narrow", this.root.clientWidth < NARROW_PX);
    const room = this.stage.clientWidth;
    let places = { height: Infinity };
    for (const alone of [true, false]) {
      for (let scale = LARGE; scale >= 4 && places.height > TALLEST_PX; scale -= 1) {
        places = this.flow(room, scale, alone);
      }
    }
    const ratio = devicePixelRatio || 1;
    const columns = Math.min(this.limit, Math.floor(room / 5.5));
    const strips = Math.ceil(this.limit / columns);
    const cell = Math.min(40, room / columns);
    this.layout = { ...places, ratio, room, columns, cell, top: places.height + 30 };
    this.canvas.width = Math.floor(room * ratio);
    this.canvas.height = Math.floor((this.layout.top + strips * 46) * ratio);
    this.canvas.style.width = `${this.canvas.width / ratio}px`;
    this.canvas.style.height = `${this.canvas.height / ratio}px`;
    this.width = this.root.clientWidth;
    this.root.dataset.width = String(this.width);
    this.finish();
  }

  // Put the blocks of each page into lines, a page after the other; where there is no room for a
  // line each, short pages share one.
  flow(room, scale, alone) {
    const boxes = [];
    const labels = [];
    let [x, y] = [0, ROW_PX];
    let headed = true; // there is room for words above this line
    const letters = 8.2;
    this.rows.forEach((row) => {
      const wide = (k) => Math.max(15, this.units[k].size * scale);
      let length = 0;
      for (let k = row.first; k < row.first + row.size; k++) length += wide(k) + 6;
      const needs = Math.max(length, letters * row.label.length + 14);
      if (x > 0 && (alone || !headed || x + needs > room)) [x, y] = [0, y + BLOCK_PX + LINE_PX + ROW_PX];
      headed = true;
      labels.push({ text: row.label, x, y: y - 27 });
      const start = x;
      for (let k = row.first; k < row.first + row.size; k++) {
        if (x > 0 && x + wide(k) > room) [x, y, headed] = [0, y + BLOCK_PX + LINE_PX, false];
        boxes.push({ x, y, w: wide(k) });
        x += wide(k) + 6;
      }
      x = Math.max(x, start + letters * row.label.length) + 22;
    });
    return { boxes, labels, height: y + BLOCK_PX + LINE_PX };
  }

  // --- drawing --------------------------------------------------------------------------------

  finish() {
    cancelAnimationFrame(this.frame);
    this.draw(1);
  }

  move() {
    cancelAnimationFrame(this.frame);
    if (this.still) return this.finish();
    const began = performance.now();
    const step = (now) => {
      const part = Math.min(1, (now - began) / MOVE_MS);
      this.draw(part);
      if (part < 1) this.frame = requestAnimationFrame(step);
    };
    this.canvas.dataset.progress = "0.00";
    this.frame = requestAnimationFrame(step);
  }

  draw(part) {
    if (!this.layout || !this.states) return;
    const { ratio } = this.layout;
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(this.root);
    this.ink = style.color;
    this.family = style.fontFamily;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.drawLinks(context);
    this.layout.boxes.forEach((box, k) => {
      const state = this.states[k];
      const grown = state === NEW ? Math.max(0.1, part) : 1;
      this.block(context, state, box.x, box.y, box.w * grown, BLOCK_PX, 1);
    });
    this.drawPath(context, part);
    for (const label of this.layout.labels) this.text(context, label.text, label.x, label.y, true);
    this.drawCache(context, part);
    this.mark(context);
    this.canvas.dataset.progress = part.toFixed(2);
  }

  text(context, words, x, y, halo = false) {
    context.font = `14px ${this.family}`;
    context.textBaseline = "middle";
    context.textAlign = "left";
    if (halo) {
      context.strokeStyle = parseInt(/\d+/.exec(this.ink), 10) < 120 ? "#FFFFFF" : "#111111";
      context.lineWidth = 4;
      context.lineJoin = "round";
      context.strokeText(words, x, y);
    }
    context.fillStyle = this.ink;
    context.fillText(words, x, y);
  }

  // A block with its colour and its second sign: lines one way, the other way, crossed, a point.
  block(context, state, x, y, w, h, opacity) {
    context.save();
    context.globalAlpha = opacity;
    const rim = new Path2D();
    rim.rect(x + 0.5, y + 0.5, Math.max(1, w - 1), Math.max(1, h - 1));
    context.fillStyle = state === NOT_YET ? "transparent" : this.legend[state].colour;
    context.fill(rim);
    context.save();
    context.clip(rim);
    context.strokeStyle = this.legend[state].ink;
    context.lineWidth = 1;
    context.globalAlpha = 0.75 * opacity;
    const lines = (slope) => {
      for (let at = -h; at < w + h; at += 7) {
        context.beginPath();
        context.moveTo(x + at, slope > 0 ? y + h : y);
        context.lineTo(x + at + h, slope > 0 ? y : y + h);
        context.stroke();
      }
    };
    if (state === NEW || state === INVALIDATED) lines(1);
    if (state === EVICTED || state === INVALIDATED) lines(-1);
    if (state === RUNNING && w >= 12 && h >= 12) {
      const [cx, cy] = [x + w / 2, y + h / 2];
      context.globalAlpha = opacity;
      context.fillStyle = this.legend[state].ink;
      context.beginPath();
      context.moveTo(cx - 3, cy - 5);
      context.lineTo(cx + 5, cy);
      context.lineTo(cx - 3, cy + 5);
      context.fill();
    }
    context.restore();
    context.strokeStyle = state === NOT_YET ? GREY : this.ink || "#1A1A1A";
    context.setLineDash(state === NOT_YET ? [2, 3] : []);
    context.lineWidth = 1;
    context.stroke(rim);
    context.restore();
  }

  // A way from a block's foot to another one's head, or over the blocks of the same line.
  curve(context, from, to) {
    const [a, b] = [this.layout.boxes[from], this.layout.boxes[to]];
    const [ax, bx] = [a.x + a.w / 2, b.x + b.w / 2];
    context.beginPath();
    if (from === to) {
      context.arc(ax, a.y - 2, 6, 0.8 * Math.PI, 0.2 * Math.PI);
      return [ax + 5, a.y + 1, 0.75 * Math.PI];
    }
    if (a.y === b.y) {
      const high = Math.min(16, 6 + Math.abs(ax - bx) / 12);
      const side = bx > ax ? 1 : -1;
      context.moveTo(ax, a.y);
      context.bezierCurveTo(ax, a.y - high, bx - side * 4, b.y - high, bx - side * 2, b.y);
      return [bx - side * 2, b.y, Math.PI / 2];
    }
    const down = b.y > a.y;
    const [ay, by] = down ? [a.y + BLOCK_PX, b.y] : [a.y, b.y + BLOCK_PX];
    const bend = (by - ay) * 0.5;
    context.moveTo(ax, ay);
    context.bezierCurveTo(ax, ay + bend, bx, by - bend, bx, by);
    return [bx, by, down ? Math.PI / 2 : -Math.PI / 2];
  }

  arrow(context, [x, y, angle], size) {
    context.save();
    context.translate(x, y);
    context.rotate(angle);
    context.beginPath();
    context.moveTo(0, 0);
    context.lineTo(-size, -0.55 * size);
    context.lineTo(-size, 0.55 * size);
    context.closePath();
    context.fill();
    context.restore();
  }

  drawLinks(context) {
    context.save();
    context.strokeStyle = context.fillStyle = GREY;
    context.lineWidth = 1;
    for (let i = 0; i + 1 < this.links.length; i += 2) {
      const end = this.curve(context, this.links[i], this.links[i + 1]);
      context.stroke();
      this.arrow(context, end, 6);
    }
    context.restore();
  }

  // What was gone along in this moment: whole along a link, broken where somebody was asked.
  drawPath(context, part) {
    const ways = Math.ceil((this.path.length / 3) * part);
    context.save();
    context.lineWidth = 2;
    for (let i = 0; i < 3 * ways; i += 3) {
      const [from, to, linked] = [this.path[i], this.path[i + 1], this.path[i + 2]];
      context.strokeStyle = context.fillStyle = linked ? this.ink : LOOKED_UP;
      context.setLineDash(linked ? [] : [5, 4]);
      const end = this.curve(context, from, to);
      context.stroke();
      this.arrow(context, end, 8);
    }
    context.restore();
  }

  slot(k) {
    const { columns, cell, top } = this.layout;
    return { x: (k % columns) * cell, y: top + Math.floor(k / columns) * 46 };
  }

  drawCache(context, part) {
    const { cell, top } = this.layout;
    const words = `the cache, in order of translation: ${this.held.length} of ${this.limit} places`;
    this.text(context, this.layout.room < 420 ? `the cache: ${this.held.length} of ${this.limit}` : words, 0, top - 12);
    for (let k = 0; k < this.limit; k++) {
      const { x, y } = this.slot(k);
      const unit = this.held[k];
      if (unit === undefined) {
        this.block(context, NOT_YET, x, y + 34, Math.max(4, cell - 2), 6, 1);
        continue;
      }
      const high = 8 + (32 * Math.min(12, this.units[unit].size)) / 12;
      const grown = this.states[unit] === NEW ? Math.max(0.1, part) : 1;
      this.block(context, this.states[unit], x, y + 40 - high * grown, Math.max(4, cell - 2), high * grown, 1);
    }
  }

  // --- the cursor -----------------------------------------------------------------------------

  mark(context) {
    if (this.over < 0) return;
    const box = this.layout.boxes[this.over];
    frame(context, box.x, box.y, box.w, BLOCK_PX, 1);
    const k = this.held.indexOf(this.over);
    if (k < 0) return;
    const { x, y } = this.slot(k);
    frame(context, x, y, this.layout.cell - 2, 40, 1);
  }

  hover(event) {
    if (!this.layout) return;
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const found = this.layout.boxes.findIndex(
      (one) => x >= one.x && x < one.x + one.w && y >= one.y && y < one.y + BLOCK_PX,
    );
    if (found >= 0) return this.point(found);
    for (let k = 0; k < this.held.length; k++) {
      const at = this.slot(k);
      if (x >= at.x && x < at.x + this.layout.cell && y >= at.y && y < at.y + 42) return this.point(this.held[k]);
    }
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.layout) return;
    const last = this.units.length - 1;
    const row = this.rows.findIndex((one) => this.over >= one.first && this.over < one.first + one.size);
    const page = (by) => this.rows[Math.min(Math.max(row + by, 0), this.rows.length - 1)]?.first ?? 0;
    const next = {
      ArrowRight: this.over + 1,
      ArrowLeft: this.over - 1,
      ArrowDown: page(1),
      ArrowUp: page(-1),
      Home: 0,
      End: last,
      Escape: -1,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has its own meaning for arrows
    this.point(event.key === "Escape" ? -1 : Math.min(Math.max(next, 0), last));
  }

  point(unit) {
    if (unit === this.over) return;
    this.over = unit;
    this.speak();
    this.finish();
    this.model.set("cursor", unit);
    this.model.save_changes();
  }

  speak() {
    let text = "Point at a block, or press an arrow key, to see what it is.";
    if (this.over >= 0 && this.units[this.over]) {
      const unit = this.units[this.over];
      const ways = [];
      for (let i = 0; i + 1 < this.links.length; i += 2) {
        if (this.links[i] === this.over) ways.push(this.units[this.links[i + 1]].name);
      }
      const state = this.legend[this.states[this.over]].label;
      const exit = unit.direct ? (ways.length ? `linked to ${ways.join(" and ")}` : "no link yet") : "its exit is indirect: looked up each time";
      text = `${unit.name}, ${state}; ${exit}. ${unit.code}`;
    }
    if (this.words.textContent !== text) this.words.textContent = text;
  }
}

function render({ model, el }) {
  const view = new Cache(model, el);
  const follow = () => view.follow();
  const point = () => {
    if (model.get("cursor") === view.over) return;
    view.over = model.get("cursor");
    view.speak();
    view.finish();
  };
  model.on("change:version", follow);
  model.on("change:cursor", point);
  const observer = new ResizeObserver(() => {
    if (view.root.clientWidth !== view.width) view.resize();
  });
  observer.observe(view.root);
  follow();
  return () => {
    observer.disconnect();
    cancelAnimationFrame(view.frame);
    model.off("change:version", follow);
    model.off("change:cursor", point);
  };
}

export default { render };
