"""Array types of the libraries that are compared with: the extra ``peers`` installs them."""

from __future__ import annotations

import importlib
from typing import Any


def need(module: str) -> Any:
    """Import a library that is optional here.

    Raises:
        ImportError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ImportError(f"{module} is not installed; pip install 'maxbench[peers]' brings it") from None
