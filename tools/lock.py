"""Pin what gets installed: locks/*.txt for start.py, and binder/requirements.txt from them.

    python tools/lock.py            resolve again, keeping versions that still fit
    python tools/lock.py --upgrade  take the newest versions
    python tools/lock.py --extras   only say whether each extra resolves on each Python

A lock holds for every supported Python and system (markers in its lines), names a hash for each
file, and no address: pip asks whatever index a machine is set up with.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")

# What each lock is made of. `test` holds all of `lab` at the same versions, so that an
# environment for the tests also serves the course.
LOCKS = {
    "lab": ["--extra", "lab", "--extra", "machine", "--group", "build"],
    "test": [
        *("--extra", "lab", "--extra", "machine", "--extra", "llvm"),
        *("--group", "build", "--group", "test", "--group", "bench"),
    ],
}
_NO_HASH = re.compile(r" *\\\n *--hash=\S+")


def uv(*arguments: str) -> None:
    """Run uv, and stop with its message if it fails."""
    program = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    done = subprocess.run([program, *arguments], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"tools/lock.py: uv {arguments[0]} {arguments[1]} failed, see above")


def lock(name: str, *, upgrade: bool) -> None:
    """Write one lock."""
    constraint = [] if name == "lab" else ["--constraint", "locks/lab.txt"]
    command = f"--custom-compile-command=tools/lock.py: {name}"
    # The oldest supported Python decides: one version of each package for all.
    shape = ["--universal", "--python-version", PYTHONS[0], "--fork-strategy", "fewest"]
    quiet = ["--quiet", "--no-emit-index-url", "--no-emit-find-links", "--no-annotate"]
    renew = ["--upgrade"] if upgrade else []
    uv(
        "pip", "compile", "pyproject.toml", *LOCKS[name], *constraint, *shape, *quiet, *renew,
        "--generate-hashes", command, "--output-file", f"locks/{name}.txt",
    )  # fmt: skip


def binder_requirements(locked: str) -> str:
    """Return the lab's lock as Binder wants it: for one Python, no hashes, and the project."""
    pins = [line for line in _NO_HASH.sub("", locked).splitlines() if not line.startswith("#")]
    head = "# Made by tools/lock.py from locks/lab.txt: what Binder installs.\n"
    return head + "\n".join([*pins, "."]) + "\n"


def check_extras() -> None:
    """Resolve every extra on every supported Python, and say so."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in extras["optional-dependencies"]:
        for python in PYTHONS:
            uv(
                "pip", "compile", "pyproject.toml", "--extra", extra, "--python-version", python,
                "--quiet", "--no-header", "--output-file", "/dev/null",
            )  # fmt: skip
            print(f"{extra} resolves on Python {python}")


def main() -> None:
    """Do what was asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    parser.add_argument("--extras", action="store_true", help="only check the extras")
    arguments = parser.parse_args()
    if arguments.extras:
        check_extras()
        return
    for name in LOCKS:
        lock(name, upgrade=arguments.upgrade)
        print(f"locks/{name}.txt")
    text = binder_requirements((ROOT / "locks/lab.txt").read_text())
    (ROOT / "binder/requirements.txt").write_text(text)
    print("binder/requirements.txt")


if __name__ == "__main__":
    main()
