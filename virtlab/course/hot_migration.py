"""Exercises of the live migration (chapter 14): the pause, the bitmap, who has it, your own way."""

from __future__ import annotations

import math
import tempfile
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.sheet import Sheet
from virtlab.migration.live.algorithms import Deck, PreCopy
from virtlab.migration.live.claim import claim
from virtlab.migration.live.predict import Traffic
from virtlab.migration.live.rehearsal import Rehearsed, rehearse

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from virtlab.migration.live.algorithms import Algorithm

__all__ = [
    "again",
    "bit_order",
    "handle",
    "my_way",
    "no_return",
    "pause",
    "second_round",
    "sheet",
    "stop_rule",
]


def _pause(pages: int = 400, link_mib_s: int = 64, hand_over_ms: int = 4) -> Numeric:
    """Ask for a pause."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _pause(
            int(50 * rng.integers(1, 60)),
            int(2 ** rng.integers(4, 9)),
            int(rng.integers(2, 12)),
        )

    sending = 1000 * pages * 4104 / (link_mib_s * 2**20)
    return Numeric(
        name="pause",
        text=f"The server stands still. **{pages} pages** are left, each costs 4,104 bytes, the "
        f"link takes **{link_mib_s} MiB/s**, and the hand-over **{hand_over_ms} ms**. How long do "
        "the clients wait? (1 MiB is 1,048,576 bytes.)",
        unit="ms",
        relative=0.02,
        solve=lambda: 1000 * Traffic(link_mib_s=link_mib_s).seconds(pages) + hand_over_ms,
        why=f"{sending:.1f} ms for the pages, and {hand_over_ms} ms for the hand-over.",
        mistakes=[
            Mistake(lambda: sending, "That is when the pages are there. Who answers then?"),
            Mistake(lambda: sending / 1000, "That is in seconds, and without the hand-over."),
        ],
        hint="Two parts: the pages that are left, over the link, and the hand-over.",
        variant=draw,
    )


def _second_round(payments: int = 300, pages: int = 500) -> Numeric:
    """Ask how many pages get dirty."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _second_round(int(50 * rng.integers(2, 30)), int(100 * rng.integers(2, 20)))

    return Numeric(
        name="second_round",
        text=f"Accounts lie on **{pages} pages**. During the first round **{payments} payments** "
        "are made; each writes to two accounts, anywhere. On how many different pages of accounts "
        "have they written, on average?",
        unit="pages",
        relative=0.02,
        solve=lambda: pages * (1 - (1 - 1 / pages) ** (2 * payments)),
        why="A page stays clean if all writes miss it: (1 - 1/W) to the power of their number.",
        mistakes=[
            Mistake(
                lambda: 2 * payments, "So many writes; but some hit a page that is dirty already."
            ),
            Mistake(
                lambda: pages * (1 - (1 - 1 / pages) ** payments),
                "Each payment writes to two accounts.",
            ),
        ],
        hint="Payments in that time, two accounts each: what chance has a page to be missed?",
        variant=draw,
    )


def _stop_rule(dirty_mib_s: int = 24, link_mib_s: int = 96, memory_mib: int = 512) -> Numeric:
    """Ask how many rounds pre-copy takes."""

    def draw(rng: np.random.Generator) -> Numeric:
        link = int(32 * rng.integers(2, 9))
        return _stop_rule(
            max(link // int(rng.integers(2, 6)), 1), link, int(2 ** rng.integers(7, 12))
        )

    def solve() -> float:
        left, rounds = float(memory_mib), 0
        while left > link_mib_s * 0.05:
            left, rounds = left * dirty_mib_s / link_mib_s, rounds + 1
        return rounds

    return Numeric(
        name="stop_rule",
        text=f"A server has **{memory_mib} MiB** of memory and writes to **{dirty_mib_s} MiB** of "
        f"new pages each second, without end; the link takes **{link_mib_s} MiB/s**. Pre-copy goes "
        "on until what is left can be sent in 50 ms. How many rounds does it make while the server "
        "runs?",
        unit="rounds",
        relative=0.0,
        solve=solve,
        why=f"Each round leaves {dirty_mib_s / link_mib_s:.2f} of what it sent.",
        mistakes=[
            Mistake(lambda: solve() + 1, "The last one is sent while the server stands still."),
            Mistake(lambda: solve() - 1, "The first round, with all memory, counts too."),
        ],
        hint="By which factor does a round shrink? When does the rest fit into the limit?",
        variant=draw,
    )


def _ask_bit_order() -> str:
    """Try every way to mix a writer's two steps with a copier's two: which one loses a write."""
    safe = {}
    for writer in (("bit", "bytes"), ("bytes", "bit")):
        steps = [("w", writer[0]), ("w", writer[1]), ("c", "clear"), ("c", "copy")]
        orders = [
            order
            for order in permutations(steps)
            if order.index(steps[0]) < order.index(steps[1])
            and order.index(steps[2]) < order.index(steps[3])
        ]
        safe[writer[0]] = all(_copied_or_dirty([step for _, step in order]) for order in orders)
    return {(True, False): "a", (False, True): "b", (True, True): "c"}[safe["bit"], safe["bytes"]]


def _copied_or_dirty(order: list[str]) -> bool:
    """Return whether at the end the copy is new, or the page's bit says that it must go again."""
    page, copy, dirty = "old", "", False
    for step in order:
        if step == "bytes":
            page = "new"
        elif step == "bit":
            dirty = True
        elif step == "clear":
            dirty = False
        else:
            copy = page
    return copy == "new" or dirty


def _ask_no_return() -> str:
    """Let the target claim the machine, and then the source."""
    with tempfile.TemporaryDirectory() as folder:
        target, source = claim(Path(folder), "target"), claim(Path(folder), "source")
    return {(True, False): "b", (True, True): "c", (False, True): "a"}[target, source]


def _ask_again() -> str:
    """Ask a real database twice with one number."""
    from virtlab.migration.live.bank import Bank, found
    from virtlab.migration.live.memory import OwnedMemory, memory_file

    memory = OwnedMemory(memory_file(300))
    found(memory, accounts=4, archive_mib=0, seed=1)
    bank = Bank(memory)
    answers = {bank.answer("pay c1-7 1 2 100") for _ in range(2)}
    balance = bank.answer("balance c1-8 1").split()[-1]
    return {(1, "900"): "c", (1, "800"): "a"}.get((len(answers), balance), "b")


def _try_handle(handle: Callable[..., Any]) -> str | None:
    """Let requests come once, twice and late, and see what was paid."""
    paid: list[str] = []
    done: dict[str, str] = {}

    def pay(request: str) -> str:
        paid.append(request)
        return f"ok {request}"

    for request in ("a", "b", "a", "c", "b", "a"):
        answer = handle(done, request, pay)
        if answer != f"ok {request}":
            return f"Request {request!r} was answered with {answer!r}; every request is answered."
    if paid != ["a", "b", "c"]:
        return f"Payments were made for {paid}: each of a, b and c should be made once."
    return None


def _try_my_way(make_way: Callable[[], Algorithm]) -> str | None:
    """Rehearse a student's way, against pre-copy and the talk's steps."""
    if not hasattr(make_way(), "run"):
        return "This wants a class with `run(self, move)`."
    for traffic in (Traffic(), Traffic(payments_s=400), Traffic(accounts=60_000, payments_s=6000)):
        yours = rehearse(make_way(), traffic, seed=14)
        wrong = _worse(yours, traffic)
        if wrong:
            return wrong
    return None


def _worse(yours: Rehearsed, traffic: Traffic) -> str:
    """Say in what a way is worse than it should be."""
    theirs, deck = (rehearse(way, traffic, seed=14) for way in (PreCopy(), Deck()))
    if math.isnan(yours.pause_ms):
        return "It never came to `move.hand_over(...)`."
    if yours.lost_pages:
        return f"{yours.lost_pages} pages of the target are old. What was written when?"
    if yours.pause_ms > min(traffic.hand_over_ms + 0.2, theirs.pause_ms):
        return (
            f"With {traffic.payments_s:.0f} payments a second yours stands still for "
            f"{yours.pause_ms:.1f} ms; the hand-over alone takes {traffic.hand_over_ms:.1f} ms."
        )
    if yours.left_pages >= deck.left_pages:
        return (
            f"{yours.left_pages} pages are left for after the hand-over, with the talk's steps "
            f"{deck.left_pages}. Could some of them go before?"
        )
    return ""


pause = _pause()
second_round = _second_round()
stop_rule = _stop_rule()
bit_order = Choice(
    name="bit_order",
    text="One thread writes to a page and sets its bit in the dirty bitmap. Another clears the bit "
    "and copies the page, with no lock between them. In which order must the first one work?",
    options={
        "a": "The bit first, then the bytes",
        "b": "The bytes first, then the bit",
        "c": "Either will do",
    },
    solve=_ask_bit_order,
    hints={
        "a": "Let the copier clear the bit and copy the page just between your two steps.",
        "c": "There are six ways to mix two steps with two. Try each of them, for both orders.",
    },
    why="All six ways to mix the steps were tried: at worst a page is sent once more.",
)
no_return = Choice(
    name="no_return",
    text="The target has claimed the machine. Before it could tell the source, the network between "
    "them breaks. The source waits, then tries to claim the machine for itself. What happens?",
    options={
        "a": "The source goes on, the target gives up",
        "b": "The source is refused and gives up; the target runs",
        "c": "Both run",
    },
    solve=_ask_no_return,
    hints={
        "a": "The target may have answered clients by then.",
        "c": "Two servers with one set of books: which balance is right?",
    },
    why="The claim can be made once, in a place that both reach; a lost message changes nothing.",
)
again = Choice(
    name="again",
    text="A payment is committed. The server's process is killed before it has answered. A new "
    "process goes on with its memory. The client connects again, and asks again with the same "
    "number. What happens?",
    options={
        "a": "It is paid twice, and answered",
        "b": "It is refused",
        "c": "It is answered, and paid once",
    },
    solve=_ask_again,
    hints={
        "a": "The number is in the table of payments: that is what it is for.",
        "b": "The client would not know whether it was paid.",
    },
    why="A real database was asked twice with one number, and its balance changed once.",
)
handle = Code(
    name="handle",
    text="Write `handle(done, request, pay)`: `done` is a dictionary that you may keep answers in, "
    "`request` the number of a request, and `pay(request)` makes the payment and returns the "
    "answer. Return the answer to each request, and pay each once, however often it comes.",
    test=_try_handle,
    why="Six requests came, three of them again, and three payments were made.",
)
my_way = Code(
    name="my_way",
    text="Write a class `MyWay` with `run(self, move)` that has the talk's short pause, yet leaves "
    "fewer pages behind: each of them is one that a client may have to wait for, and a risk while "
    "it is missing. It is rehearsed with three loads, and must lose nothing.",
    test=_try_my_way,
    wants="a class",
    why="Rounds first, then the hand-over, then the few pages that are left.",
)
sheet = Sheet(
    "hot_migration",
    [pause, second_round, stop_rule, bit_order, no_return, again, handle, my_way],
)
