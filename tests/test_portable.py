"""What a system other than Linux lacks is asked for only where it is used.

This does not make a Windows of the machine that tests: it takes away what Python's library lacks
there, and what macOS lacks too is taken along. Then each module is imported, and each import of the
notebooks done.
"""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import virtlab

ROOT = Path(__file__).resolve().parents[1]
POSIX_MODULES = ("resource", "fcntl", "termios", "tty", "pty", "pwd", "grp")
POSIX_NAMES = {
    "os": "fork geteuid getuid killpg memfd_create pread preadv sched_getaffinity setsid wait4",
    "signal": "SIGHUP SIGKILL SIGSTOP SIGTRAP SIGUSR1 SIGXCPU pthread_sigmask setitimer",
    "socket": "send_fds recv_fds AF_UNIX",
}
# A program that is started, on Linux alone (`virtlab.machine.direct.why_not`).
LINUX_ONLY = {"virtlab.machine.direct_process"}
# Other people's packages come first: what they need of a system is not for us to say.
OTHERS = "asyncio IPython ipywidgets anywidget matplotlib.pyplot multiprocessing pandas subprocess"

TAKEN_AWAY = f"""
import importlib, os, signal, socket, sys
for name in {OTHERS.split()!r}:
    importlib.import_module(name)
for name in {POSIX_MODULES!r}:
    sys.modules[name] = None
for module, names in {POSIX_NAMES!r}.items():
    for name in names.split():
        if hasattr(sys.modules[module], name):
            delattr(sys.modules[module], name)
"""


def without_posix(statements: list[str]) -> list[str]:
    """Return what each of some statements fails with, in a fresh Python that lacks POSIX."""
    code = f"""{TAKEN_AWAY}
failed = []
for statement in {statements!r}:
    try:
        exec(statement, {{}})
    except Exception as error:
        failed.append(f"{{statement}}: {{error!r}}")
import json
print(json.dumps(failed))
"""
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    found: list[str] = json.loads(printed.splitlines()[-1])
    return found


def imports_of(notebook: Path) -> list[str]:
    """Return the import statements of a notebook's cells."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    nodes = [node for text in code if "%" not in text[:1] for node in ast.walk(ast.parse(text))]
    return [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def test_a_system_without_posix_imports_each_module() -> None:
    names = [info.name for info in pkgutil.walk_packages(virtlab.__path__, "virtlab.")]
    names = [one for one in names if one not in LINUX_ONLY and not one.endswith("__main__")]
    assert len(names) > 300
    assert without_posix([f"import {name}" for name in names]) == []


def test_a_system_without_posix_does_each_import_of_the_notebooks() -> None:
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    wanted = [one for path in notebooks for one in imports_of(path)]
    assert len(wanted) > 100
    assert without_posix(wanted) == []


def test_the_check_can_fail() -> None:
    (name,) = LINUX_ONLY
    assert "resource" in without_posix([f"import {name}"])[0]
