"""Chapter 01 in JupyterLab: a key on a button measures a program, and the ladder says where."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.reader import Reader
    from tests.browser.servers import Server


def test_a_program_is_measured_where_it_stands(lab_reader: Reader, lab: Server) -> None:
    reader = lab_reader
    reader.open_lab(lab, "01-what-is-virtualization.ipynb")
    reader.run_all()
    app = reader.widgets()[0]
    assert "stored" in reader.state(app)["words"]
    place = reader.place(app)
    again = app.query_selector("button:has-text('Show the stored run')")
    assert again is not None
    assert again.is_disabled()
    button = app.query_selector("button:has-text('Measure here')")
    assert button is not None
    measured = reader.press(app, button, "Enter")["words"]
    assert "stored" not in measured
    assert "interpreted" in measured
    assert reader.place(app) == place, "the picture jumped"
    reader.page.locator("button:has-text('Show the stored run'):enabled").wait_for()
    assert "stored" in reader.press(app, again, "Enter")["words"]
    assert reader.complaints == []
    reader.leave_lab(lab)
