"""`virtlab problem` and `virtlab grade`: questions without a notebook, and whole classes."""

from __future__ import annotations

import ast
import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from virtlab.cli.output import show

if TYPE_CHECKING:
    from virtlab.course.question import Question
    from virtlab.course.sheet import Sheet
    from virtlab.course.verdict import Verdict

__all__ = ["register"]

_Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def register(app: typer.Typer) -> None:
    """Add both commands.

    Parameters
    ----------
    app
        The `virtlab` command.

    Examples
    --------
    >>> app = typer.Typer()
    >>> register(app)
    >>> [command.name for command in app.registered_commands]
    ['problem', 'grade']
    """

    @app.command("problem")
    def problem(
        chapter: Annotated[str, typer.Argument(help="Its name, number or topic: shares.")],
        name: Annotated[str, typer.Argument(help="The question; all are listed without it.")] = "",
        *,
        seed: Annotated[
            int | None, typer.Option(help="Which variant; the course's without.")
        ] = None,
        answer: Annotated[str | None, typer.Option(help="Your answer, to be checked.")] = None,
        solve: Annotated[bool, typer.Option("--solve", help="Tell the right answer.")] = False,
        as_json: _Json = False,
    ) -> None:
        """Ask a question of a chapter, with other numbers for each seed, and check the answer."""
        from virtlab.course.sheet import load_sheet

        sheet = load_sheet(chapter)
        if not name:
            _list(sheet, as_json=as_json)
            return
        question = sheet[name] if seed is None else sheet[name].problem(seed)
        verdict = None if answer is None else question.check(_read(answer, question))
        solution = getattr(question, "right_answer", "see the notebook") if solve else None
        if as_json:
            told = _tell(sheet.chapter, question, verdict, solution)
            typer.echo(json.dumps(told, ensure_ascii=False))
            return
        typer.echo(repr(question))
        if verdict is not None:
            typer.echo(repr(verdict))
        if solution is not None:
            typer.echo(f"Right answer: {solution}")

    @app.command("grade")
    def grade(
        notebooks: Annotated[list[Path], typer.Argument(help="Notebooks that were handed in.")],
        *,
        seconds: Annotated[float, typer.Option(help="Time for each notebook.")] = 120,
        as_json: _Json = False,
    ) -> None:
        """Run a copy of each notebook, without its solutions, and list what is right.

        This runs the students' code on this machine, as you would by opening the notebook.
        """
        from virtlab.course.grading import grade as grade_all

        show(grade_all(notebooks, seconds, progress=True), as_json=as_json)


def _list(sheet: Sheet, *, as_json: bool) -> None:
    """Print the names of a chapter's questions."""
    rows = [
        {"question": one.name, "kind": one.kind, "variants": one.variant is not None}
        for one in sheet
    ]
    if as_json:
        typer.echo(json.dumps({"chapter": sheet.chapter, "questions": rows}))
        return
    for row in rows:
        endless = "variants without end: --seed N" if row["variants"] else ""
        typer.echo(f"{row['question']:<24} {row['kind']:<8} {endless}".rstrip())


def _read(answer: str, question: Question) -> Any:
    """Read an answer as Python would (a number, a list), or leave it the text it is."""
    if isinstance(getattr(question, "right_answer", None), float) and "," in answer:
        return answer  # 2,667 is one number here, and for Python two
    try:
        return ast.literal_eval(answer)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return answer


def _tell(
    chapter: str, question: Question, verdict: Verdict | None, solution: object
) -> dict[str, Any]:
    """Say all about a question in built-in types."""
    told: dict[str, Any] = {
        "chapter": chapter,
        "question": question.name,
        "kind": question.kind,
        "seed": question.seed,
        "text": question.text,
        "answer_is": question.how(),
    }
    options = getattr(question, "options", None)
    if options:
        told["options"] = dict(options)
    if verdict is not None:
        told |= {"outcome": verdict.outcome, "message": verdict.message}
    if solution is not None:
        told["right_answer"] = solution
    return told
