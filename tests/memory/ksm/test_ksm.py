"""The kernel's KSM counts what equality of contents predicts, and its settings come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.datasets import process_pages
from virtlab.memory.ksm import settings as ksm_settings
from virtlab.memory.ksm.asking import ask_ksm, ask_ksm_bytes, watch_ksm
from virtlab.memory.ksm.check import KsmCheck, KsmCount, predict, scan_rate
from virtlab.memory.ksm.settings import changed, read, read_all, why_no_ksm
from virtlab.memory.live.copies import copies_running
from virtlab.memory.live.procfs import iter_pages
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = ("run", "pages_to_scan", "sleep_millisecs", "max_page_sharing", "use_zero_pages")


# What is predicted


def _merge_one_by_one(contents: list[int], limit: int) -> tuple[int, int, int]:
    """Merge like KSM: a page joins a frame with room, or a lone page of its content."""
    zeros = contents.count(0)
    frames: list[list[int]] = []  # content and pages of each frame
    lone: set[int] = set()
    for content in contents:
        if content == 0:
            continue
        with_room = next((f for f in frames if f[0] == content and f[1] < limit), None)
        if with_room:
            with_room[1] += 1
        elif content in lone:
            lone.remove(content)
            frames.append([content, 2])
        else:
            lone.add(content)
    return sum(frame[1] for frame in frames), zeros, len(frames)


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(2, 7))
def test_prediction_is_what_merging_one_by_one_gives(contents: list[int], limit: int) -> None:
    assert predict(contents, limit) == _merge_one_by_one(contents, limit)


def test_zeros_are_pages_like_others_where_the_kernel_does_not_take_them_apart() -> None:
    assert predict([0, 0, 0, 4], 256) == (0, 3, 0)
    assert predict([0, 0, 0, 4], 256, zero_apart=False) == (3, 0, 1)


def test_at_the_limit_by_hand() -> None:
    assert predict([3] * 256, 256) == (256, 0, 1)
    assert predict([3] * 257, 256) == (256, 0, 1)  # one is left over
    assert predict([3] * 258, 256) == (258, 0, 2)


def test_a_limit_below_two_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="limit"):
        predict([1, 1], 1)


def test_scan_rate_by_hand() -> None:
    assert scan_rate() == 5000
    assert scan_rate(1000, 50) == 20_000
    with pytest.raises(InvalidInputError, match="pages_to_scan"):
        scan_rate(0)


def _count(**other: int) -> KsmCount:
    numbers = {"merged": 5, "kernel_merged": 5, "zero": 2, "kernel_zero": 2, "frames": 2}
    numbers |= {"kernel_frames": 2} | other
    return KsmCount("x", 10, scans=4, seconds=0.1, **numbers)


def test_the_difference_is_said() -> None:
    assert "exactly as many" in KsmCheck((_count(),)).explain()
    off = KsmCheck((_count(), _count(kernel_merged=3, kernel_zero=3)))
    assert off.summary()["difference"] == 3
    assert "a difference of 3 pages" in off.explain()
    assert off.to_frame()["difference"].tolist() == [0, 3]


def test_frames_of_other_users_of_ksm_do_not_count() -> None:
    assert _count(kernel_frames=-1).difference == 0
    assert _count(kernel_frames=3).difference == 1


# Settings, on a folder of our own


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    values = {
        "run": "0",
        "pages_to_scan": "100",
        "sleep_millisecs": "20",
        "max_page_sharing": "256",
        "use_zero_pages": "0",
        "pages_shared": "0",
        "advisor_mode": "none [scan-time]",
    }
    for name, value in values.items():
        (tmp_path / name).write_text(f"{value}\n")
    monkeypatch.setattr(ksm_settings, "FOLDER", tmp_path)
    monkeypatch.setattr(ksm_settings, "why_no_ksm", lambda: "")
    return tmp_path


unix = pytest.mark.skipif(sys.platform == "win32", reason="KSM and file locks of Unix")


@unix
def test_settings_hold_inside_and_come_back(folder: Path) -> None:
    before = read_all()
    with changed(pages_to_scan=7, max_page_sharing=16, smart_scan=0):
        assert read("pages_to_scan") == "7"
        assert read("max_page_sharing") == "16"
        assert read("run") == "1"
        assert read("advisor_mode") == "none"
        assert not (folder / "smart_scan").exists()  # a kernel that has none gets none
    assert read_all() == before


@unix
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_settings_come_back_after_an_error(folder: Path, error: type[BaseException]) -> None:
    before = read_all()
    with pytest.raises(error), changed(pages_to_scan=7):
        raise error
    assert read_all() == before


@unix
def test_the_limit_stays_where_others_share_pages(folder: Path) -> None:
    (folder / "pages_shared").write_text("12\n")
    with changed(max_page_sharing=16, pages_to_scan=7):
        assert read("max_page_sharing") == "256"
        assert read("pages_to_scan") == "7"


@unix
def test_a_second_check_has_to_wait(folder: Path) -> None:
    with (
        changed(pages_to_scan=7),
        pytest.raises(PermissionError, match="another check is asking KSM"),
        changed(pages_to_scan=8),
    ):
        pass
    assert read("pages_to_scan") == "100"


def test_a_system_without_ksm_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ksm_settings, "FOLDER", tmp_path / "ksm")
    assert "this system has no KSM" in why_no_ksm()
    assert read_all() == {}
    with pytest.raises(PermissionError, match="has no KSM"), changed():
        pass


@pytest.mark.skipif(bool(why_no_ksm()), reason=why_no_ksm() or "runs")
def test_only_root_may_switch_it_on() -> None:
    script = textwrap.dedent("""
        import os
        from virtlab.memory.ksm.asking import ask_ksm
        os.setgid(65534); os.setuid(65534)
        try:
            ask_ksm([1, 1])
        except PermissionError as error:
            print(error)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ("KSM is set for the whole system, so only root may switch it on")


# The kernel itself: asked for by --ksm

real = pytest.mark.skipif(bool(why_no_ksm()), reason=why_no_ksm() or "runs")


@pytest.fixture
def settings_stay() -> Iterator[None]:
    before = {name: value for name, value in read_all().items() if name in SETTINGS}
    yield
    after = read_all()
    assert {name: after[name] for name in before} == before


@real
@pytest.mark.ksm
@pytest.mark.usefixtures("settings_stay")
def test_kernel_counts_known_pages() -> None:
    count = ask_ksm([0] * 1000 + [7] * 500 + [8, 8] + list(range(10, 310)))
    assert (count.kernel_merged, count.kernel_zero) == (502, 1000)
    assert count.difference == 0


@real
@pytest.mark.ksm
@pytest.mark.usefixtures("settings_stay")
def test_kernel_keeps_to_the_limit_as_predicted() -> None:
    if read("pages_shared") != "0":
        pytest.skip("others use KSM here, so the limit can't be changed")
    sizes = [2, 15, 16, 17, 18, 31, 32, 33, 34, 1000]
    contents = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    count = ask_ksm(np.random.default_rng(3).permutation(contents), limit=16)
    assert count.kernel_frames == count.frames == sum(n // 16 + (n % 16 > 1) for n in sizes)
    assert count.kernel_merged == count.merged == sum(sizes) - 2  # 17 and 33 leave one each
    assert count.difference == 0


@real
@pytest.mark.ksm
@pytest.mark.usefixtures("settings_stay")
@pytest.mark.parametrize("program", ["python plain", "node", "redis", "java"])
def test_kernel_counts_the_stored_pages(program: str) -> None:
    pages = process_pages()
    count = ask_ksm(pages[pages["program"] == program]["content"], program, seed=5)
    assert count.difference == 0
    assert count.kernel_merged > 0


@real
@pytest.mark.ksm
@pytest.mark.usefixtures("settings_stay")
def test_kernel_counts_the_bytes_of_real_processes() -> None:
    data = bytearray()
    with copies_running(["sleep", "60"], 3, settle_s=0.3) as pids:
        for pid in pids:
            for chunk in iter_pages(pid):
                data += chunk.data
    count = ask_ksm_bytes(data, "sleep")
    assert count.pages > 500
    assert count.kernel_merged > count.pages / 2
    assert count.difference == 0


@real
@pytest.mark.ksm
@pytest.mark.usefixtures("settings_stay")
def test_at_the_default_rate_it_scans_as_fast_as_predicted() -> None:
    seen = watch_ksm([5] * 3000, seconds=3)
    assert seen["time_s"].is_monotonic_increasing
    assert seen["scanned_pages"].is_monotonic_increasing
    last = seen.iloc[-1]
    assert 0 < last["scanned_pages"] <= scan_rate() * (last["time_s"] + 0.2)
    assert last["merged_pages"] == 3000 - (3000 % 256 == 1)
    assert seen["merged_pages"].iloc[0] == 0


@real
@pytest.mark.ksm
@pytest.mark.usefixtures("settings_stay")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_settings_come_back_when_it_is_ended(number: signal.Signals) -> None:
    script = textwrap.dedent("""
        import signal
        for name in ("SIGINT", "SIGHUP"):  # nohup and background jobs ignore these
            default = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
            signal.signal(getattr(signal, name), default)
        from virtlab.memory.ksm.asking import watch_ksm
        watch_ksm(list(range(1000)) * 2, pages_to_scan=77, seconds=60)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 20
        while read("pages_to_scan") != "77":
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, number)
        assert process.wait(20) != 0


def test_more_pages_than_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("virtlab.memory.ksm.asking._available_pages", lambda: 10)
    with pytest.raises(InvalidInputError, match="80 % of the 10 pages free"):
        ask_ksm([1] * 100)
