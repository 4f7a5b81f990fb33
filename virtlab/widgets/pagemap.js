// A map of up to a million pages: a legend, a cursor moved by mouse or keys, words for those who
// can't see it, a magnifier, and a fade that shows what changed. Its tools are in
// `pagemap-paint.js`, which stands before this text in one module.

const FADE_MS = 240; // what changed fades from its old colour to its new one
const RINGS = 400; // up to so many changes are pointed out one by one
const LENS_PX = 22; // squares of the magnifier

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
    this.motion.textContent = still ? "Motion off" : "Motion on";
    this.motion.setAttribute("aria-pressed", String(!still));
    if (still) this.finish();
  }

  // --- what the kernel says -------------------------------------------------------------------

  follow() {
    const before = this.store.states.length;
    const changed = this.store.follow();
    this.groups = this.model.get("groups");
    this.legend = this.model.get("legend");
    if (this.store.version < 0) return;
    const same = before === this.store.states.length && this.layout;
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
    const counts = this.model.get("counts_by_group");
    const rows = this.groups.map((group, g) => [group.label, ...counts[g]]);
    if (rows.length > 1) rows.push(["all", ...this.totals()]);
    writeTable(this.table, ["", ...this.legend.map((entry) => entry.label)], rows);
  }

  drawLegend() {
    const totals = this.totals();
    const digits = number.format(this.store.states.length).length;
    while (this.key.children.length > this.legend.length) this.key.lastChild.remove();
    this.legend.forEach((entry, s) => {
      let button = this.key.children[s];
      if (!button) {
        button = element("button", "virtlab-button", this.key, { type: "button" });
        element("canvas", "", button, { "aria-hidden": "true" });
        element("span", "", button);
        element("span", "", button);
        button.addEventListener("click", () => this.pick(this.picked === s ? -1 : s));
      }
      button.children[1].textContent = entry.label;
      button.children[2].textContent = number.format(totals[s]);
      button.children[2].style.minWidth = `${digits}ch`; // the legend keeps its lines
      button.setAttribute("aria-pressed", String(this.picked === s));
      swatch(button.children[0], entry, this.groups);
    });
  }

  totals() {
    const counts = this.model.get("counts_by_group");
    return this.legend.map((_, s) => counts.reduce((sum, row) => sum + row[s], 0));
  }

  // --- drawing --------------------------------------------------------------------------------

  resize() {
    const width = this.root.clientWidth;
    if (width < 1 || this.store.version < 0) return; // hidden: nothing to draw on
    const ratio = devicePixelRatio || 1;
    const pen = this.marker.getContext("2d");
    pen.font = getComputedStyle(this.root).font;
    const longest = Math.max(...this.groups.map((group) => pen.measureText(group.label).width));
    const above = longest + 14 > 0.2 * width; // no room beside the bands
    const left = above ? PAD_PX : Math.ceil(longest) + 14;
    this.root.classList.toggle("virtlab-narrow", width < 500);
    this.left = Math.round(left * ratio);
    this.pad = Math.round(PAD_PX * ratio);
    const room = Math.floor(width * ratio) - this.left - this.pad;
    this.layout = fit(this.groups, room, this.model.get("height") * ratio, ratio, above);
    this.laidOut = JSON.stringify(this.groups);
    const { layout } = this;
    const height = layout.height + 2 * this.pad;
    this.tallest = width === this.width ? Math.max(this.tallest, height) : height;
    this.width = width;
    this.root.dataset.width = String(width); // the browser tests wait for it
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
      name.style.top = `${(band.top + this.pad) / ratio - (above ? LABEL_PX : 0)}px`;
      name.style.width = above ? `calc(100% - ${PAD_PX}px)` : `${left - 9}px`;
      name.style.left = above ? `${PAD_PX}px` : "0";
      name.style.textAlign = above ? "left" : "right";
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
      const top = band.top + this.pad;
      context.drawImage(small, 0, band.row, columns, band.rows, left, top, width, height);
      if (cell >= 4) grid(context, layout, band, left, top);
      rim(context, layout, band, left, top);
    }
    if (!this.magnified) this.signs(context, progress, new Set(changing));
    if (progress < 1 && changing.length <= RINGS) this.rings(context, progress, changing);
    this.canvas.dataset.progress = progress.toFixed(2);
    this.drawLens();
  }

  signs(context, progress, changing) {
    const { layout, left } = this;
    for (const band of layout.bands) {
      for (let i = 0; i < band.size; i++) {
        const s = this.store.states[band.first + i];
        if (!this.legend[s].sign) continue;
        const x = left + (i % layout.columns) * layout.cell;
        const y = band.top + this.pad + Math.floor(i / layout.columns) * layout.cell;
        const fresh = changing.has(band.row * layout.columns + i);
        const seen = this.picked < 0 || this.picked === s ? 1 : FAINT;
        sign(context, this.legend[s], x, y, layout.cell, fresh ? seen * progress : seen);
      }
    }
  }

  // A ring closes in on each page that changed, so that the eye finds it.
  rings(context, progress, changing) {
    const { cell, columns, bands, ratio } = this.layout;
    const grow = (1 - progress) * 9 * ratio;
    context.strokeStyle = getComputedStyle(this.root).color;
    context.lineWidth = 2 * ratio;
    context.globalAlpha = 1 - progress;
    for (const dot of changing) {
      const row = Math.floor(dot / columns);
      const band = bands.findLast((one) => row >= one.row);
      const x = this.left + (dot % columns) * cell - grow;
      const y = this.pad + band.top + (row - band.row) * cell - grow;
      context.strokeRect(x, y, cell + 2 * grow, cell + 2 * grow);
    }
    context.globalAlpha = 1;
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
    const [x, y] = [(event.clientX - box.left) * ratio - this.left, (event.clientY - box.top) * ratio - this.pad];
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
    const side = Math.max(cell, 4 * ratio);
    const shift = (side - cell) / 2;
    const x = this.left + (dot % columns) * cell - shift;
    const y = this.pad + band.top + Math.floor(dot / columns) * cell - shift;
    frame(context, x, y, side, side, ratio);
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
    const line = Math.max(1, Math.floor(ratio));
    for (let i = 0; i < count; i++) {
      const entry = this.legend[this.store.states[first + i]];
      const x = this.left + i * side;
      const seen = this.picked < 0 || this.legend[this.picked] === entry ? 1 : FAINT;
      square(context, entry, entry.own ? this.groups[g].colour : entry.colour, x, 4 * ratio, side - line, seen);
      context.strokeStyle = "#8C8C8C";
      context.lineWidth = 1;
      context.strokeRect(x + 0.5, 4 * ratio + 0.5, side - line - 1, side - line - 1);
    }
    if (this.over >= 0) {
      frame(context, this.left + (page - first) * side, 4 * ratio, side - line, side - line, ratio);
    }
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
