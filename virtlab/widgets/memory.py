"""Widgets of a host's memory (S23-S26): does a VM fit, who gives how much, and a live host.

>>> admission().result.summary()["talk_mib"]
2036.2
>>> tax().result.target.round(1).tolist()
[100.8, 243.7]
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from virtlab.memory.admission import Admission, VmMemory, admit
from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.spec import GuestSpec
from virtlab.memory.guest.workloads import HotCold
from virtlab.memory.host.moment import Moment
from virtlab.memory.host.scenario import Event, Scenario
from virtlab.memory.host.session import Session
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec
from virtlab.memory.overhead import console_size_mib
from virtlab.memory.sampling import SamplerSettings
from virtlab.memory.sampling_run import STEPS_MIB, SamplingRun, sample_steps
from virtlab.memory.tax import TaxTargets, idle_cost, targets
from virtlab.memory.tax_curve import FIGURE_7_ACTIVE_MB
from virtlab.plots.memory import draw_admission
from virtlab.plots.memory_time import draw_moment
from virtlab.plots.sampling import draw_sampling
from virtlab.plots.tax import draw_bottles
from virtlab.widgets import controls
from virtlab.widgets.app import App

if TYPE_CHECKING:
    from virtlab.plots.style import Plate

__all__ = ["HostPlayer", "admission", "reallocation", "sampler", "small_host", "tax"]

STEP_S: Final = 5
STARTS_S, STOPS_S, SECONDS = 200, 600, 800
_BOOT_S = 40
_AHEAD_S, _PAUSE_S = 10, 0.03  # what is computed at a time while the reader looks, and the pause
_CONTROLLERS = {
    "as ESX: targets, states": "esx",
    "as for Linux hosts: pressure": "pressure",
    "host swap only": "swap only",
}


def admission() -> App[Admission]:
    """Make the widget of S23: a host, VMs of one kind, and whether they fit.

    Returns
    -------
    App
        With controls host, vms, size, minimum, vcpus, swap.

    Examples
    --------
    >>> app = admission().set(vms=4, minimum=100)
    >>> app.result.admitted.tolist(), app.result.lacks_ram_mib.tolist()
    ([True, True, True, False], [0.0, 0.0, 0.0, 472.0])
    """

    def compute(
        *, host: float, vms: int, size: float, minimum: float, vcpus: int, swap: float
    ) -> Admission:
        low = round(size * minimum / 100)
        asking = [VmMemory(f"VM{i + 1}", low, size, vcpus) for i in range(vms)]
        return admit(
            asking, host, console_mib=console_size_mib(vms * vcpus), swap_mib=host * swap / 100
        )

    def draw(result: Admission, figure: Plate) -> None:
        draw_admission(result, figure)

    return App(
        controls={
            "host": controls.slider("Host", "MB", 2048, 512, 8192, 128),
            "vms": controls.slider("VMs", "", 3, 1, 12, 1),
            "size": controls.slider("Maximum of each", "MB", 512, 64, 2048, 64),
            "minimum": controls.slider("Minimum of each", "% of it", 100, 0, 100, 5),
            "vcpus": controls.slider("Processors of each", "", 2, 1, 2, 1),
            "swap": controls.slider("Room for swap", "% of the host", 100, 0, 200, 10),
        },
        compute=compute,
        draw=draw,
    )


def tax(available: float = 344.5) -> App[TaxTargets]:
    """Make the bottles of S24: two VMs, what they use, their shares, and the tax rate.

    Parameters
    ----------
    available
        MB for both; figure 7's at the start.

    Returns
    -------
    App
        With controls available, active1, active2, shares1, shares2, minimum1, tax_rate.

    Examples
    --------
    >>> tax().set(tax_rate=0).result.target.round(1).tolist()
    [172.2, 172.2]
    """
    idle, busy = FIGURE_7_ACTIVE_MB

    def compute(*, available: float, tax_rate: float, **vm: float) -> TaxTargets:
        return targets(
            available,
            [vm["shares1"], vm["shares2"]],
            [vm["active1"], vm["active2"]],
            [vm["minimum1"], 0],
            256,
            tax_rate=tax_rate,
            unit="MB",
        )

    def draw(result: TaxTargets, figure: Plate) -> None:
        draw_bottles(result, figure)

    app: App[TaxTargets] = App(
        controls={
            "available": controls.slider("Memory for both", "MB", available, 128.5, 512.5, 0.5),
            "active1": controls.slider("VM1 uses", "MB", idle, 0.0, 256.0, 0.1),
            "active2": controls.slider("VM2 uses", "MB", busy, 0.0, 256.0, 0.1),
            "shares1": controls.slider("VM1 shares", "", 1000, 100, 4000, 100),
            "shares2": controls.slider("VM2 shares", "", 1000, 100, 4000, 100),
            "minimum1": controls.slider("VM1 minimum", "MB", 0, 0, 128, 4),
            "tax_rate": controls.slider("Tax rate", "", 0.75, 0.0, 0.95, 0.05),
        },
        compute=compute,
        draw=draw,
        pulls={"level": lambda level: {"available": _filled_to(app.result, level)}},
    )
    return app


def _filled_to(result: TaxTargets, level: float) -> float:
    """Return how much memory fills all bottles to a level, which a reader drags."""
    room = level * result.shares
    in_use = np.minimum(room, result.active)
    idle = np.maximum(room - result.active, 0.0) / idle_cost(result.tax_rate)
    return float(np.clip(in_use + idle, result.minimum, result.maximum).sum())


def sampler() -> App[SamplingRun]:
    """Make the widget of the sampler: pages drawn, length of a period, gains, seed.

    Returns
    -------
    App
        With controls samples, period, slow, fast, seed.

    Examples
    --------
    >>> app = sampler()
    >>> early = app.result.summary()["rise_followed_s"]
    >>> app.set(period=90).result.summary()["rise_followed_s"] > early
    True
    """

    def compute(*, samples: int, period: int, slow: float, fast: float, seed: int) -> SamplingRun:
        settings = SamplerSettings(samples, period, slow, fast)
        return sample_steps(STEPS_MIB, np.random.default_rng(seed), step_s=240, settings=settings)

    def draw(result: SamplingRun, figure: Plate) -> None:
        draw_sampling(result, figure)

    return App(
        controls={
            "samples": controls.slider("Pages drawn", "a period", 100, 10, 400, 10),
            "period": controls.slider("Period", "s", 30, 10, 90, 10),
            "slow": controls.slider("Slow gain", "", 0.125, 0.025, 1.0, 0.025),
            "fast": controls.slider("Fast gain", "", 0.5, 0.05, 1.0, 0.05),
            "seed": controls.seed(1),
        },
        compute=compute,
        draw=draw,
    )


def small_host(seed: int = 1) -> Scenario:
    """Return the talk's four slides on a host of a quarter of their size.

    Parameters
    ----------
    seed
        Of all chance.

    Returns
    -------
    Scenario
        Three VMs of 128 MiB; VM4 starts after 200 s and stops after 600.

    Examples
    --------
    >>> [event.words for event in small_host().events]
    ['VM4 starts', 'VM4 stops']
    """

    def vm(name: str, hot_mib: float, min_mib: float) -> VmSpec:
        guest = GuestSpec(128, kernel_mib=4, zeroes=True)
        load = HotCold(hot_mib, 110 - hot_mib, hot=0.97)
        balloon = BalloonSpec(inflate_mib_s=2, deflate_mib_s=4)
        return VmSpec(name, guest, load, min_mib, overhead_mib=16, balloon=balloon, boot_s=_BOOT_S)

    vms = (vm("VM1", 23, 48), vm("VM2", 10, 80), vm("VM3", 75, 64), vm("VM4", 65, 64))
    events = (Event(STARTS_S, "power on", "VM4"), Event(STOPS_S, "power off", "VM4"))
    host = HostSpec(525, own_mib=54, sharing=False)
    return Scenario("VM4 starts", SECONDS, host, vms, events, seed=seed)


class HostPlayer(App[Moment]):
    """A live host: play it, and change shares, bounds, tax or controller at the moment shown.

    What is changed holds from that moment on. Who steps back sees the controls as they stood
    then; who changes one there forgets what was known of the time after. While the reader looks,
    the time to come is computed ahead, so that every moment is at hand.

    Attributes
    ----------
    session
        The host.
    pending
        The next piece of the time to come, where a kernel runs.

    Examples
    --------
    >>> player = HostPlayer().set(time=44)
    >>> player.set(shares4=2560).result.note
    ''
    >>> player.session.scenario.events[-1].words
    'VM4 gets shares 2560'
    """

    knobs: Final = {
        "shares4": ("VM4", "shares"),
        "maximum4": ("VM4", "max_mib"),
        "minimum1": ("VM1", "min_mib"),
        "minimum2": ("VM2", "min_mib"),
        "tax_rate": ("", "tax_rate"),
        "controller": ("", "controller"),
    }

    def __init__(self) -> None:
        self.session = Session(small_host())
        self.pending: asyncio.TimerHandle | None = None
        super().__init__(
            {
                "seed": controls.seed(1),
                "shares4": controls.slider("VM4 shares", "", 1280, 0, 5120, 160),
                "maximum4": controls.slider("VM4 maximum", "MiB", 128, 64, 128, 8),
                "minimum1": controls.slider("VM1 minimum", "MiB", 48, 0, 128, 8),
                "minimum2": controls.slider("VM2 minimum", "MiB", 80, 0, 128, 8),
                "tax_rate": controls.slider("Tax rate", "", 0.75, 0.0, 0.95, 0.05),
                "controller": controls.choice("Controller", _CONTROLLERS, "esx"),
                "time": controls.player(
                    "Time", "s", SECONDS // STEP_S, per_frame=STEP_S, interval_ms=200
                ),
            },
            self._look,
            self._draw,
        )

    @staticmethod
    def _draw(moment: Moment, figure: Plate) -> None:
        draw_moment(moment.run, moment.second, figure)

    def set(self, **values: Any) -> HostPlayer:
        """Move controls by name: the time first, then what is changed at that time.

        Parameters
        ----------
        **values
            New values by the name of the control.

        Returns
        -------
        HostPlayer
            This one, for chaining.

        Examples
        --------
        See the class.
        """
        for first in ("seed", "time"):
            if first in values:
                super().set(**{first: values.pop(first)})
        if values:
            super().set(**values)
        return self

    def _look(self, *, seed: int, time: int, **_knobs: Any) -> Moment:
        """Go to the moment, or change what was changed."""
        if seed != self.session.scenario.seed:
            self.session = Session(replace(small_host(), seed=seed))
            self._hold("time", 0)
        elif time * STEP_S != self.session.at_s:
            self.session.go(time * STEP_S)
        else:
            self._turn()
        for name, (vm, knob) in self.knobs.items():
            self._hold(name, self.session.value(vm, knob))
        self._compute_ahead()
        return self.session.moment()

    def _turn(self) -> None:
        """Tell the host what was changed."""
        for name, (vm, knob) in self.knobs.items():
            value = self.controls[name].value
            if value != self.session.value(vm, knob):
                self.session.change(vm, knob, value)

    def _hold(self, name: str, value: Any) -> None:
        """Move a control to what holds, without an answer."""
        paused, self._paused = self._paused, True
        self.controls[name].value = value
        self._paused = paused

    def _compute_ahead(self) -> None:
        """Compute a piece of the time to come when nothing else is to do."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel: what is asked for is computed when it is asked for
            return
        if self.pending is None and self.session.known_s < SECONDS:
            self.pending = loop.call_later(_PAUSE_S, self._ahead)

    def _ahead(self) -> None:
        self.pending = None
        self.session.compute(self.session.known_s + _AHEAD_S)
        self._compute_ahead()


def reallocation() -> HostPlayer:
    """Make the live host of S23-S26, at its start.

    Returns
    -------
    HostPlayer
        With controls seed, shares4, maximum4, minimum1, minimum2, tax_rate, controller, time.

    Examples
    --------
    >>> player = reallocation()
    >>> player.set(time=50).result.summary()["vms"]
    4
    """
    return HostPlayer()
