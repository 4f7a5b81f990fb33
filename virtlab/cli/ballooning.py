"""`virtlab memory balloon`: what a guest pays for memory that its host takes back (S28)."""

from __future__ import annotations

from typing import Annotated

import typer

from virtlab.cli.output import show

__all__ = ["balloon"]


def balloon(
    *,
    wanted: Annotated[int, typer.Option(help="Pages that the host wants back.", min=0)] = 240,
    hot: Annotated[int, typer.Option(help="Pages that the program uses always.", min=1)] = 160,
    cold: Annotated[int, typer.Option(help="Pages that it hardly ever uses.", min=1)] = 200,
    cache: Annotated[int, typer.Option(help="Pages of files in the page cache.", min=1)] = 80,
    rate: Annotated[int, typer.Option(help="Pages taken a second.", min=1)] = 8,
    most: Annotated[
        float, typer.Option(help="Largest balloon, a part of the guest's memory.", min=0, max=1)
    ] = 0.65,
    driver: Annotated[
        str, typer.Option(help="The balloon driver: works, refuses, absent.")
    ] = "works",
    second: Annotated[int, typer.Option(help="When to look, 0 to 75.", min=0, max=75)] = 60,
    seed: Annotated[int, typer.Option(help="Of all chance.", min=0)] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Take pages back from a guest of 512 by balloon, host swap and both, and say what it costs.

    For instance: virtlab memory balloon --wanted 200 --driver refuses
    """
    from virtlab.memory.ballooning import Reclaim, compare

    spec = Reclaim(
        hot_pages=hot,
        cold_pages=cold,
        cache_pages=cache,
        wanted_pages=wanted,
        pages_per_s=rate,
        balloon_most=most,
        driver=driver,
        seed=seed,
    )
    show(compare(spec, second), as_json=json)
