"""What sharing saves among processes, as a result: in two views, by process and by kind of page.

- All pages: each process in a VM of its own. Its file pages (the code) are the VM's own, so a
  hypervisor that shares by content saves those as well. This is what the talk means.
- Private pages: all processes in one Linux, which keeps each page of a file once anyway. What is
  left to share by content (KSM) are anonymous pages and the private copies of file pages.

`virtlab.memory.live.processes` reads the pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from virtlab.datasets import PAGE_KINDS
from virtlab.memory.pages import PAGE_BYTES, Savings, savings
from virtlab.results import Result, plain
from virtlab.validate import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["VIEWS", "ProcessSavings"]

VIEWS = ("all pages", "private pages")


@dataclass(frozen=True)
class ProcessSavings(Result):
    """What sharing saves among processes, in one or more groups, in both views.

    Attributes
    ----------
    groups
        Pages of each group that shares, as `read_processes` returns them.
    by
        What the groups are: 'addresses', 'program' or 'processes'.
    what
        What was looked at, to start a sentence with.
    notes
        Sentences on how it was measured.
    """

    groups: Mapping[str, pd.DataFrame]
    by: str
    what: str
    notes: Sequence[str] = field(default=())

    def savings(self, group: str, view: str = VIEWS[0]) -> Savings:
        """Return the counts of one group in one view.

        Parameters
        ----------
        group
            Its name.
        view
            'all pages' or 'private pages'.

        Returns
        -------
        Savings
            Counts of pages.

        Raises
        ------
        InvalidInputError
            If there is no such group or view.

        Examples
        --------
        >>> from virtlab.memory.live.processes import measured
        >>> found = measured().savings("node")
        >>> found.pages, found.owners
        (26053, 2)
        """
        pages = self.groups[one_of("group", group, tuple(self.groups))]
        if one_of("view", view, VIEWS) == VIEWS[1]:
            pages = pages[pages["kind"] != "file"]
        return savings(pages["content"].to_numpy(), pages["process"].cat.codes.to_numpy())

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each group and view: pages, those saved by kind, and percent."""
        rows = []
        for group in self.groups:
            for view in VIEWS:
                found = self.savings(group, view)
                rows.append(
                    {
                        self.by: group,
                        "counted": view,
                        "processes": found.owners,
                        "pages": found.pages,
                        "zero": found.zero,
                        "within": found.within,
                        "across": found.across,
                        "saved": found.saved,
                        "saved_percent": found.percent(found.saved),
                    }
                )
        return pd.DataFrame(rows)

    def by_process(self) -> pd.DataFrame:
        """Return a row for each process: its pages by kind, and what it could share alone.

        Returns
        -------
        pandas.DataFrame
            Group, process, pages, pages of each kind, zero pages, saved_alone.

        Examples
        --------
        >>> from virtlab.memory.live.processes import measured
        >>> measured().by_process().shape[0]
        14
        """
        rows = []
        for group, pages in self.groups.items():
            for process, own in pages.groupby("process", observed=True):
                alone = savings(own["content"].to_numpy(), np.zeros(len(own), dtype=np.int64))
                kinds = own["kind"].value_counts()
                rows.append(
                    {self.by: group, "process": process, "pages": len(own)}
                    | {str(kind): int(kinds[kind]) for kind in PAGE_KINDS}
                    | {"zero_pages": alone.zero_pages, "saved_alone": alone.saved}
                )
        return pd.DataFrame(rows)

    def by_kind(self) -> pd.DataFrame:
        """Return a row for each group and kind of page, shared among pages of that kind alone.

        Returns
        -------
        pandas.DataFrame
            Group, kind, pages, zero_pages, saved, saved_percent.

        Examples
        --------
        >>> from virtlab.memory.live.processes import measured
        >>> measured().by_kind()["pages"].sum()
        np.int64(121095)
        """
        rows = []
        for group, pages in self.groups.items():
            for kind in PAGE_KINDS:
                own = pages[pages["kind"] == kind]
                found = savings(own["content"].to_numpy(), own["process"].cat.codes.to_numpy())
                rows.append(
                    {
                        self.by: group,
                        "kind": kind,
                        "pages": found.pages,
                        "zero_pages": found.zero_pages,
                        "saved": found.saved,
                        "saved_percent": found.percent(found.saved),
                    }
                )
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return pages and percent saved in both views, for each group."""
        numbers: dict[str, float | int | str] = {"what": self.what}
        for group in self.groups:
            start = "" if len(self.groups) == 1 else f"{group.replace(' ', '_')}_"
            for view in VIEWS:
                found = self.savings(group, view)
                key = f"{start}{view.replace(' ', '_')}"
                numbers[key] = found.pages
                numbers[f"{key}_saved_percent"] = found.percent(found.saved)
        return numbers | {"notes": " ".join(self.notes)}

    def to_json(self) -> dict[str, Any]:
        """Return what every result does, and the rows by process and by kind of page.

        Returns
        -------
        dict
            With the keys `by_process` and `by_kind` besides.

        Examples
        --------
        >>> from virtlab.memory.live.processes import measured
        >>> len(measured().to_json()["by_process"])
        14
        """
        details = {"by_process": self.by_process(), "by_kind": self.by_kind()}
        return super().to_json() | {
            name: plain(frame.to_dict(orient="records")) for name, frame in details.items()
        }

    def explain(self) -> str:
        """Say what sharing would save in a VM each and in one Linux, and how it was measured."""
        in_vms, in_linux = (self._says(view) for view in VIEWS)
        vms = f"{self.what}: in a VM each, sharing equal pages would save {in_vms}."
        linux = (
            "In one Linux, which keeps each page of a file once anyway, sharing the private pages "
            f"would save {in_linux}."
        )
        return " ".join([vms, linux, *self.notes])

    def _says(self, view: str) -> str:
        found = {group: self.savings(group, view) for group in self.groups}
        words = {group: f"{one.percent(one.saved):.1f} %" for group, one in found.items()}
        if len(words) == 1:
            (one,) = found.values()
            return f"{words.popitem()[1]} ({one.saved * PAGE_BYTES / 2**20:.1f} MiB)"
        if self.by == "addresses":
            return " and ".join(f"{word} with {group} addresses" for group, word in words.items())
        order = sorted(found, key=lambda group: found[group].percent(found[group].saved))
        return f"{words[order[0]]} ({order[0]}) to {words[order[-1]]} ({order[-1]})"
