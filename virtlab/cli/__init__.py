"""The `virtlab` command, one module a topic.

A topic module has `register(app)`, which adds its commands. Bad input ends in one line on
standard error and exit status 2; Ctrl-C in status 130.
"""

from __future__ import annotations

import importlib
import re
import sys
from typing import Annotated, Any

import typer

from virtlab import __version__
from virtlab.validate import InvalidInputError

__all__ = ["app", "main"]

# In the order in which `virtlab --help` lists them: the course, then the models in the talk's.
_TOPICS: tuple[str, ...] = (
    *("lab", "chapters", "questions", "test", "doctor"),
    *("architectures", "guest", "rings", "theorem", "trace_request"),
    *("translation_cache", "translation_costs"),
    *("shares", "cpu", "memory", "pages"),
    *("migrate", "migrate_sweep", "migrate_lab", "migrate_film", "hot_migration"),
)

app = typer.Typer(
    name="virtlab",
    help="A course that teaches virtualization by letting you run it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


_UsageError: Any = typer.BadParameter.__base__  # typer does not export it
_KINDS = {"float_parsing": "a number", "int_parsing": "a whole number"}


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"virtlab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version."),
    ] = False,
) -> None:
    """Keep the commands named, even while there is only one."""


for _topic in _TOPICS:
    importlib.import_module(f"virtlab.cli.{_topic}").register(app)


def main() -> None:
    """Run the command, and say in one line what was wrong with the input.

    Examples
    --------
    >>> main.__name__
    'main'
    """
    try:
        status = app(standalone_mode=False, prog_name="virtlab")
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # no command was named
            error.show()
        else:
            print(f"virtlab: {_usage(error)}", file=sys.stderr)  # noqa: T201 - as below
        sys.exit(2)
    except (InvalidInputError, FileNotFoundError, PermissionError) as error:
        print(f"virtlab: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _usage(error: Any) -> str:
    """Say in one line what typer found wrong: the field, the value and what is allowed."""
    cause: Any = getattr(error.__cause__, "errors", list)()
    if cause and getattr(error, "param", None) is not None:
        param, found = error.param, cause[0]
        field = param.name if param.param_type_name == "argument" else max(param.opts, key=len)
        allowed = _KINDS.get(found["type"], found["msg"].removeprefix("Input should be "))
        return str(InvalidInputError(field, found["input"], allowed))
    text = " ".join(error.format_message().split())
    below_zero = re.match(r"No such option: (-[\d.]\S*)", text)
    if below_zero:
        return f"{below_zero[1]}: must be a number >= 0, as it is none of the options"
    return f"{text} (`{error.ctx.command_path} --help` says more)" if error.ctx else text
