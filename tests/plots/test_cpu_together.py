"""Figures of co-scheduling: as many boxes as processors ran, and the finding in the title."""

from __future__ import annotations

import pytest
from matplotlib.collections import PolyCollection

from virtlab.plots import style
from virtlab.plots.cpu_together import draw_together
from virtlab.resources.cpu import CoRules, Smp, compare_rules

CASES = {
    "waste": compare_rules([Smp("four", 4), Smp("two", 2)]),
    "fits": compare_rules([Smp("a", 2), Smp("b", 2)]),
    "little work": compare_rules([Smp("a", 4, busy=1), Smp("b", 1)]),
    "three": compare_rules([Smp("a", 4, busy=3), Smp("b", 2), Smp("c", 3)], threshold=3),
    "nobody": compare_rules([Smp("a", 2, busy=0)]),
    "short": compare_rules([Smp("a", 2)], slots=2),
}


def title(figure: style.Plate) -> str:
    return figure.texts[0].get_text().replace("\n", " ")


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
@pytest.mark.parametrize("case", CASES)
def test_every_case_can_be_drawn_and_said(case: str, width: int) -> None:
    rules = CASES[case]
    figure = draw_together(rules, style.plate(width))
    assert figure.png(scale=1)
    assert rules.explain() in figure.alt


@pytest.mark.parametrize("case", CASES)
def test_there_is_a_box_for_each_processor_and_slot(case: str) -> None:
    rules: CoRules = CASES[case]
    (axes,) = draw_together(rules).axes
    drawn = [len(c.get_paths()) for c in axes.collections if isinstance(c, PolyCollection)]
    shown = [run.ran[:24] for run in (rules.strict, rules.relaxed)]
    assert drawn[:-1] == sum(ran.sum(axis=0) for ran in shown).tolist()
    assert sum(drawn) == 2 * rules.strict.cpus * len(shown[0])


def test_the_title_says_what_is_found() -> None:
    assert "leaves 25\N{NO-BREAK SPACE}% of the processors idle" in title(
        draw_together(CASES["waste"])
    )
    assert "both rules use all" in title(draw_together(CASES["fits"]))
    assert "use 50 % of the processors" in title(draw_together(CASES["little work"]))


def test_both_rules_by_hand() -> None:
    frame = CASES["waste"].to_frame().set_index("name")
    assert frame["strict_percent"].tolist() == [200, 100]
    assert frame["relaxed_percent"].tolist() == pytest.approx([266.67, 133.33], abs=0.01)
    assert CASES["waste"].summary() == {
        "cpus": 4,
        "threshold_slots": 0,
        "strict_utilization_percent": 75.0,
        "relaxed_utilization_percent": 100.0,
    }
