"""What is told of a translator is what it did."""

from __future__ import annotations

import json

import pytest

from tests.machine.small_guests import DECODER, set_up
from tests.machine.translated import needs_wasmtime
from virtlab.machine.computer import Computer
from virtlab.machine.guests import guest, kernel
from virtlab.machine.image import load
from virtlab.machine.translation.passes import ESX, Passes
from virtlab.machine.translation.stats import (
    CLASSES,
    COUNTERS,
    TranslationStats,
    WarmUp,
    translation_stats,
    warm_up,
)
from virtlab.validate import InvalidInputError

MIB = 1 << 20


def ready(name: str, passes: Passes | None = None, tier: str = "wasm") -> Computer:
    computer = Computer(4, history=0, tier=tier, decoder=DECODER, passes=passes)
    computer.load(load(kernel() if name == "kernel" else guest(name).path(), 4 * MIB))
    return computer


@needs_wasmtime
def test_counters_add_up() -> None:
    computer = ready("kernel")
    run = computer.run()
    stats = translation_stats(computer, run)
    counts = stats.counts
    assert set(counts) == set(COUNTERS)
    assert counts["chained"] + counts["hashed"] > 0
    assert counts["instructions"] < stats.total_instructions == run.instructions
    # What did not run translated was a step each; other steps are interrupts and faults.
    interpreted = run.instructions - counts["instructions"]
    others = sum(n for (_, how), n in run.traps.items() if how != "instruction")
    assert interpreted <= counts["steps"] <= interpreted + 2 * others
    assert counts["callouts"] <= counts["steps"]
    assert counts["translations"] <= counts["misses"]
    assert 0 < stats.translate_seconds < stats.seconds == run.seconds


@needs_wasmtime
def test_each_instruction_in_the_cache_has_one_class() -> None:
    computer = eager(set_up(history=0, tier="wasm"))
    # mov ecx, 9; cli; (there) inc eax; pushf; popf; dec ecx; jnz there; hlt
    computer.load_code(bytes.fromhex("b909000000 fa 40 9c 9d 49 75fa f4"))
    computer.run()
    stats = translation_stats(computer)
    assert stats.classes == {"IDENT": 3, "control": 1, "in-cache": 3, "callout": 1}
    assert stats.class_percent("in-cache") == 37.5
    assert sum(stats.class_percent(name) for name in CLASSES) == 100


def eager(computer: Computer) -> Computer:
    assert computer.translator is not None
    computer.translator.heat.hot = 1
    return computer


@needs_wasmtime
def test_without_the_pass_they_are_for_the_vmm() -> None:
    computer = eager(set_up(history=0, tier="wasm", passes=Passes(in_cache=False)))
    computer.load_code(bytes.fromhex("b909000000 90 40 9c 58 49 75fa f4"))
    computer.run()
    stats = translation_stats(computer)
    assert stats.classes["in-cache"] == 0
    assert stats.classes["callout"] == 2
    assert stats.counts["callouts"] == 9 + 1  # pushf nine times, and hlt


@needs_wasmtime
def test_most_code_is_ident() -> None:
    computer = ready("sieve")
    computer.run()
    stats = translation_stats(computer)
    assert stats.class_percent("IDENT") > 60
    assert stats.class_percent("callout") < 10
    assert stats.translated_percent > 95


@needs_wasmtime
def test_modes_are_told_where_code_may_run_directly() -> None:
    computer = ready("kernel", Passes(direct=True))
    computer.run()
    stats = translation_stats(computer)
    assert set(stats.modes) == {"direct", "translated"}
    assert sum(stats.modes.values()) == stats.total_instructions
    frame = stats.to_frame()
    assert list(frame[frame["of"] == "mode"]["what"]) == ["direct", "translated", "switches"]
    assert "ran directly; the mode changed" in stats.explain()
    assert stats.to_json()["mode_switches"] == stats.switches > 10


def test_words_and_rows() -> None:
    counts = {name: k for k, name in enumerate(COUNTERS)}
    classes = {"IDENT": 6, "control": 2, "in-cache": 1, "callout": 1}
    stats = TranslationStats("wasm", counts, classes, {}, 0, 100, 0.5, 2.0)
    assert len(stats.to_frame()) == len(COUNTERS) + len(CLASSES)
    assert "60 % IDENT, 20 % control, 10 % in-cache, 10 % callout" in stats.explain()
    assert "Translating took 25 % of 2.00 s." in stats.explain()
    assert "directly" not in stats.explain()
    data = json.loads(json.dumps(stats.to_json()))
    assert (data["translations"], data["IDENT_percent"], data["translated_percent"]) == (0, 60, 12)
    nothing = TranslationStats("wasm", dict.fromkeys(COUNTERS, 0), {}, {}, 0, 0, 0.0, 0.0)
    assert nothing.translated_percent == nothing.class_percent("IDENT") == 0
    assert "Translating took" not in nothing.explain()


def test_an_interpreter_has_no_translator() -> None:
    with pytest.raises(InvalidInputError, match="tier = 'interpreter'"):
        translation_stats(ready("sieve", tier="interpreter"))


# --- slices ---------------------------------------------------------------------------------------


@needs_wasmtime
def test_translations_become_rare() -> None:
    """As Adams and Agesen say: what is needed is soon there."""
    computer = Computer(16, history=0, tier="wasm", decoder=DECODER, passes=ESX)
    computer.load(load(guest("matrix").path(large=True), 16 * MIB))
    found = warm_up(computer, 20_000, 12)
    half = len(found.done) // 2
    assert sum(found.translations[half:]) < 0.5 * sum(found.translations)
    per_million = [
        1e6 * made / (done - before)
        for made, done, before in zip(
            found.translations, found.done, (0, *found.done[:-1]), strict=True
        )
    ]
    assert per_million[0] > 50
    assert per_million[-1] < 1
    assert found.done[0] == 20_000
    assert all(b == 2 * a for a, b in zip(found.done[:-1], found.done[1:-1], strict=False))


def test_the_share_is_of_all_the_time_so_far() -> None:
    found = WarmUp((10, 20, 40), (2, 1, 0), (0.5, 0.25, 0.0), (1.0, 1.0, 3.0))
    assert found.share_percent == (50.0, 37.5, 15.0)
    assert "50 % of the time" in found.explain()
    assert "after 40 15 %" in found.explain()
    assert found.summary()["last_share_percent"] == 15.0


@needs_wasmtime
def test_a_loop_is_translated_once() -> None:
    computer = set_up(history=0, tier="wasm")
    computer.load_code(bytes.fromhex("49 75fd ebfb"))
    found = warm_up(computer, 1000, 5)
    assert found.done == (1000, 2000, 4000, 8000, 16000)
    assert found.translations == (1, 0, 0, 0, 0)
    assert found.summary()["translations_in_the_last_slice"] == 0
    assert list(found.to_frame()["instructions"]) == list(found.done)
    assert "1 were made in the first slice, 0 in the last" in found.explain()


@needs_wasmtime
def test_a_guest_that_ends_ends_the_slices() -> None:
    computer = set_up(history=0, tier="wasm")
    computer.load_code(bytes.fromhex("b909000000 49 75fd f4"))
    found = warm_up(computer, 10, 12)
    assert found.done == (10, 20)


@pytest.mark.parametrize(("first", "slices"), [(0, 3), (10, 0), (10, 31), (1.5, 3)])
def test_slices_it_refuses(first: int, slices: int) -> None:
    with pytest.raises(InvalidInputError):
        warm_up(ready("sieve", tier="interpreter"), first, slices)
