"""Writes a module of WebAssembly in its text format, as people read it (S18).

Any assembler takes the text, and makes the same module of it again.

Source: WebAssembly Core Specification 2.0, chapter 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtlab.machine.translation.wasm_read import Module, Term

__all__ = ["text_of"]


def _signature(takes: Sequence[str], gives: Sequence[str]) -> str:
    words = f" (param {' '.join(takes)})" if takes else ""
    return words + (f" (result {' '.join(gives)})" if gives else "")


def _lines(term: Term, depth: int) -> Iterator[str]:
    """Yield a statement's lines: blocks over several, all else on one."""
    pad = "  " * depth
    if not term.bodies:
        yield pad + str(term)
        return
    yield f"{pad}({' '.join([term.name, *term.immediates(), *map(str, term.args)])}"
    for name, body in zip(("then", "else"), term.bodies, strict=False):
        is_if = term.name == "if"
        yield from ([f"{pad} ({name}"] if is_if else [])
        for inner in body:
            yield from _lines(inner, depth + 1)
        yield from ([f"{pad} )"] if is_if else [])
    yield f"{pad})"


def text_of(module: Module) -> str:
    """Write a module in WebAssembly's text format.

    Parameters
    ----------
    module
        As `read_module` gives it.

    Returns
    -------
    str
        Expressions folded, as people write them; marks are gone.

    Examples
    --------
    >>> from virtlab.machine.translation.wasm_code import I32, constant, module
    >>> from virtlab.machine.translation.wasm_read import read_module
    >>> seven = module([((), (I32,))], [], [((), constant(7) + bytes([0x0B]))], of_type=0, first=0)
    >>> print(text_of(read_module(seven)))
    (module
     (type (func (result i32)))
     (func (export "f0") (result i32)
      (i32.const 7)
     )
    )
    """
    lines = ["(module"]
    lines += [f" (type (func{_signature(*one)}))" for one in module.types]
    lines += [f' (import "vmm" "{name}" {what})' for name, what in module.imports]
    for function in module.functions:
        if not function.body:
            continue
        head = f' (func (export "{function.name}"){_signature(function.takes, function.gives)}'
        lines.append(head)
        if function.locals:
            lines.append(f"  (local {' '.join(function.locals)})")
        for term in function.body:
            lines += _lines(term, 1)
        lines.append(" )")
    return "\n".join([*lines, ")"])
