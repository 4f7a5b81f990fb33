"""What every model command prints: a table and a sentence, or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from virtlab.results import Result

__all__ = ["Seed", "show"]

# Every model command takes --seed, so that a script can pass one to all of them.
Seed = Annotated[
    int, typer.Option("--seed", help="Taken by every model command; nothing here is random.")
]


def show(result: Result, *, as_json: bool) -> None:
    """Print a result for people, or for programs.

    Parameters
    ----------
    result
        What a model returned.
    as_json
        One JSON object on standard output instead of the table and the sentences.

    Examples
    --------
    >>> from virtlab.resources import allocate
    >>> show(allocate(160, shares=[1000, 1000]), as_json=True)  # doctest: +ELLIPSIS
    {...}
    """
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False))
        return
    typer.echo(result.to_frame().to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    typer.echo(f"\n{result.explain()}")
