"""Start the course. The first run makes an environment in .venv; later ones take no time.

    python3 start.py              open JupyterLab on the course
    python3 start.py test         install what the tests need, and run all of them
    python3 start.py ANY ARGS     run `virtlab ANY ARGS` in that environment

It needs Python 3.11 or newer and, the first time, a network. What it installs is pinned, file by
file, in `locks/`. Nothing outside this folder is changed, but for one thing: `test`, when it runs
as root on Debian, installs Debian's Chromium, and says so.
"""

# The syntax here stays that of Python 3.6, so that an old Python can say that it is too old.
import sys

OLDEST = (3, 11)
PYTHONS = "3.11, 3.12 or 3.13"


def other_python() -> str:
    """Return the name of a newer Python on the path that runs, or nothing."""
    import subprocess

    for name in ("python3.13", "python3.12", "python3.11"):
        try:
            subprocess.check_output([name, "-c", ""], stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            continue
        return name
    return ""


if sys.version_info < OLDEST:
    _found = other_python()
    _advice = f"run '{_found} start.py' instead." if _found else f"install Python {PYTHONS}."
    _version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    sys.exit(f"start.py: this is Python {_version}, which is too old: {_advice}")

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
# This file is in the environment from its first moment, and says 'complete' only at the last:
# an environment without it is somebody else's, one that does not say so is half-made.
STAMP = VENV / "start.json"
LOG = VENV / "start.log"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
EXE = ".exe" if os.name == "nt" else ""
PYTHON = BIN / f"python{EXE}"
COMMAND = BIN / f"virtlab{EXE}"

NEEDED_MB = {"lab": 700, "test": 1300}  # measured, with some to spare
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DEBIAN = ("chromium", "fontconfig", "fonts-dejavu-core", "fonts-ipaexfont-gothic")

FULL = "The disk is full: free about {mb} MB where this folder is, then run it again."
WRITE = "This folder can't be written to ({error}): copy it to one of your own, then run it there."
FOREIGN = (
    "There is a .venv here that start.py did not make (uv, or you?): rename or delete it, then "
    "run this again."
)
NO_VENV = (
    "This Python can't make environments (no module {module}): on Debian or Ubuntu run 'apt "
    "install python3-venv' as root, elsewhere install Python from its makers, then run this again."
)
OFFLINE = (
    "The packages could not be downloaded: check the network (or the proxy it needs), then run "
    "it again; what did arrive is kept."
)
ALTERED = (
    "A downloaded package is not the file that locks/ names: run 'python3 -m pip cache purge' "
    "and try again; if it stays, the package index set up on this machine alters files."
)
UNBUILT = (
    "A package was not found for Python {python} on this system: check the network, and that the "
    f"Python you start this with is {PYTHONS}."
)
NO_NETWORK = (
    r"Failed to establish|NewConnectionError|NameResolutionError|Name or service not known"
    r"|Temporary failure in name|Network is unreachable|Connection refused|ProxyError"
    r"|SSLError|CERTIFICATE_VERIFY|Max retries|[Tt]imed? ?out|Connection broken"
    r"|ConnectionResetError|RemoteDisconnected|IncompleteRead"
)
# What pip prints, and what it means to a person; the first that fits is said.
SIGNS = (
    (r"No space left on device|Errno 28|Disk quota exceeded", FULL),
    (r"DO NOT MATCH THE HASHES", ALTERED),
    (NO_NETWORK, OFFLINE),
    (r"No matching distribution|Could not find a version|not a supported wheel", UNBUILT),
    (r"Permission denied|Errno 13|Read-only file system", WRITE),
)


class StartError(Exception):
    """What went wrong, as one sentence that says what to do."""


def say(text: str) -> None:
    """Print one line at once."""
    print(f"start.py: {text}", flush=True)


class Progress:
    """Shows that something happens: one line that changes, or, in a log, a line now and then."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _tick(self) -> None:
        live = sys.stdout.isatty()
        while not self._done.wait(0.5 if live else 15):
            line = f"  {self.text} ({time.monotonic() - self._began:.0f} s)"
            if live:
                line = f"\r{line[: shutil.get_terminal_size().columns - 1]}\x1b[K"
            print(line, end="" if live else "\n", flush=True)
        if live:
            print("\r\x1b[K", end="", flush=True)


def wanted(level: str) -> dict[str, str]:
    """Return what a complete environment of this level says in its stamp."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", f"locks/{level}.txt"):
        digest.update((ROOT / name).read_bytes())
    return {
        "state": "complete",
        "level": level,
        "files": digest.hexdigest(),
        # An environment holds the paths of its folder and of its Python: it can't be moved.
        "python": f"{sys.version.split()[0]} of {sys.base_prefix}",
        "folder": str(ROOT),
    }


def found() -> dict[str, str]:
    """Return what the environment's stamp says; nothing if there is none to read."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_ready(level: str) -> bool:
    """Tell whether the environment serves this level: the tests' one serves the course too."""
    if not (PYTHON.exists() and COMMAND.exists()):
        return False
    stamp = found()
    levels = ("lab", "test") if level == "lab" else ("test",)
    return any(stamp == wanted(each) for each in levels)


def is_reusable(level: str) -> bool:
    """Tell whether pip can bring the environment up to date, so that it need not be made anew."""
    now, stamp = wanted(level), found()
    same = all(stamp.get(key) == now[key] for key in ("state", "python", "folder"))
    return same and PYTHON.exists() and run([str(PYTHON), "-m", "pip", "--version"])[0] == 0


def run(command: list[str], environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a command; return its exit status and what it printed."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        return 127, str(error)
    return done.returncode, done.stdout


def write_stamp(stamp: dict[str, str]) -> None:
    """Replace the stamp in one step."""
    new = STAMP.with_suffix(".new")
    new.write_text(json.dumps(stamp), encoding="utf-8")
    new.replace(STAMP)


def meaning(output: str, level: str) -> str:
    """Return what a failed step's output means, as one sentence that says what to do."""
    if shutil.disk_usage(ROOT).free < 20e6:
        output = "No space left on device"
    errors = re.findall(r"^ *(?:ERROR:|\w+Error:) *(.+)", output, re.MULTILINE)
    last = errors[-1].strip().rstrip(".") if errors else "no reason given"
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for sign, sentence in SIGNS:
        if re.search(sign, output):
            return sentence.format(mb=NEEDED_MB[level], python=python, error=last)
    return (
        f"The installation failed ({last}): run it again, and if it stays so, delete .venv and run "
        f"it once more; all that pip said is in {LOG}."
    )


def make_venv(level: str) -> None:
    """Make an empty environment, in place of the half-made or outdated one."""
    if VENV.exists() and not STAMP.exists():
        raise StartError(FOREIGN)
    try:
        import ensurepip
        import venv

        del ensurepip, venv
    except ImportError as error:
        raise StartError(NO_VENV.format(module=error.name)) from None
    if shutil.disk_usage(ROOT).free / 1e6 < NEEDED_MB[level]:
        raise StartError(FULL.format(mb=NEEDED_MB[level]))
    if VENV.exists():
        shutil.rmtree(VENV)
    VENV.mkdir()
    write_stamp({"state": "half-made"})
    base = getattr(sys, "_base_executable", "") or sys.executable
    status, output = run([base, "-I", "-m", "venv", str(VENV)])
    if status:
        raise StartError(meaning(output, level))


def pip(arguments: list[str], level: str, lock: list[int], progress: Progress) -> None:
    """Run the environment's pip, tell how far it is, and keep what it says in a log."""
    # Another project's packages, or a wish to install elsewhere, must not reach in here.
    unwanted = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
    command = [str(PYTHON), "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]
    inherited = {key: text for key, text in os.environ.items() if key not in unwanted}
    output: list[str] = []
    count = 0
    process = subprocess.Popen(
        [*command, "--progress-bar", "off", *arguments],
        cwd=ROOT,
        env={**inherited, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=lock,
    )
    with process, LOG.open("a", 1, encoding="utf-8") as log:
        for line in process.stdout or ():
            output.append(line)
            log.write(line)
            if line.startswith(("Collecting ", "Processing ")):
                count += 1
                name = re.split(r"==|-\d", line.split()[1].split("/")[-1])[0]
                progress.text = f"fetching package {count}, {name}"
            elif line.startswith("Installing collected packages"):
                progress.text = f"unpacking {count} packages"
            elif "Retrying" in line:
                progress.text = "the network does not answer, trying again"
    if process.returncode:
        raise StartError(meaning("".join(output), level))


def install(level: str) -> None:
    """Bring the environment to this level; only when all of it worked does the stamp say so."""
    with one_at_a_time() as lock:
        if is_ready(level):  # another start.py did it while this one waited
            return
        began = time.monotonic()
        what = "the course and its tests" if level == "test" else "the course"
        say(f"installing {what} in .venv: a minute or two, this once.")
        with Progress("making an environment") as progress:
            if not is_reusable(level):
                make_venv(level)
            write_stamp({**found(), "state": "half-made"})
            # The lock is complete: pip has nothing to resolve. An old one that does so all the same
            # takes `coverage[toml]` for another package than `coverage`, and wants the newest.
            strict = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile"]
            pip([*strict, "-r", f"locks/{level}.txt"], level, lock, progress)
            progress.text = "installing virtlab"
            pip(["--no-deps", "--no-build-isolation", "-e", "."], level, lock, progress)
        write_stamp(wanted(level))
        say(f"installed in {time.monotonic() - began:.0f} s.")


@contextlib.contextmanager
def one_at_a_time() -> Iterator[list[int]]:
    """Let one start.py install at a time; pip inherits the lock, and holds it if we are killed."""
    try:
        import fcntl
    except ImportError:  # Windows: two at once is left to the reader's care
        yield []
        return
    with Path(__file__).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another start.py is still installing here: waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield [file.fileno()]


def has_browser() -> bool:
    """Tell whether a Chromium is on the path."""
    return any(shutil.which(name) for name in BROWSERS)


def has_japanese() -> bool:
    """Tell whether the system has a font with Japanese letters."""
    return (
        bool(run(["fc-list", ":lang=ja", "family"])[1].strip())
        if shutil.which("fc-list")
        else False
    )


def prepare_browser() -> None:
    """Install Debian's Chromium and fonts when root, else say what the browser tests need."""
    if has_browser() and has_japanese():
        return
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root and shutil.which("apt-get"):
        say(f"the browser tests need Debian's {', '.join(DEBIAN)}: apt-get installs them now.")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        quiet = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
        with Progress("apt-get is at work"):
            run([*quiet, "update"], environment)
            run([*quiet, "install", "-y", "--no-install-recommends", *DEBIAN], environment)
    if has_browser():
        return
    sentence = (
        f"no Chromium here: as root, 'apt install {' '.join(DEBIAN)}' (or install one by hand)"
    )
    if os.environ.get("CI") == "true":
        raise StartError(f"{sentence}; under CI the browser tests may not be left out.")
    say(f"{sentence} to have the browser tests too; without it they are skipped.")


def hand_over(arguments: list[str]) -> int:
    """Become the command; where a process can't (Windows), run it and return its exit status."""
    command = [str(COMMAND), *arguments]
    sys.stdout.flush()
    if os.name == "nt":
        return subprocess.call(command)
    return os.execv(command[0], command)


def main(arguments: list[str]) -> int:
    """Install what is missing, then run the command."""
    arguments = arguments or ["lab"]
    level = "test" if arguments[0] == "test" else "lab"
    try:
        if not is_ready(level):
            install(level)
        written = " ".join(arguments)
        if level == "test" and ("--only" not in written or "browser" in written):
            prepare_browser()
        return hand_over(arguments)
    except StartError as error:
        sentence = str(error)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sentence = FULL.format(mb=NEEDED_MB[level])
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            sentence = WRITE.format(error=error)
        else:
            sentence = f"It stopped ({error}): delete .venv and run it again."
    except KeyboardInterrupt:
        say("stopped; run it again to go on.")
        return 130
    print(f"start.py: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
