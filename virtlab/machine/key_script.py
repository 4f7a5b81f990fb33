"""What was typed, as a file: a line for each key, when and which (S16).

    # instruction byte
    11902 0x68
    11902 0x69
    240118 0x0d

The first number is the guest's clock, instructions done and waited; the second is what came over
the wire. A file like this and the program make a whole run: it is what a hypervisor's log for
deterministic replay holds, for a machine whose only input is its console.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.devices.wire import Key, checked_keys
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["parse_keys", "write_keys"]

_FIRST = "# instruction byte\n"


def parse_keys(text: str, name: str = "keys") -> tuple[Key, ...]:
    r"""Read a script of keys.

    Parameters
    ----------
    text
        Of the file; empty lines and what follows a '#' are for people.
    name
        Of the file, for errors.

    Returns
    -------
    tuple of Key
        In order of time.

    Raises
    ------
    InvalidInputError
        If a line is not two numbers, or a key cannot be.

    Examples
    --------
    >>> parse_keys("# a letter\n100 0x61\n\n200 13  # Enter\n")
    (Key(time=100, byte=97), Key(time=200, byte=13))
    >>> parse_keys("1 x")
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: keys, line 1 = '1 x': must be two numbers: time and byte
    """
    found: list[tuple[int, int]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            time, byte = (int(word, 0) for word in words)
        except ValueError as error:
            allowed = "two numbers: time and byte"
            raise InvalidInputError(f"{name}, line {number}", line.strip()[:40], allowed) from error
        found.append((time, byte))
    return checked_keys(found, name)


def write_keys(keys: Iterable[Key]) -> str:
    r"""Write keys as `parse_keys` reads them.

    Parameters
    ----------
    keys
        Such as `virtlab.machine.console.Console.typed`.

    Returns
    -------
    str
        The text of a file.

    Examples
    --------
    >>> write_keys([Key(100, 97)])
    '# instruction byte\n100 0x61\n'
    """
    return _FIRST + "".join(f"{key.time} {key.byte:#04x}\n" for key in keys)
