"""Guest code beside its translation, with passes to switch off (S18).

>>> app = columns().set(function="isPrime")
>>> app.result.summary()["units"]
1
>>> with_all = app.result.code_bytes
>>> app.set(flags=False).result.code_bytes > with_all
True
"""

from __future__ import annotations

import html
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from virtlab.machine import guests
from virtlab.machine.image import load
from virtlab.machine.translation.listing import listing, unit_code
from virtlab.machine.translation.listing_rows import program_of
from virtlab.machine.translation.passes import Passes
from virtlab.machine.walk.programs import read_bytes
from virtlab.validate import InvalidInputError, one_of
from virtlab.widgets import controls
from virtlab.widgets.app import Answer
from virtlab.widgets.columns import ColumnsView, table_html_of
from virtlab.widgets.entry import entry

if TYPE_CHECKING:
    from virtlab.machine.image import Image
    from virtlab.machine.translation.listing_rows import Listing

__all__ = ["FUNCTIONS", "ColumnsApp", "columns"]

_RAM_BYTES = 4 << 20
_OWN = "bytes of your own"
_FIRST_BYTES = "01d8 40 9c fa 75fa"  # add eax, ebx; inc eax; pushf; cli; jnz back

_WORDS = {
    "wasm": "WebAssembly (wasm)",
    "python": "Python (python)",
    "llvm": "what LLVM gets (llvm)",
    "assembly": "x86-64 assembly, what LLVM makes of it (llvm)",
}
# What one may look at: in words, the program, and where.
FUNCTIONS: dict[str, tuple[str, str]] = {
    "isPrime": ("isprime", "isPrime"),
    "CRC, a bit at a time": ("crc32", "main"),
    "Fibonacci": ("fibonacci", "fibonacci"),
    "the kernel writes a byte": ("kernel", "say_bytes"),
    "the kernel leaves for a process": ("kernel", "leave"),
    "the kernel turns paging on": ("kernel", "use_directory"),
    "a kernel sets its flags": ("mirror", "set_flags"),
}


@cache
def _image(name: str) -> Image:
    others = {"kernel": guests.kernel, "mirror": guests.mirror}
    path = others[name]() if name in others else guests.guest(name).path()
    return load(path, _RAM_BYTES)


@lru_cache(maxsize=64)
def _listing(function: str, own: bytes, passes: Passes, tier: str) -> Listing:
    """List what the controls say; what was seen a moment ago is there at once."""
    program, start = _place(function, own)
    return listing(program, start, passes, tier=tier)


@lru_cache(maxsize=16)
def _whole(function: str, own: bytes, passes: Passes, tier: str) -> str:
    """Write the first unit's code in the language of the tier, or why that cannot be."""
    program, start = _place(function, own)
    try:
        return unit_code(program, start, passes, tier)
    except InvalidInputError as error:
        return str(error)


def _place(function: str, own: bytes) -> tuple[Image, str | None]:
    if function == _OWN:
        return program_of(own), None
    name, start = FUNCTIONS[function]
    return _image(name), start


class ColumnsApp(widgets.VBox):
    """Columns, with controls for what is shown and how it is translated.

    Attributes
    ----------
    controls
        By name: function, code, most, flags, regions, in_cache, tier.
    view
        The columns.
    answer
        The sentence and the table under it.
    result
        What is shown.
    """

    def __init__(self) -> None:
        names = {name: name for name in FUNCTIONS}
        tiers = {words: name for name, words in _WORDS.items()}
        self.controls: dict[str, Any] = {
            "function": controls.choice("Code", {**names, _OWN: _OWN}, "CRC, a bit at a time"),
            "code": entry("Bytes, in hexadecimal", _FIRST_BYTES, read_bytes),
            "most": controls.slider("Instructions of a unit, at most", "", 256, 1, 256, 1),
            "flags": controls.toggle("Drop flags that nobody reads", value=True),
            "regions": controls.toggle("Take blocks together", value=True),
            "in_cache": controls.toggle("Do cli, sti, popf in the cache", value=True),
            "tier": controls.choice("Translated to", tiers, "wasm"),
        }
        self.view, self.answer = ColumnsView(), Answer()
        self.result: Listing = self._compute()
        row = widgets.Box(list(self.controls.values()))
        row.add_class("virtlab-controls")
        super().__init__([row, self.view, self.answer])
        self.add_class("virtlab-app")
        self._paused = False
        self._show()
        for name, control in self.controls.items():
            control.observe(self._code_moved if name == "code" else self._moved, names="value")

    def _chosen(self) -> tuple[str, bytes, Passes, str]:
        """Return what the controls say, as `_listing` and `_whole` take it."""
        value = {name: control.value for name, control in self.controls.items()}
        passes = Passes(
            dead_flags=value["flags"],
            regions=value["regions"],
            in_cache=value["in_cache"],
            most=value["most"],
        )
        own = value["code"] if value["function"] == _OWN else b""
        return value["function"], own, passes, value["tier"]

    def _compute(self) -> Listing:
        return _listing(*self._chosen())

    def set(self, **values: Any) -> ColumnsApp:
        """Move controls by name, and answer once.

        Parameters
        ----------
        **values
            New values by the name of the control.

        Returns
        -------
        ColumnsApp
            This one, for chaining.

        Examples
        --------
        See the module's example.
        """
        self._paused = True
        try:
            for name, value in values.items():
                self.controls[one_of("control", name, tuple(self.controls))].value = value
        finally:
            self._paused = False
        self._moved(None)
        return self

    def _code_moved(self, change: object) -> None:
        """Who types bytes wants to see them."""
        if self.controls["function"].value == _OWN:
            self._moved(change)
        else:
            self.controls["function"].value = _OWN

    def _moved(self, _change: object) -> None:
        if not self._paused:
            self.result = self._compute()
            self._show()

    def _show(self) -> None:
        chosen = self._chosen()
        self.view.show(self.result, lambda: _whole(*chosen))
        self.answer.say(self.result, self.result.by_class())  # the rows themselves stand above

    def __repr__(self) -> str:
        """Say what it shows, in words."""
        return f"{self.view.alt}\n{self.result.explain()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Give the live view; where no kernel runs, the columns as a table, and the sentence."""
        live = super()._repr_mimebundle_(**kwargs)
        still = f"{table_html_of(self.result)}<p>{html.escape(self.result.explain())}</p>"
        return {**live, "text/html": still, "text/plain": repr(self)}


def columns(function: str = "CRC, a bit at a time") -> ColumnsApp:
    """Make the four columns.

    Parameters
    ----------
    function
        What is shown first, one of `FUNCTIONS`.

    Returns
    -------
    ColumnsApp
        The widget.

    Examples
    --------
    >>> [row.kind for row in columns("a kernel sets its flags").result.rows]
    ['IDENT', 'in-cache', 'control']
    """
    return ColumnsApp().set(function=function)
