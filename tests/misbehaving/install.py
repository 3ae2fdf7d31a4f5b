"""Installs the plug-ins: a folder for PYTHONPATH with a distribution, one module for each, beside an honest one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests import plugins

from . import at_call, at_import, cheats
from .plugin import Plugin

PLUGINS: tuple[Plugin, ...] = (*at_import.PLUGINS, *at_call.PLUGINS, *cheats.PLUGINS)

_SOFTMAX = '''
"""Softmax of an honest plug-in."""
import numpy as np
from maxbench import implements


@implements(dtypes=("float16", "float32"), largest=100_000)
def run(x, out):
    with np.errstate(all="ignore"):
        exponentials = np.exp(np.subtract(x, x.max(axis=1, keepdims=True), dtype=np.float64))
        out[...] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return out
'''
_ARGMAX = '''
"""Argmax of an honest plug-in."""
import numpy as np
from maxbench import implements


@implements(dtypes=("float16", "float32"), largest=100_000)
def run(x, out):
    return np.argmax(x, axis=1, out=out)
'''


def install(folder: Path, chosen: Sequence[Plugin] = PLUGINS) -> Path:
    """Write softmax.<when>_<kind> of every plug-in, and softmax.good and argmax.good; returns the folder."""
    modules = {f"misbehaving_{plugin.name}": plugin.source for plugin in chosen}
    points = {f"softmax.{plugin.name}": f"misbehaving_{plugin.name}" for plugin in chosen}
    modules |= {"misbehaving_softmax": _SOFTMAX, "misbehaving_argmax": _ARGMAX}
    points |= {"softmax.good": "misbehaving_softmax", "argmax.good": "misbehaving_argmax"}
    (folder / "left").mkdir(parents=True, exist_ok=True)
    return plugins.write(folder, modules, points, "misbehaving")
