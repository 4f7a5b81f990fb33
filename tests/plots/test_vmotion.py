"""Figures of migrations: they say what the runs say, at both widths, and stay inside the page."""

from __future__ import annotations

import pytest

from virtlab.migration.algorithms import Deck, PostCopy, QemuPreCopy, StopAndCopy
from virtlab.migration.contest import contest
from virtlab.migration.link import Link
from virtlab.migration.vm import Vm
from virtlab.migration.vmotion import migrate
from virtlab.migration.workloads import Uniform
from virtlab.plots import style
from virtlab.plots.vmotion import draw_contest, draw_timeline

VM = Vm(ram_mib=8, filled_mib=7, device_state_kib=64)
LINK = Link(bandwidth_mib_s=8)
WIDTHS = pytest.mark.parametrize("width", [960, 380])


def inside(figure: style.Plate) -> None:
    width, height = 100 * figure.get_size_inches()
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    for text in [one for one in texts if one.get_text()]:
        box = text.get_window_extent()
        assert box.x0 >= -1, text.get_text()
        assert box.x1 <= width + 1, text.get_text()
        assert -1 <= box.y0 < box.y1 <= height + 1, text.get_text()


@WIDTHS
@pytest.mark.parametrize(
    ("algorithm", "words"),
    [
        (StopAndCopy(), "Stop and copy: the VM stands still for 8"),
        (Deck(), "waits"),
        (PostCopy(), "waits"),
        (QemuPreCopy(), "stands still for"),
    ],
)
def test_a_timeline_says_its_finding(
    width: int, algorithm: StopAndCopy | Deck | PostCopy | QemuPreCopy, words: str
) -> None:
    run = migrate(VM, Uniform(1500, 600), LINK, algorithm)
    figure = draw_timeline(run, style.plate(width))
    assert words in " ".join(figure.texts[0].get_text().split())
    assert f"a pause of {run.downtime_ms:.0f} ms" in figure.alt
    figure.png(1)
    inside(figure)


def test_one_that_was_given_up_is_said_to_be() -> None:
    run = migrate(VM, Uniform(1700, 9000), LINK, QemuPreCopy(), give_up_s=3)
    assert draw_timeline(run).texts[0].get_text() == "Pre-copy (QEMU): given up after 3.0 s"


@WIDTHS
def test_the_contest_names_every_algorithm_and_its_price(width: int) -> None:
    found = contest(VM, Uniform(1500, 600), LINK)
    figure = draw_contest(found, style.plate(width))
    for run in found.runs:
        assert run.algorithm in figure.alt
        assert f"{run.sent_mib:.0f} MiB sent" in figure.alt
    figure.png(1)
    inside(figure)


def test_lost_pages_have_a_sign() -> None:
    wide = Vm(ram_mib=128, filled_mib=0)
    found = contest(
        wide, Uniform(32_000, 25_000), Link(bandwidth_mib_s=16), [Deck(as_told=True), Deck()]
    )
    texts = [text.get_text() for text in draw_contest(found).axes[0].texts]
    assert sum("⚠" in text for text in texts) == 1


@WIDTHS
def test_a_contest_on_a_used_figure_looks_as_on_a_new_one(width: int) -> None:
    used = style.plate(width)
    slow = contest(VM, Uniform(1700, 9000), LINK, give_up_s=3)  # two are given up
    fewer = contest(VM, Uniform(100, 50), LINK, [Deck(), QemuPreCopy()])
    other = contest(VM, Uniform(1500, 600), LINK)
    assert "given up" in draw_contest(slow).alt
    for found in (slow, other, fewer, slow):
        assert draw_contest(found, used).png(1) == draw_contest(found, style.plate(width)).png(1)
