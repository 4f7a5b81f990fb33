"""One view alone in a page, with a stand-in for the kernel: what browser tests of views need."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import anywidget
    from playwright.sync_api import Browser, BrowserContext, Page

_CSS = Path(__file__).resolve().parents[2] / "virtlab" / "widgets" / "virtlab.css"
_PAGE = """<!doctype html><meta charset="utf-8"><style>body {{ margin: 8px }} {css}</style>
<div id="root"></div>
<script type="module">
const text = {esm};
const module = await import(URL.createObjectURL(new Blob([text], {{ type: "text/javascript" }})));
const unpack = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
class Model {{
  state = {{}};
  heard = {{}};
  sent = [];
  get(name) {{ return this.state[name]; }}
  set(name, value) {{ this.take({{ [name]: value }}); }}
  save_changes() {{ this.saved = true; }}
  send(message) {{ this.sent.push(message); }}
  on(name, listener) {{ (this.heard[name] ??= []).push(listener); }}
  off() {{}}
  take(state) {{
    for (const name of {packed}) if (name in state) state[name] = unpack(state[name]);
    Object.assign(this.state, state);
    for (const name in state) (this.heard[`change:${{name}}`] ?? []).forEach((one) => one());
  }}
}}
window.model = new Model();
model.take({state});
module.default.render({{ model, el: document.getElementById("root") }});
window.ready = true;
</script>"""


def state(widget: anywidget.AnyWidget) -> dict[str, Any]:
    """Return what the kernel would send, as JSON: bytes as base64."""
    sent = {name: value for name, value in widget.get_state().items() if not name.startswith("_")}
    for name, value in sent.items():
        if isinstance(value, bytes | memoryview):
            sent[name] = base64.b64encode(bytes(value)).decode()
    return {**sent, "layout": None, "tooltip": None}


def packed(widget: anywidget.AnyWidget) -> list[str]:
    """Return the names of what travels as bytes."""
    return [
        name for name, value in widget.get_state().items() if isinstance(value, bytes | memoryview)
    ]


def stop_clock(page: Page) -> None:
    """Stop the page's clock: it goes on by `page.clock.run_for`, however busy the machine is."""
    page.clock.install(time=0)
    page.clock.pause_at(60_000)


class Shows:
    """Opens views, each in a page of its own."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def __call__(self, widget: anywidget.AnyWidget, width: int = 960, **options: Any) -> Page:
        """Open a view; what it throws fails the test."""
        size = {"width": width, "height": 800}
        context = self._browser.new_context(viewport=size, **options)  # type: ignore[arg-type] # a dict of its keys
        self._contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        css = _CSS.read_text(encoding="utf-8")
        esm = json.dumps(str(widget._esm)).replace("</", "<\\/")
        names, sent = json.dumps(packed(widget)), json.dumps(state(widget))
        page.set_content(_PAGE.format(css=css, esm=esm, packed=names, state=sent))
        page.wait_for_function("window.ready")
        return page

    def close(self) -> None:
        """Close all of them."""
        for context in self._contexts:
            context.close()
