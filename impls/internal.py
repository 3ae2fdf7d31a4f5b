"""Internal functions, which compiled functions alone call: of one body, or of one that the arguments' types choose."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import InlineOverloads, NativeLowering, NopythonRewrites
from numba.core.untyped_passes import InlineClosureLikes
from numba.extending import overload

# Without the last three, of which no internal function makes use: array expressions, closures, and inlining by Numba.
_LEFT_OUT = NativeLowering, NopythonRewrites, InlineClosureLikes, InlineOverloads


@register_pass(mutates_CFG=True, analysis_only=False)
class _LowersToIR(NativeLowering):  # type: ignore[misc]
    """Lowers to LLVM IR, which the callers' modules are linked with, and generates no machine code from it."""

    _name = "lowering_of_internal_functions"

    def run_pass(self, state: Any) -> bool:
        library = state.library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        # Not handed to the execution engine.
        library._finalize_final_module = lambda: setattr(library, "_finalized", True)
        state.flags.no_compile = True
        super().run_pass(state)
        # By this callers find the function; the dispatcher takes a builtin function only.
        entry: Any = [].append
        state.targetctx.insert_user_function(entry, state.cr.fndesc, [library])
        state.cr = state.cr._replace(cfunc=entry)
        return True


class _Compiler(CompilerBase):  # type: ignore[misc]
    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_LowersToIR, NativeLowering)
        passes.passes = [one for one in passes.passes if one[0] not in _LEFT_OUT]
        passes.finalize()
        return [passes]


# Entry points and machine code of functions that compiled functions call would take a third of the time. What a
# function is compiled by holds for overloads that it calls as well: one that is called by functions with other options
# is compiled twice.
COMMON = {"no_cfunc_wrapper": True, "forceinline": False}
_INTERNAL = {**COMMON, "no_cpython_wrapper": True, "error_model": "numpy", "nogil": True}


class Internal(CPUDispatcher):  # type: ignore[misc]
    """A function without an entry point for Python, where it runs as it is written."""

    def __call__(self, *args: Any) -> Any:
        return self.py_func(*args)


def internal(function: Any = None, /, **options: Any) -> Any:
    """As `numba.njit`, for a function that compiled functions call."""
    if function is None:
        return functools.partial(internal, **options)
    dispatcher = Internal(function, targetoptions={"nopython": True, **_INTERNAL, **options}, pipeline_class=_Compiler)
    return functools.update_wrapper(dispatcher, function)


def generated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function of Numba types that returns the body, a Python function with the same parameters.

    It is `numba.extending.overload` of a function that exists in compiled code only.
    """

    @functools.wraps(function)
    def compiled_only(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{function.__name__} works in compiled functions only")

    overload(compiled_only, jit_options={**_INTERNAL, "pipeline_class": _Compiler})(function)
    return compiled_only
