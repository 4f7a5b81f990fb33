"""Shares held against what a real Linux gave to busy processes, as stored."""

from __future__ import annotations

import json

import numpy as np
import pytest

from virtlab.datasets import cpu_machine, cpu_shares
from virtlab.resources.cpu_cases import CASES
from virtlab.resources.cpu_measured import measured_cases, measured_shares
from virtlab.validate import InvalidInputError

NAMES = pytest.mark.parametrize("name", list(CASES))


def test_each_case_has_all_its_readings() -> None:
    times = cpu_shares()
    assert set(times["case"]) == set(CASES)
    for name, rows in times.groupby("case"):
        case = CASES[str(name)]
        assert len(rows) == 3 * case.phase_of_bin.size * (case.size + 3)
        phases = rows.drop_duplicates(["run", "bin"]).sort_values(["run", "bin"])["phase"]
        assert (phases.to_numpy().reshape(3, -1) == case.phase_of_bin).all()
        ends = rows.groupby("run")["length_ms"].sum() / (case.size + 3) / 1000
        assert ends.to_numpy() == pytest.approx(case.seconds, abs=0.7)  # one was read late


def test_no_cpu_time_is_lost_or_made() -> None:
    """Three accounts of the kernel, kept apart, add up to the clock: processes, CPU, steal."""
    runs = cpu_shares().groupby(["case", "run"])
    clock = runs.apply(lambda rows: rows.drop_duplicates("bin")["length_ms"].sum())
    total = runs["cpu_ms"].sum()
    assert (total / clock).to_numpy() == pytest.approx(1, abs=0.01)


def test_a_process_runs_waits_or_is_stopped() -> None:
    """Its time to run and its time ready add up to the clock, but for naps and quotas."""
    for name in ("equal shares", "3:2:1", "nice 5, 0, 5"):
        found = measured_shares(name)
        clock = 1000 * found.end_s[:, -1:]
        busy = (found.cpu_ms + found.waited_ms).sum(axis=1)
        assert busy / clock == pytest.approx(np.ones_like(busy), abs=0.02)


def test_nothing_ran_that_was_stopped() -> None:
    times = cpu_shares()
    for name, phase, process in (("one joins", 0, "VM3"), ("one leaves", 1, "VM3")):
        rows = times[(times["case"] == name) & (times["phase"] == phase)]
        stopped = rows[rows["process"] == process]
        assert stopped["cpu_ms"].sum() < 0.001 * rows["length_ms"].sum()


def test_the_cpu_never_idles_while_one_wants_it() -> None:
    times = cpu_shares()
    sums = times.groupby(["process", "case"])[["cpu_ms", "length_ms"]].sum()
    part = (sums["cpu_ms"] / sums["length_ms"]).drop("all at a maximum", level="case")
    assert part["idle"].max() < 0.01


def test_what_all_leave_at_their_maximum_others_may_use() -> None:
    rows = cpu_shares().query("case == 'all at a maximum'").groupby("process")["cpu_ms"].sum()
    assert (rows["idle"] + rows["others"]) / rows.sum() == pytest.approx(0.3, abs=0.02)


@NAMES
def test_what_linux_gave_is_what_the_shares_say(name: str) -> None:
    found = measured_shares(name)
    assert found.off < 1
    assert found.lost_percent < 3
    assert np.ptp(found.by_state, axis=0).max() < 2.5


@NAMES
def test_the_error_is_that_of_the_rows(name: str) -> None:
    """Worked out once more, from the file, without the result's arrays."""
    case, rows = CASES[name], cpu_shares()
    rows = rows[rows["case"] == name]
    taken = ["stolen"] if name == "all at a maximum" else ["stolen", "others"]
    free = rows[~rows["process"].isin(taken)]
    had = free.groupby(["run", "phase"])["cpu_ms"].sum()
    vms = rows[rows["process"].str.startswith("VM")]
    part = 100 * vms.groupby(["run", "phase", "process"])["cpu_ms"].sum() / had
    table = part.rename("part").reset_index().pivot_table("part", "phase", "process")
    phases = len({phase.given for phase in case.phases})
    if phases == len(case.phases):
        model = case.model()[np.unique(case.phase_of_bin, return_index=True)[1]]
        names = [f"VM{i}" for i in range(1, case.size + 1)]
        errors = np.abs(table[names].to_numpy() - model)
        assert measured_shares(name).off == pytest.approx(errors.max(), abs=0.02)


def test_a_nap_is_no_maximum() -> None:
    """By the plain rule with a maximum of 50 % it would get a third: 8 points too much."""
    found = measured_shares("one takes naps").by_state.mean(axis=0)[0]
    assert found[0] == pytest.approx(25, abs=1)
    assert abs(found[0] - 100 / 3) > 7


def test_ready_time_of_n_equal_processes_is_one_less_than_n_of_n() -> None:
    frame = measured_shares("equal shares").to_frame()
    assert frame["ready_percent"].to_numpy() == pytest.approx(200 / 3, abs=1.5)


def test_rows_sentences_and_json() -> None:
    result = measured_shares("a share is changed")
    frame = result.to_frame()
    assert frame["shares"].tolist() == [1000, 1000, 1000, 1000, 2000, 1000]
    assert frame["error_points"].abs().max() == pytest.approx(result.off)
    assert "33.3, 33.3, 33.3 %; then" in result.explain()
    assert measured_shares("10 against ten").explain().count("...") == 2
    for one in (result, measured_cases()):
        data = json.loads(json.dumps(one.to_json(), allow_nan=False))
        assert data["off_points"] == one.off


def test_all_cases_together_are_each_by_itself() -> None:
    found = measured_cases()
    model, measured = found.pairs()
    assert np.abs(model - measured).max() == pytest.approx(found.off)
    assert found.summary()["worst_case"] in CASES
    assert len(found.to_frame()) == len(CASES)


def test_a_case_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidInputError, match="name"):
        measured_shares("lottery")


def test_the_machine_is_described() -> None:
    about = cpu_machine()
    assert {"date", "system", "processor", "processors", "measured_on_cpu"} <= set(about)
