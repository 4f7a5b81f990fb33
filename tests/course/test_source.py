"""What `show_source` shows is the file's own text, without docstrings, at the lines it names."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

import pytest

from virtlab import results, validate
from virtlab.course import show_source
from virtlab.course.source import show_lines
from virtlab.resources import allocate
from virtlab.results import Result
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

THINGS = (validate.number, validate.InvalidInputError, results.plain, Result, allocate, validate)


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.__name__)
def test_it_is_the_files_own_text_at_the_lines_named(thing: Any, root: Path) -> None:
    shown = show_source(thing)
    path, _, span = shown.where.partition(":")
    first, last = map(int, span.split("-"))
    lines = (root / path).read_text(encoding="utf-8").splitlines()[first - 1 : last]
    stripped = [line.strip() for line in lines]
    position = -1
    for line in shown.code.splitlines():  # every line shown is there, in that order
        position = stripped.index(line.strip(), position + 1)
    if thing is not Result:  # its abstract methods are nothing but their docstrings
        assert '"""' not in shown.code
    if thing is not validate:
        assert stripped[0] == shown.code.splitlines()[0].strip()
        assert stripped[-1] == shown.code.splitlines()[-1].strip()
    compile(shown.code, "shown", "exec")


def test_a_part_begins_and_ends_where_it_is_told() -> None:
    part = show_source(validate.number, start="allowed =", end="float(value)").code
    assert part.splitlines()[0].startswith("allowed =")
    assert part.splitlines()[-1].startswith("result = float(value)")
    assert show_source(validate.one_of, 2, 3).code.splitlines()[0].startswith("if value")
    assert len(show_source(validate.one_of, 2, 3).code.splitlines()) == 2


def test_your_own_code_names_no_folder(tmp_path: Path) -> None:
    source = 'def own(x):\n    """Say."""\n\n    return x\n'
    (tmp_path / "own.py").write_text(source, encoding="utf-8")
    scope: dict[str, Callable[..., object]] = {}
    exec(compile(source, str(tmp_path / "own.py"), "exec"), scope)  # noqa: S102 - our own text
    shown = show_source(scope["own"])
    assert shown.path == "your own code"
    assert shown.code == "def own(x):\n    return x"


def test_a_method_is_shown_without_its_class() -> None:
    assert show_source(Result.to_json).code.startswith("def to_json(self)")


def test_a_page_gets_markdown_in_its_own_theme() -> None:
    text = show_source(validate.one_of)._repr_markdown_()
    assert text.startswith("`virtlab/validate.py:")
    assert "```python\ndef one_of" in text


def test_a_name_shows_the_same_and_its_module_is_not_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for thing in (validate.one_of, Result, Result.to_json, InvalidInputError):
        assert show_source(f"{thing.__module__}.{thing.__qualname__}") == show_source(thing)
    assert show_source("virtlab.validate").where == show_source(validate).where
    # A module that only Linux can import is shown everywhere.
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.delitem(sys.modules, "virtlab.machine.direct_process", raising=False)
    shown = show_source("virtlab.machine.direct_process.Monitor._handle")
    assert shown.code.startswith("def _handle(self")
    assert "virtlab.machine.direct_process" not in sys.modules


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("nowhere.at_all", "a module of virtlab"),
        ("one_of", "a module of virtlab"),
        ("virtlab.validate.no_such", r"a name that virtlab/validate\.py defines"),
        ("virtlab.results.Result.no_such", r"a name that virtlab/results\.py defines"),
    ],
)
def test_a_name_of_nothing_is_refused(name: str, wanted: str) -> None:
    with pytest.raises(InvalidInputError, match=wanted):
        show_source(name)


@pytest.mark.parametrize("thing", [len, 5, None, inspect])
def test_what_has_no_source_or_no_such_line_is_refused(thing: object) -> None:
    if thing is inspect:
        with pytest.raises(InvalidInputError, match="start"):
            show_source(validate.one_of, start="no such text")
        with pytest.raises(InvalidInputError, match="end"):
            show_source(validate.one_of, end=1000)
    else:
        with pytest.raises(InvalidInputError, match="written in Python"):
            show_source(thing)


def test_lines_stay_lines_on_a_page_and_text_elsewhere() -> None:
    shown = show_lines("a < b\n  c")
    assert repr(shown) == "a < b\n  c"
    assert "white-space:pre;overflow-x:auto" in shown._repr_html_()
    assert 'tabindex="0"' in shown._repr_html_()  # keys can scroll it
    assert shown._repr_html_().endswith(">a &lt; b\n  c</pre>")
