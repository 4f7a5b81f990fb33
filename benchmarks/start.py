"""How long one waits before anything happens: `import virtlab`, the command, start.py.

    python -m benchmarks.start

Goals: `import virtlab` under 0.3 s; a second `python3 start.py ANY` under a second more than the
command itself takes. Each is a fresh process; the median of several is told, and beside it what a
Python that does nothing takes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv" / "bin" / "python"


def seconds(command: list[str], turns: int = 7) -> float:
    """Return the median wall-clock time of a command, after one run that warms the caches.

    Parameters
    ----------
    command
        Program and arguments.
    turns
        How often it is timed.

    Returns
    -------
    float
        Seconds.

    Examples
    --------
    >>> seconds([sys.executable, "-c", ""], turns=1) > 0
    True
    """
    times = []
    for turn in range(turns + 1):
        began = time.perf_counter()
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        if turn:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Print a line for each."""
    python = sys.executable
    command = [str(ENVIRONMENT), "-c", "from virtlab.cli import main; main()", "chapters"]
    runs = {
        "python that does nothing": [python, "-c", ""],
        "import virtlab": [python, "-c", "import virtlab"],
        "import virtlab.resources": [python, "-c", "import virtlab.resources"],
    }
    if ENVIRONMENT.exists():
        runs["virtlab chapters"] = command
        runs["start.py chapters"] = ["python3", "start.py", "chapters"]
    for name, line in runs.items():
        print(f"{name:<26} {seconds(line):6.3f} s")
    if not ENVIRONMENT.exists():
        print("start.py is not timed: run 'python3 start.py chapters' once before")


if __name__ == "__main__":
    main()
