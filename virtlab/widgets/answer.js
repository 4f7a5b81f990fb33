// What a model answers: one sentence in a live region that stays, and the numbers as a table.
// Neither box shrinks while the width stays: what stands below does not jump.

function render({ model, el }) {
  const root = document.createElement("div");
  const sentence = document.createElement("p");
  const table = document.createElement("div");
  root.className = "virtlab-answer";
  sentence.className = "virtlab-sentence";
  sentence.setAttribute("role", "status");
  sentence.setAttribute("aria-live", "polite");
  table.className = "virtlab-table";
  root.append(sentence, table);
  el.appendChild(root);
  let width = 0;

  function hold() {
    if (root.clientWidth !== width) {
      width = root.clientWidth;
      for (const box of [sentence, table]) box.style.minHeight = "";
    }
    for (const box of [sentence, table]) {
      const floor = parseFloat(box.style.minHeight) || 0;
      if (box.offsetHeight > floor) box.style.minHeight = `${box.offsetHeight}px`;
    }
  }

  function show() {
    sentence.textContent = model.get("sentence");
    table.innerHTML = model.get("table");
    root.dataset.version = String(model.get("version"));
    hold();
  }

  model.on("change:version", show);
  const observer = new ResizeObserver(hold);
  observer.observe(root);
  show();
  return () => {
    model.off("change:version", show);
    observer.disconnect();
  };
}

export default { render };
