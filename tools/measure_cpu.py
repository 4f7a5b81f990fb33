"""Measure `data/cpu_shares.csv.gz` and `cpu_turns.csv`: a real kernel's scheduler under shares.

    python tools/measure_cpu.py FOLDER [--cpu 1] [--runs 3] [--only nice]

Linux with two CPUs or more. Nice levels can be measured by anyone; shares need the cpu controller
of cgroup v1 and root, for control groups are made (and removed, whatever happens). The cases are
`virtlab.resources.cpu_cases`, three runs of each, about nine minutes in all.

All processes that are measured are children of this one, bound to one CPU, and end with it. This
one runs on the others. All groups lie in one parent with the largest weight there is, so that what
else the machine does takes little of that CPU, and from all alike; how much that was, how long the
CPU was idle, and how much the machine below took (steal), are counted by the kernel and stored.

CPU time, time ready but not running, and the number of turns are the kernel's
(/proc/PID/schedstat). The order of turns is seen by the processes themselves: who sees the clock
leap was not running.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import signal
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pandas as pd

from virtlab.resources.cpu_cases import BIN_S, CASES, Case
from virtlab.resources.cpu_turns import TRACED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GROUPS = Path("/sys/fs/cgroup/cpu")
ACCOUNTS = Path("/sys/fs/cgroup/cpuacct/cpuacct.usage_percpu")
HEAVIEST = 262_144  # the largest weight of a control group
PERIOD_US = 100_000  # of a quota
NAP_NS, NAP_S = 5_000_000, 0.005
LEAP_NS = 200_000  # a clock that leaps further: others ran, or the machine below
TRACE_S = 2.0  # how long turns are written down
_MS = 1e-6  # of a nanosecond
_DIE_WITH_PARENT = 1  # of prctl

libc = ctypes.CDLL(None, use_errno=True)


def _groups_are_open() -> bool:
    return os.geteuid() == 0 and (GROUPS / "cpu.shares").exists()


@contextmanager
def group(path: Path, shares: float) -> Iterator[Path]:
    """Have a control group with this weight."""
    path.mkdir()
    try:
        (path / "cpu.shares").write_text(str(round(shares)))
        yield path
    finally:
        path.rmdir()


@contextmanager
def groups(parent: Path | None, case: Case) -> Iterator[list[Path | None]]:
    """Have a group for each process; none where groups are closed, one where it is nice's turn."""
    if parent is None or case.way == "nice":
        yield [parent] * case.size
        return
    made: list[Path | None] = []
    try:
        for i in range(case.size):
            path = parent / f"vm{i + 1}"
            path.mkdir()
            made.append(path)
            if case.maximum_percent and case.maximum_percent[i] < 100:
                quota = case.maximum_percent[i] / 100 * PERIOD_US
                (path / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (path / "cpu.cfs_quota_us").write_text(str(round(quota)))
        yield made
    finally:
        for one in made:
            if one is not None:
                one.rmdir()


def _nap() -> NoReturn:
    while True:
        until = time.thread_time_ns() + NAP_NS
        while time.thread_time_ns() < until:
            pass
        time.sleep(NAP_S)


def _spin() -> NoReturn:
    while True:
        pass


def _trace(file: Path) -> None:
    """Spin, and write down from when to when this process ran."""
    turns = []
    begin = last = time.monotonic_ns()
    end = begin + round(TRACE_S * 1e9)
    while last < end:
        now = time.monotonic_ns()
        if now - last > LEAP_NS:
            turns.append((begin, last))
            begin = now
        last = now
    file.write_text(json.dumps([*turns, (begin, last)]))


def _child(cpu: int, at: Path | None, work: Any) -> NoReturn:
    """Be a busy process: bound, in its group, stopped until it is its time."""
    try:
        libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        os.setpgid(0, 0)  # or it is woken when the shell that began all this ends
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if at is not None:
            (at / "cgroup.procs").write_text("0")
        os.sched_setaffinity(0, {cpu})
        if os.geteuid() == 0:
            os.setpriority(os.PRIO_PROCESS, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
    finally:
        os._exit(0)


@contextmanager
def children(cpu: int, places: Sequence[Path | None], works: Sequence[Any]) -> Iterator[list[int]]:
    """Have child processes that wait for their start; none is left behind."""
    pids: list[int] = []
    try:
        for at, work in zip(places, works, strict=True):
            pid = os.fork()
            if pid == 0:
                _child(cpu, at, work)
            if not os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]):
                sys.exit(f"A process could not be bound to CPU {cpu} or put into {at}.")
            pids.append(pid)
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def give(case: Case, phase: int, pids: Sequence[int], places: Sequence[Path | None]) -> None:
    """Give each process what it has in this phase, or stop it."""
    for pid, at, value in zip(pids, places, case.phases[phase].given, strict=True):
        if value is None:
            os.kill(pid, signal.SIGSTOP)
        elif case.way == "nice":
            os.setpriority(os.PRIO_PROCESS, pid, round(value))
        elif at is not None:
            (at / "cpu.shares").write_text(str(round(value)))
    for pid, value in zip(pids, case.phases[phase].given, strict=True):
        if value is not None:
            os.kill(pid, signal.SIGCONT)


def reading(cpu: int, pids: Sequence[int]) -> dict[str, Any]:
    """Read the clock, each process's account, and the CPU's."""
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    ticks = next(line for line in lines if line.startswith(f"cpu{cpu} ")).split()[1:]
    user, nice, system, idle, wait, irq, soft, stolen = (int(one) * 10**7 for one in ticks[:8])
    busy = user + nice + system + irq + soft
    if ACCOUNTS.exists():  # finer
        busy = int(ACCOUNTS.read_text(encoding="ascii").split()[cpu])
    accounts = [Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii") for pid in pids]
    return {
        "clock": time.monotonic_ns(),
        "busy": busy,
        "idle": idle + wait,
        "stolen": stolen,
        "processes": [[int(number) for number in one.split()] for one in accounts],
    }


def rows_of(before: dict[str, Any], after: dict[str, Any], began: int) -> list[dict[str, Any]]:
    """Return what happened between two readings: a row for each process, and three of the CPU."""
    pairs = zip(before["processes"], after["processes"], strict=True)
    changes = [[new - old for old, new in zip(*pair, strict=True)] for pair in pairs]
    ours = sum(change[0] for change in changes)
    cpu = {
        "others": after["busy"] - before["busy"] - ours,
        "idle": after["idle"] - before["idle"],
        "stolen": after["stolen"] - before["stolen"],
    }
    same = {
        "start_s": round((before["clock"] - began) / 1e9, 4),
        "length_ms": round((after["clock"] - before["clock"]) * _MS, 3),
    }
    rows: list[dict[str, Any]] = [
        {
            **same,
            "process": f"VM{i}",
            "cpu_ms": round(ran * _MS, 3),
            "waited_ms": round(waited * _MS, 3),
            "turns": turns,
        }
        for i, (ran, waited, turns) in enumerate(changes, 1)
    ]
    more = [{**same, "process": name, "cpu_ms": round(ns * _MS, 3)} for name, ns in cpu.items()]
    return rows + more


def run(case: Case, cpu: int, parent: Path | None) -> list[dict[str, Any]]:
    """Run a case once."""
    works = [_nap if i == case.naps else _spin for i in range(case.size)]
    rows: list[dict[str, Any]] = []
    with groups(parent, case) as places, children(cpu, places, works) as pids:
        began = time.monotonic()
        before = reading(cpu, pids)
        start, done = before["clock"], 0
        for phase, one in enumerate(case.phases):
            give(case, phase, pids, places)
            for _ in range(one.bins):
                done += 1
                wait = began + done * BIN_S - time.monotonic()
                time.sleep(max(wait, BIN_S / 2))  # after a late reading not at once again
                after = reading(cpu, pids)
                parts = rows_of(before, after, start)
                rows += [{"bin": done - 1, "phase": phase, **part} for part in parts]
                before = after
    return rows


def trace(case: Case, cpu: int, parent: Path | None, folder: Path) -> list[dict[str, Any]]:
    """Run the first phase of a case and return each turn of each process."""
    files = [folder / f"turns-{os.getpid()}-{i}.json" for i in range(case.size)]
    works = [lambda file=file: _trace(file) for file in files]
    rows: list[dict[str, Any]] = []
    with groups(parent, case) as places, children(cpu, places, works) as pids:
        start = time.monotonic_ns()
        give(case, 0, pids, places)
        for pid in pids:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    seen = [json.loads(file.read_text()) for file in files]
    until = min(turns[-1][1] for turns in seen)  # then the first one ended
    for i, turns in enumerate(seen, 1):
        for begin, end in turns:
            times = {"start_ms": (begin - start) * _MS, "end_ms": (end - start) * _MS}
            if begin < end <= until:
                rows.append({"case": case.name, "process": f"VM{i}", **times})
        files[i - 1].unlink()
    return sorted(rows, key=lambda row: row["start_ms"])


def machine(cpu: int) -> dict[str, Any]:
    """Describe the machine."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "version": platform.version(),
        "processor": model[0] if model else platform.machine(),
        "processors": os.cpu_count(),
        "measured_on_cpu": cpu,
        "virtual": any(" hypervisor " in f"{line} " for line in info),
        "load_before": os.getloadavg()[0],
        "quota_period_ms": PERIOD_US / 1000,
    }


def measure(
    cases: Sequence[Case], cpu: int, runs: int, parent: Path | None, folder: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run all cases in turns, so that a disturbance does not meet all runs of one."""
    rows: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for number in range(1, runs + 1):
        for case in cases:
            part = [{"case": case.name, "run": number, **row} for row in run(case, cpu, parent)]
            frame = pd.DataFrame(part)
            shares = 100 * frame.groupby("process")["cpu_ms"].sum()
            shares /= frame.loc[frame["process"] == "idle", "length_ms"].sum()
            print(f"{number} {case.name}:", shares.round(1).to_dict(), flush=True)
            rows += part
    for case in cases:
        if case.name in TRACED:
            turns += trace(case, cpu, parent, folder)
    return pd.DataFrame(rows), pd.DataFrame(turns)


def main() -> int:
    """Measure and write all files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cpu", type=int, default=1, help="the CPU the processes share (1)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each case (3)")
    parser.add_argument("--only", choices=("shares", "nice"), help="one of the two ways")
    parser.add_argument("--case", action="append", choices=list(CASES), help="this case only")
    given = parser.parse_args()
    there = os.sched_getaffinity(0)
    if given.cpu not in there or len(there) == 1:
        sys.exit(f"This needs CPU {given.cpu} and another one; there are {sorted(there)}.")
    open_groups = _groups_are_open()
    if not open_groups and given.only != "nice":
        sys.exit(
            f"Shares need root and the cpu controller of cgroup v1 at {GROUPS}: it makes control "
            "groups, and removes them. Run it with sudo, or measure nice levels: --only nice."
        )
    cases = [case for case in CASES.values() if given.only in {None, case.way}]
    cases = [case for case in cases if not given.case or case.name in given.case]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside; all is put back"))
    os.sched_setaffinity(0, there - {given.cpu})
    about = machine(given.cpu)
    if not open_groups:
        shares, turns = measure(cases, given.cpu, given.runs, None, given.folder)
    else:
        os.setpriority(os.PRIO_PROCESS, 0, -10)  # readings in time
        with group(GROUPS / f"virtlab-cpu-{os.getpid()}", HEAVIEST) as parent:
            shares, turns = measure(cases, given.cpu, given.runs, parent, given.folder)
    shares["turns"] = shares["turns"].astype("Int64")
    packed: Any = {"method": "gzip", "mtime": 0}
    shares.to_csv(given.folder / "cpu_shares.csv.gz", index=False, compression=packed)
    turns.round(3).to_csv(given.folder / "cpu_turns.csv", index=False)
    text = json.dumps(about, indent=1)
    (given.folder / "cpu_machine.json").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
