"""``maxbench new``: the file of a new implementation, ready to be filled in."""

from __future__ import annotations

import argparse
from pathlib import Path

from maxbench.impls import contract, kernels

from ..system import files
from ..system.usage import UsageError

_TEMPLATES = {
    "softmax": '''\
"""Softmax by ...: say in one line what this does and how it maps to threads."""

from __future__ import annotations

import numpy as np
from maxbench import implements


@implements(dtypes=("float32", "float64"))
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 of x (outer, n, inner) into out, of the same shape and dtype; x stays as it is."""
    np.exp(x - x.max(axis=1, keepdims=True), out=out)
    columns = np.ascontiguousarray(out.swapaxes(1, 2))  # NumPy adds in pairs over the last axis alone
    out /= columns.sum(axis=2)[:, None]
    return out
''',
    "argmax": '''\
"""Argmax by ...: say in one line what this does and how it maps to threads."""

from __future__ import annotations

import numpy as np
from maxbench import implements


@implements(dtypes=("float32", "float64"))
def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Argmax over axis 1 of x (outer, n, inner) into out (outer, inner), int64; x stays as it is."""
    np.argmax(x, axis=1, out=out)
    return out
''',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench new``."""
    parser.add_argument("operation", choices=sorted(contract.OPERATIONS))
    parser.add_argument("name", help="a Python name, which becomes the file's and the implementation's")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="write it here, for a package of your own (default: into maxbench)"
    )


def main(args: argparse.Namespace) -> int:
    """Write the file and say what comes next."""
    if not args.name.isidentifier():
        raise UsageError(f"{args.name!r} is not a Python name: accepted are letters, digits and _, no digit first")
    folder = args.folder or Path(next(iter(kernels.__path__))) / args.operation
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    path = folder / f"{args.name}.py"
    try:
        files.write_new(path, files.encode(_TEMPLATES[args.operation]))
    except FileExistsError:
        raise UsageError(f"{path} exists; choose another name") from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    print(f"Wrote {path}")
    if args.folder is not None:
        print("Name it in your package's pyproject.toml, with the module that the file is, and install the package:")
        print(
            f'  [project.entry-points."maxbench.impls"]\n  "{args.operation}.{args.name}" = "your_package.{args.name}"'
        )
    print(f"Check it:    maxbench check {args.operation}.{args.name}")
    print(f"Measure it:  maxbench run --only {args.operation}.{args.name} --only numpy_vectorized")
    return 0
