// Controls made of the browser's own elements: each has a label, a value in words, and keys.

const trim = new Intl.NumberFormat("en-US", { maximumFractionDigits: 3 });

function element(tag, className, parent, attributes = {}) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.appendChild(made);
  return made;
}

// "160 MB/s": a value as one says it.
function inWords(model, value) {
  const unit = model.get("unit");
  const scaled = model.get("per_step") === undefined ? value : value * model.get("per_step");
  return unit ? `${trim.format(scaled)} ${unit}` : trim.format(scaled);
}

function send(model, values) {
  model.set(values);
  model.save_changes();
}

// The keys of a control are not the notebook's.
function keepKeys(root) {
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  root.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && event.key !== "Escape") event.stopPropagation();
  });
}

function head(root, model) {
  // Each control loads this module anew, so that a counter would give the same id twice.
  const id = `virtlab-${Math.random().toString(36).slice(2)}`;
  const label = element("label", "", root, { for: id });
  label.textContent = model.get("description");
  const words = element("span", "virtlab-value", root, { "aria-hidden": "true" }); // the control says it
  return { id, words };
}

function range(root, id, limits) {
  return element("input", "", root, { type: "range", id, ...limits });
}

function slider(model, root) {
  const { id, words } = head(root, model);
  const limits = { min: model.get("min"), max: model.get("max"), step: model.get("step") };
  const input = range(root, id, limits);
  function show() {
    const value = model.get("value");
    if (Number(input.value) !== value) input.value = String(value);
    words.textContent = inWords(model, value);
    input.setAttribute("aria-valuetext", words.textContent);
  }
  input.addEventListener("input", () => send(model, { value: Number(input.value) }));
  return show;
}

const ICONS = {
  reset: ["Reset", "M4 4h2v12H4zM16 4v12L7 10z"],
  back: ["Step back", "M14 4v12L5 10z"],
  play: ["Play", "M5 3v14l12-7z"],
  pause: ["Pause", "M5 4h4v12H5zM11 4h4v12h-4z"],
  step: ["Step forward", "M6 4v12l9-6z"],
};

function icon(button, name) {
  const [label, path] = ICONS[name];
  if (button.dataset.icon === name) return;
  button.dataset.icon = name;
  button.setAttribute("aria-label", label);
  button.title = label;
  button.innerHTML = `<svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true"><path fill="currentColor" d="${path}"/></svg>`;
}

function player(model, root) {
  const { id, words } = head(root, model);
  const row = element("div", "virtlab-player", root, {
    role: "group",
    "aria-label": `${model.get("description")}: space plays and pauses, arrows step`,
  });
  const button = (name, action) => {
    const made = element("button", "virtlab-button", row, { type: "button" });
    icon(made, name);
    made.addEventListener("click", action);
    return made;
  };
  const last = () => model.get("max");
  const go = (value) => send(model, { value: Math.min(Math.max(value, 0), last()), playing: false });
  const toggle = () => {
    const restart = !model.get("playing") && model.get("value") >= last();
    send(model, { playing: !model.get("playing"), value: restart ? 0 : model.get("value") });
  };
  button("reset", () => go(0));
  button("back", () => go(model.get("value") - 1));
  const play = button("play", toggle);
  button("step", () => go(model.get("value") + 1));
  const input = range(row, id, { min: 0, max: last(), step: 1 });
  input.addEventListener("input", () => go(Number(input.value)));
  row.addEventListener("keydown", (event) => {
    const value = model.get("value");
    const target = { ArrowRight: value + 1, ArrowUp: value + 1, ArrowLeft: value - 1, ArrowDown: value - 1,
      Home: 0, End: last() }[event.key];
    if (event.key === " " && event.target === input) toggle();
    else if (target !== undefined) go(target);
    else return;
    event.preventDefault();
  });
  let timer = 0;
  function tick() {
    const next = model.get("value") + 1;
    send(model, { value: Math.min(next, last()), playing: next < last() });
  }
  function show() {
    const value = model.get("value");
    input.max = String(last());
    input.value = String(value);
    words.textContent = inWords(model, value);
    input.setAttribute("aria-valuetext", words.textContent);
    icon(play, model.get("playing") ? "pause" : "play");
    clearTimeout(timer);
    if (model.get("playing")) timer = setTimeout(tick, model.get("interval_ms"));
  }
  return Object.assign(show, { stop: () => clearTimeout(timer) });
}

function seed(model, root) {
  const { id, words } = head(root, model);
  words.remove();
  const row = element("div", "virtlab-player", root);
  const input = element("input", "", row, { type: "number", id, min: 0, max: 2 ** 31 - 1, step: 1 });
  const button = element("button", "virtlab-button", row, { type: "button" });
  button.textContent = "Draw another";
  button.addEventListener("click", () => send(model, { value: Math.floor(Math.random() * 10000) }));
  input.addEventListener("change", () => {
    if (input.checkValidity() && input.value !== "") send(model, { value: Number(input.value) });
    else show();
  });
  function show() {
    input.value = String(model.get("value"));
  }
  return show;
}

function choice(model, root) {
  const { id, words } = head(root, model);
  words.remove();
  const select = element("select", "", root, { id });
  for (const text of model.get("labels")) element("option", "", select).textContent = text;
  select.addEventListener("change", () => send(model, { index: select.selectedIndex }));
  return () => {
    select.selectedIndex = model.get("index");
  };
}

function toggle(model, root) {
  const label = element("label", "virtlab-toggle", root);
  const box = element("input", "", label, { type: "checkbox" });
  label.append(model.get("description"));
  box.addEventListener("change", () => send(model, { value: box.checked }));
  return () => {
    box.checked = model.get("value");
  };
}

// Buttons that do something at once; what can't be done now can't be pressed, but can be read.
function buttons(model, root) {
  const name = element("span", "virtlab-label", root);
  name.textContent = model.get("description");
  const row = element("div", "virtlab-player virtlab-buttons", root, {
    role: "group",
    "aria-label": model.get("description"),
  });
  const made = model.get("labels").map((_, index) => {
    const button = element("button", "virtlab-button", row, { type: "button" });
    button.addEventListener("click", () => send(model, { pressed: { index, time: Date.now() } }));
    return button;
  });
  return () => {
    made.forEach((button, index) => {
      button.textContent = model.get("labels")[index];
      button.disabled = !model.get("enabled")[index];
    });
  };
}

// A line of text; what is typed counts when one leaves it or presses Enter. What is wrong is said below.
function entry(model, root) {
  const { id, words } = head(root, model);
  words.remove();
  const input = element("input", "virtlab-entry", root, { type: "text", id, spellcheck: "false", autocomplete: "off" });
  const fault = element("span", "virtlab-fault", root, { role: "alert" });
  input.addEventListener("change", () => send(model, { typed: input.value }));
  return () => {
    input.value = model.get("typed");
    fault.textContent = model.get("fault");
    input.setAttribute("aria-invalid", String(model.get("fault") !== ""));
  };
}

const KINDS = { slider, player, seed, choice, toggle, buttons, entry };

function render({ model, el }) {
  const root = element("div", "virtlab-control", el);
  root.dataset.key = model.get("key") ?? "";
  keepKeys(root);
  const show = KINDS[model.get("kind")](model, root);
  const events = ["change:value", "change:index", "change:max", "change:playing", "change:labels", "change:enabled", "change:typed", "change:fault"];
  for (const name of events) model.on(name, show);
  show();
  return () => {
    for (const name of events) model.off(name, show);
    show.stop?.();
  };
}

export default { render };
