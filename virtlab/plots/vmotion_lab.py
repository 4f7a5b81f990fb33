"""Figure of the home lab: real migrations as points, the prediction as a line (S39 to S45)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtlab.plots import style
from virtlab.plots.palette import HOST, VMS
from virtlab.validate import InvalidInputError, one_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from virtlab.migration.lab.lab import LabRun
    from virtlab.plots.style import Plate

__all__ = ["MEASURES", "draw_lab"]

MEASURES = {
    "total_s": ("time", "s", "total_error_pct", "%"),
    "sent_mib": ("sent", "MiB", "sent_error_pct", "%"),
    "downtime_ms": ("pause", "ms", "downtime_error_ms", "ms"),
}
_ORDERS = {
    "round_robin": (VMS[0], "in turn"),
    "uniform_random": (VMS[1], "by chance"),
    "hot+round_robin": (VMS[2], "hot pages"),
}


def draw_lab(result: LabRun, figure: Plate | None = None, *, what: str = "total_s") -> Plate:
    """Draw every calm migration that completed: measured as a point, predicted as a line.

    Parameters
    ----------
    result
        Measured and predicted.
    figure
        The figure to draw on again.
    what
        'total_s', 'sent_mib' or 'downtime_ms'.

    Returns
    -------
    Plate
        The figure: above the values, from the least predicted to the most; below the errors.

    Raises
    ------
    InvalidInputError
        If nothing was predicted, or no calm migration completed.

    Examples
    --------
    >>> from virtlab.migration.lab.predicted import stored_run
    >>> draw_lab(stored_run()).alt[:54]
    'Chart of migrations measured in the home lab as points'
    """
    one_of("what", what, tuple(MEASURES))
    frame = _shown(result, what)

    def draw(figure: Plate) -> None:
        figure.margins(
            left=72 if figure.narrow else 96,
            right=16 if figure.narrow else 30,
            top=112 if figure.narrow else 70,
        )
        axes, errors = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1.2])
        name, unit, error, error_unit = MEASURES[what]
        axes.plot(frame.index, frame[f"predicted_{what}"], color=HOST.colour, lw=2)
        for mode, (mark, label) in _ORDERS.items():
            mine = frame[frame["mode"] == mode]
            look = {"marker": mark.marker, "color": mark.colour, "lw": 0, "ms": 7, "mfc": "white"}
            axes.plot(mine.index, mine[what], mew=1.8, label=label, **look)
            errors.plot(mine.index, mine[error], mew=1.5, **{**look, "ms": 5})
        axes.set(ylabel=f"{name}, {unit}", ylim=(0, None))
        axes.legend(loc="upper left", handletextpad=0.2, borderaxespad=0.2)
        _name_the_line(axes, frame, what)
        errors.axhline(0, color=HOST.colour, lw=1)
        errors.set(ylabel=f"error, {error_unit}", xticks=[])
        words = (
            "migrations" if figure.narrow else "migrations, from the least predicted to the most"
        )
        errors.set_xlabel(f"{len(frame)} {words}")
        figure.align_ylabels()
        style.finish(axes, _title(frame, what), _alt(frame, what), slide="S39")

    return style.draw_on(figure, draw)


def _shown(result: LabRun, what: str) -> pd.DataFrame:
    """Return the calm runs that completed as predicted, from the least predicted to the most."""
    if result.predicted is None:
        raise InvalidInputError("result", "LabRun", "one with predictions")
    frame = result.to_frame().assign(mode=[record.mode for record in result.records])
    frame = frame[frame["calm"] & frame[MEASURES[what][2]].notna()]
    if frame.empty:
        raise InvalidInputError("result", "LabRun", "one with calm migrations that completed")
    return frame.sort_values(f"predicted_{what}").reset_index(drop=True)


def _name_the_line(axes: Axes, frame: pd.DataFrame, what: str) -> None:
    """Write beside the line, two thirds along it and below, what it is."""
    at = int(len(frame) * 0.5)
    axes.annotate(
        "predicted",
        (at, float(frame[f"predicted_{what}"].iloc[at])),
        xytext=(0, 26),
        ha="right",
        arrowprops={"arrowstyle": "-", "color": HOST.colour},
        textcoords="offset points",
        color=HOST.colour,
    )


def _numbers(frame: pd.DataFrame, what: str) -> tuple[str, str]:
    """Return the median error and the 90th percentile, with their unit."""
    _, _, error, unit = MEASURES[what]
    sizes = np.abs(frame[error].to_numpy())
    return f"{np.median(sizes):.2g} {unit}", f"{np.quantile(sizes, 0.9):.2g} {unit}"


def _title(frame: pd.DataFrame, what: str) -> str:
    name = {"total_s": "The time", "sent_mib": "What is sent", "downtime_ms": "The pause"}[what]
    half, most = _numbers(frame, what)
    return f"{name} is met within {half} for half of the runs, {most} for nine of ten"


def _alt(frame: pd.DataFrame, what: str) -> str:
    name, unit, *_ = MEASURES[what]
    half, most = _numbers(frame, what)
    low, high = frame[what].min(), frame[what].max()
    return (
        f"Chart of migrations measured in the home lab as points, the prediction as a line: {name} "
        f"of {len(frame)} migrations that completed and were predicted to, from {low:.3g} to "
        f"{high:.3g} {unit}. Half of the errors are "
        f"within {half}, nine of ten within {most}."
    )
