"""One request through the layers: right bytes, the right order, and the time all accounted for."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.machine.esx.acts import NATIVE, VIRTUAL
from virtlab.machine.esx.physical import SECTOR, PhysicalDisk
from virtlab.machine.esx.request import (
    KINDS,
    RequestSetup,
    checksum,
    demo_disk,
    trace_request,
)
from virtlab.machine.esx.trace import PARTS, RequestTrace
from virtlab.validate import InvalidInputError

ATA_TRAPS_A_SECTOR = 128 + 1 + 2  # data, status, two ends of interrupt


@pytest.fixture(scope="module")
def ata() -> RequestTrace:
    return trace_request()


@pytest.mark.parametrize("layers", KINDS)
@pytest.mark.parametrize("sectors", [1, 3])
def test_the_program_gets_what_is_on_the_disk(layers: str, sectors: int) -> None:
    disk = demo_disk()
    trace = trace_request(RequestSetup(layers, sectors, lba=77), disk)
    disk.file.seek(77 * SECTOR)
    there = disk.file.read(sectors * SECTOR)
    assert trace.text == f"checksum {checksum(there):#010x}\n"
    assert trace.checksum == checksum(there)
    assert trace.acts[0].kind == "call"
    assert trace.acts[-1].kind == "return"


def test_with_layers_and_without_it_is_the_same() -> None:
    said = {layers: trace_request(RequestSetup(layers, 2)).text for layers in KINDS}
    assert len(set(said.values())) == 1


def test_the_way_is_down_through_all_layers_and_back_up(ata: RequestTrace) -> None:
    visits = [arrow.target for arrow in ata.arrows]
    first = {layer: visits.index(layer) for layer in ("vmm", "vmkernel", "hardware", "program")}
    assert sorted(first, key=first.__getitem__) == ["vmm", "vmkernel", "hardware", "program"]
    kinds = [arrow.kind for arrow in ata.arrows]
    up = ["submit", "queue", "start", "service", "interrupt", "complete", "inject", "return"]
    assert [kind for kind in kinds if kind in up] == up
    assert [act.number for act in ata.acts] == list(range(1, len(ata.acts) + 1))


def test_no_act_begins_before_what_it_needs(ata: RequestTrace) -> None:
    ends = {act.kind: act.end_us for act in ata.acts}
    assert ends["submit"] <= ends["queue"] <= ends["start"] <= ends["service"] <= ends["interrupt"]
    processor = [act for act in ata.acts if act.kind not in ("service", "queue")]
    for before, act in itertools.pairwise(processor):
        assert before.end_us <= act.start_us + 1e-9


def test_each_port_access_of_the_guest_traps_at_ring_1(ata: RequestTrace) -> None:
    ports = [act for act in ata.acts if act.kind == "port"]
    assert {act.ring for act in ports} == {1}
    assert len(ports) == 6 + ATA_TRAPS_A_SECTOR
    assert ata.traps == len(ports) + 1 + 4  # the call; sti, hlt, iretd, cli
    assert sum(act.bytes for act in ports if act.what == "in 0x1f0") == SECTOR


@pytest.mark.parametrize("sectors", [1, 2, 5])
def test_ata_traps_grow_with_the_sectors_and_ours_do_not(sectors: int) -> None:
    ata, own = (trace_request(RequestSetup(kind, sectors), recorded=True) for kind in KINDS[:2])
    ports = sum(act.kind == "port" for act in ata.acts)
    assert ports == 6 + sectors * ATA_TRAPS_A_SECTOR
    assert own.traps == 9
    assert own.us < ata.us


def test_natively_nothing_traps() -> None:
    trace = trace_request(RequestSetup("native"))
    assert trace.traps == 0
    assert {act.source for act in trace.acts} == {"program", "kernel", "hardware"}
    assert {act.ring for act in trace.acts if act.kind == "port"} == {0}
    assert trace.costs is NATIVE


@settings(max_examples=25, deadline=None)
@given(
    layers=st.sampled_from(KINDS),
    sectors=st.sampled_from([1, 2]),
    vms=st.integers(1, 4),
    shares=st.sampled_from([250.0, 1000.0, 3000.0]),
    outstanding=st.integers(1, 4),
    seed=st.integers(0, 3),
)
def test_all_time_is_accounted_for(
    layers: str, sectors: int, vms: int, shares: float, outstanding: int, seed: int
) -> None:
    setup = RequestSetup(layers, sectors, vms, shares, outstanding, seed=seed)
    trace = trace_request(setup, recorded=True)
    parts = trace.parts_us(len(trace.acts))
    assert tuple(parts) == PARTS
    assert min(parts.values()) >= 0
    assert sum(parts.values()) == pytest.approx(trace.us, abs=1e-6)
    for count in range(len(trace.acts)):
        assert sum(trace.parts_us(count).values()) <= trace.us + 1e-6
        if count > 40:
            break
    if layers == "native" or vms == 1:
        assert parts["queue"] < 1
        assert trace.others == ()
    assert sum(arrow.times for arrow in trace.arrows) == len(trace.acts)
    assert all(trace.say(arrow.number) for arrow in trace.arrows)


@pytest.mark.parametrize("setup", [
    RequestSetup("ata", 1), RequestSetup("own", 2), RequestSetup("native", 1),
    RequestSetup("ata", 2, vms=3, shares=500), RequestSetup("own", 1, vms=4, seed=5),
])  # fmt: skip
def test_a_guest_that_is_played_again_does_the_same(setup: RequestSetup) -> None:
    live, again = trace_request(setup), trace_request(setup, recorded=True)
    assert live.acts == again.acts
    assert live.others == again.others
    assert again.text == ""


def test_more_shares_never_wait_longer() -> None:
    waits = [
        trace_request(RequestSetup(vms=3, shares=shares), recorded=True).waited_us
        for shares in (250, 500, 1000, 2000, 4000)
    ]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] > 5 * waits[-1] > 0


def test_others_are_those_that_were_served_meanwhile() -> None:
    trace = trace_request(RequestSetup(vms=3, shares=250), recorded=True)
    begin, end = trace.acts[0].start_us, trace.acts[-1].end_us
    assert len(trace.others) == 8  # two busy VMs with four times the shares
    assert {act.vm for act in trace.others} == {"VM2", "VM3"}
    assert all(begin < act.end_us <= end for act in trace.others)
    queue = next(act for act in trace.acts if act.kind == "queue")
    assert sum(act.us for act in trace.others[1:]) < queue.us


def test_what_repeats_for_each_sector_is_one_arrow() -> None:
    one, five = (trace_request(RequestSetup("ata", n), recorded=True) for n in (1, 5))
    (again,) = [arrow for arrow in five.arrows if arrow.kind == "again"]
    assert again.what == "4 sectors more"
    assert again.bytes == 4 * SECTOR
    assert len(five.arrows) == len(one.arrows) + 2  # an iretd before it, and itself
    assert all(arrow.kind != "again" for arrow in one.arrows)
    injected = [act for act in five.acts if act.kind == "inject"]
    assert len(injected) == 5
    assert again.start_us == pytest.approx(injected[1].start_us - five.acts[0].start_us)


def test_a_request_alone_does_not_wait(ata: RequestTrace) -> None:
    assert ata.waited_us == 0
    parts = ata.parts_us(len(ata.acts))
    assert parts["disk"] / ata.us > 0.99
    assert parts["traps and crossings"] == pytest.approx(
        ata.traps * VIRTUAL.us("port")
        + VIRTUAL.us("call") - VIRTUAL.us("port")
        + sum(map(VIRTUAL.us, ("submit", "complete", "inject", "start", "interrupt")))
    )  # fmt: skip


def test_frames_and_words_agree(ata: RequestTrace) -> None:
    frame, acts = ata.to_frame(), ata.acts_frame()
    assert frame["times"].sum() == len(acts) == ata.summary()["acts"]
    assert frame["instructions"].sum() == acts["instructions"].sum()
    assert frame["figure"].str.len().gt(0).all()
    assert f"{ata.traps} traps" in ata.explain()
    assert ata.to_json()["rows"][0]["from"] == "program"


def test_moments_go_from_nothing_to_all(ata: RequestTrace) -> None:
    begin, end = ata.at(0), ata.at(len(ata.arrows))
    assert begin.to_frame()["so_far_us"].sum() == 0
    assert end.to_frame()["so_far_us"].sum() == pytest.approx(ata.us)
    assert end.to_frame()["in_all_percent"].sum() == pytest.approx(100)
    assert end.summary()["layer"] == "program"
    said = [ata.at(k).explain() for k in range(len(ata.arrows) + 1)]
    assert len(set(said)) == len(said)
    with pytest.raises(InvalidInputError, match="number"):
        ata.at(len(ata.arrows) + 1)


@pytest.mark.parametrize("named", [
    {"layers": "scsi"}, {"sectors": 0}, {"sectors": 17}, {"vms": 0}, {"vms": 5}, {"shares": 0},
    {"outstanding": 0}, {"lba": -1}, {"lba": 4096}, {"seed": -1}, {"shares": float("nan")},
])  # fmt: skip
def test_bad_setups_are_refused_by_name(named: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(named))):
        RequestSetup(**named)  # type: ignore[arg-type] # bad on purpose


def test_a_disk_that_is_too_small_for_the_vms_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="sectors"):
        trace_request(RequestSetup(vms=2), PhysicalDisk.of(bytes(4096 * SECTOR)))
