// A picture that is replaced without a flicker: the new image is decoded before it is shown.
// It tells the kernel how wide it stands and with how many pixels: the figure is drawn for those.

const NARROW = 600; // the same bound as virtlab.plots.style.Plate.narrow
const WIDEST = 960; // as in virtlab.css

// Knobs and tiles over the image. A pointer takes them; for keys and for screen readers there are the
// controls that they stand for, so they are hidden from those. A control in use lights its knobs up, and
// a knob its control, which also gets the focus: what was dragged is put right with the arrows.
function takeHold(model, stage) {
  const made = new Map(); // by name, and which of those of that name it is
  let held = null;
  let waiting = 0;
  const app = () => stage.closest(".virtlab-app");
  const control = (name) => app()?.querySelector(`[data-key="${CSS.escape(name)}"]`);

  function send(name, value) {
    if (held) held.sent = value;
    model.set("gripped", { name, value, time: Date.now() });
    model.save_changes();
  }

  function drag(event) {
    if (!held || event.pointerId !== held.pointer) return;
    const box = stage.getBoundingClientRect();
    const { grip, spot } = held;
    const right = (event.clientX - held.x) / box.width;
    const up = (held.y - event.clientY) / box.height;
    const part = grip.along === "x" ? right : up;
    if (grip.along === "x") spot.style.left = `${100 * Math.min(Math.max(grip.x + right, 0), 1)}%`;
    else spot.style.top = `${100 * Math.min(Math.max(grip.y - up, 0), 1)}%`;
    held.wants = grip.value + part * grip.per_part;
    waiting ||= requestAnimationFrame(() => { // one value a frame, however fast the hand is
      waiting = 0;
      if (held && held.wants !== held.sent) send(held.grip.name, held.wants);
    });
  }

  function letGo() {
    if (!held) return;
    if (held.wants !== undefined && held.wants !== held.sent) send(held.grip.name, held.wants);
    held.spot.classList.remove("virtlab-held");
    held = null;
    show();
  }

  function take(event) {
    if (event.button !== 0 || held) return;
    const spot = event.currentTarget;
    const grip = spot.grip;
    event.preventDefault();
    control(grip.control)?.querySelector("input, select")?.focus({ preventScroll: true });
    if (!grip.along) return void send(grip.name, grip.value);
    spot.setPointerCapture(event.pointerId);
    spot.classList.add("virtlab-held");
    held = { grip, spot, pointer: event.pointerId, x: event.clientX, y: event.clientY };
  }

  const light = (event) => control(event.currentTarget.grip.control)
    ?.classList.toggle("virtlab-linked", event.type === "pointerenter");

  function spotOf(key) {
    if (made.has(key)) return made.get(key);
    const spot = stage.appendChild(document.createElement("div"));
    spot.setAttribute("aria-hidden", "true");
    spot.addEventListener("pointerdown", take);
    spot.addEventListener("pointermove", drag);
    for (const name of ["pointerup", "pointercancel"]) spot.addEventListener(name, letGo);
    for (const name of ["pointerenter", "pointerleave"]) spot.addEventListener(name, light);
    made.set(key, spot);
    return spot;
  }

  function place(spot, grip) {
    spot.grip = grip;
    if (held?.spot === spot) return; // it is where the pointer is
    spot.classList.add(grip.along ? "virtlab-knob" : "virtlab-tile");
    Object.assign(spot.dataset, { name: grip.name, along: grip.along });
    spot.title = grip.words;
    Object.assign(spot.style, { left: `${100 * grip.x}%`, top: `${100 * grip.y}%` });
    if (!grip.along) Object.assign(spot.style, { width: `${100 * grip.width}%`, height: `${100 * grip.height}%` });
  }

  function show() {
    const seen = new Map();
    const gone = new Set(made.keys());
    for (const grip of model.get("grips") ?? []) {
      const nth = (seen.get(grip.name) ?? 0) + 1;
      seen.set(grip.name, nth);
      gone.delete(`${grip.name} ${nth}`);
      place(spotOf(`${grip.name} ${nth}`), grip);
    }
    for (const key of gone) {
      if (held?.spot === made.get(key)) continue; // it may come back while the hand is on it
      made.get(key).remove();
      made.delete(key);
    }
  }

  // A control that has the focus or is pointed at: which knob is it?
  function link(event) {
    const one = event.target.closest?.("[data-key]");
    const on = event.type === "focusin" || event.type === "pointerover";
    if (!one || one.closest(".virtlab-app") !== app()) return;
    for (const spot of made.values()) {
      if (spot.grip.control === one.dataset.key && spot.grip.along) spot.classList.toggle("virtlab-linked", on);
    }
  }
  const heard = ["focusin", "focusout", "pointerover", "pointerout"];
  for (const name of heard) document.addEventListener(name, link);
  show();
  return {
    show,
    stop: () => heard.forEach((name) => document.removeEventListener(name, link)),
  };
}

function render({ model, el }) {
  const stage = el.appendChild(document.createElement("div"));
  stage.className = "virtlab-stage";
  const image = stage.appendChild(document.createElement("img"));
  image.className = "virtlab-picture";
  image.draggable = false;
  const grips = takeHold(model, stage);
  let shown = "";
  let newest = -1;
  let measured = 0;

  async function show() {
    const bytes = model.get("png");
    const version = model.get("version");
    newest = version;
    image.alt = model.get("alt");
    if (!bytes || bytes.byteLength === 0) return;
    const url = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    const next = new Image();
    next.src = url;
    const decoded = await next.decode().then(() => true, () => false);
    if (!decoded || version !== newest) {
      URL.revokeObjectURL(url); // a newer picture is on its way
      return;
    }
    image.style.aspectRatio = `${next.naturalWidth} / ${next.naturalHeight}`;
    image.src = url;
    image.dataset.version = String(version);
    grips.show(); // with the picture that they belong to, and not before
    if (shown) URL.revokeObjectURL(shown);
    shown = url;
  }

  function measure() {
    const width = el.getBoundingClientRect().width;
    if (width < 1 || width === measured) return; // hidden: nothing to learn
    measured = width;
    const narrow = width < NARROW;
    const pixels = Math.round(Math.min(width, WIDEST) * (window.devicePixelRatio || 1));
    const near = Math.abs(pixels - model.get("pixels")) < 0.02 * pixels; // a scroll bar came or went
    if (narrow === model.get("narrow") && near) return;
    model.set({ narrow, pixels });
    model.save_changes();
  }

  // Where a finger points, as parts of width and height, where the model wants to hear of it.
  function point(event) {
    const box = image.getBoundingClientRect();
    if (!model.get("pickable") || box.width < 1) return;
    const x = (event.clientX - box.left) / box.width;
    const y = (event.clientY - box.top) / box.height;
    model.set("picked", { x, y, time: Date.now() });
    model.save_changes();
  }

  image.addEventListener("pointerdown", point);
  image.style.cursor = model.get("pickable") ? "pointer" : "";
  const observer = new ResizeObserver(measure);
  observer.observe(el);
  model.on("change:version", show);
  show();
  return () => {
    observer.disconnect();
    model.off("change:version", show);
    grips.stop();
    if (shown) URL.revokeObjectURL(shown);
  };
}

export default { render };
