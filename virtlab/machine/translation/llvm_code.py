"""LLVM itself: text into machine code of this processor, by `llvmlite` (S18).

LLVM's own pipelines (`-O2`) are made for code that nobody has looked at. Ours is in good order
already: what is dead is gone, and there is nothing to inline. So a few passes do nearly as much in
a fraction of the time (`passes=None` gives `-O2`, to compare). What the numbering of values
(`new_gvn`) finds to be known already is worth a second round of simplifying. Then comes LLVM's code
generator, with its scheduler and its register allocator, at level 2; but its strength reduction of
loops, which takes a quarter of the time, gives each access in a loop a pointer of its own to count
up, until registers do not suffice. Ours stand at known distances from one another.

All calls of LLVM hold one lock of `llvmlite`'s, but not Python's: while one thread compiles,
another can run translated code.

Needs `llvmlite`, of the extra `llvm`.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

from virtlab.machine.translation.llvm_memory import TYPES
from virtlab.machine.translation.llvm_values import DECLARATIONS
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.translation.liveness import Recipe

__all__ = ["PASSES", "Code", "Llvm", "llvm"]

PASSES = (
    "sroa",
    "instruction_combine",
    "simplify_cfg",
    "new_gvn",
    "instruction_combine",
    "sinking",
    "simplify_cfg",
)


class Code:
    """Machine code; it is there for as long as this is.

    Attributes
    ----------
    address
        Of its functions, by name.
    recipes
        For flags that it leaves to who called it, by number.

    Examples
    --------
    See `Llvm.code`.
    """

    def __init__(self, library: Any, names: Sequence[str]) -> None:
        self._library = library
        self.recipes: dict[int, Recipe] = {}
        self.address: dict[str, int] = {name: library[name] for name in names}


class Llvm:
    """Compiles for this processor.

    Parameters
    ----------
    binding
        `llvmlite.binding`.

    Attributes
    ----------
    binding
        The same.

    Examples
    --------
    See `llvm`, which makes the only one.
    """

    def __init__(self, binding: Any) -> None:
        self.binding = binding
        binding.set_option("", "-disable-lsr")  # of the whole process: there is no other way
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        target = binding.Target.from_default_triple()
        features = binding.get_host_cpu_features().flatten()
        self._machine = target.create_target_machine(
            cpu=binding.get_host_cpu_name(), features=features, opt=2, jit=True
        )
        self._jit = binding.create_lljit_compiler(self._machine)
        self._numbers = count()

    def code(self, text: str, *names: str, passes: Sequence[str] | None = PASSES) -> Code:
        """Compile functions.

        Parameters
        ----------
        text
            LLVM's intermediate representation; intrinsics are declared, metadata is there.
        names
            Of functions whose addresses are wanted.
        passes
            What is done to each function before there is machine code; LLVM's `-O2` if None.

        Returns
        -------
        Code
            Ready to run.

        Examples
        --------
        >>> import ctypes
        >>> code = llvm().code("define i32 @seven() { ret i32 7 }", "seven")
        >>> ctypes.CFUNCTYPE(ctypes.c_int)(code.address["seven"])()
        7
        """
        module = self.binding.parse_assembly(DECLARATIONS + text + TYPES)
        options = self.binding.create_pipeline_tuning_options(2)
        builder = self.binding.create_pass_builder(self._machine, options)
        if passes is None:
            builder.getModulePassManager().run(module, builder)
        else:
            self.optimize(module, builder, passes)
        library = self.binding.JITLibraryBuilder()
        library.add_object_img(self._machine.emit_object(module))
        for name in names:
            library.export_symbol(name)
        return Code(library.link(self._jit, f"translated{next(self._numbers)}"), names)

    def optimize(self, module: Any, builder: Any, passes: Sequence[str]) -> None:
        """Do passes to each function of a module.

        Parameters
        ----------
        module, builder
            As `llvmlite.binding` has them.
        passes
            Their names.

        Examples
        --------
        See `code`, which does it.
        """
        manager = self.binding.create_new_function_pass_manager()
        for name in passes:
            getattr(manager, f"add_{name}_pass")()
        for function in module.functions:
            if not function.is_declaration:
                manager.run(function, builder)


@lru_cache(maxsize=1)
def llvm() -> Llvm:
    """Return what compiles; there is one for all.

    Returns
    -------
    Llvm
        For this processor.

    Raises
    ------
    InvalidInputError
        If `llvmlite` is not installed.

    Examples
    --------
    >>> llvm() is llvm()
    True
    """
    try:
        from llvmlite import binding
    except ModuleNotFoundError as error:
        allowed = "installed: the extra virtlab[llvm] brings it"
        raise InvalidInputError("llvmlite", "missing", allowed) from error
    return Llvm(binding)
