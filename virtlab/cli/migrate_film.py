"""`virtlab migrate-film`: a migration as a GIF that any slide can show (S41 to S45)."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from virtlab.cli.output import show
from virtlab.validate import InvalidInputError, one_of

__all__ = ["ALGORITHMS", "migrate_film", "register"]

ALGORITHMS = ("deck", "deck-as-told", "stop", "clark", "qemu", "postcopy", "hybrid")


def migrate_film(
    file: Annotated[Path, typer.Argument(metavar="FILE.gif", help="Where to.")],
    *,
    algorithm: Annotated[str, typer.Option(help=", ".join(ALGORITHMS) + ".")] = "deck",
    dirty_pages_s: Annotated[
        float, typer.Option(help="Pages that the VM writes, a second.", min=1, max=10_000)
    ] = 120.0,
    every: Annotated[int, typer.Option(help="Take one picture of so many.", min=1)] = 1,
    width: Annotated[int, typer.Option(help="Of the pictures, pixels.", min=320)] = 960,
    seed: Annotated[int, typer.Option(help="Of which pages the VM writes.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Film how a machine of 256 pages moves, for a slide: both memories, the link, the steps.

    For instance: virtlab migrate-film talk.gif
    """
    one_of("algorithm", algorithm, ALGORITHMS)
    if file.suffix.lower() != ".gif":
        raise InvalidInputError("FILE.gif", str(file), "a name that ends in .gif")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"no folder {file.parent}")
    try:
        from virtlab.plots.vmotion_film import save_gif
    except ImportError as error:
        wanted = f"installed ({error.name} is not): pip install 'virtlab[lab]'"
        raise InvalidInputError("the lab extra", "missing", wanted) from error
    from virtlab.migration import algorithms as known
    from virtlab.migration.film import film
    from virtlab.migration.workloads import HotCold

    made: dict[str, known.Algorithm] = {
        "deck": known.Deck(),
        "deck-as-told": known.Deck(as_told=True),
        "stop": known.StopAndCopy(),
        "clark": known.Clark(min_mbit_s=4, max_mbit_s=8, step_mbit_s=1, enough_kb=60),
        "qemu": known.QemuPreCopy(),
        "postcopy": known.PostCopy(),
        "hybrid": known.Hybrid(),
    }
    load = HotCold(200, dirty_pages_s, hot_pages=24, hot_write_percent=60)
    shown = film(made[algorithm], load, seed=seed)
    pictures = save_gif(shown, file, every=every, scale=width / 960, progress=True)
    if json:
        show(shown, as_json=True)
        return
    typer.echo(f"{file}: {pictures} pictures, {file.stat().st_size / 1e6:.1f} MB")
    typer.echo(shown.explain())


def register(app: typer.Typer) -> None:
    """Add the command.

    Parameters
    ----------
    app
        The `virtlab` command.

    Examples
    --------
    >>> register(typer.Typer())
    """
    app.command()(migrate_film)
