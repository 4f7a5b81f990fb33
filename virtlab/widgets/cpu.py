"""Widgets of shared processors (S21, S22): live, and virtual processors that run together.

>>> live().set(vm="VM2", shares=2000).moment.entitled
{'VM1': 25.0, 'VM2': 50.0, 'VM3': 25.0}
>>> together().result.strict.utilization_percent
75.0
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.plots.cpu_together import draw_together
from virtlab.resources.cpu import CoRules, Smp, compare_rules
from virtlab.widgets import controls
from virtlab.widgets.app import App
from virtlab.widgets.cpu_live import LivePlayer

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.plots.style import Plate
    from virtlab.resources.cpu import Policy

__all__ = ["live", "together"]

_SLOTS = 240  # many periods, and soon done


def live(policy: str | Callable[[], Policy] = "stride") -> LivePlayer:
    """Make the widget of the talk's three pictures: change, add, remove while time runs.

    Parameters
    ----------
    policy
        'stride', 'lottery', 'round robin', or a policy class of your own.

    Returns
    -------
    LivePlayer
        The widget, 2 s after the start, with three VMs.

    Examples
    --------
    >>> player = live().press("Add VM4")
    >>> print(player.moment.explain())
    At 2 s VM4 is added with 1000 shares. Entitled are now VM1 : VM2 : VM3 : VM4 = \
25 : 25 : 25 : 25 % (before, VM1 : VM2 : VM3 = 33.3 : 33.3 : 33.3 %). The ratio of the others stays.
    """
    return LivePlayer(policy)


def together() -> App[CoRules]:
    """Make the widget of co-scheduling: VMs with several virtual processors, under both rules.

    Returns
    -------
    App
        With controls cpus, vcpus1, busy1, vcpus2, vcpus3, threshold.

    Examples
    --------
    >>> app = together().set(busy1=2)
    >>> app.result.strict.utilization_percent
    100.0
    """

    def compute(
        *, cpus: int, vcpus1: int, busy1: int, vcpus2: int, vcpus3: int, threshold: int
    ) -> CoRules:
        vms = [Smp("VM1", vcpus1, min(busy1, vcpus1)), Smp("VM2", vcpus2)]
        if vcpus3:
            vms.append(Smp("VM3", vcpus3))
        return compare_rules(vms, cpus, _SLOTS, threshold=threshold)

    def draw(result: CoRules, figure: Plate) -> None:
        draw_together(result, figure)

    slider = controls.slider
    return App(
        controls={
            "cpus": slider("Processors", "", 4, 4, 8, 1),
            "vcpus1": slider("VM1's virtual processors", "", 4, 1, 4, 1),
            "busy1": slider("of which are busy", "", 4, 1, 4, 1),
            "vcpus2": slider("VM2's virtual processors", "", 2, 1, 4, 1),
            "vcpus3": slider("VM3's virtual processors", "", 0, 0, 4, 1),
            "threshold": slider("Skew that is allowed", "slots", 0, 0, 8, 1),
        },
        compute=compute,
        draw=draw,
    )
