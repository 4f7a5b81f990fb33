"""Figure of the working-set sampler (S24): what is in use, and what the host thinks.

All of it is about one VM, so all has VM1's colour or none: what is in use as a light area.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, vm_mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.memory.sampling_run import SamplingRun
    from virtlab.plots.style import Plate

__all__ = ["draw_sampling"]

_VM = vm_mark(0)
_IN_USE: dict[str, Any] = {"color": _VM.colour, "alpha": 0.2, "lw": 0}
_LINES: dict[str, dict[str, Any]] = {
    "estimate": {"color": _VM.colour, "lw": 3.0, "ls": "-"},
    "fast average": {"color": HARDWARE.colour, "lw": 1.5, "ls": (0, (4, 2))},
    "slow average": {"color": HARDWARE.colour, "lw": 2.0, "ls": (0, (1, 1))},
}


def draw_sampling(run: SamplingRun, figure: Plate | None = None) -> Plate:
    """Draw what is in use as an area, and the estimate and two of its averages as lines.

    Parameters
    ----------
    run
        What was in use and what was thought, second by second.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.sampling_run import sample_steps
    >>> print(draw_sampling(sample_steps()).alt)
    Line chart over 40 minutes: memory in use, 15 to 265 MiB, as an area; the estimate, a slow and \
a fast average as lines. Two thirds of a rise are in the estimate after 38 s, of a fall after 240 \
s. On average the estimate is 20 MiB above what is in use.
    """

    def draw(figure: Plate) -> None:
        figure.margins(
            left=56 if figure.narrow else 90,
            right=18,
            top=138 if figure.narrow else 92,
            bottom=62,
        )
        axes = figure.subplots()
        minutes = run.time_s / 60
        axes.fill_between(minutes, run.touched_mib, step="pre", **_IN_USE)
        known = run.time_s >= run.settings.period_s  # before, the estimate is a guess
        series = (run.estimate_mib, run.fast_mib, run.slow_mib)
        for amounts, (name, look) in zip(series, _LINES.items(), strict=True):
            axes.plot(minutes[known], amounts[known], zorder=4 - 2 * ("slow" in name), **look)
        top = 1.15 * max(
            float(run.touched_mib.max()), float(run.estimate_mib[known].max(initial=0.0))
        )
        axes.set(xlim=(0, minutes[-1]), ylim=(0, top), xlabel="minutes")
        axes.set_ylabel("" if figure.narrow else "memory, MiB")
        _legend(axes, figure)
        style.finish(axes, _title(run), _alt(run), slide="S24")

    return style.draw_on(figure, draw)


def _legend(axes: Axes, figure: Plate) -> None:
    """Name the area and the lines above the axes, in a row or on a phone in two."""
    handles: list[Any] = [axes.fill_between([], [], label="in use", **_IN_USE)]
    handles += [axes.plot([], [], label=name, **look)[0] for name, look in _LINES.items()]
    axes.legend(
        handles=handles,
        ncols=2 if figure.narrow else 4,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        columnspacing=1.2,
        handlelength=2.2,
        title="MiB" if figure.narrow else None,
        alignment="left",
    )
    axes.grid(axis="y", color=HOST.colour, alpha=0.15)


def _title(run: SamplingRun) -> str:
    """Say how fast rises and falls are followed."""
    told = run.summary()
    words = [
        f"a {name} is followed in {float(told[f'{name}_followed_s']):.0f} s"
        for name in ("rise", "fall")
        if f"{name}_followed_s" in told
    ]
    if not words:
        error = float(told["mean_error_mib"])
        return (
            f"A sample of {told['samples_per_period']} pages is {abs(error):.0f} MiB "
            f"{'above' if error >= 0 else 'below'} what is in use"
        )
    text = ", ".join(words)
    return text[0].upper() + text[1:].replace("a fall is followed", "a fall")


def _alt(run: SamplingRun) -> str:
    """Say in words what the figure shows."""
    low, high = run.touched_mib.min(), run.touched_mib.max()
    amount = f"{low:g} MiB" if low == high else f"{low:g} to {high:g} MiB"
    return (
        f"Line chart over {run.time_s[-1] / 60:.0f} minutes: memory in use, {amount}, as "
        f"an area; the estimate, a slow and a fast average as lines. {run.explain()}"
    )
