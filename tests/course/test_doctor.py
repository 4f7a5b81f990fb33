"""The doctor finds what is broken, says what to do, and never falls ill itself."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from virtlab.course import doctor
from virtlab.course.doctor import Finding, Health

if TYPE_CHECKING:
    from pathlib import Path


def test_where_all_is_here_nothing_is_broken() -> None:
    health = doctor.examine()
    assert health.broken == 0, health.explain()
    assert health.explain().startswith("All that the course needs is here.")
    assert json.loads(json.dumps(health.to_json()))["rows"][0]["about"] == "Python"


def test_each_finding_is_a_sentence_and_each_fault_has_advice() -> None:
    for finding in doctor.examine().findings:
        assert finding.says.endswith(".")
        assert finding.says[0] == finding.says[0].upper()
        assert (finding.state == "ok") == (finding.advice == "") or finding.state == "note"


def test_counts_add_up() -> None:
    states = ("ok", "note", "broken", "note")
    health = Health(tuple(Finding(f"thing {n}", s, "Is so.") for n, s in enumerate(states)))  # type: ignore[arg-type]  # s is one of the states
    assert {key: health.summary()[key] for key in ("ok", "notes", "broken")} == {
        "ok": 1,
        "notes": 2,
        "broken": 1,
    }
    assert health.to_frame()["about"].tolist() == [f"thing {n}" for n in range(4)]
    assert "for want of: thing 2." in health.explain()


def absent(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let some packages seem not to be installed."""
    find, version = importlib.util.find_spec, importlib.metadata.version

    def find_spec(name: str) -> Any:
        return None if name in names else find(name)

    def version_of(name: str) -> str:
        if name in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(importlib.metadata, "version", version_of)


def found(about: str) -> Finding:
    return next(each for each in doctor.examine().findings if about in each.about)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "xxhash")
    finding = found("core packages")
    assert finding.state == "broken"
    assert finding.says == "Not right: xxhash is missing."
    assert "python3 start.py" in finding.advice


def test_an_old_package_is_named_with_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: "1.26.4" if name == "numpy" else real(name),
    )
    finding = found("core packages")
    assert finding.state == "broken"
    assert "numpy 1.26.4 is older than 2.0" in finding.says


def test_versions_are_compared_as_numbers() -> None:
    assert doctor._numbers("2.10.1") > doctor._numbers("2.9")
    assert doctor._numbers("3.1.0rc1")[:2] == (3, 1)


def test_without_the_lab_it_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "jupyter_core", "jupyter_client", "voila", "matplotlib_fontja", "ipykernel")
    states = {finding.about: finding.state for finding in doctor.examine().findings}
    assert states["widgets in JupyterLab"] == "broken"
    assert states["kernel"] == "broken"
    assert states["notebook packages"] == "broken"
    assert states["Voila (a projector's view)"] == "note"
    assert states["Japanese words in figures"] == "note"


def test_a_missing_widget_extension_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import jupyter_core.paths

    (tmp_path / "anywidget").mkdir()
    monkeypatch.setattr(jupyter_core.paths, "jupyter_path", lambda *_: [str(tmp_path)])
    finding = found("widgets")
    assert finding.state == "broken"
    assert "jupyterlab-manager" in finding.says
    assert "anywidget" not in finding.says


def kernel_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> Finding:
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {"argv": [program, "-m", "ipykernel"], "display_name": "x", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    return found("kernel")


def test_a_kernel_of_another_python_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = kernel_of(tmp_path, monkeypatch, "/opt/other/bin/python")
    assert finding.state in {"note", "broken"}
    assert "/opt/other/bin/python" in finding.says
    assert "virtlab lab" in finding.advice


@pytest.mark.parametrize("program", ["python", sys.executable])
def test_this_python_s_kernel_is_fine(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kernel_of(tmp_path, monkeypatch, program).state == "ok"


def test_what_the_system_lacks_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    import virtlab.memory.ksm.settings
    import virtlab.memory.live.procfs

    monkeypatch.setattr(virtlab.memory.live.procfs, "why_not", lambda: "this is not Linux")
    monkeypatch.setattr(virtlab.memory.ksm.settings, "why_no_ksm", lambda: "only root may")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    health = doctor.examine()
    assert health.broken == 0
    says = {each.about: each.says for each in health.findings if each.state == "note"}
    assert says["pages of real processes"] == "This is not Linux."
    assert says["the kernel's page sharing (KSM)"] == "Only root may."
    assert "install qemu-system-x86" in says["the home lab (QEMU)"]
    assert "(4) tell what is left out" in health.explain()


def test_a_system_without_japanese_fonts_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, stdout="\n")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", run)
    finding = found("Japanese words on pages")
    assert finding.state == "note"
    assert "apt install" in finding.advice


def test_a_broken_installation_of_the_data_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    import virtlab.datasets

    def none(name: str) -> Path:
        raise FileNotFoundError(f"no folder {name!r} beside the package")

    monkeypatch.setattr(virtlab.datasets, "folder", none)
    assert found("data").state == "broken"
