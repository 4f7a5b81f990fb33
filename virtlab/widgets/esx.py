"""One disk request through the layers, to step through (S15), and what each disk costs (S16)."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from virtlab.machine.esx.acts import LAYERS
from virtlab.machine.esx.request import RequestSetup, record, trace_request
from virtlab.plots.esx import COLOURS, SHORT, draw_sequence, headline, label, lanes_of, time_words
from virtlab.results import table_html
from virtlab.widgets import controls
from virtlab.widgets.app import Answer
from virtlab.widgets.player import Player
from virtlab.widgets.sequence import Lane, SequenceView, Step

if TYPE_CHECKING:
    from virtlab.machine.esx.arrows import Arrow
    from virtlab.machine.esx.trace import Moment, RequestTrace

__all__ = ["DISKS", "SIZES", "RequestPlayer", "request"]

DISKS = {
    "an ATA disk, trapped": "ata",
    "our own disk, trapped": "own",
    "the hardware: no layers": "native",
}
SIZES = {"1 sector, 512 bytes": 1, "2 sectors, 1 KiB": 2, "4 sectors, 2 KiB": 4}


class RequestPlayer(Player):
    """A request on its way: lanes for the layers, an arrow for each thing that one does to another.

    Attributes
    ----------
    controls
        By name: vms, shares, sectors, layers, step.
    trace
        What is played.
    moment
        What is shown now.
    view
        The lanes.
    answer
        The sentence and the table under them.

    Examples
    --------
    >>> player = RequestPlayer()
    >>> player.set(step=3).moment.arrow.what
    'out 0x1f2 to 0x1f7'
    >>> player.set(layers="own").trace.traps
    9
    """

    time = "step"

    def __init__(self) -> None:
        for layers in DISKS.values():
            for sectors in SIZES.values():
                record(
                    layers, sectors, RequestSetup.lba
                )  # now, so that no control has to wait for a guest
        self.controls: dict[str, Any] = {
            "vms": controls.slider("VMs on the host", "", 1, 1, 4, 1),
            "sectors": controls.choice("VM1 reads", SIZES, 1),
            "shares": controls.slider("VM1's shares, others 1000", "", 1000, 250, 4000, 250),
            "layers": controls.choice("Its guest sees", DISKS, "ata"),
            "step": controls.player("Step", "", 1, interval_ms=900),
        }
        self._record()
        self.moment: Moment = self.trace.at(0)
        self.view = SequenceView(on_step=self._go_to)
        self.answer = Answer()
        self._lay_out(self.view, self.answer)

    def _record(self) -> None:
        """Follow the request that the controls describe, and let the player know its length."""
        value = {name: control.value for name, control in self.controls.items()}
        del value["step"]
        self.trace: RequestTrace = trace_request(RequestSetup(**value), recorded=True)
        self.controls["step"].max = len(self.trace.arrows)

    def _go_to(self, step: int) -> None:
        self.controls["step"].value = step

    def _show(self) -> None:
        self.moment = self.trace.at(self.controls["step"].value)
        lanes = [Lane(key, LAYERS[key], SHORT[key], COLOURS[key]) for key in lanes_of(self.trace)]
        self.view.show(
            lanes,
            [_step(arrow) for arrow in self.trace.arrows],
            self.moment.number,
            title=headline(self.trace),
            note=f"In all: {self.trace.explain()}",
        )
        self.answer.say(self.moment)

    def __repr__(self) -> str:
        """Say what it shows, in words."""
        return f"{self.view.alt}\n{self.moment.explain()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Give the live view; where no kernel runs, the still picture, the sentence, the table."""
        live = super()._repr_mimebundle_(**kwargs)
        data, metadata = draw_sequence(self.trace)._repr_mimebundle_()
        sentence = html.escape(f"{self.moment.explain()} {self.trace.explain()}")
        still = f"{data['text/html']}<p>{sentence}</p>{table_html(self.moment.to_frame())}"
        return {**live, **data, "text/html": still, "text/plain": repr(self)}, metadata


def _step(arrow: Arrow) -> Step:
    traps = arrow.target == "vmm" and arrow.source in ("program", "kernel")
    return Step(
        arrow.source,
        arrow.target,
        label(arrow),
        label(arrow, narrow=True),
        time_words(arrow.us),
        arrow.times,
        traps,
    )


def request() -> RequestPlayer:
    """Make the widget, before the request's first step.

    Returns
    -------
    RequestPlayer
        The widget.

    Examples
    --------
    >>> request().moment.explain()
    "VM1's program is about to ask for 1 sector of its disk."
    """
    return RequestPlayer()
