"""Show a model's own source in the notebook: the core is small enough to read in place."""

from __future__ import annotations

import ast
import html
import inspect
import textwrap
from dataclasses import dataclass
from pathlib import Path

import virtlab
from virtlab.validate import InvalidInputError, integer

__all__ = ["Lines", "Source", "show_lines", "show_source"]

_ROOT = Path(virtlab.__file__).resolve().parent.parent


@dataclass(frozen=True)
class Source:
    """A piece of the project's own source, ready to be read in a notebook.

    Attributes
    ----------
    code
        The lines, without their docstring.
    path
        File, from the project's root.
    first_line, last_line
        Where it stands there.
    """

    code: str
    path: str
    first_line: int
    last_line: int

    @property
    def where(self) -> str:
        """File and lines, for instance 'virtlab/results.py:26-58'."""
        return f"{self.path}:{self.first_line}-{self.last_line}"

    def __repr__(self) -> str:
        """Give file, lines and code as text."""
        return f"# {self.where}\n{self.code}"

    def _repr_markdown_(self) -> str:
        # Markdown, for then the page colours it in its own theme, light or dark.
        return f"`{self.where}`\n\n```python\n{self.code}\n```"


def show_source(thing: object, start: str | int = 1, end: str | int | None = None) -> Source:
    """Show a function's or a class's source, without its docstrings.

    Parameters
    ----------
    thing
        A function, method, class or module of the project (or your own); or the name of one, such
        as 'virtlab.validate.one_of': then its module is read and not imported, as not every module
        can be on every system.
    start, end
        First and last line to show, as a number from 1 or as a piece of text that the line
        contains; the whole when not given.

    Returns
    -------
    Source
        Shows itself with highlighting.

    Raises
    ------
    InvalidInputError
        If there is no such line, or no source (built-in functions are written in C).

    Examples
    --------
    >>> from virtlab.validate import one_of
    >>> show_source(one_of)
    # virtlab/validate.py:...
    def one_of(field: str, value: str, choices: tuple[str, ...]) -> str:
        if value not in choices:
            raise InvalidInputError(field, value, "one of " + ", ".join(choices))
        return value
    >>> show_source(one_of, start="if value", end="raise").code.splitlines()[0]
    'if value not in choices:'
    """
    lines, first, file = _by_name(thing) if isinstance(thing, str) else _of(thing)
    kept = _without_docstrings(lines)
    low = _position("start", start, kept, 0)
    high = len(kept) - 1 if end is None else _position("end", end, kept, low)
    chosen = kept[low : high + 1]
    code = textwrap.dedent("\n".join(line for _, line in chosen)).strip("\n")
    return Source(code, _short(file), first + chosen[0][0], first + chosen[-1][0])


def _of(thing: object) -> tuple[list[str], int, str | None]:
    """Return lines, the number of the first, and the file, of what is there."""
    thing = inspect.unwrap(thing) if callable(thing) else thing
    try:
        lines, first = inspect.getsourcelines(thing)  # type: ignore[arg-type]
        file = inspect.getsourcefile(thing)  # type: ignore[arg-type]
    except (TypeError, OSError) as error:
        raise InvalidInputError("thing", thing, "a function or class written in Python") from error
    return lines, max(first, 1), file  # a module starts at 0


def _by_name(name: str) -> tuple[list[str], int, str]:
    """Return the same of what a name says, from the module's file."""
    module, parts = name, list[str]()
    while not (file := _ROOT.joinpath(*module.split(".")).with_suffix(".py")).is_file():
        module, dot, last = module.rpartition(".")
        if not dot:
            raise InvalidInputError("thing", name, "the name of something in a module of virtlab")
        parts.insert(0, last)
    lines = file.read_text("utf-8").splitlines(keepends=True)
    node: ast.AST = ast.parse("".join(lines))
    first, last_line = 1, len(lines)
    for part in parts:
        inside = [one for one in ast.iter_child_nodes(node) if getattr(one, "name", "") == part]
        if not inside:
            raise InvalidInputError("thing", name, f"a name that {_short(str(file))} defines")
        node = inside[0]
        above = [one.lineno for one in getattr(node, "decorator_list", [])]
        first, last_line = min([node.lineno, *above]), node.end_lineno  # type: ignore[attr-defined]
    return lines[first - 1 : last_line], first, str(file)


def _without_docstrings(lines: list[str]) -> list[tuple[int, str]]:
    """Return (offset, line) of all lines that belong to no docstring."""
    tree = ast.parse(textwrap.dedent("".join(lines)))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    dropped: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, documented) or ast.get_docstring(node) is None:
            continue
        if len(node.body) > 1:  # where it is the whole body, it stays
            text = node.body[0]
            dropped.update(range(text.lineno - 1, text.end_lineno or text.lineno))
    kept = [(i, line.rstrip("\n")) for i, line in enumerate(lines) if i not in dropped]
    # A docstring leaves the blank line behind that stood after it: drop it too.
    return [(i, line) for i, line in kept if line.strip() or i - 1 not in dropped]


def _position(field: str, wanted: str | int, kept: list[tuple[int, str]], after: int) -> int:
    if isinstance(wanted, int):
        return integer(field, wanted, minimum=after + 1, maximum=len(kept)) - 1
    for index in range(after, len(kept)):
        if wanted in kept[index][1]:
            return index
    raise InvalidInputError(field, wanted, "a text that one of the lines contains")


def _short(file: str | None) -> str:
    path = Path(file or "your own code")
    try:
        return path.resolve().relative_to(_ROOT).as_posix()
    except ValueError:
        return "your own code"


@dataclass(frozen=True)
class Lines:
    """Text in columns, shown as it is: a phone scrolls it sideways, and does not break its lines.

    Attributes
    ----------
    text
        The lines.
    """

    text: str

    def __repr__(self) -> str:
        """Give the text."""
        return self.text

    def _repr_html_(self) -> str:
        style = "margin:0;padding:0;font:14px monospace;white-space:pre;overflow-x:auto"
        return f'<pre tabindex="0" style="{style}">{html.escape(self.text)}</pre>'


def show_lines(text: str) -> Lines:
    """Show text whose columns have to stay columns, such as a disassembler's.

    Parameters
    ----------
    text
        The lines.

    Returns
    -------
    Lines
        Shows itself.

    Examples
    --------
    >>> show_lines("100218  =  89 f9  MOV ECX,EDI")
    100218  =  89 f9  MOV ECX,EDI
    """
    return Lines(text)
