"""The talk's '10 to 20 % saved', held against everything that was measured (S27).

Published: three hosts in production, and ten identical VMs, the best case. Measured for this
course: one copy each of five programs, two each of seven, and four copies of one. Counted in two
ways: with each process in a VM of its own, all its pages can be shared; in one Linux, which keeps
each page of a file once anyway, only the private ones are left, and that is what KSM looks at.

Sources: the talk, S27; C. Waldspurger, OSDI 2002, figures 4 and 5; `data/README.md`.

Left out: the guests' kernels and page caches, which our processes do not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.datasets import process_pages, sharing_vs_copies
from virtlab.memory.pages import savings
from virtlab.memory.programs import PROGRAMS, choose_pages
from virtlab.memory.published import FIGURE_4, FIGURE_5, TALK_PERCENT
from virtlab.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Claim", "check_claim"]


@dataclass(frozen=True)
class Claim(Result):
    """What sharing saves in many workloads, beside what the talk says.

    Attributes
    ----------
    frame
        A row for each workload: `source` ('published' or 'measured'), `workload`, percent saved
        with random and with fixed addresses (`random_percent`, `fixed_percent`), and of the private
        pages alone with random ones (`private_percent`). Published figures stand in the first.
    claimed
        The talk's percent, from and to.
    """

    frame: pd.DataFrame
    claimed: tuple[float, float] = TALK_PERCENT

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each workload."""
        return self.frame

    def summary(self) -> dict[str, float | int | str]:
        """Return how many workloads are below, inside and above what the talk says."""
        saved = self.frame["random_percent"]
        low, high = self.claimed
        return {
            "claimed_from_percent": low,
            "claimed_to_percent": high,
            "workloads": len(saved),
            "below": int((saved < low).sum()),
            "inside": int(saved.between(low, high).sum()),
            "above": int((saved > high).sum()),
            "least_percent": float(saved.min()),
            "most_percent": float(saved.max()),
        }

    def explain(self) -> str:
        """Say how many workloads bear the claim out."""
        told = self.summary()
        return (
            f"Of {told['workloads']} workloads {told['inside']} save what the talk says "
            f"({told['claimed_from_percent']:.0f} to {told['claimed_to_percent']:.0f} %), "
            f"{told['below']} less and {told['above']} more: from {told['least_percent']:.1f} to "
            f"{told['most_percent']:.1f} %. How much sharing saves is a property of the workload."
        )


def check_claim() -> Claim:
    """Collect what was published and measured.

    Returns
    -------
    Claim
        A row for each workload.

    Examples
    --------
    >>> check_claim().summary()["inside"]
    2
    """
    production = [
        _published(f"host {row['host']}: {row['guests']}", row["reclaimed_mb"] / row["memory_mb"])
        for _, row in FIGURE_5.iterrows()
    ]
    last = FIGURE_4.iloc[-1]
    ten = _published("10 identical Linux VMs", last["reclaimed_mb"] / last["memory_mb"])
    one_each = _of_programs("1 copy each of 5 programs", dict.fromkeys(PROGRAMS, 1))
    four = [_of_programs(f"4 copies of {name}", {name: 4}) for name in PROGRAMS]
    rows = pd.DataFrame([*production, ten, one_each, _two_of_seven(), *four, _redis()])
    order = rows.sort_values(["source", "random_percent"], ascending=[False, True])
    return Claim(order.reset_index(drop=True))


def _published(workload: str, part: float) -> dict[str, object]:
    return _row("published", workload, {"random": 100 * part})


def _row(source: str, workload: str, percent: Mapping[str, float]) -> dict[str, object]:
    kinds = ("random", "fixed", "private")
    values = {f"{kind}_percent": percent.get(kind, np.nan) for kind in kinds}
    return {"source": source, "workload": workload, **values}


def _saved(pages: pd.DataFrame, owner: str) -> float:
    owners = pages[owner]
    codes = owners.cat.codes if isinstance(owners.dtype, pd.CategoricalDtype) else owners
    found = savings(pages["content"].to_numpy(), codes.to_numpy())
    return found.percent(found.saved)


def _of_programs(workload: str, copies: Mapping[str, int]) -> dict[str, object]:
    random = choose_pages(copies)
    fixed = choose_pages(copies, random_addresses=False)
    private = random[random["kind"] != "file"]
    percent = {
        "random": _saved(random, "vm"),
        "fixed": _saved(fixed, "vm"),
        "private": _saved(private, "vm"),
    }
    return _row("measured", workload, percent)


def _two_of_seven() -> dict[str, object]:
    pages = process_pages()
    private = pages[pages["kind"] != "file"]
    percent = {"random": _saved(pages, "process"), "private": _saved(private, "process")}
    return _row("measured", "2 copies each of 7 programs", percent)


def _redis() -> dict[str, object]:
    rows = sharing_vs_copies().query("app == 'redis' and copies == 4").set_index("aslr")
    percent = {
        "random": float(rows["saved_all_pct"].loc[True]),
        "fixed": float(rows["saved_all_pct"].loc[False]),
        "private": float(rows["saved_anon_pct"].loc[True]),
    }
    return _row("measured", "4 copies of redis", percent)
