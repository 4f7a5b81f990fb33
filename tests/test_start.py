"""start.py, run for real on a project of one small file, with pip and no network."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.start_project import BACKEND, ROOT, environment, make_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Done = subprocess.CompletedProcess[str]
    Start = Callable[..., Done]


def start(project: Path, *arguments: str, python: str = sys.executable, **more: str) -> Done:
    """Run start.py from another folder."""
    return subprocess.run(
        [python, str(project / "start.py"), *arguments],
        cwd=project.parent,
        env=environment(project, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def stamp(project: Path) -> dict[str, str]:
    text = (project / ".venv" / "start.json").read_text()
    read: dict[str, str] = json.loads(text)
    return read


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """Make the small project and start it once."""
    project = make_project(tmp_path_factory.mktemp("start"))
    return project, start(project, "shares", "160")


def test_the_first_start_installs_and_runs_the_command(made: tuple[Path, Done]) -> None:
    _, done = made
    assert done.returncode == 0, done.stdout + done.stderr
    assert "installing the course in .venv" in done.stdout
    assert done.stdout.endswith("['shares', '160'] pinned 1.0\n")


def test_the_next_start_installs_nothing(made: tuple[Path, Done]) -> None:
    project, _ = made
    done = start(project, "pages", "--json", PIP_FIND_LINKS="")
    assert (done.returncode, done.stdout) == (0, "['pages', '--json'] pinned 1.0\n")


def test_without_a_word_it_opens_the_lab(made: tuple[Path, Done]) -> None:
    project, _ = made
    assert start(project).stdout == "['lab'] pinned 1.0\n"


def test_the_exit_status_is_the_commands(made: tuple[Path, Done]) -> None:
    project, _ = made
    assert start(project, "fail").returncode == 7


def test_the_tests_environment_serves_the_course_too(made: tuple[Path, Done]) -> None:
    project, _ = made
    first = start(project, "test", "--only", "unit")
    assert first.stdout.endswith("['test', '--only', 'unit'] pinned 1.0\n"), first.stderr
    assert stamp(project)["level"] == "test"
    assert start(project, "doctor").stdout == "['doctor'] pinned 1.0\n"


def test_a_changed_lock_is_installed_into_the_same_environment(made: tuple[Path, Done]) -> None:
    project, _ = made
    keep = project / ".venv" / "keep"
    keep.touch()
    outdate(project)
    assert "installing the course" in start(project).stdout
    assert keep.exists()


def outdate(project: Path) -> None:
    """Change the locks, so that the next start has something to install."""
    for lock in (project / "locks").iterdir():
        lock.write_text("# changed\n" + lock.read_text())


def test_two_at_once_install_once(made: tuple[Path, Done]) -> None:
    project, _ = made
    outdate(project)
    (project / "hold").touch()  # the build waits while this file is there
    both = [
        subprocess.Popen(
            [sys.executable, str(project / "start.py"), name],
            env=environment(project),
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    time.sleep(1)
    (project / "hold").unlink()
    said = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("installed in" in text for text in said) == 1
    assert sum("waiting for it" in text for text in said) == 1


def test_a_killed_start_is_made_anew(made: tuple[Path, Done]) -> None:
    project, _ = made
    outdate(project)
    (project / "hold").touch()
    log = project / ".venv" / "start.log"
    log.unlink()
    process = subprocess.Popen(
        [sys.executable, str(project / "start.py"), "lab"],
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    while not (log.exists() and "Obtaining file:" in log.read_text()):
        assert time.monotonic() < until, "it never came to the project's own installation"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert stamp(project)["state"] == "half-made"
    left = project / ".venv" / "left-by-the-killed-one"
    left.touch()
    (project / "hold").unlink()
    done = start(project)
    assert done.stdout.endswith("['lab'] pinned 1.0\n"), done.stdout + done.stderr
    assert not left.exists()
    assert stamp(project)["state"] == "complete"


@pytest.fixture
def module(tmp_path: Path) -> Any:
    """Import a start.py whose folder is the small project."""
    project = make_project(tmp_path)
    spec = importlib.util.spec_from_file_location("start_copy", project / "start.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def quick(
    module: Any, made: tuple[Path, Done], monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, Path]:
    """Give that module an environment in no time: a copy of the one made before."""

    def copied(level: str) -> None:
        del level
        shutil.copytree(made[0] / ".venv", module.VENV, symlinks=True)
        shutil.rmtree(next(module.VENV.rglob("site-packages")) / "pinned-1.0.dist-info")

    for key, text in environment(module.ROOT).items():
        monkeypatch.setenv(key, text)
    monkeypatch.setattr(module, "make_venv", copied)
    return module, module.ROOT / "locks" / "lab.txt"


def one_sentence(module: Any, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on standard error of a start that fails."""
    assert module.main([]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("start.py: ")
    assert module.found().get("state") != "complete"
    return str(lines[0])


def test_no_network_is_said(
    quick: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = {"NO_INDEX": "0", "INDEX_URL": "http://127.0.0.1:9/", "FIND_LINKS": "", "RETRIES": "1"}
    for key, text in closed.items():
        monkeypatch.setenv(f"PIP_{key}", text)
    assert "could not be downloaded: check the network" in one_sentence(quick[0], capsys)


def test_an_altered_package_is_not_installed(
    quick: tuple[Any, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    module, lock = quick
    lock.write_text(lock.read_text()[:-9] + "deadbeef\n")
    assert "not the file that locks/ names" in one_sentence(module, capsys)


def test_a_package_with_no_build_for_this_python_is_said(
    quick: tuple[Any, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    module, lock = quick
    lock.write_text(lock.read_text().replace("pinned==1.0", "pinned==2.0"))
    assert "was not found for Python 3." in one_sentence(module, capsys)


def test_a_project_that_does_not_build_names_the_reason(
    quick: tuple[Any, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    module, _ = quick
    (module.ROOT / "backend.py").write_text(f"{BACKEND}\nraise ValueError('a broken tree')\n")
    sentence = one_sentence(module, capsys)
    assert "a broken tree" in sentence
    assert "delete .venv" in sentence


def test_an_environment_of_others_is_left_alone(
    module: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = module.VENV / "pyvenv.cfg"
    theirs.parent.mkdir()
    theirs.touch()
    assert "did not make" in one_sentence(module, capsys)
    assert theirs.exists()


def test_a_python_without_venv_is_said(
    module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    sentence = one_sentence(module, capsys)
    assert "no module ensurepip" in sentence
    assert "apt install python3-venv" in sentence


def test_too_little_disk_is_said_before_anything_is_made(
    module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "NEEDED_MB", {"lab": 10**12, "test": 10**12})
    assert module.main([]) == 1
    assert "The disk is full: free about" in capsys.readouterr().err
    assert not module.VENV.exists()


@pytest.mark.parametrize(
    ("printed", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("ERROR: Could not install packages: [Errno 13] Permission denied: '/x'", "/x"),
        ("WARNING: ProxyError('Cannot connect')\nERROR: No matching distribution", "network"),
        ("ERROR: No matching distribution found for numpy==9", "not found for Python 3."),
        ("ValueError: odd.\nmore", r"failed \(odd\)"),
        ("", "no reason given"),
    ],
)
def test_what_pip_prints_becomes_a_sentence(module: Any, printed: str, sentence: str) -> None:
    assert re.search(sentence, module.meaning(printed, "lab"))


def no_browser(module: Any, monkeypatch: pytest.MonkeyPatch, *, root: bool) -> list[list[str]]:
    """Take Chromium away; return the list into which commands that would run are put."""
    ran: list[list[str]] = []

    def which(name: str) -> str | None:
        return "/usr/bin/apt-get" if name == "apt-get" else None

    def run(command: list[str], environment: object = None) -> tuple[int, str]:
        ran.append(command)
        return 0, str(environment or "")

    monkeypatch.setattr(module.shutil, "which", which)
    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module.os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.delenv("CI", raising=False)
    return ran


def test_root_without_chromium_gets_debians_and_is_told(
    module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = no_browser(module, monkeypatch, root=True)
    module.prepare_browser()
    assert [command[0] for command in ran] == ["apt-get", "apt-get"]
    assert ran[0][-1] == "update"
    assert set(module.DEBIAN) <= set(ran[1])
    said = capsys.readouterr().out
    assert "Debian's chromium" in said
    assert "skipped" in said  # it is still not there: apt-get was none


def test_others_are_told_what_to_install(
    module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert no_browser(module, monkeypatch, root=False) == []
    module.prepare_browser()
    assert "'apt install chromium" in capsys.readouterr().out
    monkeypatch.setenv("CI", "true")
    with pytest.raises(module.StartError, match="under CI"):
        module.prepare_browser()


def test_it_parses_on_old_pythons_and_checks_the_version_first() -> None:
    text = (ROOT / "start.py").read_text()
    tree = ast.parse(text, feature_version=(3, 6))
    check = next(node for node in tree.body if isinstance(node, ast.If))
    before = tree.body[: tree.body.index(check)]
    imported = [node for node in before if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [alias.name for node in imported for alias in node.names] == ["sys"]
    assert "too old" in ast.unparse(check)


def test_an_old_python_is_told_what_to_run(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "start.py").read_text()
    monkeypatch.setattr(module.sys, "version_info", (3, 8, 18))
    monkeypatch.setattr(subprocess, "check_output", lambda *_a, **_k: b"")
    with pytest.raises(SystemExit, match=r"Python 3\.8, which is too old: run 'python3\.13 start"):
        exec(compile(text, "start.py", "exec"), {"__name__": "start", "__file__": "start.py"})  # noqa: S102 - our own script
