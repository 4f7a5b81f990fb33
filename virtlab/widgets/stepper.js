// One moment of a run that changes rings: the rings, the code around EIP, the registers, the tables
// and the stack that the step used; below, the whole run as a strip, on which one may point.
// `pagemap-paint.js` stands before this text in one module.

const NARROW_PX = 600; // as in virtlab.plots.style
const MOVE_MS = 250;
const SVG = "http://www.w3.org/2000/svg";
const RADII = [50, 82, 112, 144]; // of the outer edge of each ring
const CENTRE = 150;
const MID = RADII.map((radius, ring) => (ring ? (radius + RADII[ring - 1]) / 2 : 0));
const STRIP = { high: 86, top: 22, band: 30 };
const GREY = "#8C8C8C";

function drawn(tag, parent, attributes = {}, words = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (words) made.textContent = words;
  parent.appendChild(made);
  return made;
}

class Stepper {
  constructor(model, el) {
    this.model = model;
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.width = 0;
    const root = element("div", "virtlab-pagemap virtlab-stepper", el);
    this.root = root;
    this.title = element("div", "virtlab-pagemap-title", root);
    this.strip = element("canvas", "virtlab-stepper-strip", root, { "aria-hidden": "true" });
    const top = element("div", "virtlab-stepper-top", root);
    this.stage = element("div", "virtlab-flight-stage virtlab-stepper-rings", top, { role: "img" });
    this.code = element("div", "virtlab-stepper-code", top);
    this.registers = element("div", "virtlab-stepper-registers", root);
    this.flags = element("div", "virtlab-stepper-flags", root);
    const ways = element("div", "virtlab-stepper-ways", root);
    this.tables = element("div", "virtlab-stepper-tables", ways);
    this.stack = element("div", "virtlab-stepper-stack", ways);
    this.strip.addEventListener("pointerdown", (event) => this.point(event));
    this.buildRings();
  }

  // --- the rings ------------------------------------------------------------------------------

  buildRings() {
    const svg = drawn("svg", this.stage, { viewBox: "0 0 300 300", width: 300, height: 300, "aria-hidden": "true" });
    const defs = drawn("defs", svg);
    this.id = `virtlab-${Math.random().toString(36).slice(2)}`; // one page may hold several
    const hatch = drawn("pattern", defs, { id: `${this.id}-hatch`, width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    drawn("rect", hatch, { width: 8, height: 8, fill: "#FAFAFA" }); // what is below must not shine through
    drawn("line", hatch, { x1: 0, y1: 0, x2: 0, y2: 8, stroke: GREY, "stroke-width": 1, "stroke-opacity": 0.5 });
    const tip = drawn("marker", defs, { id: `${this.id}-tip`, viewBox: "0 0 10 10", refX: 8, refY: 5, markerWidth: 5, markerHeight: 5, orient: "auto-start-reverse" });
    drawn("path", tip, { d: "M0 0L10 5L0 10z", fill: "#1A1A1A" });
    this.rings = [3, 2, 1, 0].map((ring) => {
      const group = drawn("g", svg, { "data-ring": ring });
      drawn("circle", group, { cx: CENTRE, cy: CENTRE, r: RADII[ring], class: "face" });
      return group;
    }).reverse();
    this.labels = [0, 1, 2, 3].map((ring) => {
      const y = ring ? CENTRE - MID[ring] : CENTRE - 24;
      return drawn("text", svg, { x: CENTRE, y, "text-anchor": "middle", "dominant-baseline": "central" });
    });
    this.dot = drawn("g", svg, { class: "cpu" });
    drawn("circle", this.dot, { cx: 0, cy: CENTRE, r: 9 });
    this.arrow = drawn("path", svg, { class: "arrow", "marker-end": `url(#${this.id}-tip)` });
    this.how = drawn("text", svg, { class: "how", "text-anchor": "middle" });
  }

  place(ring) {
    return CENTRE + (ring ? MID[ring] : 22);
  }

  drawRings(moment, moved) {
    const used = this.model.get("ride").rings;
    const names = this.model.get("names");
    for (let ring = 0; ring < 4; ring++) {
      const here = ring === moment.ring;
      const state = here ? "here" : used.includes(ring) ? "used" : "unused";
      this.rings[ring].dataset.state = state;
      const face = this.rings[ring].querySelector(".face");
      face.style.fill = state === "unused" ? `url(#${this.id}-hatch)` : "";
      const words = names[ring] || (state === "unused" ? "unused" : "");
      this.labels[ring].textContent = `${here ? "▶ " : ""}${ring}${words ? ` ${words}` : ""}`;
      this.labels[ring].setAttribute("class", here ? "here" : "");
    }
    const [from, to] = [this.place(moment.came), this.place(moment.ring)];
    const moves = moment.came !== moment.ring;
    this.arrow.setAttribute("visibility", moves ? "visible" : "hidden");
    this.how.textContent = moment.how === "no trap" ? "⚠ no trap" : moment.how;
    if (moves) {
      const middle = (from + to) / 2;
      this.arrow.setAttribute("d", `M${from} ${CENTRE + 14}Q${middle} ${CENTRE + 52} ${to} ${CENTRE + 14}`);
      this.how.setAttribute("x", Math.min(middle, 242));
      this.how.setAttribute("y", CENTRE + 56);
    } else {
      this.how.setAttribute("x", Math.min(to, 242));
      this.how.setAttribute("y", CENTRE + 30);
    }
    this.dot.setAttribute("transform", `translate(${to} 0)`);
    if (!moves || !moved || this.still || !this.dot.animate) return;
    this.dot.animate([{ transform: `translate(${from}px, 0)` }, { transform: `translate(${to}px, 0)` }], { duration: MOVE_MS, easing: "ease-in-out" });
    const length = this.arrow.getTotalLength();
    this.arrow.animate([{ strokeDasharray: length, strokeDashoffset: length }, { strokeDasharray: length, strokeDashoffset: 0 }], { duration: MOVE_MS, easing: "ease-in-out" });
  }

  // --- words ----------------------------------------------------------------------------------

  rows(parent, tag, className, rows) {
    parent.replaceChildren();
    for (const row of rows) {
      const made = element(tag, row.className ?? className, parent);
      for (const [text, kind] of row.parts) element("span", kind, made).textContent = text;
    }
  }

  drawCode(moment) {
    const { did } = moment; // what led here, which may stand elsewhere
    const rows = [{ className: "line did", parts: [["", "mark"], [did.at, "at"], [did.code, "bytes"], [did.text, "text"]] }];
    for (const line of moment.lines) {
      if (line.name) rows.push({ className: "name", parts: [[`${line.name}:`, ""]] });
      rows.push({
        className: line.now ? "line now" : "line",
        parts: [[line.now ? "▶" : "", "mark"], [line.at, "at"], [line.code, "bytes"], [line.text, "text"]],
      });
    }
    this.rows(this.code, "div", "line", rows);
    this.code.querySelector(".now")?.setAttribute("aria-current", "step");
  }

  drawRegisters(moment) {
    const cells = moment.registers.map(([name, before, now, changed]) => ({
      className: changed ? "cell changed" : "cell",
      parts: [[changed ? `◆ ${name}` : name, "name"], [now, "now"], [changed ? `was ${before}` : "", "was"]],
    }));
    this.rows(this.registers, "div", "cell", cells);
    const flags = moment.flags.map(([name, before, now, changed]) => ({
      className: changed ? "cell changed" : "cell",
      parts: [[changed ? `◆ ${name}` : name, "name"], [changed ? `${before}→${now}` : now, "now"]],
    }));
    this.rows(this.flags, "div", "cell", flags);
  }

  drawWays(moment) {
    const tables = moment.entries.map((entry) => ({ className: "entry", parts: [[`${entry.table} ${entry.place}`, "name"], [entry.says, ""]] }));
    this.rows(this.tables, "div", "entry", [{ className: "head", parts: [["Tables that this step looked in", ""]] }, ...tables, ...(tables.length ? [] : [{ className: "none", parts: [["none", ""]] }])]);
    const frame = moment.frame;
    const head = frame ? (frame.pushed ? "Left on the stack" : "Taken from the stack") : "Stack";
    const words = frame ? frame.words.map(([name, at, value]) => ({ className: "word", parts: [[name, "name"], [at, "at"], [value, "now"]] })) : [];
    const stacks = frame ? [{ className: "stacks", parts: [[`SS:ESP  ${frame.stacks[0]} → ${frame.stacks[1]}`, ""]] }] : [{ className: "none", parts: [["no frame", ""]] }];
    this.rows(this.stack, "div", "word", [{ className: "head", parts: [[head, ""]] }, ...stacks, ...words]);
  }

  // --- the whole run --------------------------------------------------------------------------

  scale() {
    const { last } = this.model.get("ride");
    const left = 58;
    const wide = this.width - left - 14;
    return { left, wide, x: (number) => left + (number / Math.max(1, last)) * wide };
  }

  drawStrip(moment) {
    const ride = this.model.get("ride");
    const ratio = devicePixelRatio || 1;
    this.strip.width = Math.floor(this.width * ratio);
    this.strip.height = Math.floor(STRIP.high * ratio);
    this.strip.style.width = `${this.width}px`;
    this.strip.style.height = `${STRIP.high}px`;
    const context = this.strip.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(this.root);
    const { x } = this.scale();
    const { top, band } = STRIP;
    const level = (ring) => top + (ride.rings.indexOf(ring) * band) / Math.max(1, ride.rings.length - 1 || 1);
    const high = ride.rings.length > 1 ? band / (ride.rings.length - 1) / 2 : band / 2;
    context.font = `14px ${style.fontFamily}`;
    context.textBaseline = "middle";
    for (const ring of ride.rings) {
      context.fillStyle = style.color;
      context.fillText(`ring ${ring}`, 4, level(ring) + 4);
    }
    for (const [from, to, ring] of ride.stretches) {
      context.fillStyle = ring === 0 ? "#4D4D4D" : "#0072B2";
      context.fillRect(x(from), level(ring), Math.max(x(to) - x(from), 1), Math.min(high, 9));
    }
    this.drawFlags(context, style, ride, x);
    context.fillStyle = style.color;
    const now = x(moment.number);
    context.fillRect(now - 1, top - 4, 2, band + 18);
    context.beginPath();
    context.moveTo(now, top - 4);
    context.lineTo(now - 6, top - 13);
    context.lineTo(now + 6, top - 13);
    context.fill();
  }

  drawFlags(context, style, ride, x) {
    context.fillStyle = style.color;
    let free = -Infinity;
    for (const [number, how] of ride.flags) {
      if (how === "iret") continue;
      const place = x(number);
      context.fillRect(place - 0.5, STRIP.top - 1, 1, STRIP.band + 2);
      const half = context.measureText(how).width / 2;
      if (place - half < free || place + half > this.width) continue;
      context.textAlign = "center";
      context.fillText(how, place, STRIP.top + STRIP.band + 24);
      free = place + half + 10;
    }
    context.textAlign = "left";
  }

  point(event) {
    const { left, wide } = this.scale();
    const part = (event.clientX - this.strip.getBoundingClientRect().left - left) / wide;
    const { last } = this.model.get("ride");
    const number = Math.round(Math.min(Math.max(part, 0), 1) * last);
    this.model.set("asked", { number, time: Date.now() });
    this.model.save_changes();
  }

  // --- all of it ------------------------------------------------------------------------------

  draw(moved) {
    const moment = this.model.get("moment");
    if (!moment.lines) return;
    this.title.textContent = this.model.get("title");
    this.stage.setAttribute("aria-label", this.model.get("alt"));
    this.drawRings(moment, moved);
    this.drawCode(moment);
    this.drawRegisters(moment);
    this.drawWays(moment);
    if (this.width) this.drawStrip(moment);
    this.root.dataset.version = String(this.model.get("version"));
  }

  resize() {
    const width = this.root.clientWidth;
    if (width < 1 || width === this.width) return;
    this.width = width;
    this.root.classList.toggle("virtlab-narrow", width < NARROW_PX);
    this.draw(false);
    this.root.dataset.width = String(width);
  }
}

function render({ model, el }) {
  const view = new Stepper(model, el);
  const follow = () => view.draw(true);
  model.on("change:version", follow);
  const observer = new ResizeObserver(() => view.resize());
  observer.observe(view.root);
  view.draw(false);
  view.resize();
  return () => {
    observer.disconnect();
    model.off("change:version", follow);
  };
}

export default { render };
