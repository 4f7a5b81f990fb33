"""What a translator did in a run: counters, classes of instructions, modes, and what it cost (S18).

Three questions about a translator are answered by counting:

    how much was translated, and was it worth it?   translations, hits, what ran translated
    what is code made of?                           most of it IDENT, little for the VMM
    does it pay to keep translations?               its share of the time falls as the guest goes on

A guest that runs for long has translated all it needs soon, and from then on the translator has
nothing to do: `warm_up` shows that slice by slice.

Seconds are this machine's and differ from run to run; all else is the same each time.

Source: Adams and Agesen (ASPLOS 2006), section 3: what they count.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from virtlab.machine.decode import LONGEST
from virtlab.machine.memory import PAGE
from virtlab.machine.translation.deprivilege import Rights, deprivileged
from virtlab.machine.translation.regions import class_of, successors
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from virtlab.machine.computer import Computer
    from virtlab.machine.decode import Instruction
    from virtlab.machine.guest_run import GuestRun
    from virtlab.machine.translation.translator import Translator

__all__ = ["CLASSES", "COUNTERS", "TranslationStats", "WarmUp", "translation_stats", "warm_up"]

COUNTERS = (
    "translations",
    "made_anew",
    "hits",
    "misses",
    "chained",
    "hashed",
    "callouts",
    "coalesced",
    "evictions",
    "invalidations",
    "entries",
    "steps",
    "instructions",
)
CLASSES = ("IDENT", "control", "in-cache", "callout")


@dataclass(frozen=True)
class TranslationStats(Result):
    """What a translator has done so far.

    Attributes
    ----------
    tier
        What it translates to.
    counts
        By `COUNTERS`: 'made_anew' units were given up to be translated better, as a call came to
        lead elsewhere, or memory could not be reached at once; 'chained' exits went to the next
        unit along a link, 'hashed' ones by the hash table (`virtlab.machine.translation.links`),
        both without what LLVM made; 'callouts' were done by the VMM, for code that was only
        interpreted too; 'coalesced' are accesses to ports that needed none, 'steps' are the
        interpreter's, and 'instructions' those that ran translated.
    classes
        Instructions in the cache by `CLASSES`; callouts are those that a unit ends before.
    modes
        Instructions by mode, 'direct' or 'translated', if code may run directly; or empty.
    switches
        How often the mode changed.
    total_instructions
        That the guest has done in all.
    translate_seconds, seconds
        What translating took, and the run in all; 0 if it was not timed.

    Examples
    --------
    See `translation_stats`.
    """

    tier: str
    counts: Mapping[str, int]
    classes: Mapping[str, int]
    modes: Mapping[str, int]
    switches: int
    total_instructions: int
    translate_seconds: float
    seconds: float

    @property
    def translated_percent(self) -> float:
        """Share of the guest's instructions that ran translated."""
        return 100 * self.counts["instructions"] / max(1, self.total_instructions)

    def class_percent(self, name: str) -> float:
        """Return the share of a class.

        Parameters
        ----------
        name
            One of `CLASSES`.

        Returns
        -------
        float
            Of the instructions in the cache, callouts counted too; in percent.

        Examples
        --------
        >>> counts, classes = dict.fromkeys(COUNTERS, 0), {"IDENT": 3, "control": 1}
        >>> stats = TranslationStats("wasm", counts, classes, {}, 0, 0, 0.0, 0.0)
        >>> stats.class_percent("IDENT"), stats.class_percent("callout")
        (75.0, 0.0)
        """
        return 100 * self.classes.get(name, 0) / max(1, sum(self.classes.values()))

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each figure: what it is of, its name, how many, and its share."""
        import pandas as pd

        rows: list[tuple[str, str, int, float | None]] = [
            ("counter", name, times, None) for name, times in self.counts.items()
        ]
        rows += [
            ("class", name, self.classes.get(name, 0), self.class_percent(name)) for name in CLASSES
        ]
        done = max(1, sum(self.modes.values()))
        rows += [("mode", name, n, 100 * n / done) for name, n in sorted(self.modes.items())]
        if self.modes:
            rows.append(("mode", "switches", self.switches, None))
        return pd.DataFrame(rows, columns=["of", "what", "times", "percent"])

    def summary(self) -> dict[str, float | int | str]:
        """Return its numbers."""
        found: dict[str, float | int | str] = {"tier": self.tier, **self.counts}
        found |= {f"{name}_percent": self.class_percent(name) for name in CLASSES}
        found |= {f"{name}_mode_instructions": n for name, n in sorted(self.modes.items())}
        return found | {
            "mode_switches": self.switches,
            "total_instructions": self.total_instructions,
            "translated_percent": self.translated_percent,
            "translate_seconds": self.translate_seconds,
            "seconds": self.seconds,
        }

    def explain(self) -> str:
        """Say what was done."""
        shares = ", ".join(f"{self.class_percent(name):.0f} % {name}" for name in CLASSES)
        text = (
            f"{self.counts['translations']:,} translations; "
            f"{self.translated_percent:.1f} % of {self.total_instructions:,} instructions ran "
            f"translated, {self.counts['steps']:,} steps were interpreted. "
            f"Of the instructions in the cache: {shares}."
        )
        if self.seconds:
            share = 100 * self.translate_seconds / self.seconds
            text += f" Translating took {share:.0f} % of {self.seconds:.2f} s."
        if self.counts["callouts"] and not self.classes.get("callout"):
            text += " All callouts came from code that is not in the cache."
        if self.modes:
            n = self.modes.get("direct", 0)
            part = 100 * n / max(1, sum(self.modes.values()))
            text += f" {part:.1f} % ran directly; the mode changed {self.switches} times."
        return text


def translation_stats(computer: Computer, run: GuestRun | None = None) -> TranslationStats:
    """Return what a computer's translator has done.

    Parameters
    ----------
    computer
        One with a tier that translates.
    run
        Its run, for the seconds.

    Returns
    -------
    TranslationStats
        Since the computer was made.

    Raises
    ------
    InvalidInputError
        If it only interprets.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2, history=0, tier="wasm")
    >>> computer.load_code(bytes.fromhex("b9a0860100 49 75fd f4"))  # count 100,000 down, halt
    >>> run = computer.run()
    >>> stats = translation_stats(computer)
    >>> stats.counts["translations"], stats.classes, round(stats.translated_percent)
    (1, {'IDENT': 1, 'control': 1, 'in-cache': 0, 'callout': 1}, 100)
    """
    translator = _translator_of(computer)
    both = {"callouts": computer.processor.callouts}
    both["made_anew"] = translator.cache.counts["made anew"]
    both |= {**translator.cache.counts, **translator.counts}
    modes = translator.modes
    return TranslationStats(
        translator.host.name,
        {name: both.get(name, 0) for name in COUNTERS},
        _classes(computer, translator),
        {} if modes is None else dict(modes.instructions),
        0 if modes is None else modes.switches,
        computer.processor.instructions,
        both.get("translating_ns", 0) / 1e9,
        0.0 if run is None else run.seconds,
    )


def _translator_of(computer: Computer) -> Translator:
    if computer.translator is None:
        raise InvalidInputError("tier", "interpreter", "one that translates")
    return computer.translator


def _classes(computer: Computer, translator: Translator) -> dict[str, int]:
    """Count the instructions in the cache, each once, and those for the VMM that follow them."""
    found: dict[tuple[int, int, Rights | None], str] = {}
    for unit in translator.cache.units:
        base, page = unit.key.address & ~(PAGE - 1), unit.key.page
        rights = unit.key.rights if translator.passes.in_cache else None
        inside = {base + at for at, _ in unit.places}
        code = computer.memory.read(page * PAGE, PAGE)
        for at in sorted(inside):
            one = _decoded(computer, at, code, rights)
            found[at, page, rights] = class_of(one)
            for to in successors(one):
                if base <= to < base + PAGE and to not in inside:
                    there = _decoded(computer, to, code, rights)
                    if class_of(there) == "callout":
                        found[to, page, rights] = "callout"
    counted = Counter(found.values())
    return {name: counted[name] for name in CLASSES}


def _decoded(computer: Computer, address: int, page: bytes, rights: Rights | None) -> Instruction:
    at = address % PAGE
    one = computer.processor.decoder.decode(address, page[at : at + LONGEST] + bytes(LONGEST))
    if rights is None or computer.translator is None:
        return one
    return deprivileged(one, rights, ports=computer.translator.passes.ports)


@dataclass(frozen=True)
class WarmUp(Result):
    """A run in slices: how much of each the translator took.

    Attributes
    ----------
    done
        Instructions that the guest had done at the end of each slice.
    translations
        Units made in it.
    translate_seconds, seconds
        What that took, and the slice in all.

    Examples
    --------
    See `warm_up`.
    """

    done: tuple[int, ...]
    translations: tuple[int, ...]
    translate_seconds: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def share_percent(self) -> tuple[float, ...]:
        """Share of the time so far that went into translating, at the end of each slice."""
        spent = total = 0.0
        found = []
        for part, whole in zip(self.translate_seconds, self.seconds, strict=True):
            spent, total = spent + part, total + whole
            found.append(100 * spent / total)
        return tuple(found)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each slice."""
        import pandas as pd

        columns: dict[str, Any] = {
            "instructions": self.done,
            "translations": self.translations,
            "translate_s": self.translate_seconds,
            "run_s": self.seconds,
            "translate_share_percent": self.share_percent,
        }
        return pd.DataFrame(columns)

    def summary(self) -> dict[str, float | int | str]:
        """Return its numbers."""
        return {
            "instructions": self.done[-1],
            "translations": sum(self.translations),
            "translations_in_the_last_slice": self.translations[-1],
            "first_share_percent": self.share_percent[0],
            "last_share_percent": self.share_percent[-1],
        }

    def explain(self) -> str:
        """Say how the share went."""
        share = self.share_percent
        return (
            f"After {self.done[0]:,} instructions {share[0]:.0f} % of the time had gone into "
            f"translating, after {self.done[-1]:,} {share[-1]:.2g} %: of "
            f"{sum(self.translations)} translations {self.translations[0]} were made in the first "
            f"slice, {self.translations[-1]} in the last."
        )


def warm_up(computer: Computer, first: int = 10_000, slices: int = 12) -> WarmUp:
    """Run a computer in slices, each as long as all before it.

    Parameters
    ----------
    computer
        One with a tier that translates, and a program.
    first
        Instructions of the first slice.
    slices
        How many, 1 to 30; fewer if the guest ends before.

    Returns
    -------
    WarmUp
        A row for each slice.

    Raises
    ------
    InvalidInputError
        If the computer only interprets, or a number is out of range.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2, history=0, tier="wasm")
    >>> computer.load_code(bytes.fromhex("49 75fd ebfb"))
    >>> found = warm_up(computer, 1000, 3)
    >>> found.done, found.translations
    ((1000, 2000, 4000), (1, 0, 0))
    """
    size = integer("first", first, minimum=1)
    rows: list[tuple[int, int, float, float]] = []
    for _ in range(integer("slices", slices, minimum=1, maximum=30)):
        before = translation_stats(computer)
        run = computer.run(size if not rows else max(1, computer.processor.instructions))
        after = translation_stats(computer)
        rows.append(
            (
                after.total_instructions,
                after.counts["translations"] - before.counts["translations"],
                after.translate_seconds - before.translate_seconds,
                run.seconds,
            )
        )
        if computer.ended:
            break
    done, made, spent, seconds = zip(*rows, strict=True)
    return WarmUp(done, made, spent, seconds)
