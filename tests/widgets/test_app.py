"""An app answers each move of a control once, with picture, sentence and table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from virtlab.plots import style
from virtlab.resources import allocate
from virtlab.validate import InvalidInputError
from virtlab.widgets import controls
from virtlab.widgets.app import App, _in_words
from virtlab.widgets.pagemap import PageMap

if TYPE_CHECKING:
    from virtlab.plots.style import Plate


def draw(result: Any, figure: Plate) -> None:
    style.finish(figure.subplots(), "Two VMs", f"Bars of {result.allocation.tolist()} MB/s.")


def make(**options: Any) -> App[Any]:
    calls: list[float] = []

    def compute(capacity: float, equal: bool, frame: int) -> Any:  # noqa: FBT001 - a toggle's value
        calls.append(capacity)
        return allocate(capacity + frame, shares=[1000, 1000 if equal else 3000])

    app: App[Any] = App(
        controls={
            "capacity": controls.slider("Disk", "MB/s", 160, 0, 320, 10),
            "equal": controls.toggle("Equal shares", value=True),
            "frame": controls.player("Time", "s", frames=9),
        },
        compute=compute,
        draw=draw,
        **options,
    )
    app.calls = calls
    return app


def test_a_moved_control_is_answered_once() -> None:
    app = make()
    app.controls["capacity"].value = 200
    assert app.calls == [160, 200]
    assert app.result.allocation.tolist() == [100.0, 100.0]
    assert app.picture.version == 2
    assert app.picture.alt == "Bars of [100.0, 100.0] MB/s."
    assert app.answer.sentence == app.result.explain()
    assert ">100<" in app.answer.table


def test_several_controls_set_at_once_are_answered_once() -> None:
    app = make()
    app.set(capacity=100, equal=False)
    assert app.calls == [160, 100]
    assert app.result.allocation.tolist() == [25.0, 75.0]
    assert app.values == {"capacity": 100, "equal": False, "frame": 0}


def test_a_players_frame_is_a_value_like_any_other() -> None:
    app = make()
    app.controls["frame"].step(2)
    assert app.result.allocation.sum() == 162


def test_an_unknown_control_is_named_and_nothing_moves() -> None:
    app = make()
    with pytest.raises(InvalidInputError, match="control = 'speed': must be one of capacity"):
        app.set(speed=3)
    assert app.calls == [160]
    app.controls["capacity"].value = 10  # and it still answers
    assert app.calls == [160, 10]


def test_views_follow_each_result() -> None:
    pages = PageMap([0] * 320, legend=("free", "used"))

    def follow(result: Any) -> None:
        used = round(result.allocation.sum())
        pages.update([1] * used + [0] * (320 - used))

    app = make(views=[pages], follow=follow)
    assert pages in app.children
    assert pages.counts.sum().tolist() == [160, 160]
    app.set(capacity=320)
    assert pages.counts.sum().tolist() == [0, 320]


def test_the_answer_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make()
    sent: list[set[str]] = []
    monkeypatch.setattr(app.answer, "send_state", lambda key=None: sent.append(set(key or ())))
    app.set(capacity=200)
    assert sent == [{"sentence", "table", "version"}]


def test_without_a_kernel_all_is_there_as_html() -> None:
    app = make()
    bundle, metadata = app._repr_mimebundle_()
    html = bundle["text/html"]
    assert 'alt="Bars of [80.0, 80.0] MB/s."' in html
    assert app.result.explain() in html
    assert "<table" in html
    assert bundle["text/plain"] == repr(app)
    assert app.result.explain() in repr(app)
    assert metadata["image/png"]["alt"] == app.picture.alt


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (53.333, "53.3"),
        (2100.0, "2,100"),
        (164_999_999.7, "165,000,000"),
        (0.0, "0"),
        (0.04, "0.04"),
        (-0.5, "-0.5"),
        (float("inf"), "∞"),
        (float("nan"), "–"),
        (0.999, "1"),
    ],
)
def test_numbers_are_written_as_a_person_does(value: float, words: str) -> None:
    assert _in_words(value) == words
