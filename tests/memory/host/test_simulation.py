"""Scenarios: read from files with clear errors, run with events, the same each time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from virtlab.datasets import data_path
from virtlab.memory.experiments import idle_tax, overcommit, reallocation
from virtlab.memory.guest import GuestSpec
from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.phases import Phases
from virtlab.memory.guest.traces import Trace
from virtlab.memory.guest.workloads import Idle, WorkingSet
from virtlab.memory.host.reading import WORKLOADS, read_scenario
from virtlab.memory.host.run import OF_HOST, OF_VM
from virtlab.memory.host.scenario import Event, Scenario
from virtlab.memory.host.simulation import Simulation, run
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

    from virtlab.memory.host.view import Orders, View


def small(*events: Event, seconds: int = 40, host_mib: float = 110, seed: int = 1) -> Scenario:
    def vm(name: str) -> VmSpec:
        load = WorkingSet(44, per_s=4000)
        return VmSpec(name, GuestSpec(64, kernel_mib=2), load, min_mib=16, overhead_mib=4)

    host = HostSpec(host_mib, own_mib=8, sharing=False, swap_mib=512)
    return Scenario("small", seconds, host, (vm("a"), vm("b")), events, seed=seed)


class TestRun:
    def test_the_same_seed_gives_the_same_run_and_another_another(self) -> None:
        first, again, other = (run(small(seed=seed)) for seed in (1, 1, 2))
        for name in OF_VM:
            assert np.array_equal(first.of_vm[name], again.of_vm[name])
        assert not np.array_equal(first.of_vm["active_mib"], other.of_vm["active_mib"])

    def test_memory_adds_up_every_second(self) -> None:
        found = run(small())
        used = found.of_vm["allocated_mib"].sum(axis=1) - found.of_host["saved_mib"]
        assert np.allclose(used + found.of_host["free_mib"] + 8 + 2 * 4, 110)
        parts = ("allocated_mib", "ballooned_mib", "swapped_mib")
        assert np.sum([found.of_vm[name] for name in parts], axis=0).max() <= 64

    def test_events_happen_when_they_should(self) -> None:
        found = run(
            small(
                Event(5, "power on", "b"),
                Event(10, "set", "a", shares=5000, min_mib=20),
                Event(12, "set", tax_rate=0.0, controller="pressure"),
                Event(20, "power off", "b"),
                Event(25, "power on", "b"),
            )
        )
        assert found.vm("b", "on").tolist() == [0.0] * 5 + [1.0] * 15 + [0.0] * 5 + [1.0] * 15
        assert [at for at, _ in found.log] == [0, 5, 10, 12, 20, 25]
        words = "the tax rate becomes 0, controller: pressure"
        assert found.log[2:4] == ((10, "a gets shares 5000, min 20"), (12, words))

    def test_a_vm_that_does_not_fit_is_refused_and_the_rest_runs(self) -> None:
        scenario = small(host_mib=50)
        found = run(scenario)
        assert "b is refused" in found.log[-1][1]
        assert found.vm("b", "on").sum() == 0
        assert "refused" in found.explain()

    def test_a_program_is_killed_where_its_guest_has_no_memory_left(self) -> None:
        guest = GuestSpec(32, kernel_mib=2, swap_mib=2)
        vm = VmSpec("a", guest, WorkingSet(60, per_s=4000, writes=1))
        found = run(Scenario("out of memory", 12, HostSpec(256), (vm,)))
        assert any("killed" in words for _, words in found.log)

    def test_rows_are_tidy(self) -> None:
        found = run(small(Event(30, "power on", "b")))
        frame = found.to_frame()
        assert len(frame) == 40 + 10
        assert not frame.duplicated(["time_s", "vm"]).any()
        assert set(OF_VM) - {"on"} <= set(frame.columns)
        assert len(found.every(10).to_frame()) == 4 + 1
        assert found.at(39)["vm"].tolist() == ["a", "b"]
        assert set(found.of_host) == set(OF_HOST)

    def test_the_numbers_of_the_summary_are_those_of_the_rows(self) -> None:
        found = run(small())
        told, frame = found.summary(), found.to_frame()
        assert told["host_faults"] == frame["host_faults"].sum()
        assert told["operations"] == frame["operations"].sum()
        most = frame.groupby("time_s")["ballooned_mib"].sum().max()
        assert told["most_ballooned_mib"] == pytest.approx(most, abs=0.06)
        assert sum(found.state_seconds().values()) == 40
        assert found.mean("a", "on", 5, 9) == 1
        assert "balloons" in found.explain()

    def test_a_controller_of_ones_own(self) -> None:
        seen: list[int] = []

        class Watch:
            period_s = 4

            def control(self, view: View) -> Orders:
                from virtlab.memory.host.view import Orders

                seen.append(view.second)
                assert view.free_part == view.free / view.pages
                return Orders(np.zeros(view.size.size))

        found = run(small(seconds=10), Watch())
        assert seen == [0, 4, 8]
        assert found.of_vm["ballooned_mib"].sum() == 0

    def test_pages_may_be_checked(self) -> None:
        simulation = Simulation(small(), checked=True)
        for _ in range(15):
            simulation.second()
            simulation.host.check()
        assert simulation.result().seconds == 15


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Event(-1, "set", tax_rate=0.5), "at_s"),
        (lambda: Event(1, "reboot", "a"), "action"),
        (lambda: Event(1, "power on"), "vm"),
        (lambda: Event(1, "set", "a"), "set"),
        (lambda: Event(1, "set"), "set"),
        (lambda: Event(1, "set", tax_rate=1.0), "tax_rate"),
        (lambda: Event(1, "set", controller="me"), "controller"),
        (lambda: small(Event(1, "power on", "c")), "vm"),
        (lambda: small(seconds=0), "seconds"),
        (lambda: replace(small(), vms=()), "vms"),
        (lambda: replace(small(), vms=small().vms[:1] * 2), "vms"),
        (lambda: replace(small(), seed=-1), "seed"),
        (lambda: BalloonSpec(most=2), "most"),
        (lambda: BalloonSpec(inflate_mib_s=-1), "inflate_mib_s"),
    ],
)
def test_a_wrong_scenario_is_an_error_that_names_it(make: object, field: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidInputError, match=f"^{field}"):
        make()


HEAD = 'name = "x"\nseconds = 9\n[host]\nmib = 256\n'
VM = HEAD + '[[vm]]\nname = "a"\n'
GUEST = VM + "guest = { size_mib = 64 }\n"


class TestReading:
    def read(self, folder: Path, text: str) -> Scenario:
        path = folder / "own.toml"
        path.write_text(text, encoding="utf-8")
        return read_scenario(path)

    @pytest.mark.parametrize(
        ("name", "scenario"),
        [
            ("vm4-starts", reallocation.scenario()),
            ("idle-tax", idle_tax.scenario()),
            ("five-vms", overcommit.scenario()),
        ],
    )
    def test_the_courses_files_are_its_experiments(self, name: str, scenario: Scenario) -> None:
        assert read_scenario(data_path(f"scenario-{name}.toml")) == scenario

    def test_everything_that_can_be_said(self, tmp_path: Path) -> None:
        found = self.read(
            tmp_path,
            GUEST
            + """
            shares = 700
            balloon = { kind = "refuses" }
            [vm.workload]
            kind = "phases"
            phases = [
              { seconds = 5, kind = "idle", mib = 2 },
              { seconds = 6, kind = "trace", program = "redis_set", copies = 2 },
            ]
            [host.thresholds]
            high = 0.1
            [[event]]
            at_s = 3
            action = "set"
            tax_rate = 0.5
            """,
        )
        assert found.host.thresholds.high == 0.1
        assert found.vms[0].shares == 700
        assert found.vms[0].balloon == BalloonSpec("refuses")
        assert found.vms[0].workload == Phases(((5, Idle(mib=2)), (6, Trace("redis_set", 2))))
        assert found.events == (Event(3, "set", tax_rate=0.5),)

    def test_a_workload_of_each_kind_can_be_named(self, tmp_path: Path) -> None:
        needed = {
            "idle": "",
            "working set": "mib = 9",
            "hot and cold": "hot_mib = 3, cold_mib = 5",
            "file server": "popularity_mib = 3",
            "trace": 'program = "json_churn"',
            "phases": 'phases = [{ seconds = 3, kind = "idle" }]',
        }
        assert set(needed) == set(WORKLOADS)
        for kind, rest in needed.items():
            line = f'workload = {{ kind = "{kind}"{", " if rest else ""}{rest} }}\n'
            load = self.read(tmp_path, GUEST + line).vms[0].workload
            assert type(load) is WORKLOADS[kind]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("name = ", "must be a TOML file"),
            (HEAD.replace("mib = 256", "mib = -3"), r"host.mib = -3: must be"),
            (HEAD.replace("mib", "gib"), r"host = 'gib': must be one of mib, own_mib"),
            (HEAD + "colour = 3", r"host = 'colour': must be one of"),
            ("seed = 3\n" + HEAD, "vms"),
            (VM, r"vm\[0\] = .*given.*guest"),
            (VM + "guest = 64", r"vm\[0\].guest = 64: must be a table"),
            (VM + "guest = { size_mib = 'a' }", r"vm\[0\].guest.size_mib = 'a'"),
            (GUEST + "min_mib = 65", r"vm\[0\].min_mib = 65: must be at most max_mib"),
            (GUEST + "workload = { kind = 'doom' }", r"vm\[0\].workload.kind = 'doom'"),
            (GUEST + "workload = { kind = 'idle', mib = -1 }", r"vm\[0\].workload.mib = -1"),
            (GUEST + "workload = { mib = 3 }", r"vm\[0\].workload.kind = 'None'"),
            (
                GUEST + "workload = { kind = 'phases', phases = [{ kind = 'idle' }] }",
                r"vm\[0\].workload.phases\[0\]",
            ),
            (GUEST + "[[event]]\nat_s = 3\naction = 'go'", r"event\[0\].action = 'go'"),
            (GUEST + "[[event]]\nat_s = 3\naction = 'power on'\nvm = 'b'", "vm = 'b'"),
            (HEAD + "[vm]\nname = 'a'", r"vm = .*\[\[vm\]\]"),
            ("host = 3\n" + GUEST.replace("[host]\nmib = 256\n", ""), "host = 3"),
        ],
    )
    def test_what_is_wrong_is_said_with_file_key_and_value(
        self, tmp_path: Path, text: str, said: str
    ) -> None:
        with pytest.raises(InvalidInputError, match=said) as raised:
            self.read(tmp_path, text)
        assert "own.toml" in str(raised.value)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"nothing\.toml"):
            read_scenario(tmp_path / "nothing.toml")
