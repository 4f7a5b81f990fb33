"""Data on machines: what a real processor did, ways to run a program, what came when."""

from __future__ import annotations

import pandas as pd

from virtlab.datasets.files import data_path

__all__ = ["milestones", "ring3_native", "rings_unicorn", "translation_costs", "ways"]


def ring3_native() -> pd.DataFrame:
    """Return what the probes of `virtlab.machine.probes` did at ring 3 of a real processor.

    Returns
    -------
    pandas.DataFrame
        A row for each: `name`, `mnemonic`, `fault` (empty if it ran), and what was there after it.

    Notes
    -----
    Measured for this project (`data/README.md`) by `tools/measure_ring3.py`.

    Examples
    --------
    >>> found = ring3_native()
    >>> found.loc[found["name"] == "popf", ["fault", "interrupt_flag"]].values.tolist()
    [['', 1.0]]
    """
    return pd.read_csv(data_path("ring3_native.csv"), keep_default_na=False).apply(_numbers)


def rings_unicorn() -> pd.DataFrame:
    """Return what the probes of `virtlab.machine.probes` did in Unicorn, at each ring and IOPL.

    Returns
    -------
    pandas.DataFrame
        A row for each: `name`, `ring`, `iopl`, `fault` (empty if it ran; 'hook 0x80' where it hands
        an interrupt to a hook).

    Notes
    -----
    Measured for this project (`data/README.md`) by `tools/measure_rings_unicorn.py`.

    Examples
    --------
    >>> found = rings_unicorn()
    >>> found.loc[(found["name"] == "in") & (found["ring"] == 3), "fault"].tolist()
    ['', '', '', '']
    """
    return pd.read_csv(data_path("rings_unicorn.csv"), keep_default_na=False)


def _numbers(column: pd.Series) -> pd.Series:
    return column if column.name in ("name", "mnemonic", "fault") else pd.to_numeric(column)


def ways() -> pd.DataFrame:
    """Return what twelve programs took natively, under a monitor, in QEMU and interpreted.

    Returns
    -------
    pandas.DataFrame
        A row for each run: `program`, `way`, `turn`, `instructions` (of the guest), `seconds` (of
        processor time, the monitor's with them), `traps`, `monitor_s`.

    Notes
    -----
    Measured for this project (`data/README.md`) by `tools/measure_ways.py`.

    Examples
    --------
    >>> found = ways()
    >>> found["program"].nunique(), found["way"].unique().tolist()[:3]
    (12, ['native', 'direct', 'translated'])
    """
    return pd.read_csv(data_path("ways.csv"))


def milestones() -> pd.DataFrame:
    """Return what came when in virtualization, up to the talk and a little beyond.

    Returns
    -------
    pandas.DataFrame
        A row for each: `year`, `until` (the same but for what lasted), `what`, `kind` ('machine',
        'theory' or 'product'), `slide` (empty if the talk does not say it) and `source`.

    Notes
    -----
    Products and the 1960s are dated by the talk; all else by the publication that `source` names.

    Examples
    --------
    >>> found = milestones()
    >>> found.loc[found["slide"] != "", "year"].min(), found["source"].eq("").sum()
    (np.int64(1965), np.int64(0))
    """
    return pd.read_csv(data_path("milestones.csv"), keep_default_na=False)


def translation_costs() -> pd.DataFrame:
    """Return what operations and programs cost natively, under a translator and with VT-x.

    Returns
    -------
    pandas.DataFrame
        A row a number: `table`, `machine` ('P4', 'Core' or a later processor), `row`, `way`
        ('native', 'bt', 'hw'), `value`, `unit`, and `reading`: where in the source it stands.

    Notes
    -----
    From Adams and Agesen (2006) and Bugnion, Nieh and Tsafrir (2017); see `data/README.md`.

    Examples
    --------
    >>> found = translation_costs()
    >>> found.loc[found["row"].eq("PTE write") & found["table"].eq("nano"), "value"].tolist()
    [1.0, 391.0, 12733.0]
    """
    return pd.read_csv(data_path("translation_costs.csv"), keep_default_na=False)
