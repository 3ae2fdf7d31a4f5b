"""The ``maxbench`` command: one module of `reports.commands` per subcommand, imported when it is asked for."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from bench import launch

# A subcommand's module has ``add_arguments(parser)`` and ``main(args) -> exit status``.
COMMANDS = {
    "run": "check, measure with asv, and report: the main job",
    "list": "show every implementation, where it comes from and whether it can run here",
    "check": "check every implementation against the contract",
    "side-by-side": "time numba_parallel beside other libraries in turn, with one thread and with many",
    "device-report": "check and measure everything on a GPU, within a given time",
    "tune-cuda": "time the CUDA kernels' settings on this GPU and keep the fastest",
    "gate": "say whether a change made an implementation slower",
    "history": "measure commits with asv, and show where a series changes",
    "report": "write the report of stored results again",
    "compare": "compare two runs input by input",
    "publish": "write asv's own pages, with links that compare implementations",
    "new": "write the file of a new implementation",
}

ERROR, INTERRUPTED = 2, 130


class UsageError(Exception):
    """Input that the command cannot use; the message says what was wrong and what is accepted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status: see docs/commands.md.

    A status of the command's own for an error of its own: Python would end with the one that means a bad answer.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        # Whatever ends the command ends what it has started, and removes its temporary files.
        with launch.handled() if argv is None else contextlib.nullcontext():
            try:
                return _run(words)
            except Exception as error:
                launch.check_stopped()  # a library may make an error of its own of the signal's
                if _lacks_memory(error):
                    print(f"maxbench {' '.join(words[:1])}: not enough memory: {error}", file=sys.stderr)
                    return ERROR
                traceback.print_exc()
                print("maxbench: ended by an error of its own, or of the installed packages", file=sys.stderr)
                return ERROR
    except KeyboardInterrupt as stop:  # at any time, also while modules are imported
        print(f"maxbench {' '.join(words[:1])}: stopped by {str(stop) or 'SIGINT'}", file=sys.stderr)
        return stop.status if isinstance(stop, launch.Stopped) else INTERRUPTED
    except OSError as error:
        print(f"maxbench {' '.join(words[:1])}: {error}", file=sys.stderr)
        return ERROR


def _lacks_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was made of, is the system's refusal of memory; libraries are memory as well."""
    said = str(error).lower()
    signs = ("failed to map segment", "allocate memory", "can't start new thread")
    found = isinstance(error, MemoryError) or any(sign in said for sign in signs)
    cause = error.__cause__ or error.__context__
    return found or (cause is not None and _lacks_memory(cause))


def _run(words: Sequence[str]) -> int:
    import impls  # here, where a working tree that does not compile gets the right exit status

    parser = argparse.ArgumentParser(
        prog="maxbench", description="Check, measure and compare softmax and argmax implementations."
    )
    parser.add_argument("--version", action="version", version=f"maxbench {impls.__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, description in COMMANDS.items():
        sub = subparsers.add_parser(name, help=description, description=f"{description[0].upper()}{description[1:]}.")
        # Help for one subcommand must not import what the others need.
        if name in words[:1]:
            _module(name).add_arguments(sub)
    args = parser.parse_args(words)
    judged = Path(impls.__file__).resolve().parent
    here = Path("impls").resolve()
    if (here / "registry.py").is_file() and here != judged:
        print(f"maxbench: judging the package in {judged.parent}, not the checkout in this folder", file=sys.stderr)
    try:
        status: int = _module(args.command).main(args)
        sys.stdout.flush()
    except UsageError as error:
        print(f"maxbench {args.command}: {error}", file=sys.stderr)
        return ERROR
    except BrokenPipeError:
        # The reader of our output has gone (`maxbench list | head`); Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _module(command: str):  # type: ignore[no-untyped-def]
    return importlib.import_module(f"reports.commands.{command.replace('-', '_')}")


if __name__ == "__main__":
    # As a script this module is a second copy of itself, whose UsageError the subcommands do not raise.
    from reports import cli

    raise SystemExit(cli.main())
