"""Exercises of rings (chapter 02): predict, find what breaks a kernel, write bytes and a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.course import rings_predict as predict
from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.rings_code import try_gate, try_read_if
from virtlab.course.sheet import Sheet
from virtlab.machine.rings import NON_PRIVILEGED_SENSITIVE, ring_table

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "breaks",
    "culprit",
    "error",
    "frame",
    "gate",
    "hybrid",
    "lists",
    "outcome",
    "page",
    "pairs",
    "read_if",
    "sheet",
]

_NAMES = {  # what a reader may choose from, and its mnemonic in the table
    "LGDT": "loads the register of the descriptor table",
    "LIDT": "loads the register of the interrupt table",
    "LTR": "loads the task register",
    "CLTS": "clears a bit of CR0",
    "HLT": "halts the processor",
    "INVLPG": "drops an entry of the TLB",
    "CLI": "switches interrupts off",
    "ADD": "adds",
    "SGDT": "stores the register of the descriptor table",
    "SIDT": "stores the register of the interrupt table",
    "SMSW": "stores half of CR0",
    "STR": "stores the task register",
    "POPF": "takes the flags from the stack",
    "PUSHF": "leaves the flags on the stack",
    "LAR": "reads the rights of a segment",
}


def _breaks(names: tuple[str, ...] = ("LGDT", "HLT", "SMSW", "ADD")) -> Choice:
    """Ask which instruction is sensitive and not privileged."""

    def draw(rng: np.random.Generator) -> Choice:
        bad = sorted(set(_NAMES) & NON_PRIVILEGED_SENSITIVE)
        good = sorted(set(_NAMES) - NON_PRIVILEGED_SENSITIVE)
        some = [str(one) for one in rng.choice(good, 3, replace=False)]
        some.insert(int(rng.integers(4)), str(rng.choice(bad)))
        return _breaks(tuple(some))

    options = {name: f"{name}, which {_NAMES[name]}" for name in names}

    def hint(name: str) -> str:
        if ring_table().privileged(name):
            return f"{name} is sensitive, but it traps at ring 3: a monitor hears of it."
        return f"{name} neither changes the machine nor tells of it: it may run as it is."

    return Choice(
        name="breaks",
        text=f"{', '.join(names)}: one of these is **sensitive** and not **privileged**, and so "
        "stands in the way of a monitor by traps. Which?",
        options=options,
        solve=lambda: next(name for name in names if name in ring_table().violations()),
        hints={name: hint(name) for name in names},
        why="Outside ring 0 it does not trap, and what it does or tells is of the machine below.",
        variant=draw,
    )


lists = Numeric(
    name="lists",
    text="People say that the i386 has *17* sensitive instructions that do not trap. Robin and "
    "Irvine's list of 2000 is that of Bugnion, Nieh and Tsafrir (2017) without IRET. How many "
    "mnemonics have the two lists? Give both numbers, the older list first. "
    "(`NON_PRIVILEGED_SENSITIVE` is the newer one.)",
    relative=0,
    solve=lambda: [len(NON_PRIVILEGED_SENSITIVE - {"IRET"}), len(NON_PRIVILEGED_SENSITIVE)],
    why="17 is a label. It depends on what is counted as one: PUSH and POP of segment registers, "
    "far calls, jumps and returns, IRET.",
    hint="Count the newer list with `len`; the older one lacks one mnemonic of it.",
    mistakes=[Mistake(lambda: [17, 17], "Count them: that is the label.")],
)


def _ask_hybrid() -> str:
    from virtlab.machine.theorem import theorem

    found = theorem("jrst")
    return "traps" if found.virtualizable else "hybrid" if found.hybrid else "none"


hybrid = Choice(
    name="hybrid",
    text="The PDP-10 had a `JRST 1` that goes to user mode. In user mode it does not trap: it is a "
    "jump like any other. All else that is sensitive traps. Which monitor do the theorems promise?",
    options={
        "traps": "One by traps alone: kernel and programs run directly",
        "hybrid": "A hybrid one: programs run directly, the kernel is interpreted",
        "none": "None of the two",
    },
    solve=_ask_hybrid,
    hints={
        "traps": "The guest's kernel runs in user mode then. What becomes of its JRST 1, and who "
        "hears of it?",
        "none": "Where does JRST 1 do harm: in a program that is in user mode anyway?",
    },
    why="In a kernel, which believes that it is in supervisor mode, JRST 1 should change the mode; "
    "in a program there is nothing to change. So it is sensitive, but not user-sensitive.",
)
outcome = predict.outcome()
pairs = predict.pairs()
page = predict.page()
frame = predict.frame()
error = predict.error()
culprit = predict.culprit()
breaks = _breaks()
gate = Code(
    name="gate",
    text="Write `gate(handler, selector)`, which returns the **eight bytes** of an interrupt gate "
    "that lets **ring 3** call `int 0x90`. `handler` is the address of ring 0's code, `selector` "
    "names its segment. In a gate, bits 0-15 are the offset's low half, 16-31 the selector, 40-43 "
    "the type (0xE: interrupt gate), 45-46 the DPL, 47 is *present*, 48-63 the offset's high half.",
    test=try_gate,
    hint='`value.to_bytes(8, "little")` makes eight bytes of a number.',
    why="DPL says who may come by `int n`. Faults and devices may always: for them nobody asks.",
)
read_if = Code(
    name="read_if",
    text="Interrupts are a matter of the kernel's, and at ring 3 `cli` traps. Yet a program can "
    "find out whether they are on. Write `code()`, which returns **at most five bytes** of machine "
    "code. They run at ring 3 with IOPL 0; after the last one EAX shall tell IF: 1 or 0, or the "
    "flags with IF at bit 9. (`9c` is pushf, `58` is pop eax, `c1 e8 n` is shr eax, n.)",
    test=try_read_if,
    why="PUSHF does not trap. So a guest's kernel at ring 1 reads the monitor's IF, and not its "
    "own.",
)
sheet = Sheet(
    "rings",
    [outcome, pairs, page, frame, error, lists, breaks, culprit, hybrid, read_if, gate],
)
