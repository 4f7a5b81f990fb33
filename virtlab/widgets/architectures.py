"""Three architectures to play with (S8-S10): one packet goes its way, and the load changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from virtlab.machine.architectures import IoLoad, IoRun, run_io
from virtlab.machine.io_paths import ARCHITECTURES, MHZ, WORLD_SWITCH_US
from virtlab.plots.architectures import draw_io
from virtlab.results import Result
from virtlab.widgets import controls
from virtlab.widgets.app import App

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.plots.style import Plate

__all__ = ["PacketAt", "architectures_app"]

_CHOICES = {f"{one.name} ({one.slide}: {one.examples})": key for key, one in ARCHITECTURES.items()}
_MOST_PACKETS_S = 10_000


@dataclass(frozen=True)
class PacketAt(Result):
    """Packets through an architecture, and how far one of them has come.

    Attributes
    ----------
    run
        All of them.
    step
        The step that one is at, from 0, in the guest.

    Examples
    --------
    >>> at = PacketAt(run_io(IoLoad("dedicated")), 2)
    >>> at.explain().partition(". ")[0]
    'Step 2 of 3, kernel, driver: hands the packet to its driver, and that to the card'
    """

    run: IoRun
    step: int

    def to_frame(self) -> pd.DataFrame:
        """Return the steps."""
        return self.run.to_frame()

    def summary(self) -> dict[str, float | int | str]:
        """Return the run's numbers, and the step."""
        return {**self.run.summary(), "step": self.step}

    def explain(self) -> str:
        """Say what this step is, and how all packets fare."""
        steps = len(self.run.path)
        if not self.step:
            now = "The guest has a packet to send"
        else:
            at = self.run.path[self.step - 1]
            now = f"Step {self.step} of {steps}, {at.where}: {at.what}"
        return f"{now}. {self.run.explain()}"


def architectures_app(architecture: str = "hosted") -> App[PacketAt]:
    """Make the widget: an architecture, its load, its improvements, and a packet to walk along.

    Parameters
    ----------
    architecture
        Where it starts: 'native', 'hosted', 'system' or 'dedicated'.

    Returns
    -------
    App
        With controls architecture, cpu_mhz, world_switch_us, packet_bytes, packets_per_s,
        ports_in_monitor, notified, batch and step.

    Examples
    --------
    >>> app = architectures_app()
    >>> round(app.result.run.mbit_s, 1)
    64.2
    >>> app.set(architecture="dedicated", step=7).result.step
    3
    """
    step = controls.player("Step", "", 8, value=7, interval_ms=900)

    def compute(*, step: int, **settings: Any) -> PacketAt:
        run = run_io(IoLoad(**settings))
        return PacketAt(run, min(step, len(run.path)))

    def draw(result: PacketAt, figure: Plate) -> None:
        draw_io(result.run, result.step, figure)

    def follow(result: PacketAt) -> None:
        step.max = len(result.run.path)

    return App(
        controls={
            "architecture": controls.choice("Architecture", _CHOICES, architecture),
            "cpu_mhz": controls.slider("Processor", "MHz", int(MHZ), 133, 3333, 50),
            "world_switch_us": controls.slider(
                "World switch", "µs at 733 MHz", WORLD_SWITCH_US, 0.0, 20.0, 0.05
            ),
            "packet_bytes": controls.slider("Packets", "bytes", 1520, 120, 1520, 100),
            "packets_per_s": controls.slider(
                "Asked for", "packets/s", _MOST_PACKETS_S, 500, _MOST_PACKETS_S, 500
            ),
            "ports_in_monitor": controls.toggle("Ports in the monitor", value=False),
            "notified": controls.toggle("Interrupts notified", value=False),
            "batch": controls.slider("Packets a switch", "", 1.0, 1.0, 8.0, 0.2),
            "step": step,
        },
        compute=compute,
        draw=draw,
        follow=follow,
    )
