"""Processors to watch and to change while time runs (S21): the talk's three pictures, live."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

import ipywidgets as widgets
import numpy as np

from virtlab.plots.cpu import draw_timeline
from virtlab.plots.palette import vm_mark
from virtlab.resources.cpu import (
    Add,
    Bursty,
    Compute,
    CpuHost,
    CpuVM,
    Interactive,
    Lottery,
    OnOff,
    Remove,
    RoundRobin,
    Session,
    Stride,
    Trace,
)
from virtlab.resources.cpu.moment import vm_of_life
from virtlab.validate import one_of
from virtlab.widgets import controls
from virtlab.widgets.app import Answer, table_of
from virtlab.widgets.buttons import buttons
from virtlab.widgets.timeline import Row, Scene, TimelineView

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.resources.cpu import CpuMoment, Policy, Workload
    from virtlab.resources.cpu.vms import Event

__all__ = ["POLICIES", "WORK", "LivePlayer"]

SECONDS, FRAME_S, START_S = 20.0, 0.1, 2.0
POLICIES: Final[dict[str, Callable[[], Policy]]] = {
    "stride": Stride,
    "lottery": Lottery,
    "round robin": RoundRobin,
}
WORK: Final[dict[str, Workload]] = {
    "computing": Compute(),
    "1 s on, 1 s off": OnOff(1.0, 1.0),
    "clicks": Interactive(60, 150),
    "bursts": Bursty(120, 240),
    "a recorded day": Trace((80, 10, 0, 30, 10), 1.0),
}
_QUANTA = {"10 ms": 10.0, "20 ms": 20.0, "50 ms": 50.0, "100 ms": 100.0}
_SPEEDS = {"real time": 100, "half speed": 200, "a tenth": 1000}
_WINDOWS = {"0.5 s": 0.5, "2 s": 2.0, "6 s": 6.0}
_POINTS = 1001  # of the line of what VMs are entitled to
_SOMETIMES = 5  # frames: so often numbers change while it plays
_SETTINGS = {"shares": "shares", "minimum": "min_percent", "maximum": "max_percent"}
_HOST = {"cpus": "cpus", "policy": "policy", "quantum": "quantum_ms", "seed": "seed"}


class LivePlayer(widgets.VBox):
    """Up to four VMs on one or more processors, on which time runs.

    Shares, minimum, maximum and power of the VM that is chosen change at the moment shown; so
    does the picture, from there on. Who goes back sees the controls as they stood then; who
    changes one there forgets what was changed later.

    Parameters
    ----------
    policy
        Who is next: a key of `POLICIES`, or a policy class of your own.

    Attributes
    ----------
    controls
        By name: cpus, vm, work, power, shares, minimum, maximum, policy, quantum, time, speed,
        window, seed.
    session
        The run, and what was changed.
    view
        The time line.
    answer
        The sentence and the table under it.

    Examples
    --------
    >>> player = LivePlayer().set(time=40, vm="VM2", shares=2000)
    >>> player.moment.entitled
    {'VM1': 25.0, 'VM2': 50.0, 'VM3': 25.0}
    """

    def __init__(self, policy: str | Callable[[], Policy] = "stride") -> None:
        policies = dict(POLICIES)
        if not isinstance(policy, str):
            name = getattr(policy, "__name__", "yours")
            policies, policy = {**policies, name: policy}, name
        one_of("policy", policy, tuple(policies))
        names = [f"VM{i}" for i in (1, 2, 3, 4)]
        self.session = Session(
            [CpuVM(name) for name in names],
            names[:3],
            CpuHost(policy=policies[policy]),
            seconds=SECONDS,
            at_s=START_S,
        )
        self.controls = _controls(names, policies, policies[policy])
        self.view = TimelineView(SECONDS, FRAME_S, self._pick, interval_ms=200)
        self.view.frame = self.controls["time"].value
        self.answer = Answer()
        row = widgets.Box(list(self.controls.values()))
        row.add_class("virtlab-controls")
        super().__init__([row, self.view, self.answer])
        self.add_class("virtlab-app")
        self.add_class("virtlab-live")
        self._links = [  # in the browser: the picture does not wait for the kernel
            widgets.jsdlink((self.controls["time"], source), (self.view, target))
            for source, target in (
                ("value", "frame"), ("playing", "playing"), ("interval_ms", "interval_ms"),
            )
        ]  # fmt: skip
        self._quiet = False
        self._show()
        self.controls["power"].on_press(self._power)
        for name, control in self.controls.items():
            if name != "power":
                control.observe(self._listener(name), names="value")

    @property
    def moment(self) -> CpuMoment:
        """The moment that is shown."""
        return self.session.moment

    @property
    def chosen(self) -> str:
        """The VM that the controls are about."""
        return str(self.controls["vm"].value)

    def set(self, **values: Any) -> LivePlayer:
        """Move controls by name: the time first, then the VM, then what is changed of it.

        Parameters
        ----------
        **values
            New values by the name of the control.

        Returns
        -------
        LivePlayer
            This one, for chaining.

        Examples
        --------
        See the class.
        """
        for name in sorted(values, key=lambda name: (name != "time", name != "vm")):
            one_of("control", name, tuple(self.controls))
            self.controls[name].value = values[name]
        return self

    def press(self, label: str) -> LivePlayer:
        """Press a button.

        Parameters
        ----------
        label
            What it says.

        Returns
        -------
        LivePlayer
            This one, for chaining.

        Examples
        --------
        >>> player = LivePlayer().press("Add VM4")
        >>> len(player.moment.running)
        4
        """
        self.controls["power"].press(label)
        return self

    # --- what is moved ----------------------------------------------------------------------------

    def _listener(self, name: str) -> Callable[[Any], None]:
        def listen(_change: object) -> None:
            if not self._quiet:
                self._moved(name, self.controls[name].value)

        return listen

    def _moved(self, name: str, value: Any) -> None:
        if name == "time":
            self._went(value)
            return
        if name in _SETTINGS:
            self.session.give(self.chosen, **{_SETTINGS[name]: float(value)})
        elif name in _HOST:
            self.session.move(**{_HOST[name]: value})
        elif name == "work":
            self.session.work(self.chosen, value)
        elif name == "speed":
            self.controls["time"].interval_ms = value
        elif name == "window":
            self.view.window_s = value
        self._show()

    def _went(self, frame: int) -> None:
        """Go to a frame; while it plays, words and numbers follow now and then."""
        before = self.session.moment.step
        self.session.look(round(frame * FRAME_S, 6))
        playing = self.controls["time"].playing
        if not playing or frame % _SOMETIMES == 0 or self.session.moment.step != before:
            self._say()

    def _power(self, button: int) -> None:
        if button == 0:
            off = [name for name in self.session.vms if not self.session.life(name)]
            name = self.chosen if self.chosen in off else off[0]
            if self.session.power_on(name):
                self._choose(name)
        elif button == 1:
            self.session.power_off(self.chosen)
        else:
            self.session.forget()
        self._show()

    def _pick(self, what: dict[str, Any]) -> None:
        """Follow a finger: a row is a VM to change, a place below is a moment."""
        if "row" in what:
            self.controls["vm"].value = list(self.session.vms)[int(what["row"])]
        elif "at_s" in what:
            self.controls["time"].playing = False
            self.controls["time"].value = round(float(what["at_s"]) / FRAME_S)

    def _choose(self, name: str) -> None:
        self._quiet = True
        self.controls["vm"].value = name
        self._quiet = False

    # --- what is shown ----------------------------------------------------------------------------

    def _show(self) -> None:
        """Show the whole run anew."""
        run = self.session.run
        names = list(self.session.vms)
        slot = np.array([names.index(vm_of_life(life)) for life in run.names])
        turns = run.intervals.copy()
        turns[:, 0] = slot[run.vm_of[turns[:, 0]]]
        wants = run.wants[np.argsort(run.wants[:, 1], kind="stable")]
        wants[:, 0] = slot[run.vm_of[wants[:, 0]]]
        times = np.linspace(0, run.seconds, _POINTS)
        due = np.zeros((_POINTS, len(names)))
        for life, where in enumerate(slot):
            due[:, where] += run.entitled_s(life, times)
        events = [(event.at_s, _short(event)) for event in run.events]
        moment = self.moment
        self.view.show(
            Scene(self._rows(moment), run.cpus, turns, wants, due, events, _finding(moment))
        )
        self._say()

    def _rows(self, moment: CpuMoment) -> list[Row]:
        on = {vm_of_life(life) for life in moment.running}
        return [
            Row(
                vm.name,
                vm_mark(i).colour,
                _settings(vm),
                f"{vm.shares:g}",
                vm.name in on,
                vm.name == self.chosen,
            )
            for i, vm in enumerate(moment.settings)
        ]

    def _say(self) -> None:
        """Change words, numbers and controls to the moment that is shown."""
        moment = self.moment
        self.answer.say(moment)
        with self.view.hold_sync():
            self.view.say(_finding(moment), self._rows(moment))
        self._quiet = True
        try:
            now = self.session.settings(self.chosen)
            self.controls["shares"].value = round(now.shares)
            self.controls["minimum"].value = round(now.min_percent)
            self.controls["maximum"].value = round(now.max_percent)
            self.controls["work"].value = now.workload
            for name, key in _HOST.items():
                self.controls[name].value = getattr(self.session.host, key)
            self._name_buttons()
        finally:
            self._quiet = False

    def _name_buttons(self) -> None:
        off = [name for name in self.session.vms if not self.session.life(name)]
        more = self.chosen if self.chosen in off else next(iter(off), "a VM")
        power = self.controls["power"]
        power.labels = [f"Add {more}", f"Remove {self.chosen}", "Forget all"]
        power.enabled = [bool(off), self.chosen not in off, bool(self.session.events)]

    def __repr__(self) -> str:
        """Say what it shows, in words."""
        return f"{self.view.alt}\n{self.moment.explain()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Give the live view; where no kernel runs, the still picture, the sentence, the table."""
        live = super()._repr_mimebundle_(**kwargs)
        begin = min(max(self.session.at_s - 0.5, 0), SECONDS - 0.5)
        data, metadata = draw_timeline(self.session.run, begin, 0.5)._repr_mimebundle_()
        moment = self.moment
        still = f"{data['text/html']}<p>{html.escape(moment.explain())}</p>{table_of(moment)}"
        return {**live, **data, "text/html": still, "text/plain": repr(self)}, metadata


def _controls(
    names: list[str], policies: dict[str, Callable[[], Policy]], policy: Callable[[], Policy]
) -> dict[str, Any]:
    """Make the controls: the machine, the load, the policy, the view."""
    choice, slider = controls.choice, controls.slider
    return {
        "cpus": choice("Processors", {"1": 1, "2": 2, "3": 3}, 1),
        "vm": choice("VM to change", {name: name for name in names}, "VM2"),
        "work": choice("Work", WORK, WORK["computing"]),
        "power": buttons("From this moment on", ["Add VM4", "Remove VM2", "Forget all"]),
        "shares": slider("Shares", "", 1000, 0, 4000, 100),
        "minimum": slider("Minimum", "%", 0, 0, 100, 5),
        "maximum": slider("Maximum", "%", 100, 0, 100, 5),
        "policy": choice("Who is next", policies, policy),
        "quantum": choice("Quantum", _QUANTA, 20.0),
        "time": controls.player(
            "Time", "s", round(SECONDS / FRAME_S) + 1, value=round(START_S / FRAME_S),
            per_frame=FRAME_S, interval_ms=200,
        ),
        "speed": choice("Speed", _SPEEDS, 200),
        "window": choice("Turns shown", _WINDOWS, 2.0),
        "seed": controls.seed(1, "Seed of chance"),
    }  # fmt: skip


def _settings(vm: CpuVM) -> str:
    """Write a VM's settings in few words."""
    if vm.min_percent == 0 and vm.max_percent == 100:
        return f"{vm.shares:g} shares"
    return f"{vm.shares:g}, {vm.min_percent:g}\N{EN DASH}{vm.max_percent:g} %"


def _short(event: Event) -> str:
    """Write an event in few words."""
    name = vm_of_life(event.name)
    if isinstance(event, Add):
        return f"+ {name}"
    if isinstance(event, Remove):
        return f"\N{MINUS SIGN} {name}"
    words = {"shares": "{:g}", "min_percent": "min {:g} %", "max_percent": "max {:g} %"}
    given = [(key, getattr(event, key)) for key in words]
    parts = [words[key].format(value) for key, value in given if value is not None]
    return f"{name}: {', '.join(parts)}"


def _finding(moment: CpuMoment) -> str:
    """Say how close what was received is to what was due."""
    frame = moment.to_frame()
    ahead = dict(zip(frame["name"], frame["ahead_quanta"].astype(float), strict=True))
    worst = max(ahead, key=lambda name: abs(ahead[name]))
    off = ahead[worst]
    if abs(off) <= 2:
        near = f"within {max(abs(off), 0.1):.1f} quanta of its part"
        return f"At {moment.at_s:.1f} s each VM is {near}"
    way = "ahead of" if off > 0 else "behind"
    return f"At {moment.at_s:.1f} s {worst} is {abs(off):.0f} quanta {way} its part"
