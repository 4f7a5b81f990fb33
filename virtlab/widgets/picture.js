// A picture that is replaced without a flicker: the new image is decoded before it is shown.
// It tells the kernel how wide it stands and with how many pixels: the figure is drawn for those.

const NARROW = 600; // the same bound as virtlab.plots.style.Plate.narrow
const WIDEST = 960; // as in virtlab.css

function render({ model, el }) {
  const image = document.createElement("img");
  image.className = "virtlab-picture";
  image.draggable = false;
  el.appendChild(image);
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
    if (shown) URL.revokeObjectURL(shown);
  };
}

export default { render };
