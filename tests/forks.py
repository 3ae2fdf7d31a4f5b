"""Calls in forked children, their children and threads: ``python -m tests.forks FIRST [SCENARIO ...]`` prints lines.

FIRST is where the process makes its first parallel call, which starts Numba's threads: ``main``, ``thread``, or
``child``, so that the scenarios' children start their own. A scenario returns the digests of the results that it saw.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import hashlib
import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from maxbench import impls
from maxbench.impls import threads

SECONDS = 60  # until a child counts as hung
X = np.random.default_rng(0).standard_normal((1024, 1000)).astype(np.float32)
FORK = multiprocessing.get_context("fork")


def digest(_: object = None) -> str:
    """Of the bits of three results: rows by several threads, short rows by several threads, argmax."""
    results = impls.softmax(X, 1), impls.softmax(X.reshape(-1, 10), 1), impls.argmax(X.reshape(16, -1), 1)
    return hashlib.sha256(b"".join(result.tobytes() for result in results)).hexdigest()[:12]


def child(call: Callable[[], Any] = digest) -> str:
    """What a call returns in a forked child, or how the child ended."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(SECONDS)
        with contextlib.suppress(BaseException):
            os.write(send, str(call()).encode())
        os._exit(0)
    os.close(send)
    with open(receive) as pipe:
        text = pipe.read()
    status = os.waitpid(pid, 0)[1]
    return text if text and status == 0 else f"ended with status {status}"


def thread(call: Callable[[], Any] = digest) -> Any:
    """What a call returns in another thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def together() -> str:
    """Of four threads at once: one digest, or all of the different ones."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return " ".join(sorted(set(pool.map(digest, range(8)))))


@contextlib.contextmanager
def working() -> Iterator[None]:
    """While two other threads make calls."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            digest()

    others = [threading.Thread(target=work) for _ in range(2)]
    for other in others:
        other.start()
    yield
    stop.set()
    for other in others:
        other.join()


def while_others_work() -> set[str]:
    """Forks while other threads are within calls."""
    with working():
        return {child() for _ in range(6)}


def prefork() -> set[str]:
    """A server's workers, each of them with threads and a child of its own."""
    return {child(lambda: " ".join({together(), child(), child(together)})) for _ in range(2)}


def pool() -> set[str]:
    """`multiprocessing.Pool`."""
    with FORK.Pool(2) as workers:
        return set(workers.map_async(digest, range(6)).get(SECONDS))


def executor() -> set[str]:
    """`concurrent.futures.ProcessPoolExecutor`."""
    with concurrent.futures.ProcessPoolExecutor(2, FORK) as workers:
        return set(workers.map(digest, range(6), timeout=SECONDS))


def parallel(backend: str) -> Callable[[], set[str]]:
    """joblib's workers."""

    def run() -> set[str]:
        joblib = importlib.import_module("joblib")
        workers = joblib.Parallel(2, backend=backend, timeout=SECONDS)
        return set(workers(joblib.delayed(digest)(i) for i in range(6)))

    return run


def loader() -> set[str]:
    """PyTorch's DataLoader, whose workers are forked."""
    data = importlib.import_module("torch.utils.data")
    items = type("Items", (data.Dataset,), {"__len__": lambda self: 4, "__getitem__": lambda self, index: digest()})
    return {item for batch in data.DataLoader(items(), num_workers=2, timeout=SECONDS) for item in batch}


SCENARIOS: dict[str, Callable[[], Any]] = {
    "child": child,
    "grandchild": lambda: child(child),
    "threads of a child": lambda: child(together),
    "child of a thread": lambda: thread(child),
    "threads and a grandchild of a thread": lambda: thread(lambda: child(lambda: " ".join({together(), child()}))),
    "mp.Pool": pool,
    "ProcessPoolExecutor": executor,
    "joblib loky": parallel("loky"),
    "joblib multiprocessing": parallel("multiprocessing"),
    "joblib threading": parallel("threading"),
    "DataLoader": loader,
    "prefork": prefork,
    "while others work": while_others_work,
    "afterwards": digest,
}
_NEEDED = {"joblib loky": "joblib", "joblib multiprocessing": "joblib", "joblib threading": "joblib"}
_NEEDED["DataLoader"] = "torch"


def main(first: str, names: list[str]) -> None:
    """Run scenarios, all that the installed packages permit if none is named."""
    expected = {"main": digest, "thread": thread, "child": child}[first]()
    for name in names or SCENARIOS:
        if name in _NEEDED and importlib.util.find_spec(_NEEDED[name]) is None:
            continue
        found = SCENARIOS[name]()
        right = found in (expected, {expected})
        print(f"{name}: {'right' if right else f'{found} instead of {expected}'}", flush=True)
    print(f"layer: {threads.layer()}", flush=True)
    atexit.register(lambda: print("at exit:", "right" if digest() == expected else "wrong", flush=True))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
