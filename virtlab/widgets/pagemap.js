// A map of up to a million pages on a canvas: one byte a page, drawn as squares or dots, with a
// legend, a cursor moved by mouse or keys, words for those who can't see it, and a magnifier.

const FADE_MS = 240; // what changed fades from its old colour to its new one
const SIGN_PX = 9; // squares at least this large carry their second sign
const CELL_PX = 26; // no square is larger
const LENS_PX = 22; // squares of the magnifier
const LABEL_PX = 22; // a band is at least as high as its label
const GAP_PX = 8; // between two bands
const FAINT = 0.13; // opacity of what is not picked in the legend
const number = new Intl.NumberFormat("en-US");

const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

function element(tag, className, parent, attributes = {}) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.appendChild(made);
  return made;
}

// The states as this view knows them. A change that does not fit is answered by asking for all.
class Store {
  constructor(model) {
    this.model = model;
    this.states = new Uint8Array(0);
    this.version = -1;
  }

  // Returns the indices that changed, or null if everything may have.
  follow() {
    const { model } = this;
    const version = model.get("version");
    if (version === this.version) return new Uint32Array(0);
    if (model.get("base_version") === version) {
      this.states = bytes(model.get("base")).slice();
      this.version = version;
      return null;
    }
    const delta = bytes(model.get("delta"));
    if (this.version !== version - 1 || delta.length % 5) {
      model.send({ ask: "all" });
      return new Uint32Array(0);
    }
    const count = delta.length / 5;
    const indices = new Uint32Array(delta.slice(0, 4 * count).buffer);
    for (let i = 0; i < count; i++) this.states[indices[i]] = delta[4 * count + i];
    this.version = version;
    return indices;
  }
}

// Find the largest square with which every page has its place; sizes in device pixels.
function fit(groups, width, height, ratio) {
  let cell = Math.round(CELL_PX * ratio);
  let pages = 1; // that one square stands for
  const label = LABEL_PX * ratio;
  const gap = GAP_PX * ratio;
  for (;;) {
    const columns = Math.max(1, Math.floor(width / cell));
    const rows = groups.map((group) => Math.max(1, Math.ceil(group.size / (columns * pages))));
    const heights = rows.map((count) => Math.max(count * cell, label));
    const total = heights.reduce((sum, one) => sum + one + gap, -gap);
    if (total <= height || pages > 4096) {
      let top = 0;
      let first = 0;
      let row = 0;
      const bands = groups.map((group, i) => {
        const band = { top, first, row, rows: rows[i], size: group.size, height: heights[i] };
        top += Math.round(heights[i] + gap);
        first += group.size;
        row += rows[i];
        return band;
      });
      return { cell, pages, columns, bands, rows: row, height: Math.ceil(total), ratio };
    }
    if (cell > 1) cell -= 1;
    else pages += 1;
  }
}

// Colours of all states in all groups, as red, green, blue, opacity.
function palette(groups, legend, picked) {
  const table = new Uint8ClampedArray(groups.length * legend.length * 4);
  groups.forEach((group, g) => {
    legend.forEach((entry, s) => {
      const value = parseInt((entry.own ? group.colour : entry.colour).slice(1), 16);
      const alpha = picked < 0 || picked === s ? 255 : 255 * FAINT;
      table.set([value >> 16, (value >> 8) & 255, value & 255, alpha], 4 * (g * legend.length + s));
    });
  });
  return table;
}

// One pixel a square: its colour, or the mean of its pages' colours.
function paint(image, states, layout, table, kinds) {
  const pixels = new Uint32Array(image.data.buffer);
  const colours = new Uint32Array(table.buffer);
  pixels.fill(0);
  layout.bands.forEach((band, g) => {
    let at = band.row * layout.columns;
    const end = band.first + band.size;
    if (layout.pages === 1) {
      for (let p = band.first; p < end; p++) pixels[at++] = colours[g * kinds + states[p]];
      return;
    }
    for (let p = band.first; p < end; p += layout.pages, at++) {
      const stop = Math.min(p + layout.pages, end);
      let [r, g_, b, a] = [0, 0, 0, 0];
      for (let q = p; q < stop; q++) {
        const c = 4 * (g * kinds + states[q]);
        r += table[c];
        g_ += table[c + 1];
        b += table[c + 2];
        a += table[c + 3];
      }
      const n = stop - p;
      image.data.set([r / n, g_ / n, b / n, a / n], 4 * at);
    }
  });
}

function sign(context, entry, x, y, side, opacity = 1) {
  const shape = entry.sign;
  if (!shape) return;
  context.save();
  context.globalAlpha = opacity;
  context.translate(x + side / 2, y + side / 2);
  context.scale(side, side);
  context.beginPath();
  for (const line of shape.lines) {
    line.forEach(([px, py], i) => (i ? context.lineTo(px, py) : context.moveTo(px, py)));
  }
  context.lineWidth = shape.width;
  context.fillStyle = context.strokeStyle = entry.ink;
  if (shape.filled) context.fill();
  else context.stroke();
  context.restore();
}

function square(context, entry, colour, x, y, side, opacity = 1) {
  context.globalAlpha = opacity;
  context.fillStyle = colour;
  context.fillRect(x, y, side, side);
  context.globalAlpha = 1;
  sign(context, entry, x, y, side, opacity);
}

class View {
  constructor(model, el) {
    this.model = model;
    this.store = new Store(model);
    this.picked = -1;
    this.over = -1; // the page under the cursor
    this.tallest = 0; // the map never shrinks: nothing below it jumps
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.build(el);
  }

  build(el) {
    const root = element("div", "virtlab-pagemap", el);
    this.title = element("div", "virtlab-pagemap-title", root);
    this.key = element("div", "virtlab-pagemap-legend", root, {
      role: "group",
      "aria-label": "Legend: press an entry to pick out its pages",
    });
    this.stage = element("div", "virtlab-pagemap-stage", root, {
      role: "application",
      "aria-roledescription": "page map",
      tabindex: "0",
    });
    this.canvas = element("canvas", "", this.stage, { "aria-hidden": "true" });
    this.marker = element("canvas", "virtlab-pagemap-marker", this.stage, { "aria-hidden": "true" });
    this.names = element("div", "", this.stage, { "aria-hidden": "true" });
    this.lens = element("canvas", "virtlab-pagemap-lens", root, { "aria-hidden": "true" });
    const foot = element("div", "virtlab-pagemap-foot", root);
    this.words = element("div", "virtlab-pagemap-words", foot, { role: "status", "aria-live": "polite" });
    this.motion = element("button", "virtlab-button", foot, { type: "button" });
    const more = element("details", "virtlab-table", root);
    element("summary", "", more).textContent = "Counts as a table";
    this.table = element("table", "", more);
    this.small = document.createElement("canvas"); // one pixel a square
    this.root = root;
    this.listen();
  }

  listen() {
    this.stage.addEventListener("pointermove", (event) => this.hover(event));
    this.stage.addEventListener("pointerdown", (event) => this.hover(event));
    this.stage.addEventListener("keydown", (event) => this.press(event));
    this.motion.addEventListener("click", () => this.setMotion(!this.still));
    this.setMotion(this.still);
  }

  setMotion(still) {
    this.still = still;
    this.motion.textContent = "Motion";
    this.motion.setAttribute("aria-pressed", String(!still));
    if (still) this.finish();
  }

  // --- what the kernel says -------------------------------------------------------------------

  follow() {
    const before = this.store.states;
    const old = before.slice();
    const changed = this.store.follow();
    this.groups = this.model.get("groups");
    this.legend = this.model.get("legend");
    if (this.store.version < 0) return;
    const same = old.length === this.store.states.length && this.layout && this.key.children.length;
    this.say();
    if (!same || this.laidOut !== JSON.stringify(this.groups)) this.resize();
    else if (changed === null || changed.length) this.fade();
    this.root.dataset.version = String(this.store.version);
    this.move(Math.min(this.over, this.store.states.length - 1), false);
  }

  say() {
    const title = this.model.get("title");
    const alt = this.model.get("alt");
    this.title.textContent = title;
    this.title.hidden = !title;
    this.stage.setAttribute("aria-label", `${alt} Arrow keys move over the pages.`);
    this.drawLegend();
    this.drawTable();
  }

  drawLegend() {
    const counts = this.model.get("counts_by_group");
    while (this.key.children.length > this.legend.length) this.key.lastChild.remove();
    this.legend.forEach((entry, s) => {
      let button = this.key.children[s];
      if (!button) {
        button = element("button", "virtlab-button", this.key, { type: "button" });
        element("canvas", "", button, { "aria-hidden": "true" });
        element("span", "", button);
        element("output", "", button);
        button.addEventListener("click", () => this.pick(this.picked === s ? -1 : s));
      }
      button.children[1].textContent = entry.label;
      button.children[2].textContent = number.format(counts.reduce((sum, row) => sum + row[s], 0));
      button.setAttribute("aria-pressed", String(this.picked === s));
      this.swatch(button.children[0], entry);
    });
  }

  swatch(canvas, entry) {
    const side = Math.round(18 * devicePixelRatio);
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    const own = entry.own ? this.groups.slice(0, 4).map((group) => group.colour) : [entry.colour];
    own.forEach((colour, i) => {
      context.fillStyle = colour;
      context.fillRect((i * side) / own.length, 0, side / own.length + 1, side);
    });
    sign(context, entry, 0, 0, side);
  }

  drawTable() {
    const counts = this.model.get("counts_by_group");
    const rows = this.groups.map((group, g) => [group.label, ...counts[g]]);
    const total = this.legend.map((_, s) => counts.reduce((sum, row) => sum + row[s], 0));
    if (rows.length > 1) rows.push(["all", ...total]);
    this.table.replaceChildren();
    const head = element("tr", "", element("thead", "", this.table));
    for (const text of ["", ...this.legend.map((entry) => entry.label)]) {
      element("th", "", head, { scope: "col" }).textContent = text;
    }
    const body = element("tbody", "", this.table);
    for (const [label, ...values] of rows) {
      const row = element("tr", "", body);
      element("th", "", row, { scope: "row" }).textContent = label;
      for (const value of values) element("td", "", row).textContent = number.format(value);
    }
  }

  // --- drawing --------------------------------------------------------------------------------

  resize() {
    const width = this.root.clientWidth;
    if (width < 1 || this.store.version < 0) return; // hidden: nothing to draw on
    const ratio = devicePixelRatio || 1;
    const longest = Math.max(...this.groups.map((group) => group.label.length));
    const left = Math.min(14 + 8.2 * longest, 0.27 * width);
    this.left = Math.round(left * ratio);
    const room = Math.floor(width * ratio) - this.left - 2;
    this.layout = fit(this.groups, room, this.model.get("height") * ratio, ratio);
    this.laidOut = JSON.stringify(this.groups);
    const { layout } = this;
    this.tallest = width === this.width ? Math.max(this.tallest, layout.height + 2) : layout.height + 2;
    this.width = width;
    for (const canvas of [this.canvas, this.marker]) {
      canvas.width = Math.floor(width * ratio);
      canvas.height = this.tallest;
      canvas.style.width = `${canvas.width / ratio}px`;
      canvas.style.height = `${canvas.height / ratio}px`;
    }
    this.small.width = layout.columns;
    this.small.height = layout.rows;
    this.names.replaceChildren();
    layout.bands.forEach((band, g) => {
      const name = element("div", "virtlab-pagemap-name", this.names);
      name.textContent = name.title = this.groups[g].label;
      name.style.top = `${band.top / ratio}px`;
      name.style.width = `${left - 10}px`;
    });
    this.magnified = layout.pages > 1 || layout.cell < SIGN_PX * ratio;
    this.lens.hidden = !this.magnified;
    this.finish();
  }

  target() {
    const image = new ImageData(this.layout.columns, this.layout.rows);
    const table = palette(this.groups, this.legend, this.picked);
    paint(image, this.store.states, this.layout, table, this.legend.length);
    return image;
  }

  finish() {
    cancelAnimationFrame(this.frame);
    if (!this.layout) return;
    this.shown = this.target();
    this.show(1);
  }

  // Fade from what is on the screen, be it in the middle of an earlier fade, to what is now.
  fade() {
    cancelAnimationFrame(this.frame);
    if (this.still || !this.shown) return this.finish();
    const from = this.shown.data.slice();
    const to = this.target().data;
    const [a, b] = [new Uint32Array(from.buffer), new Uint32Array(to.buffer)];
    const different = [];
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) different.push(i);
    const start = performance.now();
    const step = (now) => {
      const t = Math.min(1, Math.max(0, (now - start) / FADE_MS));
      const eased = t * t * (3 - 2 * t);
      const { data } = this.shown;
      for (const dot of different) {
        for (let c = 4 * dot; c < 4 * dot + 4; c++) data[c] = from[c] + (to[c] - from[c]) * eased;
      }
      this.show(t, different);
      if (t < 1) this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }

  show(progress, changing = []) {
    const { layout, canvas, small, left } = this;
    const context = canvas.getContext("2d");
    small.getContext("2d").putImageData(this.shown, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = false;
    const { cell, columns } = layout;
    for (const band of layout.bands) {
      const [width, height] = [columns * cell, band.rows * cell];
      context.drawImage(small, 0, band.row, columns, band.rows, left, band.top + 1, width, height);
      if (cell >= 4) this.grid(context, band, width, height);
      this.rim(context, band);
    }
    if (!this.magnified) this.signs(context, progress, new Set(changing));
    this.canvas.dataset.progress = progress.toFixed(2);
    this.drawLens();
  }

  grid(context, band, width, height) {
    const { left, layout } = this;
    const line = Math.max(1, Math.floor(layout.ratio));
    for (let c = 1; c < layout.columns; c++) context.clearRect(left + c * layout.cell, band.top + 1, line, height);
    for (let r = 1; r < band.rows; r++) context.clearRect(left, band.top + 1 + r * layout.cell, width, line);
  }

  // Around the squares of a band, not around the empty end of its last row.
  rim(context, band) {
    const { cell, columns, pages } = this.layout;
    const squares = Math.ceil(band.size / pages);
    const last = squares - columns * (band.rows - 1);
    const [x, y] = [this.left + 0.5, band.top + 0.5];
    const [right, bottom] = [x + columns * cell, y + band.rows * cell + 1];
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(right, y);
    context.lineTo(right, bottom - cell);
    context.lineTo(x + last * cell, bottom - cell);
    context.lineTo(x + last * cell, bottom);
    context.lineTo(x, bottom);
    context.closePath();
    context.strokeStyle = "#8C8C8C";
    context.lineWidth = 1;
    context.stroke();
  }

  signs(context, progress, changing) {
    const { layout, left } = this;
    for (const band of layout.bands) {
      for (let i = 0; i < band.size; i++) {
        const s = this.store.states[band.first + i];
        if (!this.legend[s].sign) continue;
        const x = left + (i % layout.columns) * layout.cell;
        const y = band.top + 1 + Math.floor(i / layout.columns) * layout.cell;
        const fresh = changing.has(band.row * layout.columns + i);
        const seen = this.picked < 0 || this.picked === s ? 1 : FAINT;
        sign(context, this.legend[s], x, y, layout.cell, fresh ? seen * progress : seen);
      }
    }
  }

  pick(state) {
    this.picked = state;
    this.drawLegend();
    this.fade();
  }

  // --- the cursor -----------------------------------------------------------------------------

  group(page) {
    return this.layout.bands.findIndex((band) => page >= band.first && page < band.first + band.size);
  }

  hover(event) {
    if (!this.layout) return;
    const { cell, columns, pages, ratio } = this.layout;
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) * ratio - this.left, (event.clientY - box.top) * ratio - 1];
    const band = this.layout.bands.find((one) => y >= one.top && y < one.top + one.rows * cell);
    const column = Math.floor(x / cell);
    if (!band || column < 0 || column >= columns) return;
    const page = (Math.floor((y - band.top) / cell) * columns + column) * pages;
    if (page < band.size) this.move(band.first + page);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.layout) return;
    if (event.key === "Escape") {
      this.finish();
      this.pick(-1);
      return;
    }
    const { columns, pages, bands } = this.layout;
    const g = Math.max(this.group(this.over), 0);
    const row = columns * pages;
    const next = {
      ArrowRight: this.over + 1,
      ArrowLeft: this.over - 1,
      ArrowDown: this.over + row,
      ArrowUp: this.over - row,
      Home: bands[g].first,
      End: bands[g].first + bands[g].size - 1,
      PageDown: bands[Math.min(g + 1, bands.length - 1)].first,
      PageUp: bands[Math.max(g - 1, 0)].first,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has its own meaning for arrows
    const last = this.store.states.length - 1;
    if (this.over < 0) this.move(0);
    else if (next >= 0 && next <= last) this.move(next);
  }

  move(page, tell = true) {
    this.over = page;
    this.speak();
    this.mark();
    this.drawLens();
    if (!tell || page === this.model.get("cursor")) return;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      this.model.set("cursor", this.over);
      this.model.save_changes();
    }, 40); // only where the hand rests, not each page it passes
  }

  speak() {
    const page = this.over;
    if (page < 0 || !this.layout) {
      this.words.textContent = "Point at a page, or press an arrow key, to see what it is.";
      return;
    }
    const g = this.group(page);
    const index = number.format(page - this.layout.bands[g].first);
    const state = this.legend[this.store.states[page]].label;
    const detail = this.model.get("detail");
    const more = detail.page === page && detail.text ? `. ${detail.text}` : "";
    const text = `page ${index} of ${this.groups[g].label}: ${state}${more}`;
    if (this.words.textContent !== text) this.words.textContent = text;
  }

  mark() {
    const context = this.marker.getContext("2d");
    context.clearRect(0, 0, this.marker.width, this.marker.height);
    if (this.over < 0 || !this.layout) return;
    const { cell, columns, pages, bands, ratio } = this.layout;
    const band = bands[this.group(this.over)];
    const dot = Math.floor((this.over - band.first) / pages);
    const side = Math.max(cell, 5 * ratio);
    const shift = (side - cell) / 2;
    const x = this.left + (dot % columns) * cell - shift;
    const y = band.top + 1 + Math.floor(dot / columns) * cell - shift;
    for (const [colour, grow, width] of [["#FFFFFF", 2.5, 4], ["#000000", 2, 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * ratio;
      context.strokeRect(x - grow * ratio, y - grow * ratio, side + 2 * grow * ratio, side + 2 * grow * ratio);
    }
  }

  // The pages around the cursor, large enough for their signs.
  drawLens() {
    if (!this.magnified || !this.layout) return;
    const { ratio, bands } = this.layout;
    const side = Math.round(LENS_PX * ratio);
    this.lens.width = Math.floor(this.width * ratio);
    this.lens.height = side + 8 * ratio;
    this.lens.style.width = `${this.lens.width / ratio}px`;
    this.lens.style.height = `${this.lens.height / ratio}px`;
    const context = this.lens.getContext("2d");
    const page = Math.max(this.over, 0);
    const g = Math.max(this.group(page), 0);
    const end = bands[g].first + bands[g].size;
    const count = Math.min(Math.floor((this.lens.width - this.left - 6 * ratio) / side), bands[g].size);
    const first = Math.min(Math.max(page - (count >> 1), bands[g].first), end - count);
    for (let i = 0; i < count; i++) {
      const entry = this.legend[this.store.states[first + i]];
      const x = this.left + i * side;
      const seen = this.picked < 0 || this.legend[this.picked] === entry ? 1 : FAINT;
      const line = Math.max(1, Math.floor(ratio));
      square(context, entry, entry.own ? this.groups[g].colour : entry.colour, x, 4 * ratio, side - line, seen);
      context.strokeStyle = "#8C8C8C";
      context.lineWidth = 1;
      context.strokeRect(x + 0.5, 4 * ratio + 0.5, side - line - 1, side - line - 1);
    }
    if (this.over < 0) return;
    context.strokeStyle = "#000000";
    context.lineWidth = 3 * ratio;
    context.strokeRect(this.left + (page - first) * side - ratio, 3 * ratio, side + ratio, side + ratio);
  }
}

function render({ model, el }) {
  const view = new View(model, el);
  const follow = () => view.follow();
  const speak = () => view.speak();
  const point = () => {
    if (model.get("cursor") !== view.over) view.move(model.get("cursor"), false);
  };
  model.on("change:version", follow);
  model.on("change:detail", speak);
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
    model.off("change:detail", speak);
    model.off("change:cursor", point);
  };
}

export default { render };
