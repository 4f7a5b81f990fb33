// Processors over time. Above, a row for each VM and for each processor, a bar for each turn; at the
// right what each VM receives, beside what it is entitled to; below, all the processors' time as
// bands. Between two frames the picture glides by itself, and asks the kernel for nothing.
// `pagemap-paint.js` stands before this text in one module.

const NARROW_PX = 600; // as in virtlab.plots.style
const US = 1e6;
const BIN_S = 0.4; // what is received is averaged over about so long, and never over a change
const LEAST_S = 0.2;
const LOOK_S = 1; // the bars at the right look back so far
const GREY = "#8C8C8C";

const aligned = (view) => {
  const copy = bytes(view).slice(); // a view may start anywhere, numbers may not
  return copy.buffer;
};

class Timeline {
  constructor(model, el) {
    this.model = model;
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.now = model.get("frame") * model.get("frame_s");
    this.width = 0;
    this.build(el);
  }

  build(el) {
    const root = element("div", "virtlab-pagemap virtlab-timeline", el);
    this.title = element("div", "virtlab-pagemap-title", root);
    this.stage = element("div", "virtlab-flight-stage virtlab-timeline-stage", root, { role: "img" });
    this.canvas = element("canvas", "", this.stage, { "aria-hidden": "true" });
    this.stage.addEventListener("pointerdown", (event) => this.point(event));
    this.root = root;
  }

  // --- what the kernel says -------------------------------------------------------------------

  follow() {
    const { model } = this;
    this.rows = model.get("rows");
    this.cpus = model.get("cpus");
    this.events = model.get("events");
    this.turns = new Int32Array(aligned(model.get("turns")));
    this.wants = new Int32Array(aligned(model.get("wants")));
    this.due = new Float32Array(aligned(model.get("due")));
    this.received = this.rows.map((_, row) => this.sums(row));
    if (this.tall !== this.height()) this.width = 0; // another number of processors
    this.words();
    this.resize();
    this.mark();
  }

  words() {
    this.title.textContent = this.model.get("title");
    this.stage.setAttribute("aria-label", this.model.get("alt"));
  }

  // Other settings, or another row chosen: the run is the same.
  settings() {
    const rows = this.model.get("rows");
    if (this.rows && rows.length !== this.rows.length) return; // a whole new scene is on its way
    this.rows = rows;
    this.draw();
  }

  // What is on the screen: the run, and the frame of it.
  mark() {
    this.root.dataset.version = `${this.model.get("version")}.${this.model.get("frame")}.${this.model.get("window_s")}`;
  }

  // The turns of one VM, and its processor time up to the start of each.
  sums(row) {
    const [begin, end, had] = [[], [], []];
    let sum = 0;
    for (let i = 0; i < this.turns.length; i += 4) {
      if (this.turns[i] !== row) continue;
      begin.push(this.turns[i + 2] / US);
      end.push(this.turns[i + 3] / US);
      had.push(sum);
      sum += (this.turns[i + 3] - this.turns[i + 2]) / US;
    }
    return { begin, end, had };
  }

  got(row, at) {
    const { begin, end, had } = this.received[row];
    let [low, high] = [0, begin.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (begin[middle] <= at) low = middle + 1;
      else high = middle;
    }
    return low ? had[low - 1] + Math.min(at, end[low - 1]) - begin[low - 1] : 0;
  }

  owed(row, at) {
    const count = this.rows.length;
    const last = this.due.length / count - 1;
    const place = Math.min(Math.max((at / this.model.get("seconds")) * last, 0), last);
    const [k, part] = [Math.min(Math.floor(place), last - 1), place - Math.min(Math.floor(place), last - 1)];
    return this.due[k * count + row] * (1 - part) + this.due[(k + 1) * count + row] * part;
  }

  // --- time -----------------------------------------------------------------------------------

  // A frame came: glide to it while it plays, else be there.
  step() {
    cancelAnimationFrame(this.tick);
    const target = this.model.get("frame") * this.model.get("frame_s");
    const [start, began] = [this.now, performance.now()];
    const near = target > start && target - start < 2.5 * this.model.get("frame_s");
    const takes = this.model.get("interval_ms") * 1.06; // the next one is a little late
    const glide = (time) => {
      const part = Math.min(1, (time - began) / takes);
      this.now = start + (target - start) * part;
      this.draw();
      if (part < 1) this.tick = requestAnimationFrame(glide);
    };
    if (near && this.model.get("playing") && !this.still) this.tick = requestAnimationFrame(glide);
    else {
      this.now = target;
      this.draw();
    }
    this.mark();
  }

  point(event) {
    const { layout } = this;
    if (!layout) return;
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const row = Math.floor((y - layout.top) / layout.row);
    if (row >= 0 && row < this.rows.length) this.ask({ row });
    else if (y >= layout.bands - 24 && x >= layout.left && x <= layout.left + layout.broad) {
      this.ask({ at_s: ((x - layout.left) / layout.broad) * this.model.get("seconds") });
    }
  }

  ask(what) {
    this.model.set("asked", { ...what, time: Date.now() });
    this.model.save_changes();
  }

  // --- layout ---------------------------------------------------------------------------------

  height() {
    return `${this.rows.length}:${this.cpus}`;
  }

  resize() {
    const width = this.root.clientWidth;
    if (width < 1 || !this.rows) return;
    if (width !== this.width) {
      const ratio = devicePixelRatio || 1;
      const narrow = width < NARROW_PX;
      const left = narrow ? 60 : 150;
      const right = narrow ? 62 : 190;
      const row = narrow ? 38 : 42;
      const top = 28;
      const cpu = top + this.rows.length * row + 8;
      const axis = cpu + this.cpus * 28;
      const bands = axis + 24 + 74; // two rows of labels, and the heading above them
      const high = narrow ? 130 : 150;
      this.layout = { ratio, narrow, left, right, row, top, cpu, axis, bands, high, wide: width - left - right, broad: width - left - (narrow ? 24 : 76) };
      this.canvas.width = Math.floor(width * ratio);
      this.canvas.height = Math.floor((bands + high + 44) * ratio);
      this.canvas.style.width = `${this.canvas.width / ratio}px`;
      this.canvas.style.height = `${this.canvas.height / ratio}px`;
      this.width = width;
      this.tall = this.height();
      this.root.dataset.width = String(width);
    }
    this.draw();
  }

  // --- drawing --------------------------------------------------------------------------------

  draw() {
    if (!this.layout || !this.rows) return;
    const context = this.canvas.getContext("2d");
    const { ratio } = this.layout;
    const style = getComputedStyle(this.root);
    this.ink = style.color;
    this.family = style.fontFamily;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.drawTurns(context);
    this.drawNames(context);
    this.drawBars(context);
    this.drawBands(context);
  }

  text(context, words, x, y, { size = 14, bold = false, align = "left", colour = this.ink, most } = {}) {
    context.font = `${bold ? "bold " : ""}${size}px ${this.family}`;
    context.textAlign = align;
    context.textBaseline = "middle";
    context.fillStyle = colour;
    context.fillText(words, x, y, most);
  }

  // The window: what was last, up to now.
  window() {
    const span = this.model.get("window_s") * (this.layout.narrow ? 0.5 : 1);
    const from = Math.max(0, this.now - span);
    return { from, span, x: (at) => this.layout.left + ((at - from) / span) * this.layout.wide };
  }

  drawTurns(context) {
    const { left, wide, row, top, cpu, axis, narrow } = this.layout;
    const { from, span, x } = this.window();
    const until = Math.min(this.now, from + span);
    this.text(context, narrow ? "who runs" : "Who runs, turn by turn", left, 12, { size: narrow ? 14 : 15 });
    context.save();
    context.beginPath();
    context.rect(left, top, wide, axis - top);
    context.clip();
    for (let i = 0; i < this.wants.length; i += 3) {
      const [who, begin, end] = [this.wants[i], this.wants[i + 1] / US, this.wants[i + 2] / US];
      if (end <= from || begin >= until) continue;
      context.globalAlpha = 0.16;
      context.fillStyle = this.rows[who].colour;
      context.fillRect(x(begin), top + who * row + 5, x(Math.min(end, until)) - x(begin), row - 10);
    }
    context.globalAlpha = 1;
    for (let c = 0; c < this.cpus; c++) {
      context.strokeStyle = GREY;
      context.strokeRect(left + 0.5, cpu + c * 28 + 3.5, x(until) - left - 1, 21);
    }
    for (let i = 0; i < this.turns.length; i += 4) {
      const [begin, end] = [this.turns[i + 2] / US, Math.min(this.turns[i + 3] / US, until)];
      if (end > from && begin < until) this.drawTurn(context, this.turns[i], this.turns[i + 1], x(begin), x(end));
    }
    this.drawEvents(context, x, top, axis, from, until);
    context.restore();
    context.strokeStyle = this.ink;
    context.lineWidth = 1;
    context.strokeRect(x(until) - 0.5, top, 1, axis - top);
    this.drawTicks(context, x, from, from + span, axis, span / (narrow ? 2 : 4), narrow ? "s" : "seconds");
  }

  drawTurn(context, who, on, x0, x1) {
    const { row, top, cpu } = this.layout;
    const gap = x1 - x0 > 3 ? 1 : 0;
    const entry = this.rows[who];
    context.fillStyle = entry.colour;
    context.fillRect(x0, top + who * row + 5, x1 - x0 - gap, row - 10);
    context.fillRect(x0, cpu + on * 28 + 4, x1 - x0 - gap, 20);
    if (x1 - x0 < 13) return;
    const middle = Math.max(x0, this.layout.left) / 2 + x1 / 2;
    this.text(context, String(who + 1), middle, cpu + on * 28 + 14.5, { align: "center", colour: entry.ink });
  }

  drawEvents(context, x, top, bottom, from, until) {
    context.save();
    context.strokeStyle = this.ink;
    context.lineWidth = 2;
    context.setLineDash([2, 4]);
    for (const [at] of this.events) {
      if (at <= from || at > until) continue;
      context.beginPath();
      context.moveTo(x(at), top);
      context.lineTo(x(at), bottom);
      context.stroke();
    }
    context.restore();
  }

  drawTicks(context, x, from, to, y, wanted, unit) {
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10].find((one) => one >= wanted * 0.8) ?? 10;
    const digits = step < 1 ? 1 : 0;
    const end = x(to);
    for (let k = Math.ceil(from / step - 1e-9); k * step <= to + 1e-9; k++) {
      const place = x(k * step);
      context.fillStyle = GREY;
      context.fillRect(place - 0.5, y, 1, 5);
      if (place < end - 22) this.text(context, (k * step).toFixed(digits), place, y + 14, { align: "center" });
    }
    this.text(context, unit, end + 6, y + 14);
  }

  drawNames(context) {
    const { left, row, top, cpu, narrow } = this.layout;
    this.rows.forEach((entry, i) => {
      const y = top + i * row + row / 2;
      if (entry.chosen) {
        context.fillStyle = entry.colour;
        context.fillRect(0, y - row / 2 + 5, 4, row - 10);
      }
      context.globalAlpha = entry.on ? 1 : 0.55;
      this.text(context, entry.name, 10, y - 9, { size: 15, bold: true });
      const words = entry.on ? (narrow ? entry.short : entry.note) : "off";
      this.text(context, words, 10, y + 9, { most: left - 16 });
      context.globalAlpha = 1;
    });
    for (let c = 0; c < this.cpus; c++) {
      this.text(context, narrow ? `CPU ${c}` : `processor ${c}`, 10, cpu + c * 28 + 14.5);
    }
  }

  // The last change before now.
  since() {
    let last = 0;
    for (const [at] of this.events) if (at <= this.now + 1e-9) last = Math.max(last, at);
    return last;
  }

  drawBars(context) {
    const { left, wide, row, top, narrow } = this.layout;
    const x = left + wide + (narrow ? 8 : 18);
    const full = narrow ? 48 : 100;
    const from = Math.max(this.since(), this.now - LOOK_S);
    const span = this.now - from;
    this.text(context, narrow ? "gets" : "gets ┃ entitled to", x, 12, { size: narrow ? 14 : 15 });
    this.rows.forEach((entry, i) => {
      const y = top + i * row + row / 2;
      const known = span >= 0.1 - 1e-9;
      const part = known ? (this.got(i, this.now) - this.got(i, from)) / span : 0;
      const due = known
        ? (this.owed(i, this.now) - this.owed(i, from)) / span
        : (this.owed(i, this.now + 0.05) - this.owed(i, this.now)) / 0.05;
      const [y0, high] = narrow ? [y + 3, 10] : [y - 9, 18];
      context.fillStyle = GREY;
      context.globalAlpha = 0.25;
      context.fillRect(x, y0, full, high);
      context.globalAlpha = entry.on ? 1 : 0.3;
      context.fillStyle = entry.colour;
      context.fillRect(x, y0, Math.min(part, 1) * full, high);
      context.globalAlpha = 1;
      if (entry.on) {
        context.fillStyle = this.ink;
        context.fillRect(x + Math.min(due, 1) * full - 1.5, y0 - 5, 3, high + 10);
      }
      const words = entry.on ? (known ? `${(100 * part).toFixed(0)} %` : "–") : "";
      if (narrow) this.text(context, words, x, y - 9, { bold: true });
      else this.text(context, words, x + full + 62, y, { size: 15, bold: true, align: "right" });
    });
  }

  // Ends of bins: none crosses a change, and the last one is not too short.
  bins() {
    const marks = [...new Set([0, ...this.events.map(([at]) => at)])].filter((at) => at < this.now).sort((a, b) => a - b);
    const edges = [];
    marks.forEach((begin, i) => {
      const end = Math.min(marks[i + 1] ?? Infinity, this.now);
      const count = i + 1 < marks.length ? Math.max(1, Math.round((end - begin) / BIN_S)) : Infinity;
      const size = Number.isFinite(count) ? (end - begin) / count : BIN_S;
      for (let k = 0; begin + k * size < end - 1e-9; k++) {
        const [from, to] = [begin + k * size, Math.min(begin + (k + 1) * size, end)];
        if (k > 0 && to - from < LEAST_S) edges[edges.length - 1][1] = to;
        else edges.push([from, to]);
      }
    });
    return edges;
  }

  drawBands(context) {
    const { left, broad, bands, high, narrow } = this.layout;
    const seconds = this.model.get("seconds");
    const x = (at) => left + (at / seconds) * broad;
    const one = `${this.cpus} processor${this.cpus > 1 ? "s" : ""}`;
    const head = narrow ? "% of one processor; dashed: due" : `Time of ${one}, % of one: received (bands), entitled to (dashed)`;
    this.text(context, head, narrow ? 4 : left, bands - 58, { size: narrow ? 14 : 15, most: this.width - 8 });
    context.fillStyle = GREY;
    context.globalAlpha = 0.12;
    context.fillRect(left, bands, broad, high);
    context.globalAlpha = 1;
    const edges = this.bins();
    const share = (value) => (value / this.cpus) * high;
    const lines = this.rows.map(() => []);
    for (const [from, to] of edges) {
      let [y, dashed] = [bands, bands];
      this.rows.forEach((entry, i) => {
        const tall = share((this.got(i, to) - this.got(i, from)) / (to - from));
        context.fillStyle = entry.colour;
        context.fillRect(x(from), y, x(to) - x(from) + 0.4, tall);
        y += tall;
        dashed += share((this.owed(i, to) - this.owed(i, from)) / (to - from));
        lines[i].push([x(from), x(to), dashed]);
      });
    }
    this.drawDashes(context, lines);
    this.drawShares(context, x, share);
    this.drawFlags(context, x);
    for (const [part, y] of [[1, bands], [0.5, bands + high / 2], [0, bands + high]]) {
      this.text(context, `${100 * this.cpus * part} %`, left - 8, y, { align: "right" });
    }
    context.fillStyle = this.ink;
    context.fillRect(x(this.now) - 1, bands - 4, 2, high + 8);
    this.drawTicks(context, x, 0, seconds, bands + high, seconds / (narrow ? 3 : 8), narrow ? "s" : "seconds");
  }

  drawDashes(context, lines) {
    const bottom = this.layout.bands + this.layout.high - 1.5;
    for (const [colour, width] of [["#FFFFFF", 3.5], ["#1A1A1A", 1.8]]) {
      context.save();
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.setLineDash([6, 4]);
      for (const line of lines.slice(0, -1)) {
        context.beginPath();
        line.forEach(([x0, x1, y], i) => {
          if (y > bottom) return; // it is the axis
          if (i === 0 || Math.abs(line[i - 1][2] - y) > 1) context.moveTo(x0, y);
          context.lineTo(x1, y);
        });
        context.stroke();
      }
      context.restore();
    }
  }

  // Name and part of each band, where there is room for it.
  drawShares(context, x, share) {
    const { bands, narrow } = this.layout;
    const marks = [...new Set([0, ...this.events.map(([at]) => at)])].filter((at) => at < this.now).sort((a, b) => a - b);
    marks.forEach((from, k) => {
      const to = Math.min(marks[k + 1] ?? Infinity, this.now);
      let y = bands;
      this.rows.forEach((entry, i) => {
        const part = (this.got(i, to) - this.got(i, from)) / (to - from);
        const tall = share(part);
        const room = x(to) - x(from);
        const long = `${entry.name}  ${(100 * part).toFixed(0)} %`;
        const words = room > 92 ? long : room > 42 && !narrow ? `${(100 * part).toFixed(0)} %` : room > 14 ? String(i + 1) : "";
        if (words && tall > 17) this.text(context, words, (x(from) + x(to)) / 2, y + tall / 2, { align: "center", colour: entry.ink, size: 14, bold: room > 92 });
        y += tall;
      });
    });
  }

  drawFlags(context, x) {
    const { bands, left, broad } = this.layout;
    const free = [Infinity, Infinity]; // labels keep apart in two rows; the last one has its place
    for (const [at, words] of [...this.events].reverse()) {
      if (at > this.now + 1e-9) continue;
      context.fillStyle = this.ink;
      context.beginPath();
      context.moveTo(x(at), bands - 1);
      context.lineTo(x(at) - 5, bands - 10);
      context.lineTo(x(at) + 5, bands - 10);
      context.fill();
      context.font = `14px ${this.family}`;
      const size = context.measureText(words).width;
      const place = Math.min(Math.max(x(at), left + size / 2), left + broad - size / 2);
      const row = free.findIndex((edge) => place + size / 2 <= edge);
      if (row < 0) continue;
      this.text(context, words, place, bands - 19 - 17 * row, { align: "center" });
      free[row] = place - size / 2 - 10;
    }
  }
}

function render({ model, el }) {
  const view = new Timeline(model, el);
  const heard = {
    "change:version": () => view.follow(),
    "change:frame": () => view.step(),
    "change:title": () => view.words(),
    "change:rows": () => view.settings(),
    "change:window_s": () => {
      view.draw();
      view.mark();
    },
  };
  for (const [name, listener] of Object.entries(heard)) model.on(name, listener);
  const observer = new ResizeObserver(() => {
    if (view.root.clientWidth !== view.width) view.resize();
  });
  observer.observe(view.root);
  view.follow();
  return () => {
    observer.disconnect();
    cancelAnimationFrame(view.tick);
    for (const [name, listener] of Object.entries(heard)) model.off(name, listener);
  };
}

export default { render };
