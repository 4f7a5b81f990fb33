"""The widget of a request: each control changes what it should, and steps go both ways."""

from __future__ import annotations

import pytest

from virtlab.validate import InvalidInputError
from virtlab.widgets.esx import DISKS, SIZES, RequestPlayer, request
from virtlab.widgets.sequence import Lane, SequenceView, Step


@pytest.fixture(scope="module")
def player() -> RequestPlayer:
    return request()


def test_it_starts_before_the_first_step(player: RequestPlayer) -> None:
    player.set(step=0, vms=1, layers="ata", sectors=1, shares=1000)
    assert player.moment.number == 0
    assert player.view.step == 0
    assert "about to ask" in player.answer.sentence
    assert player.controls["step"].max == len(player.trace.arrows) == len(player.view.arrows)


def test_each_step_says_another_thing_and_back_says_it_again(player: RequestPlayer) -> None:
    player.set(layers="ata", sectors=1, vms=1)
    control = player.controls["step"]
    control.reset()
    forward = []
    for _ in range(control.max):
        control.step()
        forward.append((player.answer.sentence, player.view.alt))
    assert len(set(forward)) == control.max
    backward = []
    for _ in range(control.max):
        backward.append((player.answer.sentence, player.view.alt))
        control.step(-1)
    assert backward == forward[::-1]


@pytest.mark.parametrize("layers", DISKS.values())
@pytest.mark.parametrize("sectors", SIZES.values())
def test_every_choice_has_its_trace(player: RequestPlayer, layers: str, sectors: int) -> None:
    player.set(layers=layers, sectors=sectors, vms=2)
    assert player.trace.setup.layers == layers
    assert player.trace.bytes == 512 * sectors
    lanes = [lane["key"] for lane in player.view.lanes]
    assert ("vmm" in lanes) == (layers != "native")
    assert all({arrow["source"], arrow["target"]} <= set(lanes) for arrow in player.view.arrows)


def test_shares_move_the_wait(player: RequestPlayer) -> None:
    slow = player.set(layers="ata", sectors=1, vms=3, shares=250).trace.waited_us
    player.controls["shares"].value = 4000
    assert player.trace.waited_us < slow / 5
    assert f"{player.trace.us / 1000:.1f} ms" in player.view.note


def test_a_shorter_trace_keeps_the_step_inside(player: RequestPlayer) -> None:
    player.set(layers="ata", sectors=4, vms=3, step=99)
    assert player.moment.number == player.controls["step"].max
    player.set(layers="native", sectors=1)
    assert player.moment.number == len(player.trace.arrows)


def test_a_reader_asks_for_a_step(player: RequestPlayer) -> None:
    player.set(layers="own", sectors=1, vms=1, step=0)
    player.view.asked = {"step": 3, "time": 1}
    assert player.moment.number == 3


def test_without_a_kernel_there_is_a_picture_and_all_words(player: RequestPlayer) -> None:
    player.set(layers="own", sectors=1, vms=1, step=15)
    data, metadata = player._repr_mimebundle_()
    assert data["text/html"].startswith("<picture><source ")  # a phone's layout, and then
    assert "<img alt=" in data["text/html"]
    assert "has its 512 bytes" in data["text/html"]
    assert "9 traps" in data["text/html"]
    assert metadata["image/png"]["alt"].startswith("Sequence of 15 arrows")
    assert "Step 15 of 15" in data["text/plain"]


# --- the view -------------------------------------------------------------------------------------

LANES = [Lane("a", "guest", "g", "#0072B2"), Lane("b", "vmm", "v", "#4D4D4D")]
STEPS = [Step("a", "b", "out", "out", "1 µs", traps=True), Step("b", "b", "work", "work", "2 µs")]


def test_one_step_is_one_message() -> None:
    view = SequenceView()
    versions: list[int] = []
    view.observe(lambda change: versions.append(change["new"]), names="version")
    for step in range(3):
        view.show(LANES, STEPS, step)
    assert versions == [1, 2, 3]
    assert "vmm to vmm: work, 2 µs" in view.alt
    assert repr(view).startswith("SequenceView(")


def test_a_step_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="step"):
        SequenceView().show(LANES, STEPS, 3)


def test_who_does_not_listen_is_not_called() -> None:
    view = SequenceView()
    view.asked = {"step": 1, "time": 1}
    heard: list[int] = []
    view = SequenceView(heard.append)
    view.asked = {"step": 2, "time": 1}
    view.asked = {"step": 2, "time": 2}
    assert heard == [2, 2]
