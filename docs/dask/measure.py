"""How time and memory of softmax and argmax grow with an array in Zarr: one JSON line a measurement.

    python docs/dask/measure.py make FOLDER             # 12 GB of float32 scores, 100 x 30,000,000
    python docs/dask/measure.py run FOLDER GB OP HOW    # OP: copy, softmax, argmax, formula, da.argmax, scipy, read
                                                        # HOW: threads, or a number of workers of a LocalCluster
    python docs/dask/measure.py draw                    # growth.svg of measured.jsonl, the lines that `run` printed

Memory is the largest sum of the resident sets of this process and its children, looked at every 20 ms, over what they
held before: once the kernels have been compiled, and with the cluster started.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import psutil
import scipy.special
import zarr

import maxbench

ROWS, COLUMNS, CHUNKS = 100, 30_000_000, (50, 250_000)  # 50 MB a chunk, and several along the axis at every size
OPERATIONS = {
    "copy": lambda x: x,
    "read": lambda x: x.map_blocks(lambda chunk: chunk[:, :1].copy(), chunks=(x.chunks[0], (1,) * x.numblocks[1])),
    "softmax": lambda x: maxbench.softmax(x, 1),
    "formula": lambda x: (lambda e: e / e.sum(axis=1, keepdims=True))(da.exp(x - x.max(axis=1, keepdims=True))),
    "scipy": lambda x: da.from_array(scipy.special.softmax(x, axis=1), chunks=CHUNKS),
    "argmax": lambda x: maxbench.argmax(x, 1),
    "da.argmax": lambda x: da.argmax(x, axis=1),
}  # fmt: skip


def write(x: da.Array, path: Path) -> None:
    """Write to a new Zarr array, not compressed."""
    shutil.rmtree(path, ignore_errors=True)
    chunks = tuple(max(lengths) for lengths in x.chunks)
    x.to_zarr(zarr.create_array(str(path), shape=x.shape, chunks=chunks, dtype=x.dtype, compressors=None))


def scores(block_id: tuple[int, int]) -> np.ndarray:
    """A chunk of N(0, 1) scores."""
    return np.random.default_rng(block_id).standard_normal(CHUNKS, np.float32)


def held() -> int:
    """Bytes of the resident sets of this process and its children."""
    total = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def measure(folder: Path, size: float, operation: str) -> dict[str, float]:
    """Time and memory of one operation on the first `size` GB, by the scheduler in use."""
    columns = round(size * 1e9 / 4 / ROWS / CHUNKS[1]) * CHUNKS[1]
    few = da.from_zarr(zarr.open_array(str(folder / "x")))[:, : 2 * CHUNKS[1]]
    write(OPERATIONS[operation](few), folder / "out")  # compiles, and starts what is started once
    x = da.from_zarr(zarr.open_array(str(folder / "x")))[:, :columns]
    done, before, most = threading.Event(), held(), [0]

    def watch() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], held())

    watcher = threading.Thread(target=watch)
    watcher.start()
    load, start = os.getloadavg()[0], time.perf_counter()
    write(OPERATIONS[operation](x), folder / "out")
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    shutil.rmtree(folder / "out")
    return {"GB": x.nbytes / 1e9, "seconds": round(seconds, 2), "MB": round((most[0] - before) / 1e6),
            "before_MB": round(before / 1e6), "load": round(load, 1)}  # fmt: skip


def draw() -> None:
    """Time and memory against size, and against workers."""
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "maxbench"
    place = Path(__file__).parent
    found = [json.loads(line) for line in (place / "measured.jsonl").read_text().splitlines()]
    figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
    for row, (what, name) in zip(axes, (("seconds", "time (s)"), ("MB", "memory (MB)")), strict=True):
        for operation, color in (("softmax", "C0"), ("argmax", "C1"), ("copy", "0.6")):
            mine = [one for one in found if one["operation"] == operation]
            for how, line in (("threads", "-o"), ("2", "--s")):
                points = sorted((one["GB"], one[what]) for one in mine if one["how"] == how)
                label = f"{operation}, {'threaded' if how == 'threads' else '2 workers'}"
                row[0].plot(*zip(*points, strict=True), line, color=color, label=label)
            points = sorted((int(one["how"]), one[what]) for one in mine if one["how"] != "threads" and one["GB"] == 2)
            row[1].plot(*zip(*points, strict=True), "--s", color=color, label=operation)
        row[0].set(xlabel="size (GB)", ylabel=name, ylim=(0, None))
        row[1].set(xlabel="workers, of 2 GB", ylabel=name, ylim=(0, None), xticks=(1, 2, 4))
    axes[0, 0].legend(fontsize=8)
    axes[0, 1].legend(fontsize=8)
    figure.savefig(place / "growth.svg", metadata={"Date": None})


def main() -> None:
    """See the first lines."""
    if sys.argv[1] == "draw":
        draw()
        return
    folder = Path(sys.argv[2])
    if sys.argv[1] == "make":
        x = da.map_blocks(scores, chunks=da.core.normalize_chunks(CHUNKS, (ROWS, COLUMNS)), dtype=np.float32)
        with dask.config.set(num_workers=2):
            write(x, folder / "x")
        return
    size, operation, how = float(sys.argv[3]), sys.argv[4], sys.argv[5]
    if how == "threads":
        with dask.config.set(scheduler="threads", num_workers=2):
            found = measure(folder, size, operation)
    else:
        from distributed import Client, LocalCluster

        workers = LocalCluster(int(how), threads_per_worker=1, dashboard_address=None, host="127.0.0.1")
        with workers as cluster, Client(cluster):
            found = measure(folder, size, operation)
    print(json.dumps({"operation": operation, "how": how, **found}), flush=True)


if __name__ == "__main__":
    main()
