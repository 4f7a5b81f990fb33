"""Exercises of page sharing (chapter 08): count, predict, look up, write your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.sheet import Sheet
from virtlab.memory.frames import table_percent
from virtlab.memory.hashing import PAGE_BYTES
from virtlab.memory.pages import Savings, savings
from virtlab.memory.scan.content_memory import ContentMemory
from virtlab.memory.scan.orders import RandomOrder, ScanOrder
from virtlab.memory.scan.scanning import ESX2, scan
from virtlab.memory.sharing import SharedMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "clones",
    "collision",
    "first_pass",
    "frames",
    "hint_write",
    "saved_pages",
    "scan_order",
    "sheet",
    "table",
]

_LETTERS = "0abcdefghijkl"


def _count(vms: Sequence[str]) -> Savings:
    """Count the pages of VMs written as words, a letter a page."""
    contents = [_LETTERS.index(letter) for vm in vms for letter in vm]
    return savings(contents, [index for index, vm in enumerate(vms) for _ in vm])


def _frames(vms: Sequence[str] = ("00abcd", "0abefg", "aahij0")) -> Numeric:
    """Ask how many pages sharing saves among a few."""

    def draw(rng: np.random.Generator) -> Numeric:
        kinds = list(_LETTERS[: rng.integers(5, 14)])
        return _frames(["".join(rng.choice(kinds, 6)) for _ in range(3)])

    rows = "\n\n".join(f"VM{index + 1}: `{' '.join(vm)}`" for index, vm in enumerate(vms))
    return Numeric(
        name="frames",
        text=f"Each letter is a page, equal letters are equal pages, `0` is zeros.\n\n{rows}\n\n"
        "How many pages does sharing save, when all equal ones are found?",
        unit="pages",
        relative=0.0,
        solve=lambda: _count(vms).saved,
        why=lambda: f"{_count(vms).pages} pages have {_count(vms).distinct} different contents.",
        mistakes=[
            Mistake(
                lambda: _count(vms).shared_pages,
                "That many pages are shared; but one copy of each content has to stay.",
            ),
            Mistake(lambda: _count(vms).distinct, "That many frames are needed: what is saved?"),
            Mistake(
                lambda: _count(vms).across + _count(vms).within + _count(vms).zero_pages,
                "One page of zeros has to stay, too.",
            ),
        ],
        hint="Give each different content a number. How many do you need?",
        variant=draw,
    )


def _clones(vms: int = 10, zero: int = 600, common: int = 4400, own: int = 5000) -> Numeric:
    """Ask what identical VMs save."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _clones(
            int(rng.integers(2, 21)), *(int(100 * rng.integers(2, 60)) for _ in range(3))
        )

    def solve() -> float:
        contents = [np.zeros(vms * zero, int), np.tile(np.arange(1, common + 1), vms)]
        unique = common + 1 + np.arange(vms * own)
        owners = [np.repeat(np.arange(vms), size) for size in (zero, common, own)]
        found = savings(np.concatenate([*contents, unique]), np.concatenate(owners))
        return found.percent(found.saved)

    total = zero + common + own
    return Numeric(
        name="clones",
        text=f"**{vms} VMs** start from one template. Each has {zero:,} pages of zeros, {common:,} "
        f"that are the same in all of them, and {own:,} of its own. How much of their memory does "
        "sharing save, in percent?",
        unit="%",
        relative=0.005,
        solve=solve,
        why="All zeros but one page, and the common pages of all VMs but one.",
        mistakes=[
            Mistake(
                lambda: 100 * (zero + common) / total,
                "That is what is shared. One copy of the common pages has to stay.",
            ),
            Mistake(lambda: 100 * common * (vms - 1) / (vms * total), "Zeros are shared as well."),
        ],
        hint="For each kind of page: what does one VM need, and what do all of them?",
        variant=draw,
    )


def _first_pass(vms: int = 8, mib: int = 512) -> Numeric:
    """Ask how long a pass takes."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _first_pass(int(rng.integers(2, 17)), int(128 * rng.integers(1, 9)))

    pages = mib * 2**20 // PAGE_BYTES
    return Numeric(
        name="first_pass",
        text=f"A host runs **{vms} VMs of {mib} MB** (1 MB is 256 pages). ESX Server 2 scans 50 "
        "pages a second for each VM, but not more than 200 in all. How many minutes does a pass "
        "over all of them take?",
        unit="min",
        solve=lambda: ESX2.pass_s(vms * pages, vms) / 60,
        why=f"{vms} VMs are scanned at {ESX2.pages_per_s(vms):.0f} pages a second together.",
        mistakes=[
            Mistake(
                lambda: pages / 50 / 60,
                "At 50 pages a second for each VM: what do all of them need together?",
            ),
            Mistake(lambda: ESX2.pass_s(vms * pages, vms), "That is in seconds."),
        ],
        hint="All pages, by those scanned a second: so many a VM, and at most so many in all.",
        variant=draw,
    )


def _table(gib: int = 64) -> Numeric:
    """Ask how large the table of frames is."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _table(int(2 ** rng.integers(1, 10)))

    return Numeric(
        name="table",
        text=f"A table entry takes 16 bytes for a frame of 4,096. How many MB does the table take, "
        f"if every frame of a host with **{gib} GB** has one? (1 GB is 1,024 MB.)",
        unit="MB",
        solve=lambda: gib * 1024 * table_percent() / 100,
        why="16 / 4096 is 0.39 % of memory: less than half a percent, as the paper says.",
        mistakes=[Mistake(lambda: gib * table_percent() / 100, "That is in GB.")],
        hint="How many frames are there? Each has one entry.",
        variant=draw,
    )


def _bad_hash(_page: bytes) -> int:
    return 7


def _ask_collision() -> str:
    """Let the model meet two different pages with one hash."""
    memory = SharedMemory([b"a" * PAGE_BYTES, b"b" * PAGE_BYTES], hash_page=_bad_hash)
    memory.visit(0)
    what = memory.visit(1).what
    return {"shared": "a", "collision": "b", "stale hint replaced": "c"}[what]


def _ask_hint_write() -> str:
    """Let a guest write to a hint and the scanner come by again."""
    memory = SharedMemory([b"a" * PAGE_BYTES] * 2)
    memory.visit(0)
    copied = memory.write(0, 0, b"new").what == "copied"
    return "a" if copied else "c" if memory.visit(1).what == "stale hint replaced" else "b"


def _try_saved_pages(saved_pages: Callable[[list[int]], Any]) -> str | None:
    """Hold a student's count against the model's."""
    rng = np.random.default_rng(27)
    cases = [
        [0, 0, 5],
        [],
        [3],
        [4, 4, 4, 4],
        *(rng.integers(0, 9, 30).tolist() for _ in range(20)),
    ]
    for contents in cases:
        given = saved_pages(list(contents))
        wanted = savings(contents, [0] * len(contents)).saved
        if given is None:
            return "It returned nothing: end it with `return` and the number."
        if given != wanted:
            return f"`saved_pages({contents})` gave {given}; think of how many frames are needed."
    return None


def _try_scan_order(make_order: Callable[[], ScanOrder]) -> str | None:
    """Check that an order follows the rules, sees all pages, and is quick to see new ones."""
    order, seen = make_order(), set()
    fresh = np.ones(40, dtype=bool)
    for _ in range(40):
        pages = np.asarray(order.choose(fresh.copy(), 7))
        if not 1 <= pages.size <= 7 or np.unique(pages).size != pages.size:
            return f"Asked for 7 pages it chose {pages.tolist()}: 1 to 7 different ones are wanted."
        fresh[pages] = False
        seen.update(pages.tolist())
    if seen != set(range(40)):
        return f"In 40 calls it saw {len(seen)} of 40 pages: pages that are not fresh matter too."
    yours, random = (
        _late_vm(order) for order in (make_order(), RandomOrder(np.random.default_rng(1)))
    )
    if yours > 0.8 * random:
        return (
            f"A second VM starts late. Your order has shared it after {yours:.0f} s, a random one "
            f"after {random:.0f} s. Which pages does `fresh` point at?"
        )
    return None


def _late_vm(order: ScanOrder) -> float:
    """Return how long it takes to share a VM that starts when another was scanned already."""
    memory = ContentMemory(np.arange(4000))
    scan(memory, order, 50, 80, steps=20)
    memory.write(np.arange(3000, 4000), np.arange(1000))  # now they hold what others hold
    history = scan(memory, order, 50, 200, steps=200)
    return history.time_to(0.95)


frames = _frames()
clones = _clones()
first_pass = _first_pass()
table = _table()
collision = Choice(
    name="collision",
    text="Two pages of different content have the same 64-bit hash. The scanner has seen the "
    "first; now it comes to the second. What happens?",
    options={
        "a": "Both map to one frame",
        "b": "They are compared in full, and nothing is shared",
        "c": "The first page's hint is dropped",
    },
    solve=_ask_collision,
    hints={
        "a": "Then one guest would read the other's bytes. What comes between hash and sharing?",
        "c": "A hint is dropped when its page has changed. This one has not.",
    },
    why="The model was given a hash that is always 7, and it shared nothing.",
)
hint_write = Choice(
    name="hint_write",
    text="A page of VM1 is a **hint**. VM1 writes to it. Then the scanner visits a page of VM2 "
    "that equals what VM1's page was before. What has that cost, and what happens?",
    options={
        "a": "VM1's write made a copy; VM2's page is shared with the old one",
        "b": "The write cost nothing; both pages are shared",
        "c": "The write cost nothing; the stale hint is dropped, and VM2's page takes its place",
    },
    solve=_ask_hint_write,
    hints={
        "a": "A hint is not copy-on-write: that is what makes it cheap.",
        "b": "They are not equal any more. The scanner hashes the hinted page again.",
    },
    why="Hints are free until they match; the price is a look at whether they still hold.",
)
saved_pages = Code(
    name="saved_pages",
    text="Write `saved_pages(contents)`: it gets a list with the number of each page's content, "
    "and returns how many pages sharing saves.",
    test=_try_saved_pages,
    why="It agrees with the course's own count on 24 lists.",
)
scan_order = Code(
    name="scan_order",
    text="ESX scans in random order. Write a class `MyOrder` with `choose(self, fresh, count)` "
    "that is quicker when a VM starts late.\n\n`fresh` says for each page whether it was written "
    "since the scanner last saw it. Return the numbers of at most `count` different pages, at "
    "least one. Pages that are not fresh must have their turn as well.",
    test=_try_scan_order,
    wants="a class",
    why="It shares a late VM sooner than a random order, and leaves no page out.",
)
sheet = Sheet(
    "sharing",
    [frames, clones, table, first_pass, collision, hint_write, saved_pages, scan_order],
)
