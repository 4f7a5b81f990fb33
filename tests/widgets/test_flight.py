"""The view of a migration, without a browser: what travels to it, and what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.widgets.flight import FlightView, Moment

LEGEND = {"free": "not there", "used": "arrived", "dirty": "dirty"}


def make(asked: list[int] | None = None) -> FlightView:
    return FlightView(("one", "two"), LEGEND, on_step=None if asked is None else asked.append)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_all_pages_are_counted_on_both_sides(states: list[tuple[int, int]]) -> None:
    source, target = (list(side) for side in zip(*states, strict=True))
    view = make()
    view.show(Moment(source, target, step=1))
    counts = np.array(view.counts)
    assert counts.sum(axis=0).tolist() == [len(states), len(states)]
    assert counts[:, 0].tolist() == [source.count(kind) for kind in range(3)]


def test_page_numbers_travel_as_four_bytes_each() -> None:
    view = make()
    view.show(Moment([0] * 300, [1] * 300, moving=[7, 299], written=[258]))
    assert np.frombuffer(view.moving, "<u4").tolist() == [7, 299]
    assert np.frombuffer(view.written, "<u4").tolist() == [258]


def test_one_moment_is_one_message() -> None:
    view = make()
    versions: list[int] = []
    view.observe(lambda change: versions.append(change["new"]), names="version")
    for _ in range(3):
        view.show(Moment([0, 1], [0, 0]))
    assert versions == [1, 2, 3]


@pytest.mark.parametrize(
    ("where", "words"),
    [("source", "runs on source"), ("target", "runs on target"), ("paused", "is paused")],
)
def test_it_says_where_the_vm_runs(where: str, words: str) -> None:
    view = make()
    view.show(Moment([0], [0], where=where))
    assert words in view.alt
    assert view.alt in repr(view)


def test_a_step_is_asked_for() -> None:
    asked: list[int] = []
    view = make(asked)
    view.asked = {"step": 2, "time": 5}
    view.asked = {"step": 2, "time": 6}  # the same step again
    assert asked == [2, 2]


def test_each_state_has_its_colour_and_sign() -> None:
    colours = [entry["colour"] for entry in make().legend]
    assert len(set(colours)) == 3
    assert make().legend[2]["sign"] is not None
