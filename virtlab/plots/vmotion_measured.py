"""Figures of QEMU's migrations: predicted against measured, what each effect is worth, the table.

A point is a run that was measured. Points on the diagonal are predicted exactly; runs on a busy
host are pale. Rounds are those that QEMU reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from virtlab.plots import style
from virtlab.plots.palette import HOST, PAGES, VMS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from virtlab.migration.qemu import QemuComparison
    from virtlab.migration.qemu.table import QemuTable
    from virtlab.plots.style import Plate

__all__ = ["draw_against_measured", "draw_effects", "draw_table"]

# Kind of run: its mark, and how it is named.
_CAP, _LINK = VMS[0], VMS[1]


def draw_against_measured(result: QemuComparison, figure: Plate | None = None) -> Plate:
    """Draw predicted against measured for every run that completed: time, bytes, downtime.

    Parameters
    ----------
    result
        From `virtlab.migration.qemu.against_measured`.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.migration.qemu import against_measured
    >>> draw_against_measured(against_measured()).alt[:44]
    'Three scatter charts, predicted against meas'
    """

    def draw(figure: Plate) -> None:
        narrow = figure.narrow
        figure.margins(left=64, right=16, bottom=58 if narrow else 70, top=78 if narrow else 74)
        shape = (3, 1) if narrow else (1, 3)
        panels = figure.subplots(*shape, gridspec_kw={"hspace": 0.3, "wspace": 0.3})
        done = result.runs[result.runs["time_percent"].notna()]
        s = result.summary()
        words = (
            ("s", "total time, s", f"{s['time_percent']:.2g} %"),
            ("mib", "sent, MiB", f"{s['bytes_percent']:.2g} %"),
            ("downtime_ms", "downtime, ms", f"{s['downtime_ms_capped']:.2g} ms"),
        )
        for axes, (name, label, error) in zip(panels, words, strict=True):
            _scatter(axes, done, name)
            said = f"{label}\nmedian error {error}" if narrow else f"median error\n{error}"
            axes.text(0.03, 0.97, said, transform=axes.transAxes, va="top")
            axes.set_xlabel("" if narrow else f"measured {label}")
        panels[1 if narrow else 0].set_ylabel("predicted")
        if narrow:
            panels[2].set_xlabel("measured")
        _name_marks(panels[0 if narrow else 2], step=0.2 if narrow else 0.075)
        title = f"QEMU predicted: half of the clean runs within {s['time_percent']:.1g} % in time"
        style.finish(panels[0], title, _measured_alt(result), slide="S45")

    return style.draw_on(figure, draw)


def _scatter(axes: Axes, done: pd.DataFrame, name: str) -> None:
    """Put measured against predicted on two logarithmic axes, with the diagonal."""
    measured, predicted = done[f"measured_{name}"], done[f"predicted_{name}"]
    low, high = 0.7 * min(measured.min(), predicted.min()), 1.5 * measured.max()
    axes.plot([low, high], [low, high], color=HOST.colour, lw=1)
    for link, mark in ((False, _CAP), (True, _LINK)):
        for clean in (False, True):
            chosen = (done["link"] == link) & (done["clean"] == clean)
            axes.plot(
                measured[chosen],
                predicted[chosen],
                mark.marker,
                ms=6,
                mew=1.2,
                color=mark.colour,
                mfc=mark.colour if clean else "white",
                alpha=1.0 if clean else 0.6,
                zorder=3 if clean else 2,
            )
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    ticks = {"s": (1, 3, 10), "mib": (100, 300, 1000), "downtime_ms": (1, 10, 100)}[name]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)


def _name_marks(axes: Axes, step: float) -> None:
    """Say what the marks are, where no point is: at the lower right."""
    for i, (mark, filled, label) in enumerate(
        ((_LINK, True, "limited link"), (_CAP, True, "QEMU's cap"), (_CAP, False, "host busy"))
    ):
        y = 0.05 + step * (2 - i)
        fill = mark.colour if filled else "white"
        axes.plot(0.57, y, mark.marker, ms=6, color=mark.colour, mfc=fill, transform=axes.transAxes)
        axes.text(0.61, y, label, transform=axes.transAxes, va="center", color=mark.colour)


def _measured_alt(result: QemuComparison) -> str:
    s = result.summary()
    done = result.runs["time_percent"].notna().sum()
    return (
        f"Three scatter charts, predicted against measured on logarithmic axes, of {done} "
        f"migrations that completed: total time, bytes sent, downtime. Median errors of the "
        f"{s['clean_completed']} clean ones: {s['time_percent']:.2g} %, "
        f"{s['bytes_percent']:.2g} %, {s['downtime_ms_capped']:.2g} ms under a cap and "
        f"{s['downtime_ms_link']:.2g} ms on a "
        f"limited link; nine of ten are within {s['time_percent_p90']:.2g} % in time."
    )


def draw_effects(effects: pd.DataFrame, figure: Plate | None = None) -> Plate:
    """Draw the errors that are left when one effect is left out.

    Parameters
    ----------
    effects
        From `virtlab.migration.qemu.effects`.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.migration.qemu import effects
    >>> draw_effects(effects()).alt[:40]
    'Bar chart of errors of the model of QEMU'
    """

    def draw(figure: Plate) -> None:
        narrow = figure.narrow
        figure.margins(left=20 if narrow else 270, right=20, bottom=66, top=78 if narrow else 74)
        time, down = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.12})
        y = np.arange(len(effects))[::-1]
        for axes, column, mark, label in (
            (time, "time_percent", _CAP, "error in time, %"),
            (down, "downtime_ms", _LINK, "in downtime, ms"),
        ):
            values = effects[column].to_numpy()
            axes.barh(y, values, height=0.42 if narrow else 0.6, color=mark.colour)
            for at, value in zip(y, values, strict=True):
                axes.text(value, at, f" {value:.{0 if value >= 10 else 1}f}", va="center")
            axes.set(xlabel=label, xlim=(0, 1.4 * values.max()), ylim=(-0.6, y[0] + 0.8))
            axes.grid(axis="y", visible=False)
        names = [_without(name) for name in effects["without"]]
        if narrow:  # names stand above their bars, over both panels
            time.set_yticks([])
            time.set_zorder(2)
            time.patch.set_alpha(0)
            down.spines["left"].set_visible(False)  # it would cross them
            down.tick_params(axis="y", length=0)
            for at, name in zip(y, names, strict=True):
                time.text(0, at + 0.26, name, va="bottom")
        else:
            time.set_yticks(y, labels=names)
        worst = effects.iloc[1:-1].sort_values("time_percent").iloc[-1]
        title = f"Without “{worst['without']}”, it is {worst['time_percent']:.0f} % off in time"
        style.finish(time, title, _effects_alt(effects), slide="S45")

    return style.draw_on(figure, draw)


def _without(name: str) -> str:
    return "the whole model" if name == "nothing" else name.removeprefix("all of it: ")


def _effects_alt(effects: pd.DataFrame) -> str:
    rows = "; ".join(
        f"{_without(row['without'])}: {row['time_percent']:.2f} % and {row['downtime_ms']:.1f} ms"
        for _, row in effects.iterrows()
    )
    return (
        "Bar chart of errors of the model of QEMU in time and downtime, medians over clean runs, "
        f"with one effect left out each time. {rows}."
    )


def draw_table(result: QemuTable, measure: str = "total_s", figure: Plate | None = None) -> Plate:
    """Draw bandwidth against downtime limit, '–' where a migration does not converge.

    Parameters
    ----------
    result
        From `virtlab.migration.qemu.table.bandwidth_table`.
    measure
        'total_s', 'downtime_ms', 'sent_mib' or 'rounds'.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.migration.qemu import QemuParameters
    >>> from virtlab.migration.qemu.table import bandwidth_table
    >>> draw_table(bandwidth_table(QemuParameters(), (32, 64), (100, 300))).alt[:33]
    'Table as a map: cap in MiB/s down'
    """

    def draw(figure: Plate) -> None:
        values = result.values(measure)
        figure.margins(
            left=70, right=16 if figure.narrow else 40, bottom=66, top=78 if figure.narrow else 74
        )
        axes = figure.subplots()
        numbers = values.to_numpy(dtype=float)
        with np.errstate(invalid="ignore", divide="ignore"):
            shades = LinearSegmentedColormap.from_list("shades", ["#FFFFFF", _CAP.colour])
            axes.imshow(np.log(numbers), cmap=shades, aspect="auto", alpha=0.5)
        axes.set_facecolor(PAGES["free"].colour)
        for (row, column), value in np.ndenumerate(numbers):
            text = "–" if np.isnan(value) else f"{value:.3g}"
            axes.text(column, row, text, ha="center", va="center")
        axes.set_xticks(range(len(values.columns)), labels=[f"{ms:g}" for ms in values.columns])
        axes.set_yticks(range(len(values.index)), labels=[f"{cap:g}" for cap in values.index])
        axes.set(xlabel="downtime limit, ms", ylabel="cap, MiB/s")
        axes.grid(visible=False)
        found = result.summary()
        unit = {"total_s": "time, s", "downtime_ms": "downtime, ms", "sent_mib": "sent, MiB"}
        what = unit.get(measure, "rounds")
        title = f"{found['converged']} of {found['cells']} settings converge: {what}"
        style.finish(axes, title, _table_alt(result, measure), slide="S45")

    return style.draw_on(figure, draw)


def _table_alt(result: QemuTable, measure: str) -> str:
    grid = result.grid(measure)
    rows = "; ".join(
        f"{cap}: {', '.join(grid.loc[cap].astype(str))}" for cap in grid.index.astype(str)
    )
    return (
        f"Table as a map: cap in MiB/s down, downtime limit of {', '.join(grid.columns)} ms "
        f"across, {measure} in the cells. {rows}. {result.explain()}"
    )
