"""`virtlab migrate-film`: a GIF for a slide, and plain words where it can't be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from typer.testing import CliRunner

from virtlab.cli import app
from virtlab.cli.migrate_film import ALGORITHMS
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

RUNNER = CliRunner()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_can_be_filmed(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    options = ["--algorithm", algorithm, "--every", "30", "--width", "320"]
    result = RUNNER.invoke(app, ["migrate-film", str(path), *options])
    assert result.exit_code == 0, result.output
    with Image.open(path) as image:
        assert image.format == "GIF"
        assert image.size == (320, 180)
    assert "pictures" in result.stdout
    assert ("wrong" in result.stdout) == (algorithm == "deck-as-told")


def test_what_can_not_be_filmed_is_said_before_it_is_drawn(tmp_path: Path) -> None:
    nowhere = tmp_path / "no" / "film.gif"
    result = RUNNER.invoke(app, ["migrate-film", str(nowhere)])
    assert isinstance(result.exception, FileNotFoundError)
    assert str(result.exception) == f"no folder {nowhere.parent}"
    result = RUNNER.invoke(app, ["migrate-film", str(tmp_path / "a.gif"), "--dirty-pages-s", "1e9"])
    assert result.exit_code == 2


def test_json_says_what_the_film_shows(tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    options = ["--every", "60", "--width", "320", "--seed", "4", "--json"]
    answer = json.loads(RUNNER.invoke(app, ["migrate-film", str(path), *options]).stdout)
    assert answer["outcome"] == "moved"
    assert len(answer["rows"]) == answer["frames"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["film.png"], "FILE.gif = 'film.png'"),
        (["film.gif", "--algorithm", "magic"], "algorithm = 'magic': must be one of deck"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], words: str) -> None:
    result = RUNNER.invoke(app, ["migrate-film", *arguments])
    assert isinstance(result.exception, InvalidInputError)
    assert words in str(result.exception)
