"""The table of rings as a figure: its signs stand where the runs say."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.machine.probes import PROBES
from virtlab.machine.ring_choice import choose
from virtlab.machine.rings import ring_table
from virtlab.plots import style
from virtlab.plots.palette import OUTCOMES
from virtlab.plots.rings import cell_at, draw_ring_choice, draw_rings
from virtlab.validate import InvalidInputError

MARKERS = {
    OUTCOMES["allowed"].marker: "works",
    OUTCOMES["traps"].marker: "faults",
    OUTCOMES["silently wrong"].marker: "differs",
}


@pytest.mark.parametrize("iopl", [0, 3])
def test_each_sign_is_what_a_run_gave(iopl: int) -> None:
    table = ring_table()
    figure = draw_rings(table, iopl)
    seen: dict[tuple[str, int], str] = {}
    for axes in figure.axes:
        names = {round(t.get_position()[1] - 0.5): t.get_text() for t in axes.texts[5:]}
        for line in axes.lines:
            kind = MARKERS.get(str(line.get_marker()))
            if kind is None:
                continue
            if line.get_markerfacecolor() == "none":  # a hollow sign
                kind = "tells"
            for x, y in np.asarray(line.get_xydata(), dtype=float).tolist():
                seen[names[round(y - 0.5)], round((x - 0.62) / 0.11)] = kind
    assert {place: "works" if kind == "tells" else kind for place, kind in seen.items()} == {
        (probe.name, ring): table.cell(probe.name, ring, iopl)
        for probe in PROBES
        for ring in range(4)
    }
    quiet = {place for place, kind in seen.items() if kind == "tells"}
    tellers = {probe.name for probe in PROBES if table.sensitive(probe.name)[1]}
    assert quiet == {
        (name, ring) for name in tellers for ring in (1, 2, 3)
        if table.cell(name, ring, iopl) == "works"
    }  # fmt: skip
    assert ("sgdt", 1) in quiet


def test_a_phone_sees_what_breaks_the_theorem() -> None:
    figure = draw_rings(ring_table(), figure=style.plate(style.NARROW_PX))
    shown = {text.get_text() for text in figure.axes[0].texts}
    assert {"popf", "sgdt", "push cs"} <= shown
    assert "lgdt" not in shown


def test_the_words_and_a_wrong_iopl() -> None:
    assert "popf, iret, lar kernel" in draw_rings(ring_table()).alt
    with pytest.raises(InvalidInputError, match="iopl = 4"):
        draw_rings(ring_table(), 4)


def test_a_place_of_the_figure_is_a_cell() -> None:
    figure = draw_ring_choice(choose("popf"))
    for axes in figure.axes:
        for text in axes.texts[5:]:
            for ring in range(4):
                spot = (0.62 + 0.11 * ring, text.get_position()[1])
                across, down = axes.transData.transform(spot)
                x, y = across / figure.bbox.width, 1 - down / figure.bbox.height
                assert cell_at(figure, x, y) == (text.get_text(), ring)
    assert cell_at(figure, 0.5, 0.01) is None
    assert cell_at(style.plate(), 0.5, 0.5) is None
