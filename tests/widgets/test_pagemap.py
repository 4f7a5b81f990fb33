"""The moving map: what travels to the browser rebuilds what the kernel has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.plots.pages import SIGNS
from virtlab.validate import InvalidInputError
from virtlab.widgets.pagemap import PageMap

LEGEND = ("free", "used", "zero", "shared")


class Browser:
    """Follows a map by its messages alone, as pagemap-paint.js does."""

    def __init__(self, pages: PageMap) -> None:
        self.pages = pages
        self.version = -1
        self.asked = 0
        self.messages: list[int] = []
        self.follow()

    def follow(self) -> None:
        pages = self.pages
        if pages.base_version == pages.version:
            self.states = np.frombuffer(pages.base, np.uint8).copy()
            self.messages.append(len(pages.base))
        elif self.version == pages.version - 1:
            count = len(pages.delta) // 5
            indices = np.frombuffer(pages.delta[: 4 * count], "<u4")
            self.states[indices] = np.frombuffer(pages.delta[4 * count :], np.uint8)
            self.messages.append(len(pages.delta))
        else:
            self.asked += 1
            pages._asked(pages, {"ask": "all"}, [])
            return
        self.version = pages.version


def follow_after(pages: PageMap, browser: Browser) -> None:
    """Let the browser follow, and compare."""
    browser.follow()
    assert (browser.states == pages.pages.states).all()


def make(size: int = 100, **options: Any) -> PageMap:
    return PageMap(np.zeros(size, np.uint8), [("VM1", size)], LEGEND, **options)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 3)), max_size=60), max_size=8)
)
def test_the_browser_has_what_the_kernel_has(steps: list[list[tuple[int, int]]]) -> None:
    pages = make()
    browser = Browser(pages)
    for step in steps:
        unique = dict(step)
        pages.change(list(unique), list(unique.values()))
        follow_after(pages, browser)
    assert browser.asked == 0


def test_only_what_differs_travels() -> None:
    pages = make(10_000)
    browser = Browser(pages)
    states = np.zeros(10_000, np.uint8)
    states[[5, 77]] = 1
    pages.update(states)
    follow_after(pages, browser)
    assert browser.messages == [10_000, 2 * 5]


def test_a_large_change_travels_as_a_whole() -> None:
    pages = make(1_000)
    browser = Browser(pages)
    pages.update(np.ones(1_000, np.uint8))
    follow_after(pages, browser)
    assert browser.messages == [1_000, 1_000]


def test_a_view_that_missed_a_change_asks_for_all() -> None:
    pages = make()
    browser = Browser(pages)
    pages.change([1], 1)
    pages.change([2], 2)  # the browser saw neither
    browser.follow()
    assert browser.asked == 1
    follow_after(pages, browser)


def test_other_groups_start_a_new_map() -> None:
    pages = make(detail=lambda page: f"page {page}")
    pages.cursor = 50
    pages.update([0, 3], [("VM1", 1), ("VM2", 1)], title="Two")
    assert pages.cursor == -1
    assert [group["label"] for group in pages.groups] == ["VM1", "VM2"]
    assert pages.groups[0]["colour"] != pages.groups[1]["colour"]
    assert pages.alt.startswith("Two. Page map of 2 pages in 2 groups")
    assert pages.counts_by_group == [[1, 0, 0, 0], [0, 0, 0, 1]]


def test_words_follow_each_change() -> None:
    pages = make(4)
    pages.change([0, 1], 3)
    assert pages.alt.endswith(
        "2 free (50 %), 0 used by one VM (0 %), 0 zero (0 %), 2 shared (50 %)."
    )
    assert pages.counts["shared"].tolist() == [2]


def test_the_page_under_the_cursor_has_its_detail() -> None:
    asked: list[int] = []

    def detail(page: int) -> str:
        asked.append(page)
        return f"Seen {page} times."

    pages = make(detail=detail)
    assert asked == []
    pages.cursor = 7
    assert pages.detail == {"page": 7, "text": "Seen 7 times."}
    pages.change([7], 3)
    assert asked == [7, 7], "a changed page may have another detail"
    assert pages.describe(7) == "page 7 of VM1: shared. Seen 7 times."


def test_the_legend_tells_the_browser_colour_and_sign() -> None:
    pages = make()
    signs = {entry["label"]: entry["sign"] for entry in pages.legend}
    assert signs["free"] is None
    assert signs["shared"]["lines"] == SIGNS["shared"].lines
    assert [entry["own"] for entry in pages.legend] == [False, True, False, False]


def test_bad_states_leave_the_map_as_it_was() -> None:
    pages = make(3)
    with pytest.raises(InvalidInputError):
        pages.update([0, 9, 0])
    with pytest.raises(InvalidInputError):
        pages.change([5], 1)
    assert pages.pages.states.tolist() == [0, 0, 0]
    assert pages.version == 1


def test_without_a_kernel_there_is_a_picture_with_words_and_counts() -> None:
    pages = make(4, title="All is free")
    bundle, metadata = pages._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == pages.alt
    assert metadata["image/png"]["alt"] == pages.alt
    assert '<img alt="All is free. Page map of 4 pages' in bundle["text/html"]
    assert "used by one VM" in bundle["text/html"].partition("<table")[2]
    assert repr(pages) == f"PageMap({pages.alt!r})"
