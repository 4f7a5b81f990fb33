"""The still picture of the translation cache: a block for each unit, as it is at the moment."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from virtlab.machine.translation.cache_moment import STATES, CacheLog, Event, UnitSeen
from virtlab.plots import style
from virtlab.plots.translation_cache import MARKS, draw_cache, rows_of


def log(count: int = 9, limit: int = 6) -> CacheLog:
    """Return a run of straight code through a cache with too little room, and a write on code."""
    units = tuple(
        UnitSeen(0x1000 + 0x400 * k, 1 + k // 4, ("NOP",) * (1 + k % 12), 1, direct=True)
        for k in range(count)
    )
    events: list[Event] = []
    for k in range(count):
        if k == limit:
            events += [Event(k, "evict", old) for old in range(limit)]
        events += [Event(k, "translate", k), Event(k, "enter", k)]
    events += [Event(count, "invalidate", count - 2)]
    return CacheLog("straight", "flush_all", limit, units, tuple(events), count)


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
@pytest.mark.parametrize("frame", [0, 3, 8, -1])
def test_each_unit_is_a_block_in_its_state(frame: int, width: int) -> None:
    run = log()
    moment = run.at(frame % len(run))
    axes = draw_cache(moment, style.plate(width)).axes[0]
    blocks = [bar for bar in axes.patches if bar.get_height() == 0.74]  # type: ignore[attr-defined]
    drawn = [(round(bar.get_width()), to_hex(bar.get_facecolor())) for bar in blocks]  # type: ignore[attr-defined]
    order = [unit for _, units in rows_of(run) for unit in units]
    assert drawn == [
        (len(run.units[k].code), MARKS[STATES[moment.states[k]]].colour.lower()) for k in order
    ]


def test_the_line_is_how_many_units_there_were() -> None:
    run = log()
    lower = draw_cache(run.at(len(run) - 1)).axes[1]
    held = [len(run.at(frame).held) for frame in range(len(run))]
    assert np.asarray(lower.lines[0].get_ydata()).tolist() == [*held, held[-1]]
    assert np.asarray(lower.lines[1].get_ydata()).tolist() == [6, 6]
    assert [len(np.asarray(line.get_xdata())) for line in lower.lines[2:]] == [1, 1]


def test_titles_say_what_was_lost() -> None:
    run = log()
    titles = [draw_cache(run.at(frame)).texts[0].get_text() for frame in (2, 8, len(run) - 1)]
    assert titles[0] == "straight: 2 units translated, entered 2 times"
    assert titles[1] == "straight: 6 units had to leave a full cache"
    assert titles[2] == "straight: 1 units lost to writes on code"


def test_a_run_without_units_can_be_drawn() -> None:
    nothing = CacheLog("nothing", "oldest", 4, (), (), 0)
    assert "0 there" in draw_cache(nothing.at(0)).alt


def test_states_differ_by_more_than_colour() -> None:
    hatches = [MARKS[state].hatch for state in ("there", "new", "evicted", "invalidated")]
    assert len(set(hatches)) == 4
