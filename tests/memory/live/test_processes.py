"""Counts of what sharing saves among real processes, against counts made by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from virtlab.datasets import process_pages, sharing_vs_copies
from virtlab.memory.live import copies as starting
from virtlab.memory.live import processes
from virtlab.memory.live.process_savings import ProcessSavings
from virtlab.memory.live.processes import copies, measured, read_processes, running
from virtlab.memory.live.procfs import process_state, why_not
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_linux = pytest.mark.skipif(bool(why_not()), reason=why_not() or "runs")

# Pages of contents that no other memory has: the seed keeps them apart from other tests' children.
FILLS = textwrap.dedent("""
    import ctypes, mmap, sys
    zeros, equal, unique, seed = (int(word) for word in sys.argv[1:])
    pages = zeros + equal + unique
    memory = mmap.mmap(-1, pages * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for i in range(zeros):
        memory[i * 4096] = 0
    for i in range(zeros, zeros + equal):
        memory[i * 4096 : i * 4096 + 12] = b"equal in all"
    for i in range(zeros + equal, pages):
        memory[i * 4096 : i * 4096 + 16] = seed.to_bytes(8, "little") + i.to_bytes(8, "little")
    print(ctypes.addressof(ctypes.c_char.from_buffer(memory)) // 4096, flush=True)
    sys.stdin.read()
""")


@contextmanager
def _filled(zeros: int, equal: int, unique: int, seed: int) -> Iterator[tuple[int, range]]:
    """Start a process with known pages; give its number and where they are."""
    command = [sys.executable, "-c", FILLS, *(str(n) for n in (zeros, equal, unique, seed))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            first = int(process.stdout.readline())
            yield process.pid, range(first, first + zeros + equal + unique)
        finally:
            process.kill()


@needs_linux
@pytest.mark.parametrize("in_full_mib", [1024.0, 0.0], ids=["compared in full", "by hash"])
def test_counts_of_known_pages_are_exact(in_full_mib: float) -> None:
    with _filled(1000, 500, 300, seed=1) as (pid, where):
        pages = read_processes([pid], in_full_mib=in_full_mib)
    own = pages[pages["vpage"].isin(where)]
    assert len(own) == 1800
    assert int(own["zero"].sum()) == 1000
    assert sorted(own["content"].value_counts())[-2:] == [500, 1000]
    assert own["content"].nunique() == 302
    assert (own["kind"] == "anonymous").all()
    found = ProcessSavings({"all": own}, "processes", "known pages").savings("all")
    assert (found.zero, found.within, found.across, found.distinct) == (999, 499, 0, 302)


@needs_linux
@pytest.mark.parametrize("stop", [False, True])
def test_two_processes_share_what_both_have(*, stop: bool) -> None:
    with ExitStack() as stack:
        # Both have the equal pages; seeds 2 and 2 also give the same unique ones, 3 others.
        children = [stack.enter_context(_filled(10, 20, 30, seed)) for seed in (2, 2, 3)]
        result = running([pid for pid, _ in children], stop=stop)
        for pid, _ in children:
            assert process_state(pid) in {"R", "S", "D"}  # goes on afterwards: not "T", stopped
        names = list(result.groups["all"]["process"].cat.categories)
        assert [name.rpartition(" ")[2] for name in names] == [f"({pid})" for pid, _ in children]
        pages = result.groups["all"]
        keep = np.zeros(len(pages), dtype=bool)
        for name, (_, where) in zip(names, children, strict=True):
            keep |= ((pages["process"] == name) & pages["vpage"].isin(where)).to_numpy()
    own = ProcessSavings({"all": pages[keep]}, "processes", "known").savings("all")
    assert own.pages == 180
    assert own.zero == 29
    assert own.within == 3 * 19
    assert own.across == 2 + 30
    assert ("stopped while" in result.explain()) == stop


@needs_linux
def test_by_hash_and_in_full_agree_on_a_whole_process() -> None:
    with _filled(100, 50, 30, seed=4) as (pid, _), processes._stopped([pid]):
        in_full = read_processes([pid])
        by_hash = read_processes([pid], in_full_mib=0)
    assert np.array_equal(in_full["vpage"], by_hash["vpage"])
    assert np.array_equal(in_full["zero"], by_hash["zero"])
    # The same partition: each number of the one goes with one number of the other.
    pairs = set(zip(in_full["content"], by_hash["content"], strict=True))
    assert len(pairs) == in_full["content"].nunique() == by_hash["content"].nunique()


@needs_linux
def test_more_copies_and_fixed_addresses_save_more() -> None:
    result = copies(["sleep", "60"], 4)
    assert list(result.groups) == ["random", "fixed"]
    random, fixed = (result.savings(group, "private pages") for group in result.groups)
    assert fixed.percent(fixed.saved) > random.percent(random.saved)
    every, private = result.savings("fixed"), fixed
    assert every.pages > private.pages
    assert every.owners == 4
    # All of a file's pages are equal, so four copies of such a small program save well over half.
    assert 50 < every.percent(every.saved) < 76
    assert list(result.groups["fixed"]["process"].cat.categories) == [
        f"sleep #{i}" for i in range(4)
    ]


@needs_linux
def test_one_copy_saves_nothing_across() -> None:
    found = copies(["sleep", "60"], 1, aslr=True, settle_s=0.3)
    assert found.savings("random").across == 0
    assert found.explain().startswith("1 copy of `sleep 60`: in a VM each")


@needs_linux
def test_a_system_without_fixed_addresses_still_gives_the_random_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = starting.copies_running

    def refusing(*args: object, aslr: bool, **more: object) -> object:
        if not aslr:
            raise PermissionError("this system does not let a program switch it off")
        return real(*args, aslr=aslr, **more)  # type: ignore[arg-type] # passed on as they came

    monkeypatch.setattr(processes, "copies_running", refusing)
    result = copies(["sleep", "60"], 2, settle_s=0.2)
    assert list(result.groups) == ["random"]
    assert "Only random addresses were looked at: this system does not let" in result.explain()
    with pytest.raises(PermissionError):
        copies(["sleep", "60"], 2, aslr=False, settle_s=0.2)


@needs_linux
def test_programs_that_a_program_starts_are_said_not_to_count() -> None:
    result = copies(["sh", "-c", "sleep 61 & wait"], 1, aslr=True, settle_s=0.5)
    assert "The program has started others: these are not counted." in result.explain()


@needs_linux
def test_stopping_virtlab_itself_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="virtlab itself"):
        running([os.getpid()], stop=True)


@needs_linux
def test_a_process_that_was_stopped_before_stays_stopped() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            time.sleep(0.1)
            os.kill(process.pid, 19)
            while process_state(process.pid) != "T":
                pass
            running([process.pid], stop=True)
            assert process_state(process.pid) == "T"
        finally:
            process.kill()


@needs_linux
@pytest.mark.parametrize("pids", [[], [0], [2**22 + 1]])
def test_no_such_process(pids: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="pid"):
        running(pids)


def test_no_linux_is_said_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(InvalidInputError, match=r"pid = 7: must be given on Linux: this system"):
        running([7])
    with pytest.raises(InvalidInputError, match=r"command = 'sleep 1': must be given on Linux"):
        copies(["sleep", "1"], 2)


def test_stored_pages_give_what_was_counted_when_they_were_measured() -> None:
    # The stored pages are another run of the same programs, so they agree but for a point or two.
    result = measured()
    table = sharing_vs_copies()
    table = table[(table["copies"] == 2) & table["aslr"]].set_index("app")
    for program, row in table.iterrows():
        every = result.savings(str(program))
        private = result.savings(str(program), "private pages")
        assert abs(every.percent(every.saved) - row["saved_all_pct"]) < 1
        assert abs(private.percent(private.saved) - row["saved_anon_pct"]) < 1
        assert abs(private.percent(private.zero_pages) - row["zero_anon_pct"]) < 0.2
        assert abs(every.pages - row["pages"]) < 0.01 * every.pages


def test_tables_add_up() -> None:
    result = measured()
    totals = result.to_frame()
    pages = process_pages()
    every = totals[totals["counted"] == "all pages"]
    assert every["pages"].sum() == len(pages)
    assert (totals["zero"] + totals["within"] + totals["across"] == totals["saved"]).all()
    by_process = result.by_process()
    assert by_process["pages"].sum() == len(pages)
    kinds = by_process[["anonymous", "file", "private-dirty"]].sum(axis=1)
    assert (kinds == by_process["pages"]).all()
    assert by_process["zero_pages"].sum() == pages["zero"].sum()
    assert result.by_kind()["pages"].sum() == len(pages)


def test_json_holds_the_rows_by_process_and_kind() -> None:
    found = measured().to_json()
    assert len(found["rows"]) == 14
    assert len(found["by_process"]) == 14
    assert len(found["by_kind"]) == 21
    assert found["node_all_pages"] == 26053


def test_stored_pages_are_said_to_be_stored() -> None:
    assert "stored" in measured().explain()
    reason = "No process was looked at: this is no Linux."
    assert reason in measured(reason).explain()
    assert "20.1 % (sqlite :memory:) to 43.1 % (bash)" in measured().explain()


def test_the_shell_sees_readable_names() -> None:
    if not why_not():
        name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
        assert processes._name(os.getpid()) == f"{name} ({os.getpid()})"
    assert processes._name(2**22 + 1) == str(2**22 + 1)


@pytest.mark.parametrize(("group", "view"), [("perl", "all pages"), ("node", "shared pages")])
def test_no_such_group_or_view(group: str, view: str) -> None:
    with pytest.raises(InvalidInputError, match="must be one of"):
        measured().savings(group, view)
