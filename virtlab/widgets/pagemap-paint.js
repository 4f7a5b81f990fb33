// How pages become squares on a canvas: the states, the layout, the colours, the signs.
// `pagemap.js` follows this text in one module; the package joins the two.

const SIGN_PX = 9; // squares at least this large carry their second sign
const CELL_PX = 26; // no square is larger
const LABEL_PX = 22; // a band is at least as high as its label
const GAP_PX = 8; // between two bands
const PAD_PX = 6; // around the squares, for the cursor at an edge
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
// With labels above, each band stands below its own.
function fit(groups, width, height, ratio, above) {
  let cell = Math.round(CELL_PX * ratio);
  let pages = 1; // that one square stands for
  const label = LABEL_PX * ratio;
  const gap = (GAP_PX + (above ? LABEL_PX : 0)) * ratio;
  for (;;) {
    const columns = Math.max(1, Math.floor(width / cell));
    const rows = groups.map((group) => Math.max(1, Math.ceil(group.size / (columns * pages))));
    const heights = rows.map((count) => Math.max(count * cell, above ? 0 : label));
    const total = heights.reduce((sum, one) => sum + one + gap, -gap);
    if (total <= height || pages > 4096) {
      let top = above ? label : 0;
      let first = 0;
      let row = 0;
      const bands = groups.map((group, i) => {
        const band = { top, first, row, rows: rows[i], size: group.size, height: heights[i] };
        top += Math.round(heights[i] + gap);
        first += group.size;
        row += rows[i];
        return band;
      });
      return { cell, pages, columns, bands, rows: row, height: Math.ceil(top - gap), ratio };
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
    const own = table.subarray(4 * g * kinds, 4 * (g + 1) * kinds);
    for (let p = band.first; p < end; p += layout.pages) {
      const stop = Math.min(p + layout.pages, end);
      let red = 0;
      let green = 0;
      let blue = 0;
      let alpha = 0;
      for (let q = p; q < stop; q++) {
        const c = 4 * states[q];
        red += own[c];
        green += own[c + 1];
        blue += own[c + 2];
        alpha += own[c + 3];
      }
      const n = stop - p;
      pixels[at++] = (((alpha / n) << 24) | ((blue / n) << 16) | ((green / n) << 8) | (red / n)) >>> 0;
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
  context.lineCap = "square"; // closes the corner of a rim
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

// Clear lines between the squares of a band.
function grid(context, layout, band, left, top) {
  const { cell, columns, ratio } = layout;
  const line = Math.max(1, Math.floor(ratio));
  const [width, height] = [columns * cell, band.rows * cell];
  for (let c = 1; c < columns; c++) context.clearRect(left + c * cell, top, line, height);
  for (let r = 1; r < band.rows; r++) context.clearRect(left, top + r * cell, width, line);
}

// Around the squares of a band, not around the empty end of its last row.
function rim(context, layout, band, left, top) {
  const { cell, columns, pages } = layout;
  const last = Math.ceil(band.size / pages) - columns * (band.rows - 1);
  const [x, y] = [left - 0.5, top - 0.5];
  const [right, bottom] = [left + columns * cell + 0.5, top + band.rows * cell + 0.5];
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(right, y);
  context.lineTo(right, bottom - cell);
  context.lineTo(x + last * cell + 1, bottom - cell);
  context.lineTo(x + last * cell + 1, bottom);
  context.lineTo(x, bottom);
  context.closePath();
  context.strokeStyle = "#8C8C8C";
  context.lineWidth = 1;
  context.stroke();
}

// A light and a dark frame, seen on every colour and in both themes.
function frame(context, x, y, width, height, ratio) {
  for (const [colour, grow, line] of [["#FFFFFF", 2.5, 4], ["#000000", 1.5, 2]]) {
    const out = grow * ratio;
    context.strokeStyle = colour;
    context.lineWidth = line * ratio;
    context.strokeRect(x - out, y - out, width + 2 * out, height + 2 * out);
  }
}

// The square of a legend entry; a used page has as many colours as there are VMs.
function swatch(canvas, entry, groups) {
  const side = Math.round(18 * devicePixelRatio);
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const own = entry.own ? groups.slice(0, 4).map((group) => group.colour) : [entry.colour];
  own.forEach((colour, i) => {
    context.fillStyle = colour;
    context.fillRect((i * side) / own.length, 0, side / own.length + 1, side);
  });
  sign(context, entry, 0, 0, side);
}

function writeTable(table, titles, rows) {
  table.replaceChildren();
  const head = element("tr", "", element("thead", "", table));
  for (const title of titles) element("th", "", head, { scope: "col" }).textContent = title;
  const body = element("tbody", "", table);
  for (const [label, ...values] of rows) {
    const row = element("tr", "", body);
    element("th", "", row, { scope: "row" }).textContent = label;
    for (const value of values) element("td", "", row).textContent = number.format(value);
  }
}
