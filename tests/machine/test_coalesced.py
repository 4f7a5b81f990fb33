"""Ports from within translated code: nobody can tell that a device was asked later, or not at all.

A guest runs a random list of port accesses, three times over; what it reads it sums up, so that
each answer counts. It ends as in the interpreter: registers, output, memory, counts, traps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.llvm_pool import at_once
from tests.machine.small_guests import COUNT_IN_EBX, handle, out, set_up, timer_set_up
from tests.machine.test_interrupts_everywhere import back, note
from tests.machine.translated import seen
from virtlab.machine.bus import Bus, Device
from virtlab.machine.coalesced import Coalescing, Offer
from virtlab.machine.devices.disk import Disk
from virtlab.machine.devices.pic import Pic
from virtlab.machine.devices.uart import Uart
from virtlab.machine.devices.wire import Key
from virtlab.machine.translation.layout import PORT_MAP, RAM, READS, RING, RING_SIZE, WRITES
from virtlab.machine.translation.passes import Passes
from virtlab.machine.translation.port_map import PortMap
from virtlab.machine.translation.speed import can_run
from virtlab.machine.translation.stats import translation_stats
from virtlab.machine.translation.tiers import TIERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.computer import Computer
    from virtlab.machine.guest_run import GuestRun

HERE = [tier for tier in TIERS[1:] if not can_run(tier)]
UART, LSR, LCR, IER, MCR = 0x3F8, 0x3FD, 0x3FB, 0x3F9, 0x3FC
NOBODY = 0x80
SUM = "0fb6c0 01c6 c1c605"  # movzx eax, al; add esi, eax; rol esi, 5


def read(port: int) -> str:
    return f"66ba{port.to_bytes(2, 'little').hex()} ec {SUM}"


def computer_for(tier: str, code: str, **chosen: Any) -> Computer:
    """Return one with both interrupts handled, which does `code` and halts."""
    computer = set_up(history=0, tier=tier, **chosen)
    at_once(computer)
    handle(computer, 0x20, COUNT_IN_EBX)
    # The serial port's: IIR, LSR and what has come, all into the sum; ECX and EDI are left alone
    handle(computer, 0x24, f"50 52 {read(0x3FA)} {read(LSR)} {read(UART)} {out(0x20, 0x20)} 5a58cf")
    computer.load_code(bytes.fromhex("bcf0ff0800 31f6 31db" + code + "fa f4"))
    return computer


def ended(computer: Computer, limit: int = 50_000) -> dict[str, Any]:
    run: GuestRun = computer.run(limit)
    return {**seen(computer, run), "devices": computer.bus.save()}


def looped(body: str, times: int) -> str:
    """Return a loop by EDI, with a jump that reaches."""
    code = bytes.fromhex(body + "4f 0f84 05000000 e9")
    back = (-(len(code) + 4) & 0xFFFFFFFF).to_bytes(4, "little")
    return f"bf{times.to_bytes(4, 'little').hex()}" + (code + back).hex()


def same(code: str, **chosen: Any) -> dict[str, Computer]:
    """Run in all tiers; return the computers, if they all end as the interpreter."""
    wanted = ended(computer_for("interpreter", code, **chosen))
    found = {}
    for tier in HERE:
        found[tier] = computer_for(tier, code, **chosen)
        assert ended(found[tier]) == wanted, tier
    return found


# --- random lists ---------------------------------------------------------------------------------

SENT = st.builds(lambda value: out(UART, value), st.integers(0, 255))
ASKED = st.sampled_from(
    [
        read(port)
        for port in (LSR, LSR, UART, 0x3FA, IER, LCR, MCR, 0x3FE, 0x3FF, NOBODY, 0x21, 0x20)
    ]
)
CHOSEN = st.one_of(
    st.builds(lambda value: out(LCR, value), st.sampled_from([0x03, 0x83])),
    st.builds(lambda value: out(IER, value), st.sampled_from([0, 1, 2, 3])),
    st.builds(lambda value: out(MCR, value), st.sampled_from([0, 0x0B, 0x1B])),
    st.builds(lambda value: out(0x3FA, value), st.sampled_from([0, 1, 3])),
    st.builds(lambda value: out(0x3FF, value), st.integers(0, 255)),
)
ELSEWHERE = st.one_of(
    st.builds(out, st.sampled_from([NOBODY, 0x70, 0xFFFF, 0x1F2, 0x1F3]), st.integers(0, 255)),
    st.sampled_from(
        [
            "e680",
            "e480" + SUM,
            "66ba800066ef",
            "66ba800066ed 01c6",
            "66baf80366ef",
            "66bafd0366ed01c6",
        ]
    ),  # numbers of ports in the instruction; words, which take two ports
)
FLAGS = st.sampled_from(["fa", "fb90", "9c58 01c6", "01de", "29de 9c58 01c6"])
DISK = st.one_of(
    st.sampled_from([read(port) for port in (0x1F7, 0x3F6, 0x1F1, 0x1F2, 0x1F6, 0x1F0)]),
    st.builds(out, st.sampled_from([0x1F2, 0x1F3, 0x1F4, 0x1F5]), st.integers(0, 3)),
    st.builds(lambda value: out(0x1F6, value), st.sampled_from([0xE0, 0xF0])),
    st.builds(lambda value: out(0x1F7, value), st.sampled_from([0x20, 0xEC, 0x10])),
)
ANY = st.one_of(SENT, SENT, ASKED, ASKED, CHOSEN, ELSEWHERE, FLAGS, DISK)
# Both chips from vector 0x20 on, lines 0 and 4 open
OPEN = "".join(
    out(port, value)
    for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xEE))
)


@settings(max_examples=12, deadline=None)
@given(
    accesses=st.lists(ANY, min_size=1, max_size=12),
    keys=st.lists(st.tuples(st.integers(0, 250), st.integers(0, 255)), max_size=4).map(sorted),
    count=st.integers(7, 90),
    listens=st.sampled_from(["", "fb90"]),
)
@pytest.mark.parametrize("tier", HERE)
def test_any_list_of_accesses(
    tier: str, accesses: list[str], keys: list[tuple[int, int]], count: int, listens: str
) -> None:
    """The timer interrupts all along; keys come; the serial port interrupts if it is told to."""
    code = timer_set_up(count) + OPEN + listens + looped("".join(accesses), 3)
    found = []
    for each in ("interpreter", tier):
        computer = computer_for(each, code, keys=keys)
        computer.disk = Disk(computer.pic, bytes(range(256)) * 2 * 8)
        computer.bus.add(computer.disk)
        found.append(ended(computer, 2000))
    assert found[0] == found[1]


@pytest.mark.parametrize("tier", HERE)
def test_interrupts_and_keys_at_each_instruction(tier: str) -> None:
    """The timer's tick, and a key, before each of the instructions of a piece in turn."""
    piece = out(UART, 0x41) + read(LSR) + "9c58" + out(NOBODY, 1) + read(NOBODY) + out(UART, 0x42)
    code = timer_set_up(0xFFFF) + OPEN + out(IER, 1) + "fb90" + looped(piece, 60)
    both = [computer_for(each, code) for each in ("interpreter", tier)]
    for computer in both:
        computer.run(200)  # all of it has been translated then
    noted = [note(computer) for computer in both]
    for after in range(1, 30):
        found = []
        for computer, before in zip(both, noted, strict=True):
            back(computer, before)
            when = computer.clock.now + after
            computer.pit.next, computer.uart.keys = when, (Key(when + after % 3, 0x6B),)
            found.append(ended(computer, 90))
        assert found[0] == found[1], after
    assert both[1].translator is not None
    assert both[1].translator.counts["coalesced"] > 100


def test_what_was_sent_comes_before_what_is_asked_then() -> None:
    """Writes that wait are done before a read that leaves, also of another device's port."""
    sent = out(UART, 0x31) + out(0x1F2, 5) + out(UART, 0x32) + read(0x3FA) + out(IER, 2)
    found = same(looped(sent + read(0x3FA) + out(IER, 0), 20))
    assert all(
        c.translator is not None and c.translator.counts["coalesced"] for c in found.values()
    )


# --- what is counted, and what is not allowed -----------------------------------------------------


@pytest.mark.parametrize("tier", HERE)
def test_a_ring_that_is_full_leaves_once(tier: str) -> None:
    times = 2 * RING_SIZE + 10
    computer = computer_for(tier, looped(out(UART, 0x2E), times))
    run = computer.run(100_000)
    assert run.output == b"." * times
    assert computer.translator is not None
    stats = translation_stats(computer)
    assert stats.counts["coalesced"] >= times - 4
    assert stats.counts["callouts"] <= 4
    assert stats.classes["in-cache"] >= 1


@pytest.mark.parametrize("passes", [Passes(ports=False), Passes(in_cache=False)])
def test_the_pass_can_be_switched_off(passes: Passes) -> None:
    code = looped(out(UART, 0x2E) + read(LSR), 50)
    for computer in same(code, passes=passes).values():
        stats = translation_stats(computer)
        assert (stats.counts["coalesced"], stats.classes["in-cache"] > 1) == (0, False)  # `cli`
        assert stats.counts["callouts"] > 100


@pytest.mark.parametrize("tier", HERE)
@pytest.mark.parametrize(("iopl", "faults"), [(0, 3), (3, 0)])
def test_ring_3_may_use_ports_if_iopl_lets_it(tier: str, iopl: int, faults: int) -> None:
    """Where it may not, each access faults, though the map would allow it."""

    def made(each: str) -> Computer:
        computer = computer_for(each, "")
        handle(computer, 13, "43 83c404 83042401 cf")  # count; go on behind the byte `ee`
        computer.processor.registers["EIP"] = 0x101000
        # ltr; push ss, esp, eflags, cs, eip; iret
        enter = f"66b82800 0f00d8 bcf0ff0800 31f6 31db 6a23 68f0ff0700 6802{iopl * 16:02x}0000 6a1b"
        work = "66baf803 b041 ee ee ee 4f 75fa ebfe"
        body = bytes.fromhex(enter + "6840100100"[:0] + "6840101000 cf")
        computer.memory.write(0x101000, body)
        computer.memory.write(0x101040, bytes.fromhex("bf14000000" + work))
        return computer

    one, other = made("interpreter"), made(tier)
    assert ended(one, 900) == ended(other, 900)
    assert one.traps[("#GP", "exception")] == faults * 20
    assert len(one.uart.output) == (0 if faults else 60)
    assert other.translator is not None
    assert (other.translator.counts["coalesced"] > 40) == (not faults)


def test_a_guest_reaches_neither_map_nor_ring() -> None:
    """Whatever it writes where: the map says the same after it, and a ring of others' is empty."""
    for tier in HERE:
        computer = computer_for(tier, looped("b8ffffffff" + "c780{}ffffffff" * 0 + writes(), 3))
        assert computer.translator is not None
        view = computer.translator.host.view
        computer.translator.ports.publish()
        before = bytes(view[PORT_MAP:RAM])
        ended(computer, 5000)
        assert bytes(view[PORT_MAP:RAM]) == before


def writes() -> str:
    """Return stores at addresses that would be in the tables, counted from RAM's beginning."""
    places = [(at - RAM) % (1 << 32) for at in (PORT_MAP, PORT_MAP + 2 * UART, RING, RAM - 4)]
    places += [PORT_MAP, RING]  # as they are: no memory of the guest's
    return "".join(f"c705{place.to_bytes(4, 'little').hex()}ffffffff" for place in places)


def test_who_watches_sees_each_access() -> None:
    code = looped(out(UART, 0x2E) + read(LSR) + out(NOBODY, 7), 20)
    logs: list[list[str]] = []
    for tier in ("interpreter", *HERE):
        computer = computer_for(tier, code)
        computer.run(60)
        computer.bus.log = []
        ended(computer)
        logs.append([str(access) for access in computer.bus.log])
        if computer.translator is not None:
            before = computer.translator.counts["coalesced"]
            assert before < 20
    assert len(logs[0]) > 40
    assert all(log == logs[0] for log in logs)


# --- what devices offer ---------------------------------------------------------------------------


def test_a_serial_port_offers_what_it_may() -> None:
    uart = Uart(Pic())
    assert isinstance(uart, Coalescing)
    assert uart.offer() == Offer(((LSR, 0x60),), (UART,))
    uart.type(b"k")
    assert uart.offer().answers == ((LSR, 0x61),)
    for port, value in ((LCR, 0x80), (IER, 2), (MCR, 0x10)):
        other = Uart(Pic())
        other.write(port, 1, value)
        assert other.offer().takes == ()


@given(values=st.binary(max_size=20))
def test_to_take_is_to_write(values: bytes) -> None:
    for make, port in ((lambda: Uart(Pic()), UART), (lambda: Disk(Pic(), bytes(512)), 0x1F4)):
        one, other = make(), make()
        for value in values:
            one.write(port, 1, value)
        if values:
            other.take(port, values)
        assert one.save() == other.save()


def test_a_disk_s_status_is_asked_while_it_interrupts() -> None:
    pic = Pic()
    disk = Disk(pic, bytes(1024))
    assert [port for port, _ in disk.offer().answers] == [0x3F6, 0x1F7]
    for port, value in ((0x1F2, 1), (0x1F3, 0), (0x1F6, 0xE0), (0x1F7, 0x20)):
        disk.write(port, 1, value)
    assert disk.offer().answers == ((0x3F6, 0x58),)
    assert disk.read(0x1F7, 1) == 0x58
    assert disk.offer().answers == ((0x3F6, 0x58), (0x1F7, 0x58))
    other = Disk(Pic(), bytes(512))
    other.write(0x1F6, 1, 0xF0)  # the second disk, which is not there
    assert other.offer().answers == ((0x3F6, 0), (0x1F7, 0))


class Doubtful(Device):
    """Offers this and then that."""

    name, ports, kept = "doubtful", range(0x300, 0x303), ("now",)
    now: Sequence[int] = ()

    def __init__(self) -> None:
        self.taken: list[tuple[int, bytes]] = []

    def read(self, port: int, size: int) -> int:
        return 7

    def write(self, port: int, size: int, value: int) -> None:
        """Lose it."""

    def offer(self) -> Offer:
        return Offer(tuple((port, 0x107) for port in self.now), tuple(self.now))

    def take(self, port: int, data: bytes) -> None:
        self.taken.append((port, data))


def test_the_map_says_what_is_offered_now() -> None:
    view, bus, device = memoryview(bytearray(RAM)), Bus(), Doubtful()
    bus.add(Uart(Pic()))
    ports = PortMap(view, bus)
    ports.publish()
    assert (ports.map[0x300], ports.map[0xFFFF]) == (READS | WRITES | 0xFF,) * 2
    bus.add(device)
    for now in ((), (0x300, 0x302), (0x301,), ()):
        device.now = now
        ports.publish()
        found = [port for port in range(0x300, 0x303) if ports.map[port]]
        assert found == list(now)
        assert all(ports.map[port] == READS | WRITES | 7 for port in now)
    bus.log = []
    ports.publish()
    assert not any(ports.map)
    bus.log = None
    ports.publish()
    assert ports.map[LSR] == READS | 0x60


def test_the_ring_is_emptied_in_order() -> None:
    view, bus, device = memoryview(bytearray(RAM)), Bus(), Doubtful()
    bus.add(device)
    device.now = (0x300, 0x301)
    ports = PortMap(view, bus)
    ports.publish()
    ring, counts = view[RING:RAM].cast("I"), view[0x418:0x420].cast("I")
    written = [(0x300, 1), (0x300, 2), (0x301, 3), (NOBODY, 9), (0x300, 4)]
    for at, (port, value) in enumerate(written):
        ring[at] = port << 16 | value
    counts[0], counts[1] = 6, len(written)
    assert ports.collect() == 6 + len(written)
    assert device.taken == [(0x300, b"\1\2"), (0x301, b"\3"), (0x300, b"\4")]
    assert ports.collect() == 0
