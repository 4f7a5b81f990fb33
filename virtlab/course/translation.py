"""Exercises of chapter 04: what is translated, what it costs, and what breaks it (S18)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from virtlab.course import translation_costs as costs
from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.sheet import Sheet
from virtlab.course.translation_code import LIMIT, try_policy, try_simpler, try_surprise
from virtlab.course.translation_exits import links as _links
from virtlab.machine.translation.fragments import fragments
from virtlab.machine.translation.listing import listing
from virtlab.machine.translation.listing_rows import program_of
from virtlab.machine.translation.speed_curves import rounded

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "break_even",
    "classes",
    "dead",
    "events",
    "forkwait",
    "free",
    "links",
    "pieces",
    "policy",
    "sheet",
    "simpler",
    "surprise",
    "tier",
    "who",
]

# Of each class some instructions, at ring 0: as one writes them, and their bytes.
_INSTRUCTIONS = {
    "add eax, ebx": "01d8",
    "mov eax, [esi]": "8b06",
    "push ebp": "55",
    "lea eax, [ebx+4]": "8d4304",
    "imul eax, ebx": "0fafc3",
    "jnz back": "75f0",
    "call function": "e800010000",
    "ret": "c3",
    "jmp eax": "ffe0",
    "cli": "fa",
    "popf": "9d",
    "pushf": "9c",
    "mov eax, cr3": "0f20d8",
    "hlt": "f4",
    "out dx, eax": "ef",
    "mov cr3, eax": "0f22d8",
    "lgdt [eax]": "0f0110",
    "iret": "cf",
    "int 0x80": "cd80",
}


def _kind(code: str) -> str:
    return listing(program_of(bytes.fromhex(code) + b"\x90\x90")).rows[0].kind


def _classes(name: str = "popf") -> Choice:
    """Ask for the class of an instruction."""

    def draw(rng: np.random.Generator) -> Choice:
        return _classes(str(rng.choice(list(_INSTRUCTIONS))))

    return Choice(
        name="classes",
        text=f"A guest's kernel has `{name}`. What does our translator make of it?",
        options={
            "IDENT": "it does in the cache what it says",
            "control": "its target has to be translated too: what comes next is another address",
            "in-cache": "it is sensitive, and done in the cache on the guest's own flags",
            "callout": "a call into the VMM",
        },
        solve=lambda: _kind(_INSTRUCTIONS[name]),
        hints={
            "IDENT": "Does it touch what the kernel believes to be its own: IF, tables, devices? "
            "Or does it say which instruction is next?",
            "control": "Is another instruction than the one after it next?",
            "in-cache": "Which flags, or which copy of a register, would it work on? If it touches "
            "neither, it is not sensitive; if it touches devices or tables, that is not enough.",
            "callout": "Could a few ordinary instructions do it, on a copy that the VMM keeps? Or "
            "is it ordinary anyway?",
        },
        variant=draw,
    )


_LINES = {
    "add eax, ebx": "01d8",
    "inc eax": "40",
    "and eax, ebx": "21d8",
    "mov ecx, eax": "89c1",
    "cmp eax, ebx": "39d8",
    "dec eax": "48",
    "test eax, eax": "85c0",
    "sub ebx, eax": "29c3",
}
_JUMPS = {"jmp": "eb", "jz": "74", "jc": "72"}
_FLAGS = ("CF", "PF", "AF", "ZF", "SF", "OF")


def _written(lines: tuple[str, ...]) -> list[int]:
    """Return how many flags each instruction writes that writes any."""
    code = bytes.fromhex("".join(_LINES[one] for one in lines[:-1]))
    found = Counter(address for address, _ in listing(program_of(code)).flags())
    return [found[address] for address in sorted(found)] or [0]


def _dead(lines: tuple[str, ...] = ("add eax, ebx", "inc eax", "mov ecx, eax", "jc")) -> Numeric:
    """Ask how often a loop would write a flag, and how often it has to."""

    def draw(rng: np.random.Generator) -> Numeric:
        body = [str(one) for one in rng.choice(list(_LINES), 3, replace=False)]
        return _dead((*body, str(rng.choice(list(_JUMPS)))))

    def solve() -> list[int]:
        code = bytes.fromhex("".join(_LINES[one] for one in lines[:-1]) + _JUMPS[lines[-1]])
        rows = listing(program_of(code + bytes([255 - len(code)]))).rows
        flags = [one for row in rows for one in row.operations
                 if one.text.partition(" = ")[0] in _FLAGS]  # fmt: skip
        return [len(flags), sum(one.state == "done" for one in flags)]

    text = "; ".join(f"`{one}`" for one in lines[:-1])
    return Numeric(
        name="dead",
        text=f"A loop: {text}; `{lines[-1]} back to the start`. (In our p-code add, sub, cmp, "
        "`and` and `test` write all six flags, inc and dec all but CF, mov none.) "
        "Outside of the loop anybody may read any flag. How often is a flag **written** in one "
        "turn, and how often does the translated code have to **compute** one? Give both numbers.",
        relative=0,
        solve=solve,
        why="A flag is needed if some way leads to a reader before a writer, and whoever leaves "
        "the region may read all. So of several writers of a flag at most the last one counts, "
        "and in a loop that is never left, not even that one.",
        mistakes=[
            Mistake(lambda: [solve()[0], solve()[0]], "Is each of them ever read?"),
            Mistake(
                lambda: [solve()[0], int(lines[-1] != "jmp")],
                "Whoever leaves the loop may read all flags, not only the one that the jump reads.",
            ),
            Mistake(
                lambda: [solve()[0], _written(lines)[-1]],
                "The last instruction that writes flags does not write all of them. Who writes "
                "the others last?",
            ),
            Mistake(lambda: [solve()[0], 0], "Does the jump read none, and who stands behind it?"),
        ],
        hint="Go back from the end. Who writes each flag last, and can it be read from there on "
        "before it is written? A branch that can fall through leaves the region.",
        variant=draw,
    )


def _pieces(number: int = 49) -> Numeric:
    """Ask for Adams and Agesen's count."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _pieces(int(rng.choice([2, 3, 4, 6, 9, 13, 15, 25, 35, 47, 77, 97])))

    def solve() -> list[int]:
        found = fragments(number)
        return [len(found.fragments), len(found.never_ran)]

    return Numeric(
        name="pieces",
        text=f"`isPrime({number})` runs once, translated in units of at most 12 instructions that "
        "end where the code may go elsewhere; a unit is translated when it is first reached. How "
        "many **fragments** are made, and how many **continuations** of these never run? (The "
        "code is in the columns above. A `ret` has no continuation.)",
        relative=0,
        solve=solve,
        why=lambda: fragments(number).explain(),
        hint="Follow the number through the code. Each conditional jump has two continuations.",
        mistakes=[
            Mistake(lambda: [5, solve()[1]], "There are five blocks. Is each of them reached?")
        ],
        variant=draw,
    )


def _break_even(start_ms: int = 90, million: int = 2000, thousand: int = 100) -> Numeric:
    """Ask from which length on it pays to translate."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _break_even(
            int(rng.integers(10, 300)), int(rng.integers(50, 3000)), int(rng.integers(20, 120))
        )

    slow, fast = 1e3 * thousand, 1e6 * million
    return Numeric(
        name="break_even",
        text=f"An interpreter does {thousand},000 instructions a second. A translator does "
        f"{million:,} million, but only after it has spent **{start_ms} ms** on translating. From "
        "how many instructions on is the translator the better choice?",
        solve=lambda: start_ms / 1e3 / (1 / slow - 1 / fast),
        relative=0.02,
        why="So few, because the interpreter is so slow. For the next tier up it is the same sum, "
        "and there it is many million.",
        mistakes=[
            Mistake(lambda: start_ms / 1e3 * fast, "The interpreter has to do them meanwhile."),
            Mistake(lambda: start_ms * slow, "Mind the milliseconds."),
        ],
        hint="Set both times equal: n at the slow rate; the start and n at the fast one.",
        variant=draw,
    )


_TIERS = {  # (seconds before the first instruction is fast, instructions a second)
    "interpreter": (0.0, 1e5),
    "python": (0.05, 1.5e7),
    "wasm": (0.1, 2e9),
    "llvm": (0.9, 3e9),
}


def _tier(instructions: int = 300_000_000) -> Choice:
    """Ask which tier to take for a program of some length."""

    def draw(rng: np.random.Generator) -> Choice:
        powers = [500, 1500, 8_000, 60_000, 2_000_000, 50_000_000, 800_000_000, 6_000_000_000]
        return _tier(int(rng.choice(powers)))

    def seconds(name: str) -> float:
        start, rate = _TIERS[name]
        return start + instructions / rate

    rows = "; ".join(
        f"`{name}` {1e3 * start:,.0f} ms, then {rate / 1e6:,.6g} million/s"
        for name, (start, rate) in _TIERS.items()
    )
    return Choice(
        name="tier",
        text=f"Before a tier is fast it has spent its start: {rows}. A program does "
        f"**{instructions:,}** instructions, once. Which tier has it done first?",
        options={name: f"{name}" for name in _TIERS},
        solve=lambda: min(_TIERS, key=seconds),
        hints={
            name: f"{name} takes {rounded(seconds(name))} s. Work out the one above and below it."
            for name in _TIERS
        },
        why=lambda: "; ".join(f"{name} {rounded(seconds(name))} s" for name in _TIERS) + ".",
        variant=draw,
    )


who = Choice(
    name="who",
    text="The talk's step 2: *the VMkernel interprets the instruction and keeps templates of what "
    "it means*. Who translates in ESX, and what?",
    options={
        "a": "The VMkernel, each instruction of every guest",
        "b": "The VMM of each VM, its guest's kernel only",
        "c": "The VMM of each VM, its guest's kernel and its programs",
        "d": "The processor, with the VMM's templates",
    },
    solve=lambda: "b",
    hints={
        "a": "One kernel for all would need each guest's address spaces. And would a program that "
        "only adds gain anything?",
        "c": "What could a program at ring 3 do that its kernel's hardware would not forbid "
        "anyway? It may run as it is.",
        "d": "In 2004 the processor knew nothing of virtual machines.",
    },
    why="Programs run directly; the switch is made when the guest's kernel is entered.",
)
classes, dead, pieces, links = _classes(), _dead(), _pieces(), _links()
break_even, tier = _break_even(), _tier()
simpler = Code(
    name="simpler",
    text="Compilers write `xor eax, eax` for `eax = 0` and `test eax, eax` to look at a value. Our "
    "translator computes both. Write a pass: `simpler(op)` gets an operation in single assignment "
    "form, such as `t-3 = INT_XOR t-1, t-1`, and returns one that does the same with less, or "
    "`op` itself. It should turn **XOR, SUB, AND and OR of a value and itself** into a `COPY`. "
    "(`op.code`, `op.out`, `op.ins`; `Op('COPY', op.out, (value,))` makes one, "
    "`Var(CONST, 0, op.out.size)` is a zero.)",
    test=try_simpler,
    seconds=60,
    hint="Leave alone what you are not sure of: return `op`.",
    why="Two programs ended exactly as without your pass, to the last flag. After it, later passes "
    "find more to do: that is how compilers are built.",
)
policy = Code(
    name="policy",
    text=f"The small kernel runs with a cache of {LIMIT} translations, fewer than it needs. When "
    "it is full something has to go: `flush_all` takes all, `oldest` the quarter that was made "
    "first. Write `policy(units)`: it gets the units in the cache and returns a list of **those "
    "that have to go**, such that fewer translations are made than with `oldest`. A unit knows "
    "when it was made (`unit.born`) and last looked up (`unit.used`), counted in look-ups.",
    test=try_policy,
    seconds=60,
    hint="Which of the units will be needed again soon? What was needed lately often is.",
    why="But it is not for nothing that real translators flush: to find the least used takes time "
    "at each eviction, single holes have to be filled, and whoever jumps to a unit that goes has "
    "to be told.",
)
surprise = Code(
    name="surprise",
    text="Break a translation cache. Write `code()`, which returns **at most 40 bytes** that begin "
    "at 0x100000 and end with `hlt`, such that EAX at the end is another number if the cache does "
    "**not** notice that code is written on. (`b8` and four bytes: mov eax, number; `fe 05` and an "
    "address of four bytes: inc byte [address]; `b9` and four bytes: mov ecx, number; `49`: dec "
    "ecx; `75` and a byte: jnz; `f4`: hlt.)",
    test=try_surprise,
    seconds=30,
    hint="A unit is made when it is reached, from what stands there then. So the same address has "
    "to be reached, changed, and reached again.",
    why="Our cache notices: it knows from which bytes each unit was made. On x86 this has to work "
    "without any word from the guest.",
)
forkwait, events, free = costs.forkwait(), costs.events(), costs.free()
sheet = Sheet(
    "translation",
    [
        who,
        classes,
        dead,
        pieces,
        links,
        break_even,
        tier,
        simpler,
        policy,
        surprise,
        forkwait,
        events,
        free,
    ],
)
