"""Where computed jumps lead: guesses make code faster, and never change what it does."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.llvm_pool import at_once
from tests.machine.small_guests import CODE, DECODER, PAGING_ON, map_pages, set_up
from tests.machine.test_hard_guests import STACK
from tests.machine.translated import seen
from virtlab.machine.translation.heat import HOT
from virtlab.machine.translation.lifting import Indirect, lift
from virtlab.machine.translation.making import addresses_of
from virtlab.machine.translation.passes import Passes
from virtlab.machine.translation.regions import find_region
from virtlab.machine.translation.stats import translation_stats
from virtlab.machine.translation.targets import SEEN, TABLE, Targets, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtlab.machine.computer import Computer
    from virtlab.machine.decode import Instruction

NEAR, FAR = CODE + 0x800, CODE + 0x5000  # a table on the code's page, and one on another
JUMP = "ff2495"  # jmp [edx * 4 + ...]
WAYS = 11


def word(number: int) -> str:
    return struct.pack("<I", number & 0xFFFFFFFF).hex()


def at(start: int, *codes: str) -> Instruction:
    """Decode one instruction."""
    return DECODER.decode(start, bytes.fromhex("".join(codes)) + bytes(15))


# --- the table itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "ff1495" + word(NEAR),  # call [edx * 4 + ...]
        "ff6495 10",  # jmp [ebp + edx * 4 + 16]
        "ff2455" + word(NEAR),  # jmp [edx * 2 + ...]
        "ff2493",  # jmp [ebx + edx * 4]: where the table is, only EBX says
        "ff25" + word(NEAR),  # jmp [...]
        "2eff2495" + word(NEAR),  # through CS
        "ffe2",  # jmp edx
        "8b1495" + word(NEAR),  # mov edx, [edx * 4 + ...]
    ],
)
def test_what_is_no_jump_through_a_table_has_none(code: str) -> None:
    assert table_of(at(CODE, code), lambda _address, size: struct.pack("<I", CODE)[:size]) == ()


def test_a_table_without_an_end_is_read_for_so_many_entries() -> None:
    asked: list[int] = []

    def read(place: int, size: int) -> bytes:
        asked.append(place)
        return (CODE + 16).to_bytes(
            size, "little"
        )  # wherever it is read, and always the same place

    assert table_of(at(CODE, JUMP + word(FAR)), read) == (CODE + 16,)
    assert asked == list(range(FAR, FAR + 4 * TABLE, 4))


@pytest.mark.parametrize(("entries", "found"), [(TABLE - 1, TABLE - 1), (TABLE + 9, TABLE)])
def test_a_table_is_read_up_to_so_many_places(entries: int, found: int) -> None:
    """The jump stands last on its page, and the entries before it on the same."""
    table = b"".join(struct.pack("<I", CODE + number) for number in range(entries))
    jump = at(CODE + 0xFF0, JUMP, word(FAR))
    assert len(table_of(jump, lambda address, size: table[address - FAR :][:size])) == found


def test_an_entry_of_which_a_byte_is_not_known_is_none() -> None:
    table = struct.pack("<II", CODE + 1, CODE + 2)[:-1]
    jump = at(CODE, JUMP, word(FAR))
    assert table_of(jump, lambda address, size: table[address - FAR :][:size]) == (CODE + 1,)


@pytest.mark.parametrize("to", [CODE ^ 0x1000, CODE - 0x1000])
def test_an_entry_on_the_next_page_ends_a_table(to: int) -> None:
    table = struct.pack("<II", CODE + 1, to)
    jump = at(CODE, JUMP, word(FAR))
    assert table_of(jump, lambda address, size: table[address - FAR :][:size]) == (CODE + 1,)


@given(
    st.lists(st.integers(0, 4095), max_size=80), st.sampled_from([None, 0, CODE - 1, CODE + 4096])
)
def test_a_table_ends_where_an_entry_leads_off_the_page(places: list[int], end: int | None) -> None:
    entries = [CODE + place for place in places]

    def read(address: int, size: int) -> bytes:
        assert size == 4
        number = (address - FAR) // 4
        to = entries[number] if number < len(entries) else end
        return b"\x00\x10" if to is None else struct.pack("<I", to)

    found = table_of(at(CODE, JUMP, word(FAR)), read)
    assert list(found) == list(dict.fromkeys(entries))[:TABLE]


@given(st.lists(st.integers(0, 30)))
def test_of_what_was_seen_the_first_are_kept(places: list[int]) -> None:
    targets = Targets()
    for place in places:
        kept = targets.saw(CODE, place)
        assert kept == (place in targets.seen(CODE))
    assert list(targets.seen(CODE)) == list(dict.fromkeys(places))[:SEEN]


@given(st.sets(st.integers(0, 60), min_size=1, max_size=20))
def test_a_region_holds_what_is_guessed_and_a_return_does_not_lead_there(steps: set[int]) -> None:
    sites = tuple(0x100 + 2 * step for step in sorted(steps))
    code = bytes.fromhex("ffe0").ljust(0x100, b"\xf4") + b"\x40\xc3" * 70  # jmp eax; inc eax; ret

    def fetch(address: int) -> Instruction:
        return DECODER.decode(address, code[address:] + bytes(15))

    region = find_region(0, fetch, guess=lambda one: sites if one.address == 0 else ())
    assert region.guesses == {0: sites}
    assert set(sites) <= set(region.code)
    ends = {key: node.end for key, node in lift(region).items()}
    jump = ends[0, 0]
    assert isinstance(jump, Indirect)
    assert jump.sites == tuple((site, 0) for site in sites)
    returns = (end for key, end in ends.items() if key != (0, 0))
    assert all(isinstance(end, Indirect) and not end.sites for end in returns)


# --- guests ---------------------------------------------------------------------------------------


def switching(
    table: int, targets: Sequence[int], *, after: str = "", times: int = 600
) -> tuple[str, dict[int, bytes]]:
    """Return a program that goes round through a table, and what lies elsewhere in its memory.

    Way number k adds 3 ** k to EBX; `after` is done in each round.
    """
    head = f"bf{word(times)}31db31d2"  # mov edi, times; xor ebx, ebx; xor edx, edx
    start = len(bytes.fromhex(STACK + head))
    rest = f"{JUMP}{word(table)}"
    back = CODE + 0x400
    step = f"{after} 42 83fa{len(targets):02x} 7502 31d2 4f 0f84"  # next way; jz to the end
    end = len(bytes.fromhex(step)) + 4
    step += word(5) + "e9" + word(CODE + start - (back + end + 5)) + "f4"
    placed = {back: bytes.fromhex(step), table: struct.pack(f"<{len(targets)}I", *targets)}
    for number, target in enumerate(targets):
        add = f"81c3{word(3**number)}e9"
        jump = word(back - (target + len(bytes.fromhex(add)) + 4))
        placed[target] = bytes.fromhex(add + jump)
    return STACK + head + rest, placed


def ran(
    tier: str,
    code: str,
    placed: dict[int, bytes],
    passes: Passes | None = None,
    *,
    prepare: Callable[[Computer], object] | None = None,
    hot: bool = True,
) -> tuple[Computer, dict[str, object]]:
    """Run a program; return the computer, and all that is seen."""
    computer = set_up(history=0, tier=tier, passes=passes)
    for place, what in placed.items():
        computer.memory.write(place, what)
    if prepare is not None:
        prepare(computer)
    computer.load_code(bytes.fromhex(code))
    at_once(computer)
    if computer.translator is not None and not hot:
        computer.translator.heat.hot = HOT
    return computer, seen(computer, computer.run(50_000))


def ways(first: int, apart: int = 0x20) -> list[int]:
    return [first + apart * number for number in range(WAYS)]


TABLES = {
    "table beside the code": (NEAR, ways(CODE + 0x600)),
    "table on another page": (FAR, ways(CODE + 0x600)),
    "ways on pages of their own": (FAR, ways(CODE + 0x6000, 0x1010)),
    "some ways on other pages": (NEAR, [*ways(CODE + 0x600)[:4], *ways(CODE + 0x6000)[:3]]),
    "two ways the same": (NEAR, [*ways(CODE + 0x600)[:2]] * 2),
}


@pytest.mark.parametrize("hot", [True, False], ids=["at once", "when hot"])
@pytest.mark.parametrize("name", TABLES)
def test_a_switch_ends_as_interpreted(name: str, hot: bool, tier: str) -> None:  # noqa: FBT001
    program = switching(*TABLES[name])
    expected = ran("interpreter", *program)[1]
    assert expected["exit"] == ("halted", None, "")
    for guesses in (True, False):
        computer, found = ran(tier, *program, Passes(guesses=guesses), hot=hot)
        assert found == expected
        assert computer.translator is not None
        assert computer.translator.counts["instructions"] > 500


def hashed(tier: str, program: tuple[str, dict[int, bytes]], *, guesses: bool) -> int:
    computer, _ = ran(tier, *program, Passes(guesses=guesses), hot=False)
    assert computer.translator is not None
    return computer.translator.counts["hashed"]


@pytest.mark.parametrize("name", ["table beside the code", "table on another page"])
def test_code_that_is_guessed_is_not_looked_up(name: str, wasmtime: object) -> None:
    program = switching(*TABLES[name])
    assert hashed("wasm", program, guesses=False) > 500
    assert hashed("wasm", program, guesses=True) < 10


def test_a_table_that_the_guest_changes_is_followed(tier: str) -> None:
    # In each round the entry of the way just taken becomes that of the last way.
    table, targets = NEAR + 0x1000, ways(CODE + 0x600)
    change = f"c70495{word(table)}{word(targets[-1])}"  # mov dword [edx * 4 + table], ...
    program = switching(table, targets, after=change, times=40)
    assert ran(tier, *program)[1] == ran("interpreter", *program)[1]


def test_a_way_that_the_guest_changes_is_translated_anew(tier: str) -> None:
    targets = ways(CODE + 0x600)
    change = f"8305{word(targets[3] + 2)}05"  # add dword [what way 3 adds], 5
    program = switching(NEAR, targets, after=change, times=60)
    assert ran(tier, *program)[1] == ran("interpreter", *program)[1]


@pytest.mark.parametrize("name", ["table beside the code", "table on another page"])
def test_page_tables_do_not_tell_that_a_table_was_read(name: str, tier: str) -> None:
    def prepare(computer: Computer) -> None:
        map_pages(computer)

    table, targets = TABLES[name]
    code, placed = switching(table, targets)
    head = len(bytes.fromhex(PAGING_ON))
    # The same program, behind what turns paging on.
    moved = {place: what for place, what in placed.items() if place != CODE + 0x400}
    back = bytearray(placed[CODE + 0x400])
    jump = back.index(0xE9)
    (old,) = struct.unpack_from("<i", back, jump + 1)
    struct.pack_into("<i", back, jump + 1, old + head)
    moved[CODE + 0x400] = bytes(back)
    expected, found = (
        ran(one, PAGING_ON + code, moved, prepare=prepare)[1] for one in ("interpreter", tier)
    )
    assert expected["exit"] == ("halted", None, "")
    assert found == expected


CALLED = {  # where the two functions are: on the code's page, one not, both not
    "here": (CODE + 0x600, CODE + 0x700),
    "one elsewhere": (CODE + 0x600, CODE + 0x6000),
    "elsewhere": (CODE + 0x6000, CODE + 0x7000),
}


@pytest.mark.parametrize("hot", [True, False], ids=["at once", "when hot"])
@pytest.mark.parametrize("where", CALLED)
def test_what_a_variable_names_is_called(where: str, hot: bool, tier: str) -> None:  # noqa: FBT001
    one, two = CALLED[where]
    placed = {one: bytes.fromhex("83c303c3"), two: bytes.fromhex("69db0d000000c3")}
    # mov esi, one; mov edi, two; mov ebp, 300; call esi; xchg esi, edi; dec ebp; jnz; ...
    code = f"{STACK}31dbbe{word(one)}bf{word(two)}bd2c010000 ffd6 87fe 4d 75f9 f4"
    expected = ran("interpreter", code, placed)[1]
    computer, found = ran(tier, code, placed, hot=hot)
    assert found == expected
    assert computer.translator is not None
    assert computer.translator.counts["instructions"] > 1000


def calling(functions: Sequence[int], times: int) -> tuple[str, dict[int, bytes]]:
    """Return a program that calls each function so often, one after the other, by one call."""
    table = CODE + 0x4000
    placed = {
        one: bytes.fromhex(f"81c3{word(3**number)}c3") for number, one in enumerate(functions)
    }
    placed[table] = struct.pack(f"<{len(functions)}I", *functions)
    # xor ebx, ebx; mov edi, table; mov esi, [edi]; mov ebp, times; call esi; dec ebp; jnz;
    # add edi, 4; cmp edi, the table's end; jnz; hlt
    code = f"31dbbf{word(table)} 8b37 bd{word(times)} ffd6 4d 75fb 83c704 81ff"
    code += f"{word(table + 4 * len(functions))} 75e9 f4"
    return STACK + code, placed


@pytest.mark.parametrize("where", CALLED)
def test_a_call_that_comes_to_lead_elsewhere_is_translated_anew(where: str, tier: str) -> None:
    program = calling(CALLED[where], 400)
    computer, found = ran(tier, *program, hot=False)
    assert found == ran("interpreter", *program)[1]
    translator = computer.translator
    assert translator is not None
    made_anew = translator.cache.counts["made anew"]
    assert made_anew >= 1
    stats = translation_stats(computer)
    assert stats.summary()["made_anew"] == made_anew
    frame = stats.to_frame().set_index("what")
    assert frame.loc["made_anew", "times"] == made_anew
    if (tier, where) == ("wasm", "here"):  # a return from another page is looked up
        assert translator.counts["hashed"] < 40


def test_what_is_made_anew_takes_no_more_functions_along(wasmtime: object) -> None:
    """What runs for the first time behind a loop, before the loop is made anew, stays out."""
    (one, two), far, table = CALLED["here"], CODE + 0x900, CODE + 0x4000
    placed = {one: bytes.fromhex("83c303c3"), two: bytes.fromhex("69db0d000000c3")}
    placed |= {far: bytes.fromhex("40" * 60 + "c3"), table: struct.pack("<2I", one, two)}
    # (again) mov esi, [edi]; mov ebp, 400; (there) call esi; dec ebp; jnz there;
    # call far; add edi, 4; cmp edi, the table's end; jnz again; hlt
    code = f"{STACK}31dbbf{word(table)} 8b37 bd{word(400)} ffd6 4d 75fb e8"
    code += word(far - (CODE + len(bytes.fromhex(code)) + 4))
    code += f"83c704 81ff{word(table + 8)} 75e4 f4"
    computer, found = ran("wasm", code, placed, hot=False)
    assert found == ran("interpreter", code, placed)[1]
    assert computer.translator is not None
    made = [addresses_of(unit) for unit in computer.translator.cache.units]
    both = [unit for unit in made if {one, two} <= unit]
    assert both
    assert not any(far in unit for unit in both)


def test_a_call_that_leads_everywhere_is_not_made_anew_each_time(wasmtime: object) -> None:
    program = calling([CODE + 0x600 + 0x20 * number for number in range(3 * SEEN)], 40)
    computer, found = ran("wasm", *program, hot=False)
    assert found == ran("interpreter", *program)[1]
    assert computer.translator is not None
    assert 1 <= computer.translator.cache.counts["made anew"] <= 2 * SEEN


def test_a_jump_through_a_register_is_guessed_as_it_was_seen(wasmtime: object) -> None:
    target = CODE + 0x600
    code = f"{STACK}31dbbe{word(target)}bd{word(300)}"
    back = word(CODE + len(bytes.fromhex(code)) - (target + 10))
    placed = {target: bytes.fromhex(f"83c303 4d 0f85{back}f4")}  # add ebx, 3; dec ebp; jnz back
    program = (code + "ffe6", placed)  # jmp esi
    assert ran("wasm", *program, hot=False)[1] == ran("interpreter", *program)[1]
    assert hashed("wasm", program, guesses=True) < 10 < hashed("wasm", program, guesses=False)


def test_few_calls_of_what_was_seen_are_looked_up(wasmtime: object) -> None:
    one, two = CALLED["here"]
    placed = {one: bytes.fromhex("83c303c3"), two: bytes.fromhex("69db0d000000c3")}
    code = f"{STACK}31dbbe{word(one)}bf{word(two)}bd2c010000 ffd6 87fe 4d 75f9 f4"
    with_, without = (hashed("wasm", (code, placed), guesses=guesses) for guesses in (True, False))
    assert with_ < 10
    assert without > 300
