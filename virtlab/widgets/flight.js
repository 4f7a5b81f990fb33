// Two machines' memories and the link between them: pages leave, travel, arrive. Above them the
// steps of the migration as a strip, below them words for those who can't see it. The tools for
// squares and signs are in `pagemap-paint.js`, which stands before this text in one module.

const FLIGHT_MS = 280; // from one machine to the other
const FLYING = 90; // so many pages are seen to fly; of more, an even sample
const SIDE_BY_SIDE_PX = 560; // narrower, the machines stand one above the other
const GULF = 0.2; // of the width lies between the machines
const HEAD_PX = 30; // name of a machine
const ease = (t) => t * t * (3 - 2 * t);

const words32 = (view) => {
  const copy = bytes(view).slice(); // a view may start anywhere, numbers may not
  return new Uint32Array(copy.buffer, 0, copy.length >> 2);
};

class Flight {
  constructor(model, el) {
    this.model = model;
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.shown = null; // states on the screen: what the next flight starts from
    this.build(el);
  }

  build(el) {
    const root = element("div", "virtlab-pagemap virtlab-flight", el);
    this.title = element("div", "virtlab-pagemap-title", root);
    this.strip = element("ol", "virtlab-flight-steps", root, { "aria-label": "Steps" });
    this.stage = element("div", "virtlab-flight-stage", root, { role: "img" });
    this.canvas = element("canvas", "", this.stage, { "aria-hidden": "true" });
    this.key = element("div", "virtlab-flight-legend", root, { "aria-hidden": "true" });
    const foot = element("div", "virtlab-pagemap-foot", root);
    this.words = element("div", "virtlab-pagemap-words", foot);
    this.motion = element("button", "virtlab-button", foot, { type: "button" });
    this.motion.addEventListener("click", () => this.setMotion(!this.still));
    this.root = root;
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
    const next = { source: bytes(model.get("source")).slice(), target: bytes(model.get("target")).slice() };
    this.legend = model.get("legend");
    this.where = model.get("where");
    this.names = model.get("names");
    this.title.textContent = model.get("title");
    this.words.textContent = model.get("note");
    this.stage.setAttribute("aria-label", model.get("alt"));
    this.drawStrip(model.get("steps"), model.get("step"));
    this.drawLegend();
    const start = this.shown;
    this.next = next;
    this.root.dataset.version = String(model.get("version"));
    if (!this.layout || !start || start.source.length !== next.source.length) return this.resize();
    this.fly(start, next);
  }

  drawStrip(steps, now) {
    while (this.strip.children.length > steps.length) this.strip.lastChild.remove();
    steps.forEach((text, i) => {
      let item = this.strip.children[i];
      if (!item) {
        item = element("li", "", this.strip);
        const button = element("button", "virtlab-button", item, { type: "button" });
        element("b", "", button).textContent = String(i + 1);
        element("span", "", button);
        button.addEventListener("click", () => {
          this.model.set("asked", { step: i + 1, time: Date.now() });
          this.model.save_changes();
        });
      }
      const button = item.firstChild;
      button.lastChild.textContent = text;
      button.title = `Go to step ${i + 1}: ${text}`;
      item.dataset.state = i + 1 < now ? "done" : i + 1 === now ? "now" : "";
      if (i + 1 === now) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
  }

  drawLegend() {
    const counts = this.model.get("counts");
    while (this.key.children.length > this.legend.length) this.key.lastChild.remove();
    this.legend.forEach((entry, s) => {
      let item = this.key.children[s];
      if (!item) {
        item = element("span", "", this.key);
        element("canvas", "", item);
        element("span", "", item);
      }
      const [here, there] = counts[s];
      item.lastChild.textContent = `${entry.label} ${number.format(here)} → ${number.format(there)}`;
      swatch(item.firstChild, entry, [{ colour: entry.colour }]);
    });
  }

  // --- layout ---------------------------------------------------------------------------------

  resize() {
    const width = this.root.clientWidth;
    if (width < 1 || !this.next) return;
    const ratio = devicePixelRatio || 1;
    const beside = width >= SIDE_BY_SIDE_PX;
    const room = beside ? (width * (1 - GULF)) / 2 : width;
    const count = this.next.source.length;
    // As square as the room allows; whole device pixels, so that lines stay sharp.
    const most = beside ? 330 : 190;
    let columns = Math.ceil(Math.sqrt(count * (room / most)));
    const cell = Math.max(2, Math.floor(Math.min((room * ratio) / columns, 20 * ratio)));
    columns = Math.max(1, Math.min(columns, Math.floor((room * ratio) / cell)));
    const rows = Math.ceil(count / columns);
    const [wide, high, head] = [columns * cell, rows * cell, HEAD_PX * ratio];
    const full = Math.floor(width * ratio);
    const gulf = beside ? 0 : 64 * ratio;
    const source = { x: beside ? 0 : (full - wide) >> 1, y: head };
    const target = beside ? { x: full - wide, y: head } : { x: (full - wide) >> 1, y: 2 * head + high + gulf };
    this.layout = { ratio, beside, columns, cell, wide, high, head, full, source, target };
    this.canvas.width = full;
    this.canvas.height = target.y + high + 4 * ratio;
    this.canvas.style.width = `${full / ratio}px`;
    this.canvas.style.height = `${this.canvas.height / ratio}px`;
    this.width = width;
    this.root.dataset.width = String(width);
    this.root.classList.toggle("virtlab-narrow", !beside);
    this.finish();
  }

  place(machine, page) {
    const { columns, cell } = this.layout;
    const corner = this.layout[machine];
    return [corner.x + (page % columns) * cell, corner.y + Math.floor(page / columns) * cell];
  }

  // --- drawing --------------------------------------------------------------------------------

  finish() {
    cancelAnimationFrame(this.frame);
    if (!this.layout || !this.next) return;
    this.shown = this.next;
    this.draw(this.next, [], 1);
  }

  // Pages fly one after the other; a page at the target changes when its copy arrives.
  fly(start, next) {
    cancelAnimationFrame(this.frame);
    if (this.still) return this.finish();
    const all = words32(this.model.get("moving"));
    const every = Math.max(1, Math.ceil(all.length / FLYING));
    const flying = all.filter((_, i) => i % every === 0);
    const arrives = new Map([...all].map((page, i) => [page, 0.45 + (0.55 * i) / all.length]));
    const mixed = { source: next.source, target: start.target.slice() };
    const began = performance.now();
    const step = (now) => {
      const t = Math.min(1, (now - began) / FLIGHT_MS);
      for (let page = 0; page < next.target.length; page++) {
        if (t >= (arrives.get(page) ?? 0.5)) mixed.target[page] = next.target[page];
      }
      const copies = [...flying].map((page) => {
        const end = arrives.get(page);
        return [page, ease(Math.min(1, Math.max(0, (t - end + 0.45) / 0.45)))];
      });
      this.shown = mixed;
      this.draw(mixed, copies.filter(([, part]) => part > 0 && part < 1), t);
      if (t < 1) this.frame = requestAnimationFrame(step);
      else this.finish();
    };
    this.frame = requestAnimationFrame(step);
  }

  draw(states, copies, progress) {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.drawLine(context, copies.length > 0);
    for (const machine of ["source", "target"]) this.drawMachine(context, machine, states[machine]);
    if (progress < 1) this.drawRings(context, progress);
    const back = this.model.get("how") === "fetched";
    for (const [page, part] of copies) {
      const [x0, y0] = this.place("source", page);
      const [x1, y1] = this.place("target", page);
      const side = Math.max(this.layout.cell, 7 * this.layout.ratio);
      const [x, y] = [x0 + (x1 - x0) * part, y0 + (y1 - y0) * part - this.lift(part)];
      context.fillStyle = back ? "#F0E442" : "#0072B2";
      context.fillRect(x, y, side, side);
      context.strokeStyle = "#1A1A1A";
      context.lineWidth = 1.5 * this.layout.ratio;
      context.strokeRect(x, y, side, side);
    }
    this.drawWords(context);
    this.canvas.dataset.progress = progress.toFixed(2);
  }

  lift(part) {
    return this.layout.beside ? 4 * part * (1 - part) * 18 * this.layout.ratio : 0;
  }

  drawMachine(context, machine, states) {
    const { ratio, cell, columns, wide, head } = this.layout;
    const corner = this.layout[machine];
    const line = cell >= 6 ? Math.max(1, Math.floor(ratio)) : 0;
    const gone = machine === "source" && this.model.get("deleted");
    context.globalAlpha = gone ? 0.22 : 1;
    states.forEach((state, page) => {
      const entry = this.legend[state];
      const [x, y] = this.place(machine, page);
      context.fillStyle = entry.colour;
      context.fillRect(x, y, cell - line, cell - line);
      if (cell >= SIGN_PX * ratio) sign(context, entry, x, y, cell - line, context.globalAlpha);
    });
    context.strokeStyle = "#8C8C8C";
    context.lineWidth = 1;
    context.strokeRect(corner.x + 0.5, corner.y + 0.5, wide - 1, Math.ceil(states.length / columns) * cell - 1);
    context.globalAlpha = 1;
    const runs = this.where === machine;
    context.fillStyle = getComputedStyle(this.root).color;
    context.font = `${runs ? "bold " : ""}${16 * ratio}px ${getComputedStyle(this.root).fontFamily}`;
    context.textBaseline = "middle";
    context.textAlign = "left";
    const name = this.names[machine === "source" ? 0 : 1];
    const mark = runs ? "▶ " : "";
    const more = runs ? ": the VM runs here" : gone ? ": deleted" : this.where === "paused" && machine === "source" ? ": paused ❚❚" : "";
    context.fillText(`${mark}${name}${more}`, corner.x, corner.y - head / 2, wide);
  }

  // Where the link begins and ends.
  ends() {
    const { ratio, beside, source, target, wide, high, head } = this.layout;
    if (!beside) return [source.x + wide / 2, source.y + high + 6 * ratio, target.x + wide / 2, target.y - head - 4 * ratio];
    return [source.x + wide + 8 * ratio, source.y + high / 2, target.x - 8 * ratio, target.y + high / 2];
  }

  drawLine(context, busy) {
    const { ratio } = this.layout;
    const [x0, y0, x1, y1] = this.ends();
    context.save();
    context.strokeStyle = getComputedStyle(this.root).color;
    context.globalAlpha = busy ? 0.9 : 0.35;
    context.lineWidth = (busy ? 4 : 2) * ratio;
    context.setLineDash(busy ? [] : [6 * ratio, 6 * ratio]);
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
    context.restore();
  }

  drawWords(context) {
    const { ratio, beside } = this.layout;
    const [x0, y0, x1, y1] = this.ends();
    const lines = this.model.get("link");
    const { color, fontFamily } = getComputedStyle(this.root);
    context.fillStyle = color;
    context.font = `${14 * ratio}px ${fontFamily}`;
    context.textAlign = beside ? "center" : "left";
    context.textBaseline = "middle";
    const x = beside ? (x0 + x1) / 2 : x0 + 12 * ratio;
    const top = beside ? y0 + 18 * ratio : (y0 + y1) / 2 - (lines.length - 1) * 9 * ratio;
    lines.forEach((text, i) => context.fillText(text, x, top + i * 18 * ratio, beside ? x1 - x0 : undefined));
  }

  // A ring closes in on each page that the guest has just written.
  drawRings(context, progress) {
    if (this.where === "paused") return;
    const written = words32(this.model.get("written"));
    const every = Math.max(1, Math.ceil(written.length / FLYING));
    const { cell, ratio } = this.layout;
    context.strokeStyle = "#D55E00";
    context.lineWidth = 2 * ratio;
    context.globalAlpha = 1 - progress;
    for (let i = 0; i < written.length; i += every) {
      const [x, y] = this.place(this.where, written[i]);
      const grow = (1 - progress) * 7 * ratio;
      context.strokeRect(x - grow, y - grow, cell + 2 * grow, cell + 2 * grow);
    }
    context.globalAlpha = 1;
  }
}

function render({ model, el }) {
  const view = new Flight(model, el);
  const follow = () => view.follow();
  model.on("change:version", follow);
  const observer = new ResizeObserver(() => {
    if (view.root.clientWidth !== view.width) view.resize();
  });
  observer.observe(view.root);
  follow();
  return () => {
    observer.disconnect();
    cancelAnimationFrame(view.frame);
    model.off("change:version", follow);
  };
}

export default { render };
