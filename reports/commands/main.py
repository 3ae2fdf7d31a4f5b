"""The ``maxbench`` command: one module of `reports.commands` per subcommand, imported when it is called."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import importlib
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from maxbench.bench.processes import launch

from ..system.usage import ERROR, INTERRUPTED, NO_HOME, UsageError

# A subcommand's module has ``add_arguments(parser)`` and ``main(args) -> exit status``.
COMMANDS = {
    "run": "check, measure with asv, and report: the main job",
    "list": "show every implementation, where it comes from and whether it can run here",
    "check": "check every implementation against the contract",
    "explain": "say how numba_parallel does a call here, why so, and what bounds it",
    "side-by-side": "time numba_parallel beside other libraries in turn, with one thread and with many",
    "device-report": "check and measure everything on a GPU, within a given time",
    "tune": "time the kernels of numba_parallel, or numba_cuda, here, and keep what is fastest",
    "gate": "say whether a change made an implementation slower",
    "history": "measure commits with asv, and show where a series changes",
    "report": "write the report of stored results again",
    "compare": "compare two runs input by input",
    "publish": "write asv's own pages, with links that compare implementations",
    "new": "write the file of a new implementation",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status: see docs/commands.md.

    A status of the command's own for an error of its own: Python would end with the one that means a bad answer.

    Args:
        argv: the words after ``maxbench``; None for those of this process, whose standard streams are then made safe.
    """
    if argv is not None:
        return _main(list(argv), contextlib.nullcontext())
    words = sys.argv[1:]
    output = _safe_streams()
    try:
        # Whatever ends the command ends what it has started, and removes its temporary files.
        status = _main(words, _handled())
    except SystemExit as end:  # of argparse: after --help, or for bad words
        status = end.code if isinstance(end.code, int) else ERROR
    sys.stdout.flush()
    if output is not None and output.error is not None:
        print(f"maxbench {' '.join(words[:1])}: cannot write to standard output: {output.error}", file=sys.stderr)
        return status or ERROR
    return status


@contextlib.contextmanager
def _handled() -> Iterator[None]:
    """`launch.handled`, with folders for a user who has none, or none that can be written, as in many containers.

    asv, Matplotlib, Numba and git look for settings and caches there. They get the folder of temporary files.
    """
    with launch.handled():
        if os.path.expanduser("~") == "~":  # noqa: PTH111 - Path.home raises
            os.environ[NO_HOME] = "1"
            os.environ["HOME"] = tempfile.gettempdir()
        place = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "matplotlib")
        there = next((path for path in (place, *place.parents) if os.path.exists(path)), Path())  # noqa: PTH110
        if not os.environ.get("MPLCONFIGDIR") and not (there.is_dir() and os.access(there, os.W_OK)):
            os.environ["MPLCONFIGDIR"] = tempfile.gettempdir()
        yield


def _main(words: Sequence[str], handled: contextlib.AbstractContextManager[None]) -> int:
    try:
        with handled:
            try:
                return _run(words)
            except OSError as error:  # a full disk, a folder that is read-only, a file that is not ours
                launch.check_stopped()
                print(f"maxbench {' '.join(words[:1])}: {error}", file=sys.stderr)
                return ERROR
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
    from maxbench import impls  # here, where a working tree that does not compile gets the right exit status

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
    except UsageError as error:
        print(f"maxbench {args.command}: {error}", file=sys.stderr)
        return ERROR
    return status


def _module(command: str):  # type: ignore[no-untyped-def]
    return importlib.import_module(f"maxbench.reports.commands.{command.replace('-', '_')}")


class _Output(io.FileIO):
    """A standard stream that may be closed, full, or without a reader, which must not end a command that measures.

    What cannot be written is dropped.

    Attributes:
        error: why something was dropped; None where nothing was.
        is_closed: whether the stream was closed before the command started.
    """

    error: OSError | None = None
    is_closed = False

    def write(self, data: Any, /) -> int:
        try:
            if self.is_closed:
                raise OSError(errno.EBADF, "it is closed")
            if self.error is None:
                return super().write(data) or 0  # 0, where it would block, is tried again
        except OSError as error:
            self.error = error
        return len(memoryview(data))


def _safe_streams() -> _Output | None:
    """Let standard output and standard error take any text, and no error; standard output without its buffers."""
    codecs.register_error("maxbench", _ascii)
    for number in range(3):  # otherwise the next file that is opened would become a standard stream
        with contextlib.suppress(OSError):
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)
    output, sys.stdout = _safe(sys.stdout, 1)
    _, sys.stderr = _safe(sys.stderr, 2)
    return output


def _is_of(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError):  # closed, or in memory
        return False


def _safe(stream: TextIO | None, number: int) -> tuple[_Output | None, TextIO]:
    if stream is not None and not (isinstance(stream, io.TextIOWrapper) and _is_of(stream, number)):
        return None, stream  # of whoever calls us
    if stream is not None and os.name != "posix" and stream.isatty():
        stream.reconfigure(errors="maxbench")  # a console of Windows is no file
        return None, stream
    raw = _Output(number, "w", closefd=False)
    raw.is_closed = stream is None
    encoding, by_line = "utf-8", False
    if stream is not None:
        stream.flush()
        encoding, by_line = stream.encoding, stream.line_buffering or stream.write_through
    return raw, io.TextIOWrapper(io.BufferedWriter(raw), encoding, "maxbench", line_buffering=by_line)


# What our own texts hold; of names from elsewhere the code is shown.
_IN_ASCII = {"×": "x", "–": "-", "…": "...", "µ": "u", "∞": "inf"}


def _ascii(error: UnicodeError) -> tuple[str, int]:
    """What to write where an encoding lacks a character: one that looks like it, or its code."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(c, c.encode("ascii", "backslashreplace").decode()) for c in missing), error.end


if __name__ == "__main__":
    raise SystemExit(main())
