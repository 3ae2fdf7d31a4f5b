"""Runs `processes.worker` or `processes.hub` as a program, as a module of `maxbench.bench`.

It is run as a file, because what is installed may be of another commit: asv measures every commit with the benchmarks
of the working tree, and another distribution may have a package called `bench`. `maxbench.bench` is always this
folder. The rest of `maxbench` is what is installed, for a worker, which measures it; and what lies beside this folder
for the hub, whose judge must not be of the commit that is measured.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parent.parent


def main(program: str) -> None:
    """Run a module's `main`."""
    if program == "hub":
        package = ModuleType("maxbench")
        package.__path__ = [str(FOLDER.parent)]
        sys.modules["maxbench"] = package
    else:
        package = importlib.import_module("maxbench")
    name = "maxbench.bench"
    spec = importlib.util.spec_from_file_location(
        name, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None
    assert spec.loader is not None
    package.bench = sys.modules[name] = importlib.util.module_from_spec(spec)  # type: ignore[attr-defined]
    spec.loader.exec_module(sys.modules[name])
    importlib.import_module(f"{name}.processes.{program}").main()


if __name__ == "__main__":
    main(sys.argv[1])
