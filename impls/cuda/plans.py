"""From a shape to launches: which kernels run, on what grid, with what working memory.

A plan is made once for a shape, dtype and alignment and then only launches: a call from Python costs a dictionary
look-up beside the launch itself.
"""

from __future__ import annotations

import functools
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda

from . import (
    argmax_columns,
    argmax_rows,
    launching,
    platform,
    regimes,
    short_columns,
    short_rows,
    softmax_columns,
    softmax_rows,
    softmax_shared,
    softmax_split,
)
from .columns import WALKING
from .elements import ELEMENTS, VECTOR_BYTES, Element
from .groups import LANES
from .regimes import Regime, Table
from .tiles import Alignment, tile

Shape = tuple[int, int, int]
Run = Callable[[Any, Any, Any], None]
"""(x, out, stream): launches on a stream, 0 for the default one."""

COUPLED_BLOCKS = 64  # of one row, at most
COUPLED_BYTES = 64 << 10  # of a row, to one of several blocks: three blocks a multiprocessor, so that some move data
# while others wait
RESERVED_SHARED = 2 << 10  # bytes of shared memory of a block: those of its reductions
BLOCKS_PER_MULTIPROCESSOR = 8  # how finely long rows are cut, so that all multiprocessors end together
_MOST_PEELED = 1 << 32  # columns: argmax counts from the first one to an edge in 32 bits
SHORTEST_PART = 256  # elements of a column: what argmax keeps of each part is written and read again
MOST_BLOCKS = 65535  # in a grid's second dimension
STREAMS = 64  # of each plan: for so many launches are prepared, and working memory is kept
SHARING_IN_WARP = 8  # threads to a column that are in one warp: 4 of them side by side read 64 bytes together
CACHE_LINE = 128  # bytes


@dataclass(frozen=True)
class Device:
    """What plans depend on.

    Attributes:
        multiprocessors: of the device.
        table: its regimes.
        shared: bytes of shared memory that a block may have; the least of all that are supported, if not known.
    """

    multiprocessors: int
    table: Table
    shared: int = 99 << 10


def current_number() -> int:
    """The number of the current device, 0 in the simulator: plans and their working memory belong to one device."""
    return 0 if platform.SIMULATED else launching.current_device()


def current_device() -> Device:
    """The device at hand, with its table."""
    return _device(current_number())


@functools.cache
def _device(number: int) -> Device:
    """The current device, which has this number."""
    if platform.SIMULATED:
        return Device(1, regimes.load(platform.SIMULATOR_NAME)[0])
    device = cuda.get_current_device()
    shared = launching.most_shared(device)
    return Device(device.MULTIPROCESSOR_COUNT, regimes.load(platform.device_name())[0], shared)


@functools.lru_cache(maxsize=512)
def plan(number: int, operation: str, element: str, shape: Shape, x_offset: int, out_offset: int) -> Plan:
    """The launches for x of this shape on the current device.

    Args:
        number: of the current device, as `current_number` has it.
        operation: softmax or argmax.
        element: a name of `ELEMENTS`.
        shape: (outer, n, inner), none of them 0.
        x_offset, out_offset: bytes by which x and out start after a 16-byte boundary.
    """
    return make(operation, ELEMENTS[element], shape, x_offset, out_offset, _device(number))


def make(operation: str, element: Element, shape: Shape, x_offset: int, out_offset: int, device: Device) -> Plan:
    """As `plan`, for a device and table that are given."""
    return Plan(_run(operation, element, shape, x_offset, out_offset, device))


def steps(operation: str, element: Element, shape: Shape, x: Any, out: Any, device: Device) -> list[launching.Step]:
    """The launches of a plan for aligned arrays, which are listed and not made."""
    listing = _Listing(0)
    _run(operation, element, shape, 0, 0, device)(x, out, listing)
    return listing.steps


def _run(operation: str, element: Element, shape: Shape, x_offset: int, out_offset: int, device: Device) -> Run:
    rows = shape[2] == 1
    name = f"{operation} {'rows' if rows else 'columns'}"
    vectors = x_offset == 0 and (out_offset == 0 or operation == "argmax")
    if rows:
        alignment = _alignment(operation, element, shape[1], x_offset, out_offset)
        regime = next(r for r in device.table[name] if _holds_row(r, element, shape[1], alignment, device, shape[0]))
        return _ROWS[operation, regime.kernel](element, regime, shape, alignment, vectors, device)
    vectors = vectors and shape[2] % element.per_vector == 0
    regime = next(r for r in device.table[name] if _holds_column(r, element, shape[1], vectors, device, shape[2]))
    return _COLUMNS[operation, regime.kernel](element, regime, shape, vectors, device)


def choose(name: str, element: Element, n: int, device: Device) -> Regime:
    """The regime of a table for aligned rows (or columns) of n elements."""
    if name.endswith("rows"):
        alignment: Alignment = "aligned" if n % element.per_vector == 0 else "peeled"
        return next(r for r in device.table[name] if _holds_row(r, element, n, alignment, device))
    return next(r for r in device.table[name] if _holds_column(r, element, n, True, device))


def _alignment(operation: str, element: Element, n: int, x_offset: int, out_offset: int) -> Alignment:
    if operation == "argmax":  # the output is not written by vectors
        out_offset = x_offset
        if n >= _MOST_PEELED:
            return "single"
    if x_offset != out_offset:
        return "single"
    return "aligned" if x_offset == 0 and n % element.per_vector == 0 else "peeled"


def _holds_row(
    regime: Regime, element: Element, n: int, alignment: Alignment, device: Device, outer: int | None = None
) -> bool:
    """outer: rows, None for many."""
    if regime.longest is not None and n > regime.longest:
        return False
    if regime.kernel == "short":
        return n <= short_rows.longest(element)
    if regime.kernel in ("split", "parts"):
        return True
    if regime.kernel == "shared":
        return alignment != "single" and _shares(regime, element, n, outer, device) is not None
    part = tile(element, regime.sharing, regime.vectors(element), alignment)
    return n // part.width <= part.vectors


def _threads(regime: Regime, element: Element) -> int:
    """Of a block that holds rows in shared memory: 64 bits take twice the registers, and several blocks must fit."""
    return max(LANES, regime.threads // 2) if element.wide else regime.threads


def _shares(regime: Regime, element: Element, n: int, outer: int | None, device: Device) -> tuple[int, int] | None:
    """(blocks of a row, vectors of a block) for rows in shared memory; None where that cannot hold them.

    outer: rows, None for many.
    """
    vectors = max(1, n // element.per_vector)
    most = (device.shared - RESERVED_SHARED) // VECTOR_BYTES
    if vectors <= most and (outer is None or 2 * outer > device.multiprocessors):
        return 1, vectors
    # Few rows are shared by as many blocks as fill the device. All of a row must be held by the device at once.
    fill = 0 if outer is None else 2 * device.multiprocessors // outer
    tiles = max(1, vectors // (_threads(regime, element) * regime.vectors(element)))
    blocks = min(max(-(-vectors * VECTOR_BYTES // COUPLED_BYTES), min(fill, tiles)), COUPLED_BLOCKS)
    blocks = min(blocks, device.multiprocessors)
    share = -(-vectors // (blocks * LANES)) * LANES
    return (-(-vectors // share), share) if share <= most else None


def _column_rows(regime: Regime, element: Element, vectors: bool) -> int:
    """Most elements of a column for a thread; fewer where each costs an address of its own: 8 in 32 registers."""
    elements = regime.elements(element)
    if element.wide:  # an exponential of 64 bits takes many registers by itself
        elements = min(elements, {"tile": 32, "split": 8}.get(regime.kernel, elements))
    return max(1, elements // (element.per_vector if vectors else 2 if element.wide else 4))


def _even_rows(regime: Regime, element: Element, n: int, vectors: bool) -> int:
    """As `_column_rows`, but no more than it takes to read columns of n in as few rounds: none is mostly idle."""
    most = _column_rows(regime, element, vectors)
    rounds = -(-n // (regime.sharing * most))
    return -(-n // (regime.sharing * rounds))


def _across(regime: Regime) -> int:
    """Threads side by side that share columns: few threads to a column are in one warp, without a barrier."""
    alone = regime.sharing <= SHARING_IN_WARP
    return (min(regime.threads, LANES) if alone else regime.threads) // regime.sharing


def _holds_column(
    regime: Regime, element: Element, n: int, vectors: bool, device: Device, inner: int | None = None
) -> bool:
    """inner: columns side by side, None for many."""
    if regime.kernel == "short":
        few = inner is not None and inner <= regime.threads and inner * element.storage.itemsize < CACHE_LINE
        return few and n <= short_rows.longest(element)
    if regime.longest is not None and n > regime.longest:
        return False
    return regime.kernel != "tile" or n <= regime.sharing * _column_rows(regime, element, vectors)


class Launch:
    """A kernel with its grid and its bytes of dynamic shared memory: called with a stream and its arguments."""

    def __init__(self, kernel: Any, grid: int | tuple[int, int], threads: int, shared: int = 0) -> None:
        self.kernel, self.grid, self.threads, self.shared = kernel, grid, threads, shared
        self._configured = functools.lru_cache(maxsize=STREAMS)(self._configure)

    def __call__(self, stream: Any, *arguments: Any) -> None:
        if type(stream) is _Listing:
            stream.steps.append(launching.Step(self.kernel, self.grid, self.threads, arguments, self.shared))
        elif platform.SIMULATED:
            self._simulate(*arguments)  # there a kernel holds one configuration at a time
        else:
            if self.shared:
                launching.allow_shared(self.kernel, arguments, self.shared)
            self._configured(stream)(*arguments)

    def _configure(self, stream: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a small grid, for a small problem, is meant
            return self.kernel[self.grid, self.threads, stream, self.shared]

    def _simulate(self, *arguments: Any) -> None:
        interval = sys.getswitchinterval()
        sys.setswitchinterval(3e-4)  # the simulator's own loop polls and would keep the interpreter to itself
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # inf - inf is the definition's own NaN
                self.kernel[self.grid, self.threads, 0, self.shared](*arguments)
        finally:
            sys.setswitchinterval(interval)


class _Listing:
    """Takes the place of a stream in a plan's launches, which are then listed and not made."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.steps = stream, list[launching.Step]()


class Plan:
    """The launches for one shape, dtype and alignment on one device: called with device arrays and a stream.

    The first call goes through numba-cuda's launcher, which compiles. From then on launches are prepared, if
    numba-cuda allows it (see `launching`). Threads may share a plan.

    CUDA graphs: a call on a stream that a graph is captured from neither allocates nor synchronises, provided that a
    call of this shape was made before on any stream; where the kernels need working memory, one for each stream that
    graphs are captured from. That memory is kept for good. Graphs captured from one stream share it, so they must not
    be replayed at the same time.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._prepared: dict[Any, launching.Prepared | None] = {}
        self._lock = threading.Lock()

    def prepared(self, stream: Any) -> launching.Prepared | None:
        """The launches on a stream as a function of addresses; None before the first call, or if that cannot be."""
        return self._prepared.get(stream)

    def __call__(self, x: Any, out: Any, stream: Any) -> None:
        if (prepared := self._prepared.get(stream)) is None:
            with self._lock:  # two threads on one stream have its working memory one after the other
                if any(self._prepared.values()):  # compiled, by a call on another stream
                    prepared = self._prepare(x, out, stream)
                if prepared is None:
                    self._run(x, out, stream)
                    self._prepare(x, out, stream)
                    return
        prepared(launching.address(x), launching.address(out))

    def _prepare(self, x: Any, out: Any, stream: Any) -> launching.Prepared | None:
        """Prepare the launches on a stream, unless that has been tried."""
        if platform.SIMULATED:
            return None
        if stream not in self._prepared:
            if len(self._prepared) == STREAMS:
                del self._prepared[next(iter(self._prepared))]
            listing = _Listing(stream)
            self._run(launching.X, launching.OUT, listing)
            self._prepared[stream] = launching.prepare(listing.steps, x, out, stream)
        return self._prepared[stream]


def _per_stream(make_arrays: Callable[[], tuple[Any, ...]]) -> Callable[[Any], tuple[Any, ...]]:
    """Working memory, made once for each stream: launches on one stream do not overlap.

    There is always one set to spare, for a stream that a CUDA graph is captured from.
    """
    spare: list[tuple[Any, ...]] = []

    @functools.lru_cache(maxsize=STREAMS)
    def arrays_of(stream: Any) -> tuple[Any, ...]:
        if _captured(stream):
            if not spare:
                raise RuntimeError(
                    "working memory cannot be allocated while a CUDA graph is captured: call with arrays of this shape "
                    "and dtype before, once for each stream that graphs are captured from"
                )
            return spare.pop()
        arrays = spare.pop() if spare else make_arrays()
        spare.append(make_arrays())
        if not platform.SIMULATED:
            cuda.synchronize()  # what is copied there must have come before another stream uses it
        return arrays

    def arrays(stream: Any) -> tuple[Any, ...]:
        if type(stream) is _Listing:
            return arrays_of(stream.stream)
        found = arrays_of(stream)
        if _captured(stream):
            launching.keep(found)
        return found

    return arrays


def _captured(stream: Any) -> bool:
    return not platform.SIMULATED and launching.capturing(launching.handle_of(stream))


def _parts(tiles: int, lines: int, device: Device) -> int:
    """Tiles of a part, so that lines * parts blocks fill the device; no more parts than tiles."""
    wanted = max(1, device.multiprocessors * BLOCKS_PER_MULTIPROCESSOR // lines)
    return -(-tiles // min(tiles, wanted, MOST_BLOCKS))


def _short(module_kernel: Any, element: Element, regime: Regime, shape: Shape, vectors: bool) -> Run:
    each = max(1, regime.elements(element) // shape[1])
    # A batch must end where a vector does; with 16 threads or more it always does.
    vectors = vectors and regime.threads * each * shape[1] % element.per_vector == 0
    kernel = module_kernel(element, regime.threads, shape[1], each, vectors)
    launch = Launch(kernel, -(-shape[0] // (regime.threads * each)), regime.threads)
    return lambda x, out, stream: launch(stream, x, out)


def _softmax_short(element, regime, shape, alignment, vectors, device):
    return _short(short_rows.softmax, element, regime, shape, vectors)


def _argmax_short(element, regime, shape, alignment, vectors, device):
    return _short(short_rows.argmax, element, regime, shape, vectors)


def _in_registers(module_kernel: Any, element: Element, regime: Regime, shape: Shape, alignment: Alignment) -> Run:
    kernel = module_kernel(element, regime.threads, regime.sharing, regime.vectors(element), alignment)
    launch = Launch(kernel, -(-shape[0] // (regime.threads // regime.sharing)), regime.threads)
    return lambda x, out, stream: launch(stream, x, out)


def _softmax_rows(element, regime, shape, alignment, vectors, device):
    return _in_registers(softmax_rows.rows, element, regime, shape, alignment)


def _argmax_rows(element, regime, shape, alignment, vectors, device):
    return _in_registers(argmax_rows.rows, element, regime, shape, alignment)


def _softmax_shared(element, regime, shape, alignment, vectors, device):
    found = _shares(regime, element, shape[1], shape[0], device)
    assert found is not None, "the regime was chosen for such rows"
    blocks, share = found
    threads, grid = _threads(regime, element), shape[0] * blocks
    kernel = softmax_shared.shared(element, threads, regime.vectors(element), alignment, blocks == 1)
    launch = Launch(kernel, grid, threads, share * VECTOR_BYTES)
    if blocks == 1:
        return lambda x, out, stream: launch(stream, x, out)
    word = np.uint64 if element.wide else np.uint32

    def working_memory() -> tuple[Any, ...]:
        empty = np.full(2 * grid, np.iinfo(word).max, word)
        return cuda.to_device(empty), cuda.to_device(empty), cuda.to_device(np.zeros(1, np.uint64))

    arrays = _per_stream(working_memory)
    last = device.table["softmax rows"][-1]
    split = _softmax_split(element, last, shape, alignment, vectors, device)

    def run(x: Any, out: Any, stream: Any) -> None:
        if _may_couple(stream, blocks, device):
            launch(stream, x, out, *arrays(stream), blocks, share)
        else:
            split(x, out, stream)

    return run


def _may_couple(stream: Any, blocks: int, device: Device) -> bool:
    """Whether rows may be coupled on a stream, each over this many blocks.

    Blocks start in the order of their rows, so in each launch only blocks of one row wait for one that has not started:
    all but one of them at most. Launches on one stream do not overlap. As long as fewer blocks wait than there are
    multiprocessors, each of which holds one block at least, another block can start and end the wait. That bounds the
    streams of this process (other processes have the device at other times); on further ones rows are split.
    """
    handle = launching.handle_of(stream.stream if type(stream) is _Listing else stream)
    with _coupled_lock:
        waiting = _coupled_streams.setdefault(current_number(), {})
        most = max(blocks - 1, waiting.get(handle, 0))
        others = sum(waiting.values()) - waiting.get(handle, 0)
        if others and others + most >= device.multiprocessors:
            return False
        waiting[handle] = most
    return True


_coupled_streams: dict[int, dict[int, int]] = {}  # by the number of the device, how many blocks wait on each stream
_coupled_lock = threading.Lock()


def _softmax_split(element, regime, shape, alignment, vectors, device):
    kernels = softmax_split.split(element, regime.threads, regime.vectors(element), alignment)
    tiles = max(1, -(-shape[1] // kernels.size))
    each = _parts(tiles, shape[0], device)
    parts = -(-tiles // each)
    partial = Launch(kernels.partial, (shape[0], parts), regime.threads)
    finish = Launch(kernels.finish, (shape[0], parts), regime.threads)
    arrays = _per_stream(lambda: tuple(cuda.device_array((shape[0], parts), element.register) for _ in range(2)))

    def run(x: Any, out: Any, stream: Any) -> None:
        tops, totals = arrays(stream)
        partial(stream, x, tops, totals, each)
        finish(stream, x, out, tops, totals, each)

    return run


def _argmax_parts(element, regime, shape, alignment, vectors, device):
    part = tile(element, regime.threads, regime.vectors(element), alignment)
    tiles = max(1, -(-shape[1] // part.size))
    each = _parts(tiles, shape[0], device)
    parts = -(-tiles // each)
    kernel = argmax_rows.parts(element, regime.threads, regime.vectors(element), alignment, parts == 1)
    if parts == 1:
        whole = Launch(kernel, shape[0], regime.threads)
        return lambda x, out, stream: whole(stream, x, out, each)
    search = Launch(kernel, (shape[0], parts), regime.threads)
    arrays = _per_stream(lambda: _results_of_parts(element, (shape[0], parts), shape[0]))
    return lambda x, out, stream: search(stream, x, out, *arrays(stream), each)


def _results_of_parts(element: Element, shape: tuple[int, int], counters: int) -> tuple[Any, ...]:
    """Working memory of argmax by parts: keys, indices and the counters of blocks that have come."""
    keys = cuda.device_array(shape, np.uint64 if element.wide else np.uint32)
    return keys, cuda.device_array(shape, np.int64), cuda.to_device(np.zeros(counters, np.uint32))


def _blocks_of_columns(regime: Regime, element: Element, shape: Shape, vectors: bool) -> int:
    columns = (regime.threads // regime.sharing) * (element.per_vector if vectors else 1)
    return -(-shape[0] * shape[2] // columns)


def _short_columns(module_kernel: Any, element: Element, regime: Regime, shape: Shape) -> Run:
    kernel = module_kernel(element, regime.threads, shape[1], shape[2])
    launch = Launch(kernel, -(-shape[0] // (regime.threads // shape[2])), regime.threads)
    return lambda x, out, stream: launch(stream, x, out)


def _softmax_short_columns(element, regime, shape, vectors, device):
    return _short_columns(short_columns.softmax, element, regime, shape)


def _argmax_short_columns(element, regime, shape, vectors, device):
    return _short_columns(short_columns.argmax, element, regime, shape)


def _softmax_tile(element, regime, shape, vectors, device):
    rows = _even_rows(regime, element, shape[1], vectors)
    kernel = softmax_columns.tile(element, regime.threads, _across(regime), regime.sharing, rows, vectors)
    launch = Launch(kernel, _walkers(_blocks_of_columns(regime, element, shape, vectors)), regime.threads)
    return lambda x, out, stream: launch(stream, x, out)


def _walkers(blocks: int) -> int:
    """Blocks for sets of columns: on a device one for each set."""
    return min(blocks, 8) if WALKING else blocks


def _cut_columns(
    element: Element, regime: Regime, shape: Shape, vectors: bool, device: Device, rows: int
) -> tuple[int, int, int]:
    """(blocks of columns, elements of a part, parts), for threads with `rows` elements of each column."""
    blocks = _blocks_of_columns(regime, element, shape, vectors)
    step = regime.sharing * rows
    size = _parts(-(-shape[1] // step), blocks, device) * step
    return blocks, size, -(-shape[1] // size)


def _softmax_columns_split(element, regime, shape, vectors, device):
    rows = _column_rows(regime, element, vectors)
    kernels = softmax_columns.split(element, regime.threads, regime.sharing, rows, vectors)
    blocks, size, parts = _cut_columns(element, regime, shape, vectors, device, rows)
    partial = Launch(kernels.partial, (blocks, parts), regime.threads)
    finish = Launch(kernels.finish, (blocks, parts), regime.threads)
    lines = shape[0] * shape[2]
    arrays = _per_stream(lambda: tuple(cuda.device_array((parts, lines), element.register) for _ in range(2)))

    def run(x: Any, out: Any, stream: Any) -> None:
        tops, totals = arrays(stream)
        partial(stream, x, tops, totals, size)
        finish(stream, x, out, tops, totals, size)

    return run


def _argmax_columns(element, regime, shape, vectors, device):
    rows = _even_rows(regime, element, shape[1], vectors)
    blocks, size, _ = _cut_columns(element, regime, shape, vectors, device, rows)
    step = regime.sharing * rows
    size = max(size, -(-SHORTEST_PART // step) * step)
    parts = -(-shape[1] // size)
    kernel = argmax_columns.parts(element, regime.threads, regime.sharing, rows, vectors, parts == 1)
    if parts == 1:
        whole = Launch(kernel, _walkers(blocks), regime.threads)
        return lambda x, out, stream: whole(stream, x, out, size)
    search = Launch(kernel, (blocks, parts), regime.threads)
    arrays = _per_stream(lambda: _results_of_parts(element, (parts, shape[0] * shape[2]), blocks))
    return lambda x, out, stream: search(stream, x, out, *arrays(stream), size)


_ROWS: dict[tuple[str, str], Callable[..., Run]] = {
    ("softmax", "short"): _softmax_short,
    ("softmax", "rows"): _softmax_rows,
    ("softmax", "shared"): _softmax_shared,
    ("softmax", "split"): _softmax_split,
    ("argmax", "short"): _argmax_short,
    ("argmax", "rows"): _argmax_rows,
    ("argmax", "parts"): _argmax_parts,
}
_COLUMNS: dict[tuple[str, str], Callable[..., Run]] = {
    ("softmax", "short"): _softmax_short_columns,
    ("softmax", "tile"): _softmax_tile,
    ("softmax", "split"): _softmax_columns_split,
    ("argmax", "short"): _argmax_short_columns,
    ("argmax", "parts"): _argmax_columns,
}


_VIEWED = frozenset(name for name, element in ELEMENTS.items() if element.storage.name != name)


def run(operation: str, x: Any, out: Any, stream: Any = 0) -> Any:
    """Fill out from x, arrays on the current device, on a stream; returns out without waiting.

    A call of a shape, dtype and alignment that was called on this stream before neither allocates nor synchronises;
    for calls that are captured into a CUDA graph, see `Plan`.
    """
    element = _name(x.dtype)
    if platform.SIMULATED:
        number, x_start, out_start = current_number(), x.ctypes.data, out.ctypes.data
    else:
        number = launching.current_device()
        x_start, out_start = x.device_ctypes_pointer.value or 0, out.device_ctypes_pointer.value or 0
    planned = plan(number, operation, element, tuple(x.shape), x_start % VECTOR_BYTES, out_start % VECTOR_BYTES)
    if (prepared := planned.prepared(stream)) is not None:
        prepared(x_start, out_start)
        return out
    given, filled = x, out
    if element in _VIEWED:
        stored = ELEMENTS[element].storage
        given = x.view(stored)
        filled = out.view(stored) if operation == "softmax" else out
    planned(given, filled, stream)
    return out


def prepared(operation: str, x: Any, out: Any, stream: Any) -> launching.Prepared | None:
    """What `run` does with arrays like these, as a function of their addresses; None where they need `run`."""
    number, shape = current_number(), tuple(x.shape)
    return plan(number, operation, _name(x.dtype), shape, _offset(x), _offset(out)).prepared(stream)


@functools.lru_cache(maxsize=64)
def _name(dtype: np.dtype) -> str:
    """dtype.name is computed anew at every use, and slower than a launch."""
    return dtype.name


def _offset(array: Any) -> int:
    """Bytes by which an array starts after a 16-byte boundary."""
    start = int(array.ctypes.data) if platform.SIMULATED else launching.address(array)
    return start % VECTOR_BYTES
