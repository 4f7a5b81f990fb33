// A sequence: a lane for each layer, arrows between them one below the other, and beside each arrow
// what it is. The step that is done just now is seen to happen; the layer that acts is lit.

const STEP_MS = 280;
const ROW_PX = 26;
const TALL_PX = 46; // a row where words stand below their arrow, for want of room beside it
const HEAD_PX = 34;
const SVG = "http://www.w3.org/2000/svg";
const smooth = (t) => t * t * (3 - 2 * t);

function element(tag, className, parent, attributes = {}) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.appendChild(made);
  return made;
}

function shape(tag, parent, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.appendChild(made);
  return made;
}

class Sequence {
  constructor(model, el) {
    this.model = model;
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.shown = 0; // the step on the screen
    this.key = ""; // of the arrows on the screen
    const root = element("div", "virtlab-pagemap virtlab-sequence", el);
    this.title = element("div", "virtlab-pagemap-title", root);
    this.card = element("div", "virtlab-sequence-card", root, { role: "group" });
    this.svg = shape("svg", this.card, { role: "img" });
    this.list = element("ol", "", this.card, { "aria-label": "Steps" });
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
    if (still && this.lanes) this.draw(1);
  }

  // --- what the kernel says -------------------------------------------------------------------

  follow() {
    const { model } = this;
    this.lanes = model.get("lanes");
    this.arrows = model.get("arrows");
    this.step = model.get("step");
    this.title.textContent = model.get("title");
    this.words.textContent = model.get("note");
    this.svg.setAttribute("aria-label", model.get("alt"));
    this.card.setAttribute("aria-label", model.get("title"));
    const key = JSON.stringify([this.lanes, this.arrows]);
    const follows = key === this.key && this.step === this.shown + 1;
    this.key = key;
    this.drawList();
    this.root.dataset.version = String(model.get("version"));
    cancelAnimationFrame(this.frame);
    this.shown = this.step;
    if (!follows || this.still) return this.draw(1);
    const began = performance.now();
    const tick = (now) => {
      const t = Math.min(1, (now - began) / STEP_MS);
      this.draw(smooth(t));
      if (t < 1) this.frame = requestAnimationFrame(tick);
    };
    this.draw(0);
    this.frame = requestAnimationFrame(tick);
  }

  drawList() {
    while (this.list.children.length > this.arrows.length) this.list.lastChild.remove();
    this.arrows.forEach((arrow, i) => {
      let item = this.list.children[i];
      if (!item) {
        item = element("li", "", this.list);
        const button = element("button", "", item, { type: "button" });
        for (const part of ["b", "span", "i"]) element(part, "", button);
        button.addEventListener("click", () => {
          this.model.set("asked", { step: i + 1, time: Date.now() });
          this.model.save_changes();
        });
      }
      const button = item.firstChild;
      const [number, label, time] = button.children;
      number.textContent = String(i + 1);
      label.textContent = this.width < 330 ? arrow.short : arrow.label;
      time.textContent = arrow.time;
      button.title = `Go to step ${i + 1}: ${arrow.label}`;
      item.dataset.state = i + 1 < this.step ? "done" : i + 1 === this.step ? "now" : "";
      if (i + 1 === this.step) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
  }

  // --- layout and drawing ---------------------------------------------------------------------

  resize() {
    this.width = this.root.clientWidth;
    if (this.width < 1 || !this.lanes) return;
    this.narrow = this.width < 620;
    this.root.classList.toggle("virtlab-narrow", this.narrow);
    this.root.dataset.width = String(this.width);
    this.drawList();
    this.draw(1);
  }

  draw(progress) {
    if (!this.width) return;
    const { svg, lanes, arrows, step, narrow } = this;
    const wide = narrow ? this.width : Math.min(560, this.width * 0.58);
    const row = narrow ? TALL_PX : ROW_PX;
    const high = HEAD_PX + row * arrows.length + 6;
    svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
    svg.setAttribute("width", wide);
    svg.setAttribute("height", high);
    svg.dataset.progress = progress.toFixed(2);
    svg.replaceChildren();
    const gap = wide / lanes.length;
    const at = Object.fromEntries(lanes.map((lane, i) => [lane.key, (i + 0.5) * gap]));
    const colour = Object.fromEntries(lanes.map((lane) => [lane.key, lane.colour]));
    const now = arrows[step - 1];
    const lit = now ? (progress < 0.5 ? now.source : now.target) : lanes[0].key;
    for (const lane of lanes) this.drawLane(lane, at[lane.key], gap, high, lane.key === lit);
    arrows.slice(0, step).forEach((arrow, i) => {
      const y = HEAD_PX + row * i + ROW_PX / 2 - (narrow ? 2 : 0);
      const part = i + 1 === step ? progress : 1;
      const group = shape("g", svg, { opacity: i + 1 === step ? 1 : 0.5 });
      this.drawArrow(group, arrow, at, colour[arrow.source], y, part);
    });
  }

  drawLane(lane, x, gap, high, lit) {
    const { svg, narrow } = this;
    const wide = gap - (narrow ? 2 : 5);
    const box = { x: x - wide / 2, y: 3, width: wide, height: HEAD_PX - 8, rx: 5 };
    shape("line", svg, { x1: x, x2: x, y1: HEAD_PX - 4, y2: high, stroke: lit ? lane.colour : "#C8C8C8",
      "stroke-width": lit ? 2.5 : 1.2 });
    shape("rect", svg, { ...box, fill: lit ? lane.colour : "white", stroke: lane.colour, "stroke-width": 1.6,
      "data-lane": lane.key, "data-lit": lit });
    const text = shape("text", svg, { x, y: HEAD_PX / 2 + 4, "text-anchor": "middle", "font-size": 14,
      "font-weight": 700, fill: lit ? "white" : lane.colour });
    for (const words of [lane.name, lane.name.split(" ").pop(), lane.short]) { // the longest that fits
      text.textContent = words;
      if (text.getComputedTextLength() < wide - 4) break;
    }
  }

  drawArrow(group, arrow, at, colour, y, part) {
    const [from, to] = [at[arrow.source], at[arrow.target]];
    if (from === to) {
      const half = (ROW_PX / 2 - 3) * part;
      shape("rect", group, { x: from - 5, y: y - half, width: 10, height: 2 * half, fill: colour });
      return;
    }
    const tip = from + (to - from) * part;
    const way = Math.sign(to - from);
    const thick = arrow.times > 1 ? 3.4 : 1.8;
    shape("line", group, { x1: from, x2: tip - 6 * way * part, y1: y, y2: y, stroke: colour, "stroke-width": thick });
    const head = [[tip, y], [tip - 11 * way, y - 5.5], [tip - 11 * way, y + 5.5]];
    shape("polygon", group, { points: head.map((point) => point.join(",")).join(" "), fill: colour });
    if (arrow.traps) { // a flag, as everywhere for what traps
      const flag = [[from - 5, y - 6], [from + 7, y], [from - 5, y + 6]];
      shape("polygon", group, { points: flag.map((point) => point.join(",")).join(" "), fill: "#0072B2" });
    }
    if (part < 1) shape("circle", group, { cx: tip, cy: y, r: 6, fill: colour, stroke: "white", "stroke-width": 2 });
  }
}

function render({ model, el }) {
  const view = new Sequence(model, el);
  const follow = () => view.follow();
  model.on("change:version", follow);
  const observer = new ResizeObserver(() => {
    if (view.root.clientWidth !== view.width) view.resize();
  });
  observer.observe(view.root);
  follow();
  view.resize();
  return () => {
    observer.disconnect();
    cancelAnimationFrame(view.frame);
    model.off("change:version", follow);
  };
}

export default { render };
