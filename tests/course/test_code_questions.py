"""Questions whose answer is code: what is empty, wrong, endless or of no use gets a hint."""

from __future__ import annotations

import abc
import contextlib
import time

import pytest

from tests.course.test_questions import CODE
from virtlab.course import Code


def _stub(capacity: float) -> float: ...  # type: ignore[empty-body]


def _documented(capacity: float) -> None:
    """Say what it will do."""


def _passes(capacity: float) -> None:
    pass


class _Begun:
    """A class that an exercise starts from."""

    def choose(self, count: int) -> list[int]: ...  # type: ignore[empty-body]


@pytest.mark.parametrize("stub", [_stub, _documented, _passes, _Begun])
def test_an_empty_function_or_class_is_not_answered(stub: object) -> None:
    assert CODE.check(stub).outcome == "not answered"


def _forever(capacity: float) -> float:
    while True:
        with contextlib.suppress(Exception):  # a catch-all must not catch the time limit
            capacity += 1


def _divides(capacity: float) -> float:
    return capacity / 0


def _exits(capacity: float) -> float:
    raise SystemExit


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda capacity: capacity / 3, "Try 160."),
        (_forever, "does a loop never end?"),
        (_divides, "`ZeroDivisionError: division by zero` in its line 2, `return capacity / 0`"),
        (_exits, "SystemExit"),
        (lambda: 80, "positional argument"),
        (80, "something of type int"),
    ],
)
def test_wrong_code_gets_a_hint(function: object, hint: str) -> None:
    assert hint in CODE.check(function).message


def test_what_a_function_returns_may_be_of_no_use() -> None:
    code = Code(name="rows", text="Write it.", test=lambda rows: None if rows()[0] else "Empty.")
    assert "returned nothing" in code.check([].clear).message
    assert "What your function returned could not be used" in code.check(lambda: 5).message


def test_the_time_limit_does_not_hit_the_code_that_follows() -> None:
    quick = Code(name="quick", text="Wait.", test=lambda wait: wait(), seconds=0.05)
    quick.check(lambda: time.sleep(0.02))
    end = time.monotonic() + 0.15
    while time.monotonic() < end:  # a late exception would be raised in here
        pass


WANTS_CLASS = Code(
    name="order",
    text="Write a class `Order` with `choose()`.",
    test=lambda make: None if make().choose() == 1 else "It does not choose 1.",
    wants="a class",
    seconds=1,
)


def test_a_class_is_asked_for_where_one_is_wanted() -> None:
    class Order:
        def choose(self) -> int:
            return 1

    assert "a class (give its name" in repr(WANTS_CLASS)
    assert WANTS_CLASS.check(Order).is_right
    assert "wants a class" in WANTS_CLASS.check(Order()).message


def test_an_error_in_a_class_is_found_in_its_method() -> None:
    class Order:
        def choose(self) -> float:
            return 1 / 0

    hint = WANTS_CLASS.check(Order).message
    assert hint.startswith("Your class stopped with `ZeroDivisionError: division by zero` in its")
    assert "method `choose`, line 2, `return 1 / 0`" in hint


def test_an_abstract_base_does_not_make_an_empty_class_an_answer() -> None:
    class Base(abc.ABC):
        @abc.abstractmethod
        def choose(self) -> int: ...

    class Order(Base):
        def choose(self) -> int: ...  # type: ignore[empty-body]  # as a student writes it

    assert WANTS_CLASS.check(Order).outcome == "not answered"
