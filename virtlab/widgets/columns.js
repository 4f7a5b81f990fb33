// Guest code and its translation in columns that share an address. A row lights up in all columns,
// and what belongs to the chosen one stands below in full. On the left, where jumps lead.
// `pagemap-paint.js` stands before this text in one module.

const NARROW_PX = 600; // as in virtlab.plots.style
const MIDDLE_PX = 880; // with less, bytes and operands go on below themselves
const LINES = 4; // of translated code that a row has room for; of p-code a few more
const SVG = "http://www.w3.org/2000/svg";
const LANGUAGES = {
  wasm: "WebAssembly's text format (WAT)",
  python: "Python",
  llvm: "LLVM's representation",
  assembly: "an assembler's text",
};
const MARKS = { done: "", "put off": "~", dead: "×" };
const WORDS = {
  IDENT: "IDENT: does in the cache what it says",
  control: "control: changes what is next",
  "in-cache": "sensitive, done in the cache",
  callout: "callout: the VMM does it",
  none: "no instruction",
};

function words(parent, className, text, title = "") {
  const made = element("span", className, parent);
  made.textContent = text;
  if (title) made.title = title;
  return made;
}

class Columns {
  constructor(model, el) {
    this.model = model;
    this.width = 0;
    const root = element("div", "virtlab-pagemap virtlab-columns", el, { "data-lm-suppress-shortcuts": "true" });
    this.root = root;
    this.title = element("div", "virtlab-pagemap-title", root);
    this.bar = element("div", "virtlab-columns-bar", root, { role: "img" });
    this.legend = element("div", "virtlab-columns-legend", root);
    this.box = element("div", "virtlab-columns-box", root);
    this.table = element("div", "virtlab-columns-table", this.box, { role: "grid" });
    this.arcs = document.createElementNS(SVG, "svg");
    this.arcs.setAttribute("aria-hidden", "true");
    this.box.appendChild(this.arcs);
    this.detail = element("div", "virtlab-columns-detail", root, { role: "region", "aria-label": "The chosen row in full" });
    this.fold = element("details", "virtlab-columns-whole", root);
    this.summary = element("summary", "", this.fold);
    this.whole = element("pre", "", this.fold, { tabindex: "0" });
    this.fold.addEventListener("toggle", () => {
      if (this.model.get("opened") === this.fold.open) return;
      this.model.set("opened", this.fold.open);
      this.model.save_changes();
    });
    this.table.addEventListener("keydown", (event) => this.key(event));
    this.table.addEventListener("click", (event) => {
      const row = event.target.closest("[data-row]");
      if (row) this.choose(Number(row.dataset.row), true);
    });
    for (const [kind, sign] of [["IDENT", "="], ["control", ">"], ["in-cache", "+"], ["callout", "!"]]) {
      const one = element("span", "", this.legend);
      words(one, "sign", sign).dataset.kind = kind;
      words(one, "", WORDS[kind]);
    }
    for (const [state, text] of [["put off", "not done, a recipe is left"], ["dead", "never done"]]) {
      const one = element("span", "", this.legend);
      words(one, "flag", "CF").dataset.state = state;
      words(one, "", text);
    }
    this.numbers = element("span", "", this.legend);
    words(this.numbers, "flag", "25");
    words(this.numbers, "", "where a line stands; jumps say it");
  }

  // --- the rows -------------------------------------------------------------------------------

  drawTable() {
    const rows = this.model.get("rows");
    this.table.replaceChildren();
    this.table.setAttribute("aria-label", this.model.get("alt"));
    const head = element("div", "head", this.table, { role: "row" });
    for (const name of ["address", "bytes", "i386", "p-code", this.model.get("tier")]) {
      element("span", `cell ${name === "bytes" ? "bytes" : ""}`, head, { role: "columnheader" }).textContent = name;
    }
    let unit = rows.length ? rows[0].unit : 0;
    this.lines = rows.map((row, at) => {
      if (row.unit && row.unit !== unit) {
        element("div", "unit", this.table).textContent = `unit ${row.unit}`;
        unit = row.unit;
      }
      if (row.name) element("div", "name", this.table).textContent = `${row.name}:`;
      return this.row(row, at);
    });
  }

  row(row, at) {
    const line = element("div", "row", this.table, { role: "row", tabindex: "-1", "data-row": at, "data-kind": row.kind });
    const place = element("span", "cell at", line, { role: "gridcell" });
    words(place, "sign", row.sign, WORDS[row.kind]).dataset.kind = row.kind;
    words(place, "", row.at);
    element("span", "cell bytes", line, { role: "gridcell" }).textContent = row.code;
    element("span", "cell text", line, { role: "gridcell" }).textContent = row.text;
    const code = element("span", "cell pcode", line, { role: "gridcell" });
    this.some(code, row.main, LINES + 2, "operations");
    if (row.flags.length) {
      const flags = element("span", "flags", code);
      for (const [name, state] of row.flags) {
        const flag = words(flags, "flag", name);
        flag.dataset.state = state;
        flag.setAttribute("aria-label", state === "done" ? name : `${name} ${state}`);
      }
    }
    const made = element("span", "cell made", line, { role: "gridcell" });
    this.some(made, row.lines.map((text) => [text, "done"]), LINES, "lines");
    return line;
  }

  some(parent, lines, most, what) {
    const room = lines.length > most ? most - 1 : most;
    for (const [text, state] of lines.slice(0, room)) words(parent, "op", text, text).dataset.state = state;
    if (lines.length > room) words(parent, "more", `and ${lines.length - room} ${what} more`);
  }

  // --- where jumps lead -----------------------------------------------------------------------

  drawArcs() {
    const rows = this.model.get("rows");
    const chosen = this.model.get("chosen");
    this.arcs.replaceChildren();
    this.arcs.setAttribute("height", this.table.scrollHeight);
    const y = (at) => this.lines[at].offsetTop + 12;
    const jumps = rows
      .map((row, from) => ({ from, to: rows.findIndex((other) => other.at === row.to) }))
      .filter((jump) => jump.to >= 0)
      .map((jump) => ({ ...jump, first: Math.min(jump.from, jump.to), last: Math.max(jump.from, jump.to) }))
      .sort((a, b) => a.last - a.first - (b.last - b.first));
    const lanes = [];
    for (const jump of jumps) {
      let lane = lanes.findIndex((taken) => taken.every((one) => one.last < jump.first || one.first > jump.last));
      if (lane < 0) lane = lanes.push([]) - 1;
      lanes[lane].push(jump);
      const x = Math.max(30 - 7 * lane, 3);
      const [from, to] = [y(jump.from), y(jump.to) + (jump.from === jump.to ? 6 : 0)];
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", `M36 ${from}H${x}V${to}H34M31 ${to - 4}L36 ${to}L31 ${to + 4}`);
      if (chosen === jump.from || chosen === jump.to) path.setAttribute("class", "chosen");
      this.arcs.appendChild(path);
    }
  }

  // --- the chosen row -------------------------------------------------------------------------

  drawDetail() {
    const row = this.model.get("rows")[this.model.get("chosen")];
    this.detail.replaceChildren();
    if (!row) return;
    const left = element("div", "", this.detail);
    const right = element("div", "", this.detail);
    element("div", "head", left).textContent = `${row.at}  ${row.text}: ${row.all.length} operation${row.all.length === 1 ? "" : "s"}`;
    for (const [text, state] of row.all) {
      const line = element("div", "line", left);
      words(line, "mark", MARKS[state]);
      words(line, "op", text).dataset.state = state;
    }
    const lines = row.lines.length;
    element("div", "head", right).textContent = lines ? `${lines} line${lines > 1 ? "s" : ""} made for it` : "nothing was made for it alone";
    for (const text of row.lines) element("div", "line", right).textContent = text;
  }

  drawWhole() {
    const tier = this.model.get("tier");
    this.numbers.hidden = tier !== "assembly";
    this.summary.textContent = `All the code of the first unit: ${LANGUAGES[tier] ?? tier}`;
    this.whole.textContent = this.model.get("whole");
  }

  drawBar() {
    const counts = this.model.get("counts");
    this.bar.replaceChildren();
    const all = counts.done + counts["put off"] + counts.dead;
    for (const state of ["done", "put off", "dead"]) {
      if (!counts[state]) continue;
      const part = element("span", "", this.bar, { "data-state": state });
      part.style.flexGrow = counts[state];
      part.textContent = `${counts[state]} ${state}`;
      part.title = `${counts[state]} of ${all} operations: ${state}`;
    }
    const bytes = counts.bytes ? `, ${number.format(counts.bytes)} bytes of code` : "";
    this.bar.setAttribute("aria-label", `${counts.done} of ${all} operations done${bytes}`);
    this.bar.dataset.bytes = bytes ? `${number.format(counts.bytes)} bytes of code` : "";
  }

  choose(at, focus) {
    const rows = this.model.get("rows");
    const next = Math.min(Math.max(at, 0), rows.length - 1);
    if (next !== this.model.get("chosen")) {
      this.model.set("chosen", next);
      this.model.save_changes();
    }
    this.mark(focus);
  }

  mark(focus) {
    const chosen = this.model.get("chosen");
    this.lines.forEach((line, at) => {
      line.setAttribute("aria-selected", String(at === chosen));
      line.tabIndex = at === chosen ? 0 : -1;
    });
    const line = this.lines[chosen];
    if (focus && line) {
      line.focus({ preventScroll: true });
      const above = this.table.querySelector(".head").offsetHeight;
      const { offsetTop: top, offsetHeight: high } = line;
      if (top - above < this.box.scrollTop) this.box.scrollTop = top - above;
      if (top + high > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + high - this.box.clientHeight;
    }
    this.drawArcs();
    this.drawDetail();
  }

  key(event) {
    const chosen = this.model.get("chosen");
    const last = this.lines.length - 1;
    const target = { ArrowDown: chosen + 1, ArrowUp: chosen - 1, PageDown: chosen + 8, PageUp: chosen - 8, Home: 0, End: last }[event.key];
    if (target === undefined) return;
    this.choose(target, true);
    event.preventDefault();
    event.stopPropagation();
  }

  draw() {
    this.title.textContent = this.model.get("title");
    this.drawBar();
    this.drawTable();
    this.mark(false);
    this.drawWhole();
    this.root.dataset.version = String(this.model.get("version"));
  }

  resize() {
    const width = this.root.clientWidth;
    if (width < 1 || width === this.width) return;
    this.width = width;
    this.root.classList.toggle("virtlab-narrow", width < NARROW_PX);
    this.root.classList.toggle("virtlab-columns-middle", width >= NARROW_PX && width < MIDDLE_PX);
    this.drawArcs();
    this.root.dataset.width = String(width);
  }
}

function render({ model, el }) {
  const view = new Columns(model, el);
  const follow = () => view.draw();
  const chosen = () => view.mark(false);
  model.on("change:version", follow);
  const whole = () => view.drawWhole();
  model.on("change:chosen", chosen);
  model.on("change:whole", whole);
  const observer = new ResizeObserver(() => view.resize());
  observer.observe(view.root);
  view.draw();
  view.resize();
  return () => {
    observer.disconnect();
    model.off("change:version", follow);
    model.off("change:chosen", chosen);
    model.off("change:whole", whole);
  };
}

export default { render };
