"""Questions that check themselves, the talk's map, and the doctor."""

from virtlab.course.questions import Choice, Code, Mistake, Numeric, Question
from virtlab.course.sheet import Sheet
from virtlab.course.source import Source, show_source

__all__ = [
    "Choice",
    "Code",
    "Mistake",
    "Numeric",
    "Question",
    "Sheet",
    "Source",
    "show_source",
]
