"""What the tax rate does: targets as it rises, and the paper's experiment beside the formula (S24).

In the experiment two VMs of 256 MB and equal shares have about 360 MB together. One idles, the
other runs a file server's load and could use more. Without the tax each gets half. At a rate of
0.75 the idle one gives up most of its idle memory, and the busy one's throughput rises by over
30 %. How much each used is not printed in the paper: 9.8 and 200.4 MB are digitized from its
figure, and so are the amounts that each got, to about 1 %. So is what both had together, which is
less after the change than before: the formula is given what there was each time.

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, figure 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.tax import TAX_RATE, targets
from virtlab.results import Result
from virtlab.validate import vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["FIGURE_7", "FIGURE_7_ACTIVE_MB", "Figure7", "TaxCurve", "figure_7", "tax_curve"]

FIGURE_7_ACTIVE_MB = (9.8, 200.4)  # the idle VM and the busy one
FIGURE_7: dict[float, tuple[float, float]] = {0.0: (178.9, 179.1), TAX_RATE: (101.3, 243.2)}
_FIGURE_7_MB = 256.0


@dataclass(frozen=True, eq=False)
class TaxCurve(Result):
    """What each VM gets at each tax rate.

    Attributes
    ----------
    rates
        The tax rates.
    target
        What each VM should have: one row a rate, one column a VM.
    available
        What there is to divide.
    active
        What each VM uses.
    names
        Names of the VMs.
    unit
        Unit of memory.

    Examples
    --------
    >>> curve = tax_curve(344.5, [1, 1], active=[9.8, 200.4], maximum=256)
    >>> print(curve.explain())
    Without tax VM1 gets 172.2 and VM2 172.2 MiB. At a rate of 0.99 VM1 gets 88.5 (-83.8) and \
VM2 256 (+83.8) MiB.
    """

    rates: Floats
    target: Floats
    available: float
    active: Floats
    names: tuple[str, ...]
    unit: str

    def to_frame(self) -> pd.DataFrame:
        """Return one row a rate and VM."""
        import pandas as pd

        vms = len(self.names)
        return pd.DataFrame(
            {
                "tax_rate": np.repeat(self.rates, vms),
                "name": np.tile(np.array(self.names, dtype=object), self.rates.size),
                f"target_{self.unit.lower()}": self.target.ravel(),
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return what each VM gets at the first rate and at the last."""
        told: dict[str, float | int | str] = {f"available_{self.unit.lower()}": self.available}
        for end, row in (("first", 0), ("last", -1)):
            told[f"{end}_rate"] = float(self.rates[row])
            told |= {
                f"{name}_{end}_{self.unit.lower()}": float(amount)
                for name, amount in zip(self.names, self.target[row], strict=True)
            }
        return told

    def explain(self) -> str:
        """Say what each VM gets at the first rate and at the last."""
        first, last = self.target[0], self.target[-1]
        gets = [" gets", *[""] * (len(self.names) - 1)]
        start = " and ".join(
            f"{name}{verb} {amount:.4g}"
            for name, verb, amount in zip(self.names, gets, first, strict=True)
        )
        end = " and ".join(
            f"{name}{verb} {amount:.4g} ({amount - before:+.3g})"
            for name, verb, amount, before in zip(self.names, gets, last, first, strict=True)
        )
        at = "Without tax" if self.rates[0] == 0 else f"At a rate of {self.rates[0]:g}"
        return f"{at} {start} {self.unit}. At a rate of {self.rates[-1]:g} {end} {self.unit}."


def tax_curve(
    available: float,
    shares: ArrayLike,
    active: ArrayLike,
    minimum: ArrayLike = 0.0,
    maximum: ArrayLike = np.inf,
    *,
    rates: ArrayLike | None = None,
    names: Sequence[str] = (),
    unit: str = "MiB",
) -> TaxCurve:
    """Find the targets at many tax rates.

    Parameters
    ----------
    available, shares, active, minimum, maximum, names, unit
        As for `virtlab.memory.tax.targets`.
    rates
        Tax rates that rise, each from 0 to below 1; 0, 0.01 ... 0.99 if not given.

    Returns
    -------
    TaxCurve
        What each VM gets at each rate.

    Raises
    ------
    InvalidInputError
        If a number is out of range.

    Examples
    --------
    >>> tax_curve(300, [1, 1], active=[0, 200], rates=[0, 0.5, 0.9]).target.round(1).tolist()
    [[150.0, 150.0], [100.0, 200.0], [60.0, 240.0]]
    """
    steps = np.arange(100) / 100 if rates is None else vector("rates", rates, minimum=0)
    found = [
        targets(available, shares, active, minimum, maximum, tax_rate=rate, names=names, unit=unit)
        for rate in steps.tolist()
    ]
    labels = found[0].labels if found else tuple(names)
    used = found[0].active if found else vector("active", active, minimum=0)
    rows = np.array([result.target for result in found]).reshape(len(found), len(labels))
    return TaxCurve(steps, rows, float(available), used, labels, unit)


@dataclass(frozen=True, eq=False)
class Figure7(Result):
    """The paper's figure 7 beside the formula: an idle VM and a busy one.

    Attributes
    ----------
    rates
        The tax rates, one a row.
    published_mb, formula_mb
        What each VM gets, one column a VM.
    active_mb
        What each VM uses.

    Examples
    --------
    >>> print(figure_7().explain())
    Without tax the formula gives each VM 179 MB, as measured. At a rate of 0.75 it gives the \
idle one 100.8 MB and the busy one 243.7 MB; measured were 101.3 and 243.2 MB: an error of 0.5 % \
at most.
    """

    rates: tuple[float, ...]
    published_mb: Floats
    formula_mb: Floats
    active_mb: tuple[float, float]

    @property
    def error_percent(self) -> Floats:
        """How far the formula is from the published amounts, in percent of these."""
        return 100 * (self.formula_mb - self.published_mb) / self.published_mb

    def to_frame(self) -> pd.DataFrame:
        """Return one row a rate and VM."""
        import pandas as pd

        rows = len(self.rates)
        return pd.DataFrame(
            {
                "tax_rate": np.repeat(self.rates, 2),
                "name": ["VM1", "VM2"] * rows,
                "load": ["idle", "busy"] * rows,
                "active_mb": list(self.active_mb) * rows,
                "published_mb": self.published_mb.ravel(),
                "formula_mb": self.formula_mb.ravel(),
                "error_percent": self.error_percent.ravel(),
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return both VMs' memory with the tax, and the largest error."""
        return {
            "idle_formula_mb": float(self.formula_mb[-1, 0]),
            "idle_published_mb": float(self.published_mb[-1, 0]),
            "busy_formula_mb": float(self.formula_mb[-1, 1]),
            "busy_published_mb": float(self.published_mb[-1, 1]),
            "largest_error_percent": float(np.abs(self.error_percent).max()),
        }

    def explain(self) -> str:
        """Say what the formula gives, and how far off it is."""
        idle, busy = self.formula_mb[-1]
        return (
            f"Without tax the formula gives each VM {self.formula_mb[0, 0]:.4g} MB, as measured. "
            f"At a rate of {self.rates[-1]:g} it gives the idle one {idle:.1f} MB and the busy "
            f"one {busy:.1f} MB; measured were {self.published_mb[-1, 0]:.1f} and "
            f"{self.published_mb[-1, 1]:.1f} MB: an error of "
            f"{np.abs(self.error_percent).max():.1f} % at most."
        )


def figure_7() -> Figure7:
    """Put the paper's figure 7 beside what the formula gives for the same memory.

    Returns
    -------
    Figure7
        Published and ours, without the tax and with it.

    Examples
    --------
    >>> figure_7().formula_mb.round(1).tolist()
    [[179.0, 179.0], [100.8, 243.7]]
    """
    published = np.array(list(FIGURE_7.values()))
    ours = [
        targets(float(row.sum()), [1, 1], FIGURE_7_ACTIVE_MB, 0, _FIGURE_7_MB, tax_rate=rate).target
        for rate, row in zip(FIGURE_7, published, strict=True)
    ]
    return Figure7(tuple(FIGURE_7), published, np.array(ours), FIGURE_7_ACTIVE_MB)
