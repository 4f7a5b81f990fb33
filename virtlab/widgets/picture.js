// A picture that is replaced without a flicker: the new image is decoded before it is shown.
// It tells the kernel how wide it stands, so that the figure is drawn for a projector or a phone.

const NARROW = 600; // the same bound as virtlab.plots.style.Plate.narrow

function render({ model, el }) {
  const image = document.createElement("img");
  image.className = "virtlab-picture";
  image.draggable = false;
  el.appendChild(image);
  let shown = "";

  async function show() {
    const bytes = model.get("png");
    image.alt = model.get("alt");
    if (!bytes || bytes.byteLength === 0) return;
    const url = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    const next = new Image();
    next.src = url;
    try {
      await next.decode();
    } catch {
      URL.revokeObjectURL(url); // a newer picture is on its way
      return;
    }
    image.style.aspectRatio = `${next.naturalWidth} / ${next.naturalHeight}`;
    image.src = url;
    image.dataset.version = String(model.get("version"));
    if (shown) URL.revokeObjectURL(shown);
    shown = url;
  }

  function measure() {
    const width = el.getBoundingClientRect().width;
    if (width < 1) return; // hidden: nothing to learn
    const narrow = width < NARROW;
    if (narrow !== model.get("narrow")) {
      model.set("narrow", narrow);
      model.save_changes();
    }
  }

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
