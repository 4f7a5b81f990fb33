"""Widgets of shares (S20): one disk, three VMs; the same disk as a queue in time.

>>> app = shares_app()
>>> app.result.allocation.tolist()
[40.0, 80.0, 40.0]
>>> app.set(idle=3).result.allocation.round(1).tolist()
[53.3, 106.7, 0.0]
"""

from __future__ import annotations

import math
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from virtlab.plots.disk import draw_disk
from virtlab.plots.shares import draw_allocation, draw_vessels
from virtlab.resources.disk import Change, DiskLoad, serve
from virtlab.resources.disk_policies import Fifo, Policy, RoundRobin, StartTimeFair, Units
from virtlab.resources.shares import allocate
from virtlab.widgets import controls
from virtlab.widgets.app import App

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtlab.plots.style import Plate
    from virtlab.resources.disk_run import DiskRun
    from virtlab.resources.shares import Allocation

__all__ = ["POLICIES", "disk_app", "shares_app"]

POLICIES: Final[Mapping[str, type[Policy]]] = MappingProxyType(
    {
        "start-time fair (by shares)": StartTimeFair,
        "first come, first served": Fifo,
        "round robin": RoundRobin,
    }
)
UNIT = "MB/s"
SECONDS, CHANGE_AT, IDLE = 6.0, 2.0, (4.0, 5.0)
_LARGE_KB = 256.0
_KB = MappingProxyType({"64 KB": 64.0, "256 KB": 256.0, "1024 KB": 1024.0})
_COUNTS = MappingProxyType(
    {"units: command and size": Units(), "bytes alone": Units(per_command=0.0)}
)


def shares_app(capacity: float = 160, shares: tuple[int, int, int] = (1000, 2000, 1000)) -> Any:
    """Make the widget of the slide: a disk's bandwidth, and shares, min and max of three VMs.

    Parameters
    ----------
    capacity
        MB/s at the start, from 150 to 320.
    shares
        Shares at the start, from 0 to 4000.

    Returns
    -------
    App
        With controls capacity, idle, view, and shares, minimum and maximum of VM1 to VM3
        (shares1, minimum1, maximum1, ...).

    Examples
    --------
    >>> app = shares_app()
    >>> app.set(shares2=1000).result.allocation.round(1).tolist()
    [53.3, 53.3, 53.3]
    >>> print(app.result.explain())
    160 MB/s are divided as 1000:1000:1000. VM1 gets 53.33, VM2 53.33, VM3 53.33 MB/s.
    """
    view = controls.choice(
        "Picture", {"bars": draw_allocation, "vessels": draw_vessels}, draw_allocation
    )
    nobody = {"nobody": 0, **{f"VM{i}": i for i in (1, 2, 3)}}
    rows = {
        **{f"shares{i}": (f"VM{i} shares", "", shares[i - 1], 0, 4000, 100) for i in (1, 2, 3)},
        # the ends keep all minimums together within the capacity, and each below its maximum
        **{f"minimum{i}": (f"VM{i} minimum", UNIT, 0, 0, 50, 5) for i in (1, 2, 3)},
        **{f"maximum{i}": (f"VM{i} maximum", UNIT, 320, 50, 320, 10) for i in (1, 2, 3)},
    }

    def pulled(vm: int) -> Callable[[float], dict[str, float]]:
        return lambda amount: _pull(app, vm, amount)

    app: App[Allocation] = App(
        controls={
            "capacity": controls.slider("Disk bandwidth", UNIT, capacity, 150, 320, 10),
            "idle": controls.choice("Idle", nobody, 0),
            "view": view,
            **{name: controls.slider(*row) for name, row in rows.items()},
        },
        compute=_divide,
        pulls={f"amount{i}": pulled(i) for i in (1, 2, 3)},
        draw=lambda result, figure: view.value(result, figure),  # noqa: PLW0108 - it may change
    )
    app.add_class("virtlab-thirds")  # a column for each VM
    return app


def _divide(capacity: float, idle: int, view: object, **rows: float) -> Allocation:
    """Divide the disk; an idle VM asks for nothing."""
    del view  # it changes the picture only
    shares, low, high = (
        [rows[f"{name}{i}"] for i in (1, 2, 3)] for name in ("shares", "minimum", "maximum")
    )
    if idle:
        low[idle - 1] = high[idle - 1] = 0.0
    return allocate(capacity, shares, low, high, unit=UNIT)


def _pull(app: App[Allocation], vm: int, amount: float) -> dict[str, float]:
    """Find how many shares come nearest to an amount, all else as it is; so a bar can be pulled."""
    name = f"shares{vm}"
    slider = app.controls[name]
    steps = np.arange(slider.min, slider.max + 1, slider.step).tolist()
    got = [_divide(**{**app.values, name: shares}).allocation[vm - 1] for shares in steps]
    return {name: steps[int(np.argmin(np.abs(np.array(got) - amount)))]}


def disk_app() -> Any:
    """Make the widget of the queue: three VMs on one disk for ten seconds, moment by moment.

    Returns
    -------
    App
        With controls size1, outstanding1, shares2, policy, units and time. VM2 gets its new
        shares after 2 s; VM3 is idle from 4 to 5 s.

    Examples
    --------
    >>> app = disk_app()
    >>> app.result.to_frame().query("from_s == 2")["mb_per_s"].round().tolist()
    [40.0, 80.0, 40.0]
    """
    time = controls.player("Time", "s", frames=60, value=15, per_frame=SECONDS / 60)

    def draw(run: DiskRun, figure: Plate) -> None:
        draw_disk(run, round(time.value * time.per_step, 6), figure=figure)

    return App(
        controls={
            "size1": controls.choice("VM1's requests", _KB, 256.0),
            "outstanding1": controls.slider("VM1's outstanding requests", "", 4, 1, 16, 1),
            "shares2": controls.slider("VM2 shares from 2 s on", "", 2000, 500, 4000, 500),
            "policy": controls.choice("Next request", POLICIES, StartTimeFair),
            "units": controls.choice("What counts", _COUNTS, _COUNTS["units: command and size"]),
            "time": time,
        },
        compute=_queue,
        draw=draw,
    )


def _queue(time: int, **settings: Any) -> DiskRun:
    """Run the queue once for all moments."""
    del time  # it moves over a run that is there already
    return _run(**settings)


@lru_cache(maxsize=8)
def _run(
    size1: float, outstanding1: int, shares2: float, policy: type[Policy], units: Units
) -> DiskRun:
    return serve(
        [
            DiskLoad(1000, (size1,), outstanding1),
            DiskLoad(1000, (_LARGE_KB,)),
            DiskLoad(1000, (_LARGE_KB,), busy=((0.0, IDLE[0]), (IDLE[1], math.inf))),
        ],
        seconds=SECONDS,
        policy=policy,
        units=units,
        changes=(Change(CHANGE_AT, 1, shares2),),
    )
