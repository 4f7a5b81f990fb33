"""The house's own rules: sizes, names, documentation, imports, data, and what no file may say."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import virtlab

ROOT = Path(__file__).resolve().parents[1]
CODE = ("virtlab", "tests", "benchmarks", "tools")


def committed() -> list[Path]:
    """Return every file that git knows or would add."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    paths = (ROOT / name for name in listed.split("\0") if name)
    return [path for path in paths if path.is_file()]


FILES = committed()
MODULES = [
    path for path in FILES if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in CODE
] + [ROOT / "start.py"]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_can_be_read_in_one_go(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function has, without its docstring and the functions inside it."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body or function.end_lineno is None:
        return 0
    lines = function.end_lineno - body[0].lineno + 1
    for node in body:
        if isinstance(node, FUNCTIONS) and node.end_lineno is not None:
            lines -= node.end_lineno - node.lineno + 1
    return lines


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_function_fits_a_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, FUNCTIONS):
            assert own_lines(node) <= 40, f"{node.name} has {own_lines(node)} lines"


def all_modules() -> list[str]:
    return [
        "virtlab",
        *(info.name for info in pkgutil.walk_packages(virtlab.__path__, "virtlab.")),
    ]


def public(module_name: str) -> list[tuple[str, object]]:
    """Return the public functions and classes that a module defines, and the classes' methods."""
    module = importlib.import_module(module_name)
    found: list[tuple[str, object]] = []
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        if getattr(thing, "__module__", "") != module_name:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            found.append((f"{module_name}.{name}", thing))
    return found


@pytest.mark.parametrize("module", all_modules())
def test_what_is_public_is_documented_with_an_example(module: str) -> None:
    text = inspect.getdoc(importlib.import_module(module))
    assert text, "no docstring says what this module is"
    for name, thing in public(module):
        documented = inspect.getdoc(thing) or ""
        assert documented, f"{name} has no docstring"
        if inspect.isfunction(thing) and not module.startswith("virtlab.cli."):
            assert ">>>" in documented, f"{name} has no example"
            if inspect.signature(thing).parameters:
                assert re.search(r"^Parameters\n-+$", documented, re.MULTILINE), name


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a statement loads, in a fresh Python."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    return set(json.loads(printed))


HEAVY = {"matplotlib", "ipywidgets", "IPython", "pandas", "jupyterlab", "anywidget", "scipy"}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by("import virtlab") & (HEAVY | {"numpy"})


@pytest.mark.parametrize(
    "package", ["resources", "machine", "memory", "migration", "datasets", "results"]
)
def test_models_load_no_figures_and_no_notebook(package: str) -> None:
    assert not loaded_by(f"import virtlab.{package}") & (HEAVY - {"pandas"})


def test_the_command_starts_without_what_it_may_not_need() -> None:
    assert not loaded_by("import virtlab.cli") & HEAVY


def listed_data() -> dict[str, tuple[str, str]]:
    """Return licence and SHA-256 of each file that data/README.md lists."""
    rows = re.findall(
        r"^\| `([^`]+)` \|.*\| ([^|]+) \| `([0-9a-f]{64})` \|$",
        (ROOT / "data/README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return {name: (licence, digest) for name, licence, digest in rows}


def test_each_file_of_data_is_what_its_readme_says() -> None:
    listed = listed_data()
    there = {path.name for path in (ROOT / "data").iterdir() if path.name != "README.md"}
    assert set(listed) == there
    for name, (licence, digest) in listed.items():
        assert hashlib.sha256((ROOT / "data" / name).read_bytes()).hexdigest() == digest, name
        assert "CC BY 4.0" in licence


def test_data_says_its_source() -> None:
    text = (ROOT / "data/README.md").read_text(encoding="utf-8")
    for name in listed_data():
        assert text.count(f"`{name}`") >= 2, f"{name} has a line but no section"
    assert "Measured for this project" in text


FORBIDDEN = {
    "the host of a registry": r"\b(files\.pythonhosted|pypi|registry\.npmjs|deb\.debian)\.org",
    "a path of one machine": r"(?<![\w.~-])/(root|work|home/(?!someone)\w+)/",
    "a secret": r"(?i)-----BEGIN [A-Z ]*PRIVATE KEY|\b(ghp|pypi)[-_][A-Za-z0-9_-]{30,}",
}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_says_what_is_nobodys_business(path: Path) -> None:
    data = path.read_bytes()
    if b"\0" in data[:8000] or path == Path(__file__):
        return
    text = data.decode("utf-8")
    for what, pattern in FORBIDDEN.items():
        found = re.findall(pattern, text)
        assert not found, f"{what}: {found[:3]}"


def built_topics() -> list[str]:
    """Return the topics of the chapters that are built, but for the map, which has no model."""
    from virtlab.course.talk import the_talk

    return [chapter.module for chapter in the_talk().built if chapter.number != "00"]


@pytest.mark.parametrize("topic", built_topics())
def test_a_topic_has_the_same_name_in_every_tree(topic: str) -> None:
    modules = {name_of(path) for path in MODULES}
    trees = {"plots", "widgets", "course"}
    assert {f"virtlab/{tree}/{topic}.py" for tree in trees} <= modules
    assert f"benchmarks/{topic}.py" in modules
    if (ROOT / "virtlab" / topic / "__init__.py").exists():  # the topic is a whole package
        assert any(name.startswith(f"tests/{topic}/test_") for name in modules)
        return
    homes = {  # a module, or a package inside that of its room
        path.relative_to(ROOT / "virtlab").parts[0]
        for path in MODULES
        if path.is_relative_to(ROOT / "virtlab")
        and topic in (path.stem, path.parent.name)
        and len(path.relative_to(ROOT / "virtlab").parts) <= 3
    } - {*trees, "cli", "datasets"}
    assert len(homes) == 1, "one package holds the model"
    assert f"tests/{homes.pop()}/test_{topic}.py" in modules


@pytest.mark.parametrize("path", [p for p in MODULES if p.name.startswith("test_")], ids=name_of)
def test_a_test_stands_where_what_it_tests_stands(path: Path) -> None:
    parts = path.relative_to(ROOT / "tests").parts
    assert len(parts) == 1 or (ROOT / "virtlab" / parts[0]).is_dir() or parts[0] in {
        "tools", "notebooks", "browser", "benchmarks",
    }  # fmt: skip


def test_every_built_chapter_has_its_notebook_and_its_text() -> None:
    from virtlab.course.talk import the_talk

    for chapter in the_talk().built:
        assert (ROOT / "notebooks" / f"{chapter.name}.ipynb").is_file()
        assert (ROOT / "notebooks" / "text" / f"{chapter.name}.md").is_file()


def lines_of_code(path: Path) -> int:
    """Return the lines that are code: no blank ones, comments or docstrings."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    code = {n for n, line in enumerate(lines, 1) if line.strip() and line.strip()[0] != "#"}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and ast.get_docstring(node):
            code -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(code)


def test_there_is_as_much_test_as_core() -> None:
    """The core is what figures, widgets and commands are built on: the models and the ground."""
    around = {"cli", "course", "widgets", "plots"}
    core = [
        path
        for path in MODULES
        if path.is_relative_to(ROOT / "virtlab")
        and path.relative_to(ROOT / "virtlab").parts[0] not in around
    ]
    tests = [path for path in MODULES if path.is_relative_to(ROOT / "tests")]
    assert sum(map(lines_of_code, tests)) >= sum(map(lines_of_code, core))


def test_the_readme_shows_the_two_commands_first() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = text.index("python3 start.py")
    assert first < text.index("python3 start.py test") < text.index("## ")
    assert "![" not in text[:first]


def test_the_readmes_picture_counts_what_the_notebook_counts() -> None:
    """A picture that is older than the model shows other numbers: take it anew."""
    said = re.search(
        r"(\d+) are shared, (\d+) are hints, (\d+) are zero, and ([\d.]+) %",
        (ROOT / "README.md").read_text(encoding="utf-8"),
    )
    notebook = json.loads((ROOT / "notebooks/08-page-sharing.ipynb").read_text(encoding="utf-8"))
    texts = [
        "".join(output.get("data", {}).get("text/plain", ""))
        for cell in notebook["cells"]
        if "widgets.scanner()" in "".join(cell["source"])
        for output in cell["outputs"]
    ]
    found = re.search(r"([\d.]+) % saved.* (\d+) hint .* (\d+) shared .* (\d+) zero", texts[0])
    assert said
    assert found
    percent, hints, shared, zero = found.groups()
    assert said.groups() == (shared, hints, zero, percent)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files_that_are_there(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_guide_names_every_entry_point_of_the_tree() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    top = {path.relative_to(ROOT).parts[0] for path in FILES} - {".gitignore"}
    package = ROOT / "virtlab"
    packages = {
        name_of(p.parent) for p in FILES if p.parent.parent == package and p.suffix == ".py"
    }
    for name in top | packages:
        assert re.search(rf"`{re.escape(name)}[/`]", text), f"{name} is not named"


def test_the_version_is_one() -> None:
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert virtlab.__version__ == version
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"[{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
