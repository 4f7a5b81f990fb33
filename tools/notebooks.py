"""Build, check and begin the notebooks.

    python tools/notebooks.py build [NAME ...]   text -> executed notebook with stored outputs
    python tools/notebooks.py check [NAME ...]   do text and notebook agree, and keep the rules?
    python tools/notebooks.py new NAME           a text with the fixed sections

A notebook's source is text one can read in a diff: `notebooks/text/NAME.md` (MyST Markdown, as
jupytext reads it). What people open is `notebooks/NAME.ipynb`, made from it by `build`: executed
offline, without timings and widget state, its images small, so that it changes only where its
content does. NAME is for instance 05-shares; without a name, all are taken.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import os
import re
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
TEXT = NOTEBOOKS / "text"

SECTIONS = (
    "What the talk says",
    "The model",
    "Try it",
    "Look inside",
    "Exercises",
    "What real systems do",
    "Limits of this model",
)
LEAST_EXERCISES = 6
ANNOUNCED = "Solution (unfold)"
FOLDED = "# Solution"  # JupyterLab shows a folded cell's first line: it must not be the answer
WITHOUT_SECTIONS = ("00-the-talk",)  # the map has no model
SECONDS = 120  # a notebook takes under a minute on 2 cores; a loaded machine may take twice that

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_IN_HTML = re.compile(r"(?<=data:image/png;base64,)[A-Za-z0-9+/=]+")
_CHECKED = re.compile(r"\bask\.(\w+)\.check\(")
_SOLVED = re.compile(r"\bask\.(\w+)\.solution\(")
_OWN_PATHS = re.compile(
    r"(?<![\w.])/(?:home|root|tmp|Users|work|private|var/folders)/|[A-Z]:\\\\?\w"
)
_SKELETON = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  name: python3
---

# TITLE WITH A VERB

One or two sentences: the question of this chapter.

- **You will do**:
- **You will learn**:
- **You need**:
- **Time**: 45 minutes

```{code-cell} ipython3
from virtlab.course import TOPIC as ask
```

"""


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("build", "check", "new"))
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    known = sorted(path.stem for path in TEXT.glob("*.md"))
    if arguments.what == "new":
        return sum(map(new, arguments.names))
    unknown = set(arguments.names) - set(known)
    if unknown:
        print(f"no text {', '.join(sorted(unknown))}: there are {', '.join(known)}")
        return 2
    action = {"build": build, "check": report}[arguments.what]
    return min(1, sum(action(name) for name in arguments.names or known))


def new(name: str) -> int:
    """Write the text of a new notebook, unless there is one."""
    path = TEXT / f"{name}.md"
    if path.exists():
        print(f"{path.name} is there already")
        return 1
    topic = name.partition("-")[2].replace("-", "_")
    sections = "".join(f"## {section}\n\n" for section in SECTIONS)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_SKELETON.replace("TOPIC", topic) + sections, encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: write, then `python tools/notebooks.py build {name}`")
    return 0


def from_text(name: str) -> Any:
    """Read a notebook's text: cells with stable ids, tags and folded solutions, no outputs."""
    path = TEXT / f"{name}.md"
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="md:myst")
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    notebook.cells = [part for cell in notebook.cells for part in _without_its_announcement(cell)]
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        if (
            cell.cell_type == "code"
            and "solution" in tags(cell)
            and not cell.source.startswith(FOLDED)
        ):
            cell.source = f"{FOLDED}\n{cell.source}"
        key = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
        seen[key] += 1
        cell.id = key if seen[key] == 1 else f"{key}-{seen[key]}"
        if cell.cell_type == "code" and "solution" in tags(cell):
            cell.metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
    return notebook


def _without_its_announcement(cell: Any) -> list[Any]:
    """Give the line above a solution a cell of its own, which goes where the solution goes."""
    text = cell.source.rstrip()
    if cell.cell_type != "markdown" or not text.endswith(ANNOUNCED):
        return [cell]
    line = nbformat.v4.new_markdown_cell(ANNOUNCED, metadata={"tags": ["solution"]})
    cell.source = text.removesuffix(ANNOUNCED).rstrip()
    return [cell, line] if cell.source else [line]


def tags(cell: Any) -> list[str]:
    """Return a cell's tags."""
    return list(cell.metadata.get("tags", []))


def environment() -> dict[str, str]:
    """Return the environment in which notebooks run: no network, one order of sets, one width."""
    path = os.pathsep.join([str(ROOT / "tools" / "offline"), os.environ.get("PYTHONPATH", "")])
    fixed = {"PYTHONPATH": path.rstrip(os.pathsep), "PYTHONHASHSEED": "0", "COLUMNS": "100"}
    return {**os.environ, **fixed}


def build(name: str) -> int:
    """Execute a text and store the notebook; return 1 if it breaks a rule."""
    notebook = from_text(name)
    begin = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        store_widget_state=False,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
    )
    client.execute(env=environment())
    strip(notebook)
    path = NOTEBOOKS / f"{name}.ipynb"
    half_done = path.with_suffix(".ipynb.part")
    nbformat.write(notebook, half_done)
    half_done.replace(path)
    size = path.stat().st_size / 1000
    print(f"{path.relative_to(ROOT)}: {time.perf_counter() - begin:.1f} s, {size:.0f} kB")
    return report(name)


def strip(notebook: Any) -> None:
    """Take out what changes from run to run: timings, widget state, live views."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = nbformat.from_dict({"name": "python"})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            data = output.get("data", {})
            data.pop(_WIDGET_VIEW, None)
            if "image/png" in data:
                _make_small(data)
        cell.outputs = [out for out in cell.outputs if out.get("data", True)]


def _make_small(data: Any) -> None:
    """Halve stored images, wherever they stand."""
    data["image/png"] = _smaller(data["image/png"].strip())
    if "text/html" in data:
        data["text/html"] = _IN_HTML.sub(lambda found: _smaller(found[0]), data["text/html"])


@cache
def _smaller(encoded: str) -> str:
    """Write an image with 256 colours: a figure has no more."""
    image = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def report(name: str) -> int:
    """Print what is wrong with a notebook; return how many things are."""
    problems = check(name)
    for problem in problems:
        print(f"{name}: {problem}")
    return len(problems)


def check(name: str) -> list[str]:
    """Return all the ways in which a notebook breaks the rules."""
    path = NOTEBOOKS / f"{name}.ipynb"
    if not path.exists():
        return ["there is no notebook: build it"]
    notebook = nbformat.read(path, as_version=4)
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return [f"not a valid notebook: {error.message}"]
    text = from_text(name)
    problems = pair_problems(text, notebook) + output_problems(notebook) + alt_problems(notebook)
    if name not in WITHOUT_SECTIONS:
        problems += section_problems(notebook)
        problems += exercise_problems(notebook)
    return problems


def pair_problems(text: Any, notebook: Any) -> list[str]:
    """Text and notebook must have the same cells, tags and ids, or one was edited alone."""
    if len(text.cells) != len(notebook.cells):
        return [f"text has {len(text.cells)} cells, notebook {len(notebook.cells)}: build it"]
    return [
        f"cell {i} differs from the text: build it, and edit the text only"
        for i, (ours, theirs) in enumerate(zip(text.cells, notebook.cells, strict=True))
        if (ours.cell_type, ours.source, ours.id, ours.metadata)
        != (theirs.cell_type, theirs.source, theirs.id, theirs.metadata)
    ]


def output_problems(notebook: Any) -> list[str]:
    """Every cell must have run, without an error or a warning, and tell no one's folders."""
    problems = []
    for i, cell in enumerate(notebook.cells):
        if _OWN_PATHS.search(all_text(cell)):
            problems.append(f"cell {i} holds an absolute path")
        if cell.cell_type != "code":
            continue
        if cell.source.strip() and not cell.execution_count:
            problems.append(f"cell {i} was not executed")
        for output in cell.outputs:
            if output.output_type == "error":
                problems.append(f"cell {i} ends in {output.ename}: {output.evalue}")
            if output.get("name") == "stderr":
                problems.append(f"cell {i} writes to stderr: {output.text[:80]!r}")
            if _WIDGET_VIEW in output.get("data", {}):
                problems.append(f"cell {i} stores a live view, which no page can show")
    return problems


def all_text(cell: Any) -> str:
    """Return a cell's source and the text of its outputs, images left out."""
    parts = [cell.source]
    for output in cell.get("outputs", []):
        parts.append(output.get("text", ""))
        data = output.get("data", {})
        parts += [str(value) for mime, value in data.items() if mime.startswith("text/")]
    return re.sub(r"base64,[A-Za-z0-9+/=\s]+", "", "\n".join(parts))


def alt_problems(notebook: Any) -> list[str]:
    """Every image must say in words what it shows."""
    problems = []
    for i, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            meta = output.get("metadata", {}).get("image/png", {})
            if "image/png" in output.get("data", {}) and not meta.get("alt", "").strip():
                problems.append(f"cell {i} shows an image without alt text")
        text = all_text(cell)
        if re.search(r"!\[\s*\]\(", text):
            problems.append(f"cell {i} has a Markdown image without alt text")
        if any(not re.search(r'\balt="[^"]+"', img) for img in re.findall(r"<img\b[^>]*", text)):
            problems.append(f"cell {i} has an <img> without alt text")
    return problems


def section_problems(notebook: Any) -> list[str]:
    """Find the fixed sections, in their order; others may stand between them."""
    markdown = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## (.+?)\s*$", markdown, re.MULTILINE)
    problems = [f"no section '## {section}'" for section in SECTIONS if section not in headings]
    found = [heading for heading in headings if heading in SECTIONS]
    if not problems and found != list(SECTIONS):
        problems.append(f"sections in another order than {', '.join(SECTIONS)}")
    if len(re.findall(r"^# \S", markdown, re.MULTILINE)) != 1:
        problems.append("not exactly one title")
    opening = ("You will do", "You will learn", "You need", "Time")
    problems += [
        f"no '**{word}**' at the start" for word in opening if f"**{word}**" not in markdown
    ]
    return problems


def exercise_problems(notebook: Any) -> list[str]:
    """Every exercise starts unanswered, and has a solution that is folded away."""
    problems: list[str] = []
    asked: list[str] = []
    solved: list[str] = []
    before = ""
    for cell in notebook.cells:
        if cell.cell_type == "code" and "solution" in tags(cell):
            solved += _SOLVED.findall(cell.source)
            if before != ANNOUNCED:
                problems.append(f"no line {ANNOUNCED!r} before {cell.source[:40]!r}")
        elif cell.cell_type == "code":
            names = _CHECKED.findall(cell.source)
            asked += names
            if names and "Not answered yet" not in all_text(cell):
                problems.append(f"exercise {names[0]} does not start as 'Not answered yet'")
        before = cell.source
    problems += [f"exercise {name} has no solution" for name in asked if name not in solved]
    problems += [f"solution of {name}, which is not asked" for name in solved if name not in asked]
    if len(set(asked)) < LEAST_EXERCISES:
        problems.append(f"{len(set(asked))} exercises, at least {LEAST_EXERCISES} are wanted")
    return problems


if __name__ == "__main__":
    sys.exit(main())
