"""Figures of the layers: what they say is what the objects are."""

from __future__ import annotations

import pytest
from matplotlib.patches import Rectangle

from virtlab.machine.esx.acts import LAYERS
from virtlab.machine.esx.hypervisor import Hypervisor
from virtlab.machine.esx.loads import Load
from virtlab.machine.esx.request import KINDS, RequestSetup, demo_disk, trace_request
from virtlab.plots import style
from virtlab.plots.esx import (
    draw_costs,
    draw_sequence,
    headline,
    label,
    lanes_of,
    time_words,
)
from virtlab.plots.esx_layers import draw_layers
from virtlab.validate import InvalidInputError


def drawn(figure: style.Plate) -> list[str]:
    axes_texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return [*axes_texts, *(text.get_text() for text in figure.texts)]


@pytest.mark.parametrize("layers", KINDS)
@pytest.mark.parametrize("width", [960, 380])
def test_a_sequence_has_every_arrow_and_lane(layers: str, width: int) -> None:
    trace = trace_request(RequestSetup(layers, 2, vms=2), recorded=True)
    figure = draw_sequence(trace, figure=style.plate(width))
    texts = drawn(figure)
    for arrow in trace.arrows:
        assert str(arrow.number) in texts
        assert label(arrow, narrow=width == 380) in texts
        assert f"{arrow.number}. {LAYERS[arrow.source]} to {LAYERS[arrow.target]}" in figure.alt
    if width == 960:
        assert {LAYERS[key] for key in lanes_of(trace)} <= set(texts)
        assert ("traps" in texts) == (layers != "native")


def test_a_sequence_may_stop_on_the_way() -> None:
    trace = trace_request(RequestSetup("own"), recorded=True)
    whole, part = draw_sequence(trace), draw_sequence(trace, 4)
    assert len(part.axes[0].patches) < len(whole.axes[0].patches)
    assert part.alt.count(" to ") < whole.alt.count(" to ")
    assert "4 arrows" not in part.alt


def test_titles_say_what_was_found() -> None:
    alone = headline(trace_request(recorded=True))
    assert alone == "142 traps bring 512 bytes; 99.53 % of the time is the disk"
    crowd = trace_request(RequestSetup(vms=4, shares=250), recorded=True)
    assert headline(crowd).endswith("most of the time is the queue")
    assert headline(trace_request(RequestSetup("native"), recorded=True)).startswith("No layers")


def test_times_are_written_as_one_says_them() -> None:
    assert [time_words(us) for us in (0, 0.049, 0.05, 999.9, 1000)] == [
        "–", "–", "0.1 µs", "999.9 µs", "1.0 ms",
    ]  # fmt: skip


@pytest.mark.parametrize("vms", [1, 2, 4])
def test_the_layers_are_those_of_the_host(vms: int) -> None:
    host = Hypervisor(demo_disk())
    for k in range(vms):
        host.console.register(Load(f"VM{k + 1}"), shares=500 * (k + 1))
    figure = draw_layers(host)
    texts = drawn(figure)
    assert texts.count("vmm") == texts.count("guest kernel") == vms
    assert f"Service Console\n{vms} commands" in texts
    for name, one in host.kernel.accounts.items():
        assert f"{name} has {one.shares:g} shares, sectors {one.extent.begin} to" in figure.alt
    assert "sectors 0 to 2,047" in "".join(texts)
    narrow = drawn(draw_layers(host, style.plate(380)))
    assert narrow.count("vmm") == vms


def test_a_host_without_vms_or_with_too_many_is_not_drawn() -> None:
    host = Hypervisor(demo_disk())
    with pytest.raises(InvalidInputError, match="VMs"):
        draw_layers(host)
    for k in range(5):
        host.console.register(Load(f"VM{k}"))
    with pytest.raises(InvalidInputError, match="VMs"):
        draw_layers(host)


def test_costs_are_the_processors_time() -> None:
    traces = [trace_request(RequestSetup(kind), recorded=True) for kind in KINDS]
    figure = draw_costs(traces)
    widths = [bar.get_width() for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    for trace, width in zip(traces, widths, strict=True):
        parts = trace.parts_us(len(trace.acts))
        assert width == pytest.approx(trace.us - parts["disk"] - parts["queue"])
        assert f"{width:.1f} µs, {trace.traps} traps" in figure.alt
    assert "10 times less work" in figure.texts[0].get_text()
    assert "times" in draw_costs(traces[:2] * 2).texts[0].get_text()
    with pytest.raises(InvalidInputError, match="traces"):
        draw_costs([])
