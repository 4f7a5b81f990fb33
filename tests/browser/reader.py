"""A reader at a page: opens it, moves what can be moved, and notes what goes wrong.

Nothing here sleeps: every step waits for what it needs to see.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, ElementHandle, Page, ViewportSize

    from tests.browser.servers import Server

WAIT_MS = 60_000  # CI's two cores are shared; a working page needs a few seconds
SIZE: ViewportSize = {"width": 960, "height": 720}  # as wide as a projector
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]
_OUTSIDE = re.compile(r"^(?!(https?|wss?)://(127\.0\.0\.1|localhost)[:/])(https?|wss?):")

# What an app shows: which drawing, which answer, and all it says in words and numbers.
_STATE = """app => ({
  picture: app.querySelector('img.virtlab-picture, .virtlab-pagemap').dataset.version,
  answer: app.querySelector('.virtlab-answer').dataset.version,
  words: [...app.querySelectorAll('img[alt], .virtlab-sentence, .virtlab-table, '
    + '.virtlab-flight .virtlab-pagemap-words')]
    .map(one => one.alt ?? one.textContent).join('\\n'),
})"""
_ANSWERED = f"""([app, before]) => {{
  const now = ({_STATE})(app);
  return now.picture !== before.picture && now.answer !== before.answer;
}}"""
# A picture has settled when it is drawn with the pixels that its place has.
_SETTLED = """() =>
  [...document.querySelectorAll('img.virtlab-picture')].every(one => {
    const place = Math.min(one.parentElement.clientWidth, 960) * devicePixelRatio;
    return one.dataset.version && one.complete && Math.abs(one.naturalWidth - place) < 0.03 * place;
  }) && [...document.querySelectorAll('.virtlab-pagemap')].every(
    one => one.dataset.version && Number(one.dataset.width) === one.clientWidth)"""
# The session ends before its document: a document whose session is gone complains.
_LEAVE = """async () => {
  const notebook = window.jupyterapp.shell.currentWidget;
  await notebook.context.sessionContext.shutdown();
  notebook.dispose();
}"""
_OPEN = """async (path) => {
  await window.jupyterapp.commands.execute("docmanager:open", { path });
}"""
_UNNAMED = """() => [...document.querySelectorAll(
    '.jp-OutputArea input, .jp-OutputArea select, .jp-OutputArea button, .jp-OutputArea [role]')]
  .filter(one => one.checkVisibility() && !one.closest('[aria-hidden=true]'))
  .filter(one => ['INPUT', 'SELECT', 'BUTTON'].includes(one.tagName)
    || ['slider', 'application', 'img', 'group'].includes(one.getAttribute('role')))
  .filter(one => !(one.getAttribute('aria-label') || one.textContent.trim()
    || [...(one.labels ?? [])].some(label => label.textContent.trim())))
  .map(one => one.outerHTML.slice(0, 200))"""


class Reader:
    """A browser page, and what it complained about."""

    def __init__(self, page: Page, shots: Path) -> None:
        self.page = page
        self.shots = shots
        self.complaints: list[str] = []
        self.outside: list[str] = []
        self.kernels: set[str] = set()
        self.has_left = False
        page.set_default_timeout(WAIT_MS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("websocket", lambda socket: self._note(socket.url))
        page.context.route(_OUTSIDE, self._refuse)

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def _note(self, url: str) -> None:
        if found := re.search(r"/api/kernels/([^/]+)/channels", url):
            self.kernels.add(found[1])
        if _OUTSIDE.match(url):
            self.outside.append(url)

    def _refuse(self, route: Any) -> None:
        self.outside.append(route.request.url)
        route.abort()

    def open_lab(self, server: Server, notebook: str) -> None:
        """Open a notebook in JupyterLab and wait until its kernel can hear the page.

        A page that was left stays loaded: it opens the next notebook.
        """
        if self.has_left:
            self.complaints, self.outside, self.has_left = [], [], False
            self.page.set_viewport_size(SIZE)
            self.page.evaluate(_OPEN, notebook)
        else:
            self.page.goto(f"{server.url}/doc/tree/{notebook}?token={server.token}&reset")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        server.wait(lambda: server.ready_kernel(notebook), f"the kernel of {notebook}")

    def leave_lab(self, server: Server) -> None:
        """End the notebook's kernel, which would go on beside the next test, and close it."""
        self.page.evaluate(_LEAVE)
        self._wait_for_end(server)
        self.has_left = True

    def leave_voila(self, server: Server) -> None:
        """Go to another page, and end the kernel, which would go on beside the next test."""
        self.page.goto("about:blank")
        for kernel in self.kernels:
            server.end_presented(kernel)
        self._wait_for_end(server)

    def _wait_for_end(self, server: Server) -> None:
        server.wait(
            lambda: not any(server.has_kernel(one) for one in self.kernels), "the kernel's end"
        )
        self.kernels.clear()

    def open_voila(self, server: Server, path: str = "/") -> None:
        """Open a presented notebook and wait until its widgets are there."""
        # The whole notebook runs before it comes.
        self.page.goto(f"{server.url}{path}", timeout=2 * WAIT_MS)
        self.page.locator("#rendered_cells").wait_for(state="visible")
        self.page.wait_for_function("() => document.querySelector('.jp-OutputArea-output')")
        self.settle()

    def run_all(self) -> None:
        """Run all cells, as the menu does, and wait until the last is done."""
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.jp-InputPrompt')]"
            ".some(one => one.textContent.includes('*'))"
        )
        self.settle()

    def settle(self) -> None:
        """Wait until every widget has drawn what it has."""
        self.page.wait_for_function(_SETTLED)

    def errors_shown(self) -> list[str]:
        """Return the errors and warnings that cells show."""
        shown = self.page.locator(
            '[data-mime-type="application/vnd.jupyter.error"],'
            '[data-mime-type="application/vnd.jupyter.stderr"],.jp-Error,.voila-error'
        )
        broken = self.page.get_by_text(re.compile("Error displaying widget|Loading widget"))
        return [*shown.all_inner_texts(), *broken.all_inner_texts()]

    def images_without_alt(self) -> list[str]:
        """Return the start of every image that has no text alternative."""
        return list(
            self.page.evaluate(
                "() => [...document.querySelectorAll('.jp-Cell img, .jp-OutputArea img')]"
                ".filter(one => !one.alt.trim())"
                ".map(one => one.outerHTML.slice(0, 120))"
            )
        )

    def broken_images(self) -> list[str]:
        """Return the start of every image that could not be shown."""
        return list(
            self.page.evaluate(
                "() => [...document.querySelectorAll('.jp-OutputArea img')]"
                ".filter(one => one.complete && !one.naturalWidth)"
                ".map(one => one.outerHTML.slice(0, 120))"
            )
        )

    def controls_without_name(self) -> list[str]:
        """Return the start of every control that a screen reader could not name."""
        return list(self.page.evaluate(_UNNAMED))

    def too_wide(self) -> list[str]:
        """Return the widgets that stick out of their place."""
        return list(
            self.page.evaluate(
                "() => [...document.querySelectorAll('.virtlab-app, .virtlab-pagemap')]"
                ".filter(one => one.scrollWidth > one.parentElement.clientWidth + 1)"
                ".map(one => [one, ...one.querySelectorAll('*')].filter(part => part.scrollWidth"
                " > one.clientWidth).map(part => `${part.tagName}.${part.className}: "
                "${part.scrollWidth}`).join(' '))"
            )
        )

    def widgets(self) -> list[ElementHandle]:
        """Return the apps on the page, from the top."""
        return self.page.query_selector_all(".virtlab-app")

    def state(self, app: ElementHandle) -> dict[str, Any]:
        """Return what a widget shows now."""
        found: dict[str, Any] = self.page.evaluate(_STATE, app)
        return found

    def place(self, app: ElementHandle) -> list[int]:
        """Return where the picture or map stands in its app, and how wide it is.

        A picture's height comes with it; a map may grow, for instance with another VM.
        """
        found: list[int] = app.evaluate(
            "app => { const image = app.querySelector('img.virtlab-picture');"
            " const one = (image ?? app.querySelector("
            "'.virtlab-pagemap-stage, .virtlab-flight-stage, .virtlab-sequence-card, '"
            " + '.virtlab-columns-box'));"
            " const [box, all] = [one.getBoundingClientRect(), app.getBoundingClientRect()];"
            " return [box.x - all.x, box.y - all.y, box.width, image ? box.height : 0]"
            ".map(Math.round); }"
        )
        return found

    def press(self, app: ElementHandle, control: ElementHandle, *keys: str) -> dict[str, Any]:
        """Press keys on a control, wait for picture and words, return what is shown then."""
        before = self.state(app)
        control.scroll_into_view_if_needed()
        control.focus()
        for key in keys:
            control.press(key)
        self.page.wait_for_function(_ANSWERED, arg=[app, before])
        return self.state(app)

    def shoot(self, name: str) -> None:
        """Keep a picture of the page's start, and one of each widget."""
        self.shots.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self.shots / f"{name}.png")
        size = self.page.viewport_size or SIZE
        self.page.set_viewport_size({"width": size["width"], "height": 2400})  # whole widgets
        for number, app in enumerate(self.page.query_selector_all(".virtlab-app")):
            app.screenshot(path=self.shots / f"{name}-widget-{number}.png")
        self.page.set_viewport_size(size)


class Desk:
    """A place for readers: each gets the page that the one before has left, or a new one.

    JupyterLab takes seconds to load, so its page is used again; after a test that failed, it isn't.
    """

    def __init__(self, browser: Browser, shots: Path) -> None:
        self._browser = browser
        self._shots = shots
        self._reader: Reader | None = None

    def reader(self) -> Reader:
        """Return who reads now."""
        if self._reader is None or not self._reader.has_left:
            self.close()
            page = self._browser.new_context(viewport=SIZE).new_page()
            self._reader = Reader(page, self._shots)
        return self._reader

    def close(self) -> None:
        """Close the page."""
        if self._reader is not None:
            self._reader.page.context.close()
            self._reader = None
