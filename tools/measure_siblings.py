"""Measure how much two programs on two CPUs slow each other down, as siblings do.

    python tools/measure_siblings.py FOLDER [--cpus 0 1] [--repeats 7] [--seconds 0.2]

Linux and gcc. Three loops in C, of the kinds in `virtlab.resources.cpu.contention`: integer
arithmetic in four independent chains; a chase of pointers in random order over three quarters of
the L2 cache; and code that writes its own next instruction on a page of its own. Each is bound to
a CPU, runs alone, and runs beside each kind on the other CPU, all cases in turns, so that a
disturbance does not meet all runs of one.

A rate is steps per second of CPU time, window by window (20 ms), of which the median is kept: time
in which the kernel runs something else does not count. As root the loops run before all else, a
fifth of a second at a time and then a pause, or what the machine does otherwise would be beside
them. Two siblings that both compute show about 0.6 each; two CPUs with a core each show 1.0.
`siblings.csv` and `siblings_machine.json` are written only when all is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

KINDS = ("compute", "cache", "self-modifying")
SOURCE = r"""
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static volatile uint64_t sink;

static void compute(long steps) {
    uint64_t a = sink + 1, b = 2, c = 3, d = 4;
    for (long i = 0; i < steps; i++) {
        a = a * 2862933555777941757u + 3037000493u; b = (b ^ (b << 7)) + 5;
        c = c * 3202034522624059733u + 1; d = (d ^ (d >> 9)) + 11;
    }
    sink = a ^ b ^ c ^ d;
}

static void **place;
static void chase(long steps) {
    void **p = place;
    for (long i = 0; i < steps; i++) p = (void **)*p;
    place = p;
}

static void prepare_chase(size_t bytes) {
    size_t count = bytes / 64;  /* one pointer a line, in one random round of all */
    char *lines = aligned_alloc(64, count * 64);
    size_t *order = malloc(count * sizeof *order);
    for (size_t i = 0; i < count; i++) order[i] = i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = (size_t)rand() % (i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (size_t i = 0; i < count; i++)
        *(void **)(lines + 64 * order[i]) = lines + 64 * order[(i + 1) % count];
    place = (void **)lines;
}

static uint8_t *code;
static void rewrite(long steps) {
    int (*call)(void) = (int (*)(void))code;
    uint64_t sum = 0;
    for (long i = 0; i < steps; i++) {
        code[1] = (uint8_t)i;  /* the number that the next instruction loads */
        sum += (uint64_t)call();
    }
    sink = sum;
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    const char *kind = argv[1];
    double start = atof(argv[3]), seconds = atof(argv[4]);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(argv[2]), &set);
    if (sched_setaffinity(0, sizeof set, &set)) return 3;
    struct sched_param first = {.sched_priority = 1};
    sched_setscheduler(0, SCHED_FIFO, &first);  /* where it may: nothing else runs beside */
    void (*run)(long) = compute;
    if (!strcmp(kind, "cache")) {
        prepare_chase((size_t)atol(argv[5]));
        run = chase;
    } else if (!strcmp(kind, "self-modifying")) {
        int all = PROT_READ | PROT_WRITE | PROT_EXEC;
        code = mmap(0, 4096, all, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (code == MAP_FAILED) return 4;
        static const uint8_t load_and_return[] = {0xb8, 0, 0, 0, 0, 0xc3};
        memcpy(code, load_and_return, sizeof load_and_return);
        run = rewrite;
    }
    long chunk = 1000;
    for (double began = now(CLOCK_MONOTONIC); now(CLOCK_MONOTONIC) - began < 0.0002;) {
        chunk *= 2;
        began = now(CLOCK_MONOTONIC);
        run(chunk);
    }
    while (now(CLOCK_MONOTONIC) < start) run(chunk);
    while (now(CLOCK_MONOTONIC) < start + seconds) {
        double began = now(CLOCK_THREAD_CPUTIME_ID), wall = now(CLOCK_MONOTONIC), used;
        long steps = 0;
        do {
            run(chunk);
            steps += chunk;
            used = now(CLOCK_THREAD_CPUTIME_ID) - began;
        } while (used < 0.02);
        printf("%.6e %.4f\n", steps / used, used / (now(CLOCK_MONOTONIC) - wall));
    }
    return 0;
}
"""


def build(folder: Path) -> Path:
    """Compile the loops."""
    source, program = folder / "loops.c", folder / "loops"
    source.write_text(SOURCE, encoding="ascii")
    subprocess.run(["gcc", "-O2", "-o", str(program), str(source)], check=True)
    return program


def l2_bytes() -> int:
    """Return the size of the L2 cache of a core, or 1 MiB where the kernel does not say."""
    try:
        return int(os.sysconf("SC_LEVEL2_CACHE_SIZE")) or 2**20
    except (ValueError, OSError):
        return 2**20


def rates(text: str) -> tuple[float, float]:
    r"""Return the median rate of a run's windows, and the median part of a CPU that it had.

    Parameters
    ----------
    text
        What it printed: a line a window.

    Examples
    --------
    >>> rates("2e9 1.0\n3e9 0.5\n9e9 1.0\n")
    (3000000000.0, 1.0)
    """
    rows = [tuple(map(float, line.split())) for line in text.splitlines()]
    if not rows:
        raise ValueError("a loop printed no window: give it more seconds")
    return statistics.median(row[0] for row in rows), statistics.median(row[1] for row in rows)


def run(program: Path, kinds: dict[int, str], seconds: float) -> dict[int, tuple[float, float]]:
    """Run loops at the same time, one a CPU, and return each one's rate and part of the CPU."""
    start, size = time.clock_gettime(time.CLOCK_MONOTONIC) + 0.05, l2_bytes() * 3 // 4
    started = {
        cpu: subprocess.Popen(
            [str(program), kind, str(cpu), repr(start), str(seconds), str(size)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for cpu, kind in kinds.items()
    }
    try:
        printed = {
            cpu: one.communicate(timeout=60 + 10 * seconds)[0] for cpu, one in started.items()
        }
    finally:
        for one in started.values():
            one.kill()
    for cpu, one in started.items():
        if one.returncode:
            raise RuntimeError(f"the {kinds[cpu]} loop ended with status {one.returncode}")
    return {cpu: rates(text) for cpu, text in printed.items()}


def measure(
    program: Path, cpus: tuple[int, int], repeats: int, seconds: float
) -> list[dict[str, Any]]:
    """Run all cases in turns."""
    first, second = cpus
    cases: list[dict[int, str]] = [{cpu: kind} for cpu in cpus for kind in KINDS]
    cases += [{first: one, second: other} for one in KINDS for other in KINDS]
    rows: list[dict[str, Any]] = []
    for repeat in range(1, repeats + 1):
        for case in cases:
            load = os.getloadavg()[0]
            time.sleep(seconds)  # others run too
            for cpu, (rate, part) in run(program, case, seconds).items():
                beside = next((kind for other, kind in case.items() if other != cpu), "")
                rows.append(
                    {
                        "repeat": repeat,
                        "cpu": cpu,
                        "kind": case[cpu],
                        "beside": beside,
                        "steps_per_s": round(rate),
                        "cpu_part": round(part, 4),
                        "load1": round(load, 2),
                    }
                )
    return rows


def speeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each kind's speed beside each, in parts of its speed alone on the same CPU.

    Parameters
    ----------
    frame
        What was measured.

    Examples
    --------
    >>> rows = [(0, "compute", "", 100), (0, "compute", "cache", 60)]
    >>> columns = ["cpu", "kind", "beside", "steps_per_s"]
    >>> float(speeds(pd.DataFrame(rows, columns=columns)).loc["compute", "cache"])
    0.6
    """
    middle = frame.pivot_table("steps_per_s", ["cpu", "kind"], "beside", aggfunc="median")
    parts = middle.div(middle[""], axis=0).drop(columns="")
    return parts.groupby("kind").mean()


def machine(cpus: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Describe the machine."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    siblings = Path(f"/sys/devices/system/cpu/cpu{cpus[0]}/topology/thread_siblings_list")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "processor": model[0] if model else platform.machine(),
        "cpus": list(cpus),
        "siblings_of_the_first": siblings.read_text().strip() if siblings.exists() else "unknown",
        "l2_bytes": l2_bytes(),
        "virtual": any(" hypervisor " in f"{line} " for line in info),
        "load": list(os.getloadavg()),
        "seconds_a_run": seconds,
    }


def main() -> int:
    """Measure, print the table, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cpus", type=int, nargs=2, default=(0, 1), help="the two CPUs (0 1)")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each case (7)")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of a run (0.2)")
    given = parser.parse_args()
    cpus = (given.cpus[0], given.cpus[1])
    if not set(cpus) <= os.sched_getaffinity(0) or cpus[0] == cpus[1]:
        sys.exit(f"This needs two CPUs; there are {sorted(os.sched_getaffinity(0))}.")
    if shutil.which("gcc") is None:
        sys.exit("This needs gcc, to compile the loops.")
    about = machine(cpus, given.seconds)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(build(Path(folder)), cpus, given.repeats, given.seconds)
    frame = pd.DataFrame(rows)
    print(speeds(frame).round(3).to_string())
    print(f"part of a CPU that a loop had: {frame['cpu_part'].median():.2f} in the middle")
    given.folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(given.folder / "siblings.csv", index=False)
    text = json.dumps(about, indent=1) + "\n"
    (given.folder / "siblings_machine.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
