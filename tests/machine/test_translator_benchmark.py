"""The benchmark: ratios, goals, what is missing, and that each way of measuring works."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from benchmarks import translator, translator_costs, translator_engines
from benchmarks.translator import (
    CALLOUT,
    MEAN,
    PORTS,
    SHIPPED,
    SPEED,
    WITHIN,
    Goal,
    arguments,
    callouts,
    limit_lines,
    main,
    measure,
    speed_goals,
    speed_table,
    times_as_fast,
    wall_table,
)
from benchmarks.translator_costs import CODE, LOOP, _once, events, first_results, translation
from benchmarks.translator_engines import ENGINES, Engine, Stopwatch, Taken, small, unicorn_machine
from benchmarks.translator_longer import longer, size_for
from virtlab.machine.computer import Computer
from virtlab.machine.guests import guest
from virtlab.machine.image import load

if TYPE_CHECKING:
    from pathlib import Path

    from virtlab.machine.guests import Guest

# program, engine, turn by turn: (processor, wall)
TAKEN = {
    "sieve": {
        "wasm": [Taken(1.0, 1.1), Taken(2.0, 2.1), Taken(1.0, 1.0)],
        "llvm": [Taken(0.5, 0.25), Taken(1.0, 0.5), Taken(0.25, 0.25)],
        "Unicorn counting": [Taken(8.0, 8.0), Taken(8.0, 8.0), Taken(6.0, 6.0)],
    },
    "crc32": {
        "wasm": [Taken(1.0, 1.0)] * 3,
        "llvm": [Taken(1.0, 2.0)] * 3,
        "Unicorn counting": [Taken(24.0, 24.0)] * 3,
    },
}


def test_a_ratio_is_the_median_of_its_turns_and_the_mean_a_geometric_one() -> None:
    found = times_as_fast(TAKEN, "wasm", "Unicorn counting")
    assert found["sieve"] == 6.0  # of 8, 4 and 6
    assert found["crc32"] == 24.0
    assert found[MEAN] == pytest.approx(12.0)
    assert times_as_fast(TAKEN, "wasm", "wasm")[MEAN] == 1.0
    back = times_as_fast(TAKEN, "Unicorn counting", "wasm")
    assert back[MEAN] == pytest.approx(1 / 12)


def test_goals_are_held_against_what_was_measured_or_say_what_is_missing() -> None:
    missing = {name: "no" for name in ENGINES if name not in TAKEN["sieve"]}
    found = {one.goal.what: one for one in speed_goals({SHIPPED: TAKEN}, missing)}
    assert len(found) == len(SPEED)
    one = found["wasm: times as fast as Unicorn counting"]
    assert one.figure == pytest.approx(12.0)
    assert (one.why, one.shipped) == ("", None)
    one = found["llvm: times as fast as native"]
    assert (one.figure, one.why) == (None, "native: no")
    lines = speed_table(TAKEN)
    assert lines[0].split() == ["times", "as", "long", "as", "wasm", "sieve", "crc32", "geometric"]
    assert lines[1].split() == ["wasm", "1.00", "1.00", "1.00"]
    assert lines[3].split() == ["Unicorn", "counting", "6.00", "24.00", "12.00"]
    # On the wall: a half of its processor time in one program, twice that in the other.
    assert wall_table(TAKEN) == ["llvm: on the wall 1.00 of its processor time"]


def test_goals_are_held_to_the_longer_programs_and_say_what_the_shipped_ones_gave() -> None:
    shipped = {"sieve": {**TAKEN["sieve"], "interpreter": [Taken(600.0, 1.0)] * 3,
                         "python": [Taken(12.0, 1.0)] * 3}}  # fmt: skip
    once = {**TAKEN["sieve"], "Unicorn counting": [Taken(30.0, 30.0)]}  # it has one turn
    missing = {name: "no" for name in ENGINES if name not in shipped["sieve"]}
    both = {SHIPPED: shipped, "10 times as long": {"sieve": once}}
    found = {one.goal.what: one for one in speed_goals(both, missing)}
    wasm = found["wasm: times as fast as Unicorn counting"]
    assert wasm.figure == pytest.approx(30.0)
    assert wasm.shipped == pytest.approx(6.0)
    assert wasm.line().endswith("30   goal >= 6: reached   (as shipped 6)")
    python = found["python: times as fast as interpreter"]
    assert python.figure == pytest.approx(50.0)
    assert python.shipped is None


def test_what_the_goal_means_beside_the_processor_itself_is_said() -> None:
    taken = {"sieve": {"native": [Taken(0.2, 0.2)], "qemu-i386": [Taken(0.5, 0.5)]}}
    assert limit_lines(taken) == [
        "qemu-i386: 0.40 of native's speed",
        "2.5 times as fast as qemu-i386 is 1.00 of native's speed",
    ]
    assert limit_lines(TAKEN) == []


@pytest.mark.parametrize(
    ("goal", "figure", "end"),
    [
        (Goal("a", 6.0), 6.0, "6   goal >= 6: reached"),
        (Goal("a", 6.0), 5.99, "goal >= 6: NOT REACHED"),
        (Goal("a", 0.5, least=False), 0.5, "goal <= 0.5: reached"),
        (Goal("a", 0.5, least=False), 0.6, "goal <= 0.5: NOT REACHED"),
        (Goal("a", 0.5, least=False), None, "not measured: no gcc                goal <= 0.5"),
    ],
)
def test_a_goal_stands_beside_its_figure(goal: Goal, figure: float | None, end: str) -> None:
    assert goal.line(figure, "no gcc").endswith(end)


def test_engines_take_turns() -> None:
    order: list[tuple[str, str]] = []

    def engine(name: str) -> Engine:
        def run(one: Guest) -> Taken:
            order.append((one.name, name))
            return Taken(float(len(order)), 0.0)

        return Engine(run, str)

    programs = {SHIPPED: [guest("sieve"), guest("crc32")]}
    taken = measure({"a": engine("a"), "b": engine("b")}, programs, 2)[SHIPPED]
    assert order[:4] == [("sieve", "a"), ("sieve", "b"), ("crc32", "a"), ("crc32", "b")]
    assert order[4:] == order[:4]
    assert taken["crc32"]["a"] == [Taken(3.0, 0.0), Taken(7.0, 0.0)]


def test_who_is_slow_has_one_turn_and_who_goes_by_instruction_no_longer_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(translator, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def engine(seconds: float) -> Engine:
        def run(one: Guest) -> Taken:
            clock[0] += seconds * (10 if one is long else 1)
            return Taken(seconds, seconds)

        return Engine(run, str)

    long = replace(guest("sieve"), large_instructions=10**9)
    engines = {"python": engine(0.1), "fast": engine(0.4), "slow": engine(0.6)}
    taken = measure(engines, {SHIPPED: [guest("sieve")], "longer": [long]}, 3)
    assert {name: len(turns) for name, turns in taken[SHIPPED]["sieve"].items()} == {
        "python": 3, "fast": 3, "slow": 3,
    }  # fmt: skip
    assert {name: len(turns) for name, turns in taken["longer"]["sieve"].items()} == {
        "fast": 3, "slow": 1,
    }  # fmt: skip


def test_each_goal_of_speed_names_engines_that_there_are() -> None:
    for one, other, bound in SPEED:
        assert {one, other} <= set(ENGINES)
        assert bound > 0


def test_what_is_measured_on_a_part_is_taken_by_instruction() -> None:
    one = guest("sieve")
    taken = small("interpreter", 500)(one)
    assert taken.cpu_s > 500 / 10**7 * one.large_instructions / 500  # no interpreter is faster
    assert Taken(1.0, 2.0).times(3) == (3.0, 6.0)
    with Stopwatch() as watch:
        sum(range(10_000))
    assert 0 < watch.taken.cpu_s < 10


@pytest.mark.parametrize("code", [LOOP, _once(0), _once(1)], ids=["a loop", "once", "others"])
def test_the_programs_for_a_first_result_do_300_instructions_and_end(code: bytes) -> None:
    computer = Computer(2, history=0)
    computer.load_code(code, CODE)
    run = computer.run()
    assert run.ended == "exit"
    assert 297 <= run.instructions <= 300
    value = computer.processor.registers["EAX"]
    if code == LOOP:
        assert value == sum(k * k for k in range(1, 50))
    if importlib.util.find_spec("unicorn") is None:
        return
    x86 = pytest.importorskip("unicorn.x86_const")
    ram = bytearray(2 << 20)
    ram[CODE : CODE + len(code)] = code
    emulator = unicorn_machine(bytes(ram))
    emulator.reg_write(x86.UC_X86_REG_EAX, 0x2BADB002)
    emulator.emu_start(CODE, 0xFFFFFFFF)
    assert emulator.reg_read(x86.UC_X86_REG_EAX) == value


def test_costs_are_measured_in_every_engine_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translator_costs, "TIMES", 60)
    monkeypatch.setattr(translator_costs, "GUESTS", (guest("sieve"),))
    tiers = set(translator_costs._tiers())
    found = events(1)
    assert tiers <= set(found)
    for by in found.values():
        assert set(PORTS) <= set(by)
    lines, goals = callouts({who: dict.fromkeys(PORTS, 1.0) for who in ("llvm", "Unicorn")})
    assert [line.partition(":")[0] for line in lines] == [k for k in PORTS if k not in WITHIN]
    assert [(held.figure, held.goal.bound) for held in goals] == [(1.0, 0.5)] * len(WITHIN)
    assert [held.figure for held in callouts({})[1]] == [None] * len(WITHIN)
    assert found["interpreter"]["sti"] < 1000  # microseconds
    parts = translation()
    assert set(parts) == tiers - {"interpreter"}
    for by in parts.values():
        assert by["all"] == pytest.approx(sum(ms for part, ms in by.items() if part != "all"))
        assert min(by.values()) > 0
    ways = first_results(1)
    for by in ways.values():
        assert tiers <= set(by)
        assert min(by.values()) > 0


def test_the_translators_steps_are_put_back_where_they_were() -> None:
    from virtlab.machine.translation.lifting import lift

    def users() -> list[str]:
        modules = [m for m in sys.modules.values() if m.__name__.startswith("virtlab.machine.tr")]
        return sorted(m.__name__ for m in modules if vars(m).get("lift") is lift)

    before = users()
    watched = translator_costs._Watched()
    watched.around_calls(lift, "lift")
    assert users() == ["virtlab.machine.translation.lifting"]
    assert len(before) > 1
    watched.undo()
    assert users() == before


def test_as_json_all_figures_and_goals_are_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def engine(seconds: float) -> Engine:
        return Engine(lambda _: Taken(seconds, seconds), str)

    here = {"wasm": engine(1.0), "Unicorn counting": engine(7.0)}
    missing = {name: "not here" for name in ENGINES if name not in here}
    monkeypatch.setattr(translator, "available", lambda: (here, missing))
    monkeypatch.setattr(translator, "longer", lambda one, _factor, _folder: one)
    words = ["translator", "--programs", "sieve", "--turns", "2", "--only", "programs"]
    monkeypatch.setattr(sys, "argv", [*words, "--json"])
    main()
    data = json.loads(capsys.readouterr().out)
    sieve = {"wasm": [[1.0, 1.0]] * 2, "Unicorn counting": [[7.0, 7.0]] * 2}
    assert data["seconds"] == {name: {"sieve": sieve} for name in (SHIPPED, "10 times as long")}
    assert data["goals"][0]["figure"] == pytest.approx(7.0)
    assert [goal["figure"] for goal in data["goals"][1:]] == [None] * (len(SPEED) - 1)
    assert data["missing"]["native"] == "not here"
    monkeypatch.setattr(sys, "argv", words)
    main()
    said = capsys.readouterr().out
    assert "wasm: times as fast as Unicorn counting" in said
    assert "7   goal >= 6: reached   (as shipped 7)" in said
    assert [line for line in said.splitlines() if line.startswith("Programs")] == [
        "Programs as shipped", "Programs 10 times as long",
    ]  # fmt: skip
    assert "not run: native: not here" in said
    assert CALLOUT.what not in said


def test_without_a_compiler_the_shipped_programs_run_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = {"wasm": Engine(lambda _: Taken(1.0, 1.0), str)}
    monkeypatch.setattr(translator, "available", lambda: (here, {}))
    monkeypatch.setattr(translator, "SPEED", ())
    words = ["translator", "--programs", "sieve", "--turns", "1", "--only", "programs"]
    monkeypatch.setattr(sys, "argv", words)
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "gcc" else which(name))
    main()
    said = capsys.readouterr().out
    assert "not run: longer programs: gcc, which builds longer programs, is not" in said
    assert "Programs as shipped" in said
    assert "times as long\n" not in said
    monkeypatch.setattr(sys, "argv", [*words, "--longer", "1", "--seconds", "0"])
    main()
    assert "not run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    ["--programs nosuch", "--only all", "--turns 0", "--longer 0.5", "--seconds 6", "--seconds -1"],
)
def test_what_cannot_be_asked_is_refused(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["translator", *words.split()])
    with pytest.raises(SystemExit):
        arguments()


@pytest.mark.parametrize(
    ("name", "size", "tenfold"),
    [("sieve", 5_000_000, 50_000_000), ("matrix", 256, 552), ("isprime", 16_000, 50_596),
     ("fibonacci", 32, 37), ("queens", 13, 14), ("digits", 10_800, 36_286)],
)  # fmt: skip
def test_a_longer_program_has_the_size_that_its_time_asks_for(
    name: str, size: int, tenfold: int
) -> None:
    assert size_for(name, size, 10) == tenfold
    assert size_for(name, size, 1) == size


def test_a_program_is_made_so_long_that_it_takes_a_second_natively() -> None:
    turns = iter([0.25, 0.2, 0.3, 0.2, 0.4])  # the fastest counts: the others were disturbed
    native = Engine(lambda _: Taken(next(turns), 9.9), str)
    assert translator.factor_for(guest("sieve"), native, 1.0) == pytest.approx(5.0)


def test_by_time_programs_are_made_only_where_they_run_natively(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[tuple[str, float]] = []

    def longer(one: Guest, factor: float, folder: Path) -> Guest:
        made.append((folder.name, factor))
        return one

    monkeypatch.setattr(translator, "longer", longer)
    monkeypatch.setattr(sys, "argv", ["translator", "--programs", "sieve", "--seconds", "2"])
    native = Engine(lambda _: Taken(0.1, 0.1), str)
    found, why = translator.lengths(arguments(), tmp_path, native)
    assert (list(found), why) == ([SHIPPED, "10 times as long", "of 2 s natively"], "")
    assert made == [("10-times-as-long", 10.0), ("of-2-s-natively", pytest.approx(20.0))]
    assert list(translator.lengths(arguments(), tmp_path, None)[0]) == [SHIPPED, "10 times as long"]


def test_unicorn_does_not_run_the_longest_programs() -> None:
    engine = Engine(lambda _: Taken(1.0, 1.0), str)
    engines = dict.fromkeys(ENGINES, engine)
    lengths = {name: [guest("sieve")] for name in (SHIPPED, "10 times as long", "of 1 s natively")}
    ran = {name: set(by["sieve"]) for name, by in measure(engines, lengths, 1).items()}
    assert ran[SHIPPED] == set(ENGINES)
    assert set(ENGINES) - ran["10 times as long"] == {"interpreter", "python"}
    assert ran["10 times as long"] - ran["of 1 s natively"] == {"Unicorn", "Unicorn counting"}


def test_a_machine_is_as_large_as_its_program_needs(tmp_path: Path) -> None:
    small = translator_engines.ram_mib(guest("sieve").path())
    assert small == 1 + 1 + translator_engines.SPARE_MIB  # begins at 1 MiB
    assert translator_engines.ram_mib(guest("sieve").path(large=True)) == small + 4
    computer = translator_engines.machine_for(guest("sieve").path(), "interpreter")
    assert len(computer.memory.data) == small << 20


def test_longer_programs_are_built_and_run_natively_and_here(tmp_path: Path) -> None:
    if shutil.which("gcc") is None or "native" in translator_engines.available()[1]:
        pytest.skip("no gcc, or no processes for i386 here")
    one = longer(guest("fibonacci"), 0.05, tmp_path)
    computer = Computer(2, history=0)
    computer.load(load(one.path(large=True), 2 << 20))
    computer.run(100)
    done = subprocess.run([one.native_path(large=True)], capture_output=True, check=False)
    assert (one.path(), one.native_path()) == (guest("fibonacci").path(),
                                               guest("fibonacci").native_path())  # fmt: skip
    assert done.stdout == b"Fibonacci(26) = 121393\n"
    assert computer.processor.instructions == 100
