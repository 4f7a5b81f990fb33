"""Widgets of shared processors (S21, S22): live, cores with two halves, VMs that run together.

>>> live().set(vm="VM2", shares=2000).moment.entitled
{'VM1': 25.0, 'VM2': 50.0, 'VM3': 25.0}
>>> together().result.strict.utilization_percent
75.0
>>> cores().set(bound1=(0, 0), bound2=(0, 1), kind3="off").result.work_s.round(2).tolist()
[1.24, 1.24]
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from virtlab.plots.cpu_cores import draw_cores
from virtlab.plots.cpu_together import draw_together
from virtlab.resources.cpu import (
    Contention,
    Cores,
    CoRules,
    CpuVM,
    Smp,
    compare_rules,
    schedule_threads,
)
from virtlab.widgets import controls
from virtlab.widgets.app import App
from virtlab.widgets.cpu_live import LivePlayer

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.plots.style import Plate
    from virtlab.resources.cpu import Policy, ThreadedRun

__all__ = ["cores", "live", "together"]

_SECONDS, _STEP_S = 2.0, 0.02
_KINDS = {"computing": "compute", "cache": "cache", "self-modifying": "self-modifying"}
_SHARING = {"any": "any", "none": "none", "internal": "internal"}
_BOUND: dict[str, Any] = {
    "anywhere": None,
    **{
        f"core {core}, {word}": (core, half)
        for core in (0, 1)
        for half, word in enumerate(("1st", "2nd"))
    },
}

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


def cores() -> App[ThreadedRun]:
    """Make the core map of S22: up to three busy VMs on hyperthreaded cores, moment by moment.

    Returns
    -------
    App
        With controls cores, threads, quarantine, time, and of each of three VMs kind, sharing and
        bound (kind1, sharing1, bound1, ...).

    Examples
    --------
    >>> app = cores().set(kind3="off")
    >>> [place.name for place in app.result.moment(0.5)]  # each has a core
    ['VM1', '', 'VM2', '']
    """
    choice = controls.choice
    time = controls.player(
        "Time", "s", round(_SECONDS / _STEP_S), value=2, per_frame=_STEP_S, interval_ms=300
    )

    def draw(run: ThreadedRun, figure: Plate) -> None:
        draw_cores(run, round(time.value * _STEP_S, 6), figure=figure)

    vms = (1, 2, 3)
    app = App(
        controls={
            "cores": controls.slider("Cores", "", 2, 2, 4, 1),
            "threads": choice("Logical CPUs", {"1": 1, "2": 2}, 2),
            **{f"kind{i}": choice(f"VM{i}'s work", _KINDS, "compute") for i in vms[:2]},
            "kind3": choice("VM3's work", {**_KINDS, "off": "off"}, "compute"),
            **{f"sharing{i}": choice(f"VM{i} sharing", _SHARING, "any") for i in vms},
            **{f"bound{i}": choice(f"VM{i} runs", _BOUND, None) for i in vms},
            "quarantine": controls.toggle("Quarantine", value=False),
            "time": time,
        },
        compute=_on_cores,
        draw=draw,
    )
    app.add_class("virtlab-live")  # many small controls
    return app


def _on_cores(time: int, **settings: Any) -> ThreadedRun:
    """Run once for all moments."""
    del time  # it moves over a run that is there already
    return _cores_run(**settings)


@lru_cache(maxsize=8)
def _cores_run(cores: int, threads: int, *, quarantine: bool, **vm: Any) -> ThreadedRun:
    def bound(place: tuple[int, int] | None) -> set[int] | None:
        if place is None:
            return None
        core, half = place
        return {core * threads + min(half, threads - 1)}

    vms = [
        CpuVM(
            f"VM{i}",
            sharing=vm[f"sharing{i}"],
            affinity=bound(vm[f"bound{i}"]),
            kind=vm[f"kind{i}"],
        )
        for i in (1, 2, 3)
        if vm[f"kind{i}"] != "off"
    ]
    machine = Cores(cores, threads, Contention(), quarantine)
    return schedule_threads(vms, machine, _SECONDS, quantum_ms=1000 * _STEP_S)
