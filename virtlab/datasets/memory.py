"""Data on memory: pages of processes, the kernel's KSM and reclaim, what programs touch."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.datasets.files import arrays, data_path
from virtlab.validate import one_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "PAGE_KINDS",
    "copies_pages",
    "ksm_check",
    "ksm_rate",
    "process_pages",
    "reclaim_pages",
    "reclaim_steps",
    "sharing_vs_copies",
    "touched_seconds",
]

# What a page of a process is, in the order of their codes in `process_pages.npz`.
PAGE_KINDS = ("anonymous", "file", "private-dirty")


def _category(codes: NDArray[np.int64], names: list[str]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes, pd.Index(names))


def process_pages() -> pd.DataFrame:
    """Return the measured pages of 14 processes: two copies each of 7 programs.

    Returns
    -------
    pandas.DataFrame
        A row for each resident page of 4,096 bytes, in the order of address:

        - `process` and `program` (categories): 'node #1' is the second copy of 'node';
        - `kind` (category): 'anonymous'; 'file', as the page cache has it; 'private-dirty', a page
          of a file's private mapping that the process has a copy of its own of;
        - `vpage`: the virtual address divided by 4,096;
        - `content`: equal numbers are equal bytes; 0 is the page of zeros;
        - `zero`: whether it is all zeros.

    Notes
    -----
    Measured for this project (`data/README.md`). Differences are stored, not values: it is 18 kB
    for 121,095 pages.

    Examples
    --------
    >>> pages = process_pages()
    >>> len(pages), pages["process"].nunique(), pages["content"].nunique()
    (121095, 14, 76922)
    >>> pages["kind"].value_counts().to_dict()
    {'file': 67535, 'anonymous': 43730, 'private-dirty': 9830}
    """
    packed = arrays("process_pages.npz")
    names = [str(name) for name in packed["process_names"]]
    programs = list(dict.fromkeys(name.rpartition(" #")[0] for name in names))
    program_of = np.array([programs.index(name.rpartition(" #")[0]) for name in names])
    process = packed["process"].astype(np.int64)
    content = np.cumsum(packed["content_step"], dtype=np.int64)
    return pd.DataFrame(
        {
            "process": _category(process, names),
            "program": _category(program_of[process], programs),
            "kind": _category(packed["kind"].astype(np.int64), list(PAGE_KINDS)),
            "vpage": np.cumsum(packed["vpage_step"], dtype=np.int64),
            "content": content,
            "zero": content == 0,
        }
    )


def copies_pages(*, random_addresses: bool = True) -> pd.DataFrame:
    """Return the measured pages of 20 processes: four copies each of 5 programs.

    Parameters
    ----------
    random_addresses
        Whether the run with random addresses is wanted, or that with fixed ones.

    Returns
    -------
    pandas.DataFrame
        `process`, `program`, `kind`, `content` and `zero`, as in `process_pages`.

    Notes
    -----
    Measured for this project (`data/README.md`) by `tools/measure_copies.py`.

    Examples
    --------
    >>> pages = copies_pages()
    >>> len(pages), pages["process"].nunique(), list(pages["program"].cat.categories)
    (180864, 20, ['bash', 'python', 'sqlite', 'pandas', 'node'])
    """
    return _copies("random" if random_addresses else "fixed").copy()


@cache
def _copies(which: str) -> pd.DataFrame:
    """Unpack it once: a slider waits for it."""
    packed = arrays("copies_pages.npz")
    programs, copies = [str(name) for name in packed["programs"]], int(packed["copies"])
    process = packed[f"{which}_process"].astype(np.int64)
    content = np.cumsum(packed[f"{which}_content_step"], dtype=np.int64)
    names = [f"{program} #{copy}" for program in programs for copy in range(copies)]
    return pd.DataFrame(
        {
            "process": _category(process, names),
            "program": _category(process // copies, programs),
            "kind": _category(packed[f"{which}_kind"].astype(np.int64), list(PAGE_KINDS)),
            "content": content,
            "zero": content == 0,
        }
    )


def sharing_vs_copies() -> pd.DataFrame:
    """Return what sharing saved among 1, 2 and 4 copies of five programs, as measured.

    Returns
    -------
    pandas.DataFrame
        A row for each program, address randomisation on or off, and number of copies:

        - `app`, `aslr` (True where addresses are random), `copies`;
        - `pages`: resident pages of all copies;
        - `saved_all_pct`: saved by sharing among all pages, as between VMs, percent;
        - `saved_anon_pct`: saved among the anonymous and private-dirty pages alone, percent of
          these; `zero_anon_pct`: how many of these are zeros, percent.

    Examples
    --------
    >>> measured = sharing_vs_copies()
    >>> four = measured[(measured["app"] == "python plain") & (measured["copies"] == 4)]
    >>> dict(zip(four["aslr"], four["saved_anon_pct"]))
    {True: 1.2, False: 69.7}
    """
    frame = pd.read_csv(data_path("sharing_vs_copies_aslr.csv"))
    return frame.assign(aslr=frame["aslr"] == "on")


def ksm_check() -> pd.DataFrame:
    """Return how many pages the kernel's KSM merged, beside what equal contents predict.

    Returns
    -------
    pandas.DataFrame
        A row for each set of pages: `source` ('stored' or 'live'), `program`, `pages`, then
        predicted and counted `merged`, `zero` and `frames` (the kernel's with `kernel_` before),
        `scans`, `seconds` and `difference`, all in pages of 4,096 bytes.

    Notes
    -----
    Measured for this project (`data/README.md`) by `tools/measure_ksm.py`.

    Examples
    --------
    >>> check = ksm_check()
    >>> len(check), int(check["difference"].sum())
    (12, 0)
    """
    return pd.read_csv(data_path("ksm_check.csv"))


def ksm_rate() -> pd.DataFrame:
    """Return the kernel's KSM at work on 21,940 pages at its default rate.

    Returns
    -------
    pandas.DataFrame
        A row every 0.1 s: `time_s`, `scanned_pages`, `merged_pages`, `zero_pages`, `full_scans`.

    Notes
    -----
    Measured for this project (`data/README.md`) by `tools/measure_ksm.py`.

    Examples
    --------
    The rate is below the 5,000 pages/s of 100 pages every 20 ms:

    >>> last = ksm_rate().iloc[-1]
    >>> round(last["scanned_pages"] / last["time_s"], -2)
    np.float64(4100.0)
    """
    return pd.read_csv(data_path("ksm_rate.csv"))


def reclaim_steps() -> pd.DataFrame:
    """Return what a process squeezed by a real kernel did, step by step.

    Returns
    -------
    pandas.DataFrame
        One row for each load, chooser of the pages that go ('kernel', 'random') and step:
        load, chooser, room_pages, resident_pages, operations, seconds, and what the kernel
        counted in that time: major_faults, minor_faults, refaults, swap_ins, swap_outs.

    Examples
    --------
    >>> steps = reclaim_steps()
    >>> steps["load"].unique().tolist(), steps["chooser"].unique().tolist()
    (['hot and cold', 'popular files'], ['kernel', 'random'])
    """
    return pd.read_csv(data_path("reclaim_steps.csv"))


def reclaim_pages() -> pd.DataFrame:
    """Return which pages were in memory in each step of `reclaim_steps`.

    Returns
    -------
    pandas.DataFrame
        Thirty-two rows for each step: load, chooser, room_pages, part (of the pages, the most
        used first) and resident, the share of that part that was in memory, from 0 to 1.

    Examples
    --------
    >>> pages = reclaim_pages()
    >>> bool(pages["resident"].between(0, 1).all()), int(pages["part"].max())
    (True, 31)
    """
    return pd.read_csv(data_path("reclaim_pages.csv"))


def touched_seconds(program: str) -> NDArray[np.bool_]:
    """Return which pages a real program wrote in each second of a minute.

    Parameters
    ----------
    program
        'redis_set', 'sqlite_update', 'json_churn', 'pandas_groupby' or 'java_churn'.

    Returns
    -------
    ndarray
        Shape (60, pages), boolean; only pages that were written at all.

    Notes
    -----
    Measured for this project (`data/README.md`).

    Examples
    --------
    >>> pages = touched_seconds("json_churn")
    >>> pages.shape, int(pages.sum(axis=1).mean())
    ((60, 10882), 5195)
    """
    packed = arrays("touched_seconds.npz")
    known = tuple(name for name in packed if not name.endswith("_pages"))
    one_of("program", program, known)
    bits = packed[program].view(np.uint8)
    return np.unpackbits(bits, axis=0, count=60).astype(np.bool_)
