"""One clear error for bad input: the field, the value, and what is allowed.

Every model checks its input here, at construction, so that a wrong number is caught where it was
typed and not ten calls deeper.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["InvalidInputError", "integer", "number", "one_of", "vector"]


class InvalidInputError(ValueError):
    """Bad input, said in one line that names the field, the value and what is allowed.

    Parameters
    ----------
    field
        Name of the input, as the caller wrote it.
    value
        What was given.
    allowed
        What would have been accepted, to be read after "must be".

    Examples
    --------
    >>> raise InvalidInputError("capacity", -1, "a number >= 0")
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: capacity = -1: must be a number >= 0
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} = {value!r}: must be {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


def _range_text(kind: str, minimum: float, maximum: float) -> str:
    if math.isfinite(minimum) and math.isfinite(maximum):
        return f"{kind} from {minimum:g} to {maximum:g}"
    if math.isfinite(minimum):
        return f"{kind} >= {minimum:g}"
    if math.isfinite(maximum):
        return f"{kind} <= {maximum:g}"
    return kind


def number(
    field: str,
    value: object,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    finite: bool = True,
) -> float:
    """Return `value` as a float, or raise.

    Parameters
    ----------
    field
        Name of the input, for the error.
    value
        What the caller gave; booleans and text are not numbers.
    minimum, maximum
        The closed range allowed.
    finite
        Whether infinity is refused. NaN always is.

    Returns
    -------
    float
        The value.

    Raises
    ------
    InvalidInputError
        If it is not a number in the range.

    Examples
    --------
    >>> number("capacity", 160, minimum=0)
    160.0
    >>> number("capacity", "much", minimum=0)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: capacity = 'much': must be a number >= 0
    """
    allowed = _range_text(
        "a finite number" if minimum == -math.inf else "a number", minimum, maximum
    )
    if isinstance(value, bool) or not isinstance(value, Real):  # NumPy's numbers are, its bool not
        raise InvalidInputError(field, value, allowed)
    result = float(value)
    if math.isnan(result) or (finite and math.isinf(result)) or not minimum <= result <= maximum:
        raise InvalidInputError(field, value, allowed)
    return result


def integer(
    field: str, value: object, *, minimum: float = -math.inf, maximum: float = math.inf
) -> int:
    """Return `value` as an int, or raise.

    Parameters
    ----------
    field
        Name of the input, for the error.
    value
        What the caller gave; 3.0 counts as 3, 3.5 is refused.
    minimum, maximum
        The closed range allowed.

    Returns
    -------
    int
        The value.

    Raises
    ------
    InvalidInputError
        If it is not a whole number in the range.

    Examples
    --------
    >>> integer("copies", 4, minimum=1)
    4
    >>> integer("copies", 0, minimum=1)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: copies = 0: must be a whole number >= 1
    """
    allowed = _range_text("a whole number", minimum, maximum)
    try:
        result = number(field, value, minimum=minimum, maximum=maximum)
    except InvalidInputError as error:
        raise InvalidInputError(field, value, allowed) from error
    if not result.is_integer():
        raise InvalidInputError(field, value, allowed)
    return int(result)


def one_of(field: str, value: str, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`, or raise.

    Parameters
    ----------
    field
        Name of the input, for the error.
    value
        What the caller gave.
    choices
        What is allowed.

    Returns
    -------
    str
        The value.

    Raises
    ------
    InvalidInputError
        If it is none of them.

    Examples
    --------
    >>> one_of("level", "high", ("low", "normal", "high"))
    'high'
    >>> one_of("level", "max", ("low", "normal", "high"))
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: level = 'max': must be one of low, normal, high
    """
    if value not in choices:
        raise InvalidInputError(field, value, "one of " + ", ".join(choices))
    return value


def vector(
    field: str,
    values: ArrayLike,
    *,
    size: int | None = None,
    minimum: float = -math.inf,
    finite: bool = True,
) -> NDArray[np.float64]:
    """Return `values` as a one-dimensional float array, or raise.

    Parameters
    ----------
    field
        Name of the input, for the error; a bad element is named with its index.
    values
        A number (repeated `size` times) or a sequence of numbers.
    size
        Length that is needed; any length when None.
    minimum
        Smallest value allowed.
    finite
        Whether infinity is refused. NaN always is.

    Returns
    -------
    ndarray
        Shape (size,), float64, a copy that the caller may keep.

    Raises
    ------
    InvalidInputError
        If the shape is wrong, or an element is not a number in the range.

    Examples
    --------
    >>> vector("shares", [1000, 2000], minimum=0)
    array([1000., 2000.])
    >>> vector("shares", [1000, -5], minimum=0)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: shares[1] = -5.0: must be a number >= 0
    """
    import numpy as np  # only here: it takes longer to load than a small guest to run

    allowed = _range_text("a number", minimum, math.inf)
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(field, values, "a list of numbers") from error
    if array.ndim == 0 and size is not None:
        array = np.full(size, float(array))
    if array.ndim != 1 or (size is not None and array.size != size):
        wanted = "a list of numbers" if size is None else f"one number or a list of {size} numbers"
        raise InvalidInputError(field, values, wanted)
    bad = ~(array >= minimum)  # NaN too
    if finite:
        bad |= np.isinf(array)
    if bad.any():
        first = int(np.argmax(bad))
        raise InvalidInputError(f"{field}[{first}]", float(array[first]), allowed)
    return array
