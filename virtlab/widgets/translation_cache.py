"""The translation cache as it fills while a guest runs, to play and to step (S18)."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import pandas as pd

from virtlab.machine.translation.cache_log import record_cache
from virtlab.plots.translation_cache import draw_cache
from virtlab.results import table_html
from virtlab.validate import one_of
from virtlab.widgets import controls
from virtlab.widgets.app import Answer
from virtlab.widgets.cacheview import CacheView
from virtlab.widgets.player import Player

if TYPE_CHECKING:
    from virtlab.machine.translation.cache import Policy
    from virtlab.machine.translation.cache_moment import CacheLog, CacheMoment

__all__ = ["CachePlayer", "cache_app"]

_PROGRAMS = {
    "changes its own code": "itself",
    "a small kernel that boots": "kernel",
    "isprime: loops": "isprime",
    "fibonacci: calls and returns": "fibonacci",
    "quicksort: recursion": "quicksort",
    "bytecode: a jump through a table": "bytecode",
}
_POLICIES = {
    "all of it goes": "flush_all",
    "the oldest quarter": "oldest",
    "the quarter used longest ago": "least_used",
}


class CachePlayer(Player):
    """A recorded run as its translation cache sees it.

    Parameters
    ----------
    program
        Where it starts: 'itself', 'kernel', 'isprime', 'fibonacci', 'quicksort' or 'bytecode'.
    policy
        One more, of your own, as in `virtlab.machine.translation.cache`; it is chosen at the start.

    Attributes
    ----------
    controls
        By name: limit, program, policy, frame.
    played
        The run.
    moment
        What is shown now.
    view
        The map.
    answer
        The sentence and the table under it.

    Examples
    --------
    >>> player = CachePlayer()
    >>> player.set(frame=1).moment.explain()
    'Code at 0x100000 is met that is not there: 3 instructions translated.'
    >>> player.set(limit=8).played.summary()["evictions"] > 0
    True
    """

    time = "frame"

    def __init__(self, program: str = "itself", policy: Policy | None = None) -> None:
        one_of("program", program, tuple(_PROGRAMS.values()))
        policies: dict[str, str | Policy] = {**_POLICIES}
        if policy is not None:
            policies[f"yours: {getattr(policy, '__name__', 'policy')}"] = policy
        self.controls: dict[str, Any] = {
            "limit": controls.slider("Room in the cache", "units", 48, 8, 64, 4),
            "program": controls.choice("The guest", _PROGRAMS, program),
            "policy": controls.choice("When it is full", policies, policy or "flush_all"),
            "frame": controls.player("Step", "", 1, interval_ms=350),
        }
        self._record()
        self.moment: CacheMoment = self.played.at(0)
        self.view = CacheView()
        self.answer = Answer()
        self._lay_out(self.view, self.answer)

    def _record(self) -> None:
        """Run the guest with the cache that the controls describe."""
        value = {name: control.value for name, control in self.controls.items()}
        self.played: CacheLog = record_cache(value["program"], value["limit"], value["policy"])
        self.controls["frame"].max = len(self.played) - 1

    def _show(self) -> None:
        last = len(self.played) - 1
        self.moment = self.played.at(min(self.controls["frame"].value, last))
        self.view.show(self.moment)
        self.answer.say(self.moment)

    def __repr__(self) -> str:
        """Say what it shows, in words."""
        return f"{self.view.alt}\n{self.moment.explain()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Give the live view; where no kernel runs, the picture, the sentences and the table."""
        live = super()._repr_mimebundle_(**kwargs)
        last = self.played.at(len(self.played) - 1)
        data, metadata = draw_cache(last)._repr_mimebundle_()
        counters = pd.DataFrame(last.counters.items(), columns=["what", "times"])
        sentence = html.escape(self.played.explain())
        still = f"{data['text/html']}<p>{sentence}</p>{table_html(counters)}"
        return {**live, **data, "text/html": still, "text/plain": repr(self)}, metadata


def cache_app(program: str = "itself", policy: Policy | None = None) -> CachePlayer:
    """Make the widget, before the guest's first instruction.

    Parameters
    ----------
    program
        Where it starts: 'itself', 'kernel', 'isprime', 'fibonacci', 'quicksort' or 'bytecode'.
    policy
        One more policy, of your own: it takes the units and returns those that have to go.

    Returns
    -------
    CachePlayer
        The widget.

    Examples
    --------
    >>> cache_app().moment.explain()
    'The cache is empty, with room for 48 units: no code has run yet.'
    """
    return CachePlayer(program, policy)
