"""Questions that check themselves, the talk's map, and the doctor."""

from virtlab.course.questions import Choice, Code, Mistake, Numeric, Question
from virtlab.course.sheet import Sheet

__all__ = ["Choice", "Code", "Mistake", "Numeric", "Question", "Sheet"]
