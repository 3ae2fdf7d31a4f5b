"""Generated functions: Numba functions whose body is chosen by the types of their arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numba.extending import overload

from ..compilation import INTERNAL


def generated(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Decorate a function of Numba types that returns the body, a Python function with the same parameters.

    It is `numba.extending.overload` of a function that exists in compiled code only.

    Args:
        options: those of `overload`, such as ``inline="always"``.
    """
    if function is None:
        return functools.partial(generated, **options)

    @functools.wraps(function)
    def compiled_only(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{function.__name__} works in compiled functions only")

    overload(compiled_only, jit_options=INTERNAL, **options)(function)
    return compiled_only
