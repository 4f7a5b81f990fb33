"""Hints that fit the error: what a wrong number, or a function that fails, says about its maker."""

from __future__ import annotations

import ctypes
import dis
import linecache
import re
import threading
import traceback
from contextlib import contextmanager
from numbers import Real
from types import FunctionType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

    from numpy.typing import NDArray

__all__ = [
    "NotNumbersError",
    "TooLongError",
    "as_numbers",
    "figure",
    "is_empty",
    "number_hint",
    "run_hint",
    "time_limit",
]

# Ratios between units that are mixed up in this field, and what to ask then.
_UNIT_RATIOS = {
    10: "A slip of the decimal point?",
    8: "Bits or bytes?",
    60: "Seconds or minutes?",
    100: "A fraction or percent?",
    1000: "Is the unit off by a thousand?",
    1024: "Is the unit off by 1024?",
    4096: "Pages or bytes? A page has 4096 bytes.",
    1_000_000: "Is the unit off by a million?",
    1024**2: "Bytes or MB?",
}
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_COMMA = re.compile(r"[+-]?\d+,\d+")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


class NotNumbersError(ValueError):
    """What was given is not a number or a list of numbers; the text says what it is.

    Examples
    --------
    >>> raise NotNumbersError("a text")
    Traceback (most recent call last):
    virtlab.course.hints.NotNumbersError: a text
    """


class TooLongError(BaseException):
    """A student's function ran into its time limit; not an Exception, so that theirs miss it.

    Examples
    --------
    >>> issubclass(TooLongError, Exception)
    False
    """


def figure(value: float) -> str:
    """Write a number as a person would: four digits, thousands apart.

    Parameters
    ----------
    value
        A number.

    Returns
    -------
    str
        It.

    Examples
    --------
    >>> figure(53.3333), figure(16_777_216.0), figure(80.0)
    ('53.33', '16,777,216', '80')
    """
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def as_numbers(answer: object, unit: str = "") -> NDArray[np.float64]:
    """Read a student's answer, of whatever type, as numbers.

    Parameters
    ----------
    answer
        A number, a text like '40' or '40 MB/s', or a list or array of numbers.
    unit
        The unit that a text may carry.

    Returns
    -------
    ndarray
        One-dimensional; one element for a single number.

    Raises
    ------
    NotNumbersError
        If it is none of that; the text says what it is instead.

    Examples
    --------
    >>> as_numbers("40 MB/s", unit="MB/s")
    array([40.])
    >>> as_numbers(True)
    Traceback (most recent call last):
    virtlab.course.hints.NotNumbersError: True or False
    """
    if isinstance(answer, bool | np.bool_):
        raise NotNumbersError("True or False")
    if isinstance(answer, str):
        answer = _number_in(answer, unit)
    if isinstance(answer, Real):  # Fraction and numpy's numbers too
        answer = _to_float(answer)
    try:
        numbers = np.atleast_1d(np.asarray(answer, dtype=np.float64)).ravel()
    except Exception as error:  # an answer may be any object, and raise anything
        raise NotNumbersError(_kind(answer)) from error
    if numbers.size == 0:
        raise NotNumbersError("nothing: the list is empty")
    if not np.isfinite(numbers).all():
        raise NotNumbersError("infinite or not a number (nan)")
    return numbers


def _number_in(text: str, unit: str) -> float:
    bare = text.strip().removesuffix(unit or "%").strip()
    if _THOUSANDS.fullmatch(bare):  # as the course itself writes them
        bare = bare.replace(",", "")
    try:
        return float(bare)
    except ValueError as error:
        point = ", and decimals take a point" if _COMMA.fullmatch(bare) else ""
        raise NotNumbersError(f"the text {text[:40]!r}{point}".replace("`", "'")) from error


def _to_float(answer: Real) -> float:
    try:
        return float(answer)
    except (OverflowError, ValueError, TypeError) as error:
        raise NotNumbersError("a number too large to work with") from error


def _kind(answer: object) -> str:
    kind = type(answer).__name__
    if callable(answer):
        return "a function: call it, and give what it returns"
    return f"something of type {kind}"


def number_hint(
    given: NDArray[np.float64], wanted: NDArray[np.float64], ok: NDArray[np.bool_]
) -> str:
    """Say what is wrong with numbers, without giving the right ones away.

    Parameters
    ----------
    given, wanted
        The student's numbers and the right ones, of equal length.
    ok
        Which of them are near enough.

    Returns
    -------
    str
        One or two sentences.

    Examples
    --------
    >>> number_hint(np.array([320.0]), np.array([40.0]), np.array([False]))
    'Your answer is 8 times too large. Bits or bytes?'
    >>> number_hint(np.array([41.0, 80.0]), np.array([40.0, 80.0]), np.array([False, True]))
    'The first number: Close, but a little too large: compute it, and keep the digits.'
    """
    if given.size > 1 and np.allclose(np.sort(given), np.sort(wanted), rtol=0.01):
        return "These are the right numbers in another order."
    first = int(np.argmin(ok))
    hint = _scalar_hint(float(given[first]), float(wanted[first]))
    if given.size == 1:
        return hint
    place = _ORDINALS[first] if first < len(_ORDINALS) else f"{first + 1}th"
    return f"The {place} number: {hint}"


def _scalar_hint(given: float, wanted: float) -> str:
    if wanted == 0 or given == 0:
        return "It is zero." if wanted == 0 and abs(given) < 0.01 else _direction(given, wanted)
    ratio = given / wanted
    if ratio < 0:
        return "The sign is the other way round."
    for times, question in _UNIT_RATIOS.items():
        for factor, word in ((times, "large"), (1 / times, "small")):
            if abs(ratio / factor - 1) < 0.005:
                return f"Your answer is {times:,} times too {word}. {question}"
    if abs(given * wanted - 1) < 0.001 and abs(ratio - 1) > 0.05:
        return "It is upside down: you divided the wrong way round."
    return _direction(given, wanted)


def _direction(given: float, wanted: float) -> str:
    word = "large" if given > wanted else "small"
    if abs(given - wanted) <= 0.05 * abs(wanted):
        return f"Close, but a little too {word}: compute it, and keep the digits."
    if wanted and max(given / wanted, wanted / given if given else 0) > 10:
        return f"More than ten times too {word}."
    return f"Too {word}."


def is_empty(thing: object) -> bool:
    """Tell whether a function or class is still the empty one that an exercise starts from.

    Parameters
    ----------
    thing
        Anything.

    Returns
    -------
    bool
        True for a Python function whose body is `...`, `pass` or a docstring, and for a class
        that holds nothing but such functions.

    Examples
    --------
    >>> def share(capacity): ...
    >>> is_empty(share), is_empty(len)
    (True, False)
    >>> class Order:
    ...     def choose(self): ...
    >>> is_empty(Order)
    True
    """
    if isinstance(thing, type):
        # `_abc_impl` is what Python itself puts into a class that has an abstract base.
        own = [v for name, v in vars(thing).items() if not name.startswith(("__", "_abc_"))]
        return all(is_empty(value) for value in own)
    if not isinstance(thing, FunctionType):
        return False
    work = [step for step in dis.get_instructions(thing) if step.opname not in {"RESUME", "NOP"}]
    returns_none = bool(work) and work[0].argval is None
    names = [step.opname for step in work]
    return returns_none and names in (["RETURN_CONST"], ["LOAD_CONST", "RETURN_VALUE"])


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop the Python code inside after some seconds, on every system and in every thread.

    Parameters
    ----------
    seconds
        How long it may run. A single long call into C is stopped only when it returns.

    Yields
    ------
    None
        While the clock runs.

    Raises
    ------
    TooLongError
        Inside the block, when time is up.

    Examples
    --------
    >>> with time_limit(5):
    ...     sum(range(10))
    45
    """
    thread, lock, over = threading.get_ident(), threading.Lock(), threading.Event()

    def stop() -> None:
        with lock:
            if not over.is_set():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(TooLongError)
                )

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:  # after this, the timer can no longer hit the code that follows
            over.set()
        timer.cancel()


def run_hint(
    test: Callable[[Callable[..., object]], str | None],
    function: Callable[..., object],
    seconds: float,
) -> str | None:
    """Run a test on a student's function; whatever goes wrong becomes a hint.

    Parameters
    ----------
    test
        Calls the function, and returns None if it is right, a hint if not.
    function
        The student's.
    seconds
        Time it may take in all.

    Returns
    -------
    str or None
        A hint, or None if it passed.

    Examples
    --------
    >>> run_hint(lambda share: share(), lambda: 1 / 0, seconds=5)
    'Your function stopped with `ZeroDivisionError: division by zero`...'
    """
    try:
        with time_limit(seconds):
            return test(function)
    except TooLongError:
        kind = "class" if isinstance(function, type) else "function"
        return f"Your {kind} ran for {seconds:g} s and was stopped: does a loop never end?"
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit in a student's code is a hint too
        return _error_hint(error, function)


def _error_hint(error: BaseException, function: Callable[..., object]) -> str:
    last = traceback.format_exception_only(error)[-1].strip()
    last = " ".join(last.split()).replace("`", "'")[:200]
    kind = "class" if isinstance(function, type) else "function"
    codes = _codes(function)
    own = [step for step in traceback.walk_tb(error.__traceback__) if step[0].f_code in codes]
    if own:
        return f"Your {kind} stopped with `{last}`{_where(*own[-1])}."
    if "NoneType" in last:
        return f"Your {kind} returned nothing: does each way through it end in `return`? (`{last}`)"
    if codes and kind == "function" and f"{function.__name__}()" not in last:
        return f"What your function returned could not be used: `{last}`."
    return f"Your {kind} stopped with `{last}`."


def _codes(thing: object) -> set[CodeType]:
    """Return the code of a function, or of all methods of a class."""
    parts = vars(thing).values() if isinstance(thing, type) else [thing]
    return {part.__code__ for part in parts if isinstance(part, FunctionType)}


def _where(frame: FrameType, line: int) -> str:
    code = frame.f_code
    source = linecache.getline(code.co_filename, line).strip().replace("`", "'")
    whose = f"line {line - code.co_firstlineno + 1}"
    if "." in code.co_qualname.rpartition("<locals>.")[2]:  # of a class
        whose = f"method `{code.co_name}`, {whose}"
    return f" in its {whose}, `{source}`" if source else ""
