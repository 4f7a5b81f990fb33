"""The doctor: is everything here that the course needs, and what to do where it is not.

It looks at what goes wrong in practice: a missing widget extension, a kernel that is another
Python, no Japanese font, no right to read pages of processes. Each finding is a sentence; only
what the course can't do without counts as broken.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from virtlab.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

__all__ = ["Finding", "Health", "examine"]

_INSTALL = "Run 'python3 start.py' in the project's folder."
_CORE = ("numpy", "pandas", "tqdm", "typer", "xxhash")
_LAB = ("anywidget", "ipykernel", "ipywidgets", "jupyterlab", "matplotlib", "matplotlib-fontja")
_EXTENSIONS = ("@jupyter-widgets/jupyterlab-manager", "anywidget")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    about
        What was looked at.
    state
        'ok'; 'note' where a part of the course does without; 'broken' where it can't.
    says
        What was found, as a sentence.
    advice
        What to do, as a sentence; '' when ok.
    """

    about: str
    state: Literal["ok", "note", "broken"]
    says: str
    advice: str = ""


@dataclass(frozen=True)
class Health(Result):
    """All findings.

    Attributes
    ----------
    findings
        In the order looked at.

    Examples
    --------
    >>> Health((Finding("fonts", "ok", "Japanese text has a font."),)).broken
    0
    """

    findings: tuple[Finding, ...]

    def _count(self, state: str) -> int:
        return sum(finding.state == state for finding in self.findings)

    @property
    def broken(self) -> int:
        """How many findings are in the way of the course."""
        return self._count("broken")

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each finding.

        Returns
        -------
        pandas.DataFrame
            What was looked at, its state, what was found, what to do.

        Examples
        --------
        >>> examine().to_frame().columns.tolist()
        ['about', 'state', 'says', 'advice']
        """
        import pandas as pd

        return pd.DataFrame([vars(finding) for finding in self.findings])

    def summary(self) -> dict[str, float | int | str]:
        """Return how many findings there are of each state.

        Returns
        -------
        dict
            Counts, and the versions of virtlab and Python.

        Examples
        --------
        >>> examine().summary()["python"].count(".")
        2
        """
        return {
            "ok": self._count("ok"),
            "notes": self._count("note"),
            "broken": self.broken,
            "virtlab": importlib.metadata.version("virtlab"),
            "python": platform.python_version(),
        }

    def explain(self) -> str:
        """Return whether the course will work here.

        Returns
        -------
        str
            A sentence or two.

        Examples
        --------
        >>> Health((Finding("kernel", "broken", "There is none.", "Install one."),)).explain()
        'The course will not work as it is, for want of: kernel. Install one.'
        """
        bad = [each for each in self.findings if each.state == "broken"]
        if bad:
            names = ", ".join(each.about for each in bad)
            advice = " ".join(dict.fromkeys(each.advice for each in bad))  # each once
            return f"The course will not work as it is, for want of: {names}. {advice}"
        notes = self._count("note")
        rest = f" Notes ({notes}) tell what is left out." if notes else ""
        return f"All that the course needs is here.{rest}"


def examine() -> Health:
    """Look at everything.

    Returns
    -------
    Health
        A finding for each thing; it never raises because something is missing.

    Examples
    --------
    >>> examine().findings[0].about
    'Python'
    """
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        partial(_packages, "core packages", _CORE),
        partial(_packages, "notebook packages", _LAB),
        _extensions,
        _kernel,
        _data,
        _japanese_figures,
        _japanese_pages,
        _voila,
        _browser,
        _processes,
        _ksm,
        _qemu,
    )
    return Health(tuple(check() for check in checks))


def _python() -> Finding:
    said = f"It is {platform.python_version()} at {sys.executable}."
    if sys.version_info[:2] > (3, 13):
        return Finding("Python", "note", said, "The course is tested on 3.11 to 3.13.")
    return Finding("Python", "ok", said)


def _packages(about: str, names: tuple[str, ...]) -> Finding:
    """Compare what is installed with what the project asks for."""
    asked = _asked_for()
    good: list[str] = []
    bad: list[str] = []
    for name in names:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            bad.append(f"{name} is missing")
            continue
        least = asked.get(name, "0")
        if _numbers(version) < _numbers(least):
            bad.append(f"{name} {version} is older than {least}")
        else:
            good.append(f"{name} {version}")
    if bad:
        return Finding(about, "broken", f"Not right: {', '.join(bad)}.", _INSTALL)
    return Finding(about, "ok", f"Installed: {', '.join(good)}.")


def _asked_for() -> dict[str, str]:
    """Return the least version of each package that virtlab's own metadata asks for."""
    least: dict[str, str] = {}
    for requirement in importlib.metadata.requires("virtlab") or ():
        found = re.match(r"([\w-]+)(?:\[.*?\])?>=([\d.]+)", requirement)
        if found:
            least[found[1]] = found[2]
    return least


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _extensions() -> Finding:
    """Look for what draws widgets in JupyterLab: it is installed with the Python packages."""
    about = "widgets in JupyterLab"
    if importlib.util.find_spec("jupyter_core") is None:
        return Finding(about, "broken", "JupyterLab is not installed.", _INSTALL)
    from jupyter_core.paths import jupyter_path

    folders = [Path(each) for each in jupyter_path("labextensions")]
    missing = [name for name in _EXTENSIONS if not any((each / name).is_dir() for each in folders)]
    if missing:
        says = f"Sliders would stay empty: {', '.join(missing)} is not where JupyterLab looks."
        return Finding(about, "broken", says, _INSTALL)
    return Finding(about, "ok", "JupyterLab finds its widget extensions.")


def _kernel() -> Finding:
    """Notebooks name the kernel 'python3'; another program of that name may come first."""
    about = "kernel"
    if importlib.util.find_spec("jupyter_client") is None:
        return Finding(about, "broken", "Jupyter is not installed.", _INSTALL)
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Finding(about, "broken", "No kernel is called 'python3'.", _INSTALL)
    program = spec.argv[0] if spec.argv else ""
    # Jupyter itself replaces a bare name by its own Python.
    if Path(program).is_absolute() and Path(program) != Path(sys.executable):
        says = f"Notebooks would run in another Python, {program} (set in {spec.resource_dir})."
        advice = "Start with 'virtlab lab', which prefers its own, or remove that folder."
        return Finding(about, "note" if _is_environment() else "broken", says, advice)
    return Finding(about, "ok", "Notebooks run in this Python.")


def _is_environment() -> bool:
    """Tell whether this Python has its own kernel, which `virtlab lab` prefers."""
    return (Path(sys.prefix) / "share" / "jupyter" / "kernels" / "python3").is_dir()


def _data() -> Finding:
    from virtlab.datasets import folder

    try:
        names = [path.name for path in folder("data").iterdir()]
        books = [path.name for path in folder("notebooks").glob("*.ipynb")]
    except FileNotFoundError as error:
        return Finding("data and notebooks", "broken", f"{error}.", _INSTALL)
    says = f"{len(names)} files of measured data, {len(books)} notebooks."
    return Finding("data and notebooks", "ok", says)


def _japanese_figures() -> Finding:
    about = "Japanese words in figures"
    if importlib.util.find_spec("matplotlib_fontja") is None:
        says = "Some letters would be boxes: matplotlib-fontja is not installed."
        return Finding(about, "note", says, _INSTALL)
    return Finding(about, "ok", "The font comes with matplotlib-fontja.")


def _japanese_pages() -> Finding:
    about = "Japanese words on pages"
    program = shutil.which("fc-list")
    if program is None:
        return Finding(about, "ok", "Your browser's own fonts are used.")
    listed = subprocess.run(  # noqa: S603 - fixed arguments
        [program, ":lang=ja", "family"], capture_output=True, text=True, check=False
    )
    if not listed.stdout.strip():
        says = "A browser on this machine would show boxes: no font here has Japanese letters."
        return Finding(about, "note", says, "As root: 'apt install fonts-ipaexfont-gothic'.")
    return Finding(about, "ok", f"{len(listed.stdout.splitlines())} fonts have them.")


def _voila() -> Finding:
    about = "Voila (a projector's view)"
    if importlib.util.find_spec("voila") is None:
        return Finding(about, "note", "It is not installed.", _INSTALL)
    return Finding(about, "ok", f"Version {importlib.metadata.version('voila')}.")


def _browser() -> Finding:
    about = "Chromium (only for the tests)"
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        says = "The browser tests would be skipped: there is none."
        return Finding(about, "note", says, "As root: 'apt install chromium'.")
    return Finding(about, "ok", f"It is {found}.")


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:]}."


def _processes() -> Finding:
    from virtlab.memory.live.procfs import why_not

    reason = why_not()
    about = "pages of real processes"
    if reason:
        advice = "Page sharing then shows the measured pages that travel with the course."
        return Finding(about, "note", _sentence(reason), advice)
    return Finding(about, "ok", "They can be read here.")


def _ksm() -> Finding:
    from virtlab.memory.ksm.settings import why_no_ksm

    reason = why_no_ksm()
    about = "the kernel's page sharing (KSM)"
    if reason:
        advice = "The chapter shows numbers measured elsewhere."
        return Finding(about, "note", _sentence(reason), advice)
    return Finding(about, "ok", "The model can be compared with it, when you ask for it.")


def _qemu() -> Finding:
    from virtlab.migration.lab.machine import find_qemu, why_not

    about = "the home lab (QEMU)"
    reason = why_not()
    if reason:
        advice = "'virtlab migrate-lab' is left out; measured migrations travel with the course."
        return Finding(about, "note", reason, advice)
    return Finding(about, "ok", f"It is {find_qemu()}.")
