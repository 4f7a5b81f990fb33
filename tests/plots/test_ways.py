"""The ladder of ways: its bars are the slowdowns, and what is missing is said."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.machine.comparison import Comparison, Sample
from virtlab.machine.ways import WAYS, all_stored, stored
from virtlab.plots import style, ways
from virtlab.plots.ways import draw_ladder


def ladder(figure: style.Plate) -> ways._Ladder:
    assert isinstance(figure.view, ways._Ladder)
    return figure.view


@pytest.mark.parametrize("name", list(all_stored()))
@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_a_bar_ends_at_its_slowdown(name: str, width: int) -> None:
    found = stored(name)
    view = ladder(draw_ladder(found, style.plate(width)))
    bars = [*view.own.get_paths(), *view.instead.get_paths()]
    ends = [float(np.asarray(bar.vertices)[:, 0].max()) for bar in bars]
    ran = [way for way in WAYS if way.name in found.samples]
    expected = [max(0.03, float(np.log10(found.slowdown(way.name)))) for way in ran]
    assert ends == pytest.approx(expected)
    assert [len(view.own.get_paths()), len(view.instead.get_paths())] == [2, len(ran) - 2]


def test_our_own_tiers_stand_on_the_ladder_where_they_were_run() -> None:
    times = {"native": 0.1, "wasm tier": 0.4, "python tier": 40.0, "interpreted": 20_000.0}
    samples = {name: (Sample(10**8, seconds),) for name, seconds in times.items()}
    found = Comparison("sieve", samples, {"llvm tier": "no llvmlite"}, "here")
    for width in (style.WIDE_PX, style.NARROW_PX):
        figure = draw_ladder(found, style.plate(width))
        view = ladder(figure)
        assert len(view.instead.get_paths()) == 3
        said = [text.get_text() for text in view.names if text.get_text()]
        assert [words.partition(":")[0] for words in said] == [
            "native", "llvm tier", "wasm tier", "python tier", "interpreted",
        ]  # fmt: skip
        assert sum(text.get_text() == "not here" for text in view.values) == 1
        figure.png(scale=1)


def test_the_spans_hold_all_programs() -> None:
    view = ladder(draw_ladder(stored("sieve")))
    ran = [way for way in WAYS if way.name in stored("sieve").samples]
    for way, span in zip(ran, view.spans.get_segments(), strict=True):
        low, high = sorted(10 ** np.asarray(span)[:, 0])
        for one in all_stored().values():
            assert low * 0.999 <= max(1, one.slowdown(way.name)) <= high * 1.001


def test_what_could_not_be_run_is_said() -> None:
    samples = {"interpreted": (Sample(1000, 0.05),)}
    why = {"native": "this processor is arm64", "direct": "this processor is arm64"}
    figure = draw_ladder(Comparison("sieve", samples, why, "here"))
    assert figure.alt.count("this processor is arm64") == 2
    assert sum(text.get_text() == "not here" for text in figure.axes[0].texts) == 2
    assert figure.texts[0].get_text() == "sieve: what each way costs"


def test_another_program_leaves_no_trace() -> None:
    again = draw_ladder(stored("sieve"))
    draw_ladder(stored("crc32"), again)
    assert again.png(scale=1) == draw_ladder(stored("crc32")).png(scale=1)


@pytest.mark.parametrize(
    ("slow", "words"),
    [(1.0, "1.00 ×"), (1.04, "1.04 ×"), (8.64, "8.6 ×"), (55_123, "55,100 ×"), (123.4, "123 ×")],
)
def test_factors_are_written_as_one_says_them(slow: float, words: str) -> None:
    assert ways.times(slow) == words
