"""What a check answers: right and why, wrong and a hint, or not answered yet."""

from __future__ import annotations

import html
import re
import textwrap
from dataclasses import dataclass
from typing import Literal

from virtlab.plots.palette import HOST, OUTCOMES

__all__ = ["NOT_ANSWERED", "Verdict", "inline_html", "plain_text", "right", "wrong"]

Outcome = Literal["right", "wrong", "not answered"]

_SIGNS: dict[Outcome, str] = {"right": "✔", "wrong": "✘", "not answered": "…"}
_HEADS: dict[Outcome, str] = {
    "right": "Right.",
    "wrong": "Not yet.",
    "not answered": "Not answered yet.",
}
_COLOURS: dict[Outcome, str] = {
    "right": OUTCOMES["allowed"].colour,
    "wrong": OUTCOMES["silently wrong"].colour,
    "not answered": HOST.colour,
}
_MARKUP = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")


def inline_html(text: str) -> str:
    """Turn the course's small markup into HTML: `code`, **bold**, blank lines between paragraphs.

    Parameters
    ----------
    text
        Text with that markup; everything else is escaped.

    Returns
    -------
    str
        HTML paragraphs.

    Examples
    --------
    >>> inline_html("Set `shares` to **2000** & run")
    '<p style="margin:0 0 .4em">Set <code>shares</code> to <b>2000</b> &amp; run</p>'
    """

    def tag(match: re.Match[str]) -> str:
        code, bold = match.groups()
        return f"<code>{code}</code>" if code else f"<b>{bold}</b>"

    paragraphs = re.split(r"\n\s*\n", text.strip())
    marked = (_MARKUP.sub(tag, html.escape(" ".join(part.split()))) for part in paragraphs)
    return "".join(f'<p style="margin:0 0 .4em">{part}</p>' for part in marked)


def plain_text(text: str, indent: str = "") -> str:
    """Wrap the same text for a terminal, without the stars of **bold**.

    Parameters
    ----------
    text
        Text with the course's small markup.
    indent
        Put before each line.

    Returns
    -------
    str
        Lines of at most 88 characters.

    Examples
    --------
    >>> plain_text("Set `shares` to **2000**.", indent="  ")
    '  Set `shares` to 2000.'
    """
    bare = _MARKUP.sub(lambda m: m.group(2) or m.group(0), text.strip())
    paragraphs = re.split(r"\n\s*\n", bare)
    return "\n\n".join(
        textwrap.fill(
            " ".join(part.split()),
            88,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for part in paragraphs
    )


@dataclass(frozen=True)
class Verdict:
    """What came of checking an answer; it shows itself as text and as HTML.

    Attributes
    ----------
    outcome
        'right', 'wrong' or 'not answered'.
    message
        Why it is right, or a hint that fits the error.
    is_folded
        Whether a page shows it only when one asks: a solution gives the answer away.

    Examples
    --------
    >>> wrong("VM2 has twice the shares of VM1.")
    ✘ Not yet. VM2 has twice the shares of VM1.
    """

    outcome: Outcome
    message: str = ""
    is_folded: bool = False

    @property
    def is_right(self) -> bool:
        """Whether the answer is right."""
        return self.outcome == "right"

    def __repr__(self) -> str:
        """Say it in a line or two."""
        head = f"{_SIGNS[self.outcome]} {_HEADS[self.outcome]}"
        return plain_text(f"{head} {self.message}")

    def _repr_html_(self) -> str:
        """Say it with a coloured bar; the sign beside it says the same without colour."""
        colour = _COLOURS[self.outcome]
        head = f"{_SIGNS[self.outcome]} {_HEADS[self.outcome]}"
        message = f"**{head}** {self.message}"
        shown = inline_html(message)
        if self.is_folded:
            shown = f"<details><summary>The solution's answer</summary>{shown}</details>"
        return (
            f'<div role="status" style="border-left:6px solid {colour};padding:.4em .8em;'
            f'max-width:75ch;line-height:1.45">{shown}</div>'
        )


NOT_ANSWERED = Verdict("not answered")


def right(message: str) -> Verdict:
    """Return the verdict 'right'.

    Parameters
    ----------
    message
        Why it is right.

    Returns
    -------
    Verdict
        It.

    Examples
    --------
    >>> right("40 MB/s.").is_right
    True
    """
    return Verdict("right", message)


def wrong(hint: str) -> Verdict:
    """Return the verdict 'wrong'.

    Parameters
    ----------
    hint
        What to look at next.

    Returns
    -------
    Verdict
        It.

    Examples
    --------
    >>> wrong("Too high.").is_right
    False
    """
    return Verdict("wrong", hint)
