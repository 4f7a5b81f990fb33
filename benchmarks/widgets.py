"""How soon a widget answers: from the key to the new picture in the browser, and what it costs.

    python -m benchmarks.widgets
    python -m benchmarks.widgets --kernel   without a browser

It starts JupyterLab on loopback and a headless Chromium, and presses an arrow key on a slider.
The bar: 100 ms in the middle, on an idle machine; also where a widget has most to do, which for
chapter 08's programs is 20 VMs, written to 500 times a second for 30 minutes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupytext
import nbformat
import numpy as np

from tests.browser.reader import FLAGS, Reader
from tests.browser.servers import start_lab
from virtlab.plots import style
from virtlab.plots.pages import Pages
from virtlab.widgets.pagemap import PageMap

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.plots.style import Plate

_ROOT = Path(__file__).resolve().parents[1]
# From the key to the moment when the image with the next version is in the page.
_PRESS = """slider => new Promise(resolve => {
  const image = slider.closest('.virtlab-app').querySelector('img.virtlab-picture');
  const start = performance.now();
  const watch = new MutationObserver(() => {
    watch.disconnect();
    requestAnimationFrame(() => resolve(performance.now() - start));
  });
  watch.observe(image, { attributes: true, attributeFilter: ['data-version'] });
  slider.stepUp();
  if (slider.value === slider.max) slider.value = slider.min;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
})"""


def spread(times_ms: list[float]) -> str:
    """Write the middle and the slow end of some times."""
    middle, slow = np.percentile(times_ms, [50, 90])
    return f"median {middle:6.1f} ms, p90 {slow:6.1f} ms"


def repeat(run: Callable[[], object], times: int = 15) -> list[float]:
    """Time a call again and again."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(1000 * (time.perf_counter() - start))
    return taken


def bars(figure: Plate) -> None:
    """Draw a figure of the usual size."""
    axes = figure.subplots()
    axes.bar(["VM1", "VM2", "VM3"], [40, 80, 40], color=[mark.colour for mark in style.VMS[:3]])
    axes.set_ylabel("MB/s")
    axes.grid(axis="y")
    style.finish(axes, "VM2 gets twice the disk", "Bars.", "S20")


def kernel_side() -> None:
    """Time what the kernel does: draw and encode a figure, send a million pages."""
    figure = style.plate()
    print("kernel: draw on a figure    ", spread(repeat(lambda: style.draw_on(figure, bars))))
    for scale in (0.8, 1.0, 1.5):
        times = repeat(partial(figure.png, scale, 1))
        print(f"kernel: PNG at scale {scale}    ", spread(times))
    rng = np.random.default_rng(27)
    million = [np.repeat(rng.choice(5, 15_625), 64) for _ in range(15)]
    groups = [("VM1", 400_000), ("VM2", 600_000)]
    legend = ("free", "used", "zero", "hint", "shared")
    pages = PageMap(million[0], groups, legend)
    states = iter(million)
    print("kernel: a million pages     ", spread(repeat(lambda: pages.update(next(states)))))
    some = rng.choice(1_000_000, 2_000, replace=False)
    values = iter(np.arange(15) % 5)
    print("kernel: 2,000 of a million  ", spread(repeat(lambda: pages.change(some, next(values)))))
    print(
        "kernel: counts in words     ",
        spread(repeat(Pages(million[0], groups, legend).alt)),
    )


def each_control() -> None:
    """Time what the kernel does for one move of each control of the widgets of 02 and 06."""
    from virtlab.widgets import cpu, rings

    apps: dict[str, Any] = {
        "live": cpu.live(),
        "cores": cpu.cores(),
        "together": cpu.together(),
        "kernel": rings.kernel(),
        "attempt": rings.attempt(),
        "table": rings.table(),
    }
    for name, app in apps.items():
        if hasattr(app, "picture"):
            app.picture.pixels = 960  # as in a browser of that width
        for key, control in app.controls.items():
            if hasattr(control, "min"):
                values = [control.min, control.min + control.step]
            elif hasattr(control, "labels") and key not in ("power", "go"):
                values = _first_two(control)
            elif hasattr(control, "max"):
                values = [5, 6]
            else:
                continue
            moves = iter(values * 8)
            times = repeat(partial(_move, app, key, moves))
            print(f"kernel: {name}, {key:12}", spread(times))


def far_corner() -> None:
    """Time what the kernel does for each slider of chapter 08's programs where all are far out."""
    from virtlab.memory.programs import PROGRAMS
    from virtlab.memory.scan.orders import ORDERS
    from virtlab.widgets.sharing import programs

    app = programs(copies=4)
    app.set(writes=500, minutes=30)
    for number, name in enumerate(app.controls["scanner"].labels):
        app.controls["scanner"].index = number
        for order in ORDERS:
            app.set(order=order)
            for key in (PROGRAMS[-1], "writes", "minutes"):
                control = app.controls[key]
                moves = iter([control.max - control.step, control.max] * 8)
                start = time.process_time()
                times = repeat(partial(_move, app, key, moves), 16)
                work = 1000 * (time.process_time() - start) / 16
                print(
                    f"kernel: {name.partition(':')[0]}, {order}, {key}".ljust(48),
                    spread(times),
                    f"processor {work:4.0f} ms",
                )


def _first_two(choice: Any) -> list[Any]:
    """Return the values of the first two words of a drop-down."""
    start, values = choice.index, []
    for choice.index in (0, 1):
        values.append(choice.value)
    choice.index = start
    return values


def _move(app: Any, key: str, values: Any) -> None:
    app.set(**{key: next(values)})


def browser_side(presses: int = 40) -> None:
    """Time from the key to the picture, in JupyterLab."""
    from playwright.sync_api import sync_playwright

    home = Path(tempfile.mkdtemp())
    folder = home / "course"
    folder.mkdir()
    nbformat.write(jupytext.read(_ROOT / "tests/browser/sample.md"), folder / "sample.ipynb")
    server = start_lab(folder, home / "lab")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=FLAGS
            )
            page = browser.new_page(viewport={"width": 960, "height": 720})
            reader = Reader(page, home)
            reader.open_lab(server, "sample.ipynb")
            reader.run_all()
            slider: Any = page.locator(".virtlab-app input[type=range]").first
            times = [slider.evaluate(_PRESS) for _ in range(presses + 5)][5:]
            browser.close()
    finally:
        server.stop()
        shutil.rmtree(home)
    print("browser: slider to picture  ", spread(times))


if __name__ == "__main__":
    kernel_side()
    each_control()
    far_corner()
    if "--kernel" not in sys.argv:
        browser_side()
