"""A run of random samples: what its report has to say is worked out from them by the tests."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from typing import Any

from tests.report_data import FAILED, SKIPPED, Results

NAMES = {"numpy_vectorized": 4.0, "quick": 1.0, "near": 1.03, "slow": 40.0}
BASELINE = "numpy_vectorized"
SIZES = (2, 1024, 65536)
WORKLOADS = {"CIFAR-10": (131072, 10, 1), "ImageNet": (1024, 1000, 1), "segmentation": (8, 21, 65536)}
ROWS, ROW_SIZES = (1, 32), (64, 1000)
ORDERS = ("random", "ascending")
THREADS = (2, 4, 8)
DTYPES = {"softmax": "float32", "argmax": "int8"}
ITEMSIZE = {"float32": 4, "int8": 1}
CEILING = "float32"

Key = tuple[str, str, tuple[Any, ...]]  # operation, benchmark with its method, parameters


@dataclass
class Raw:
    """What was put in: samples by process, or one number, for each cell."""

    results: Results = field(default_factory=Results)
    cells: dict[Key, Any] = field(default_factory=dict)
    starts: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    dice: random.Random = field(default_factory=lambda: random.Random(6))

    def add(self, operation: str, benchmark: str, params: tuple[Any, ...], value: Any, **more: Any) -> None:
        self.results.add(f"{operation}.{benchmark}", params, value, **more)
        self.cells[operation, benchmark, params] = value

    def times(self, about: float) -> list[list[float]]:
        """Samples of three processes, each of another level and another number of samples."""
        levels = [about * self.dice.uniform(0.9, 1.1) for _ in range(3)]
        return [
            [level * self.dice.uniform(0.97, 1.2) for _ in range(k)] for level, k in zip(levels, (4, 1, 3), strict=True)
        ]


def made() -> Raw:
    raw = Raw()
    for operation, dtype in DTYPES.items():
        for name, speed in NAMES.items():
            cost = 1e-3 * speed
            for n in SIZES:
                raw.add(operation, "Sweep.time_call", (name, dtype, n), raw.times(cost * (1 + 4 / n)))
            for workload in WORKLOADS:
                value = raw.times(cost * raw.dice.uniform(0.7, 1.4))
                if name == "slow" and workload == "segmentation":
                    value = FAILED
                raw.add(operation, "Workloads.time_call", (name, dtype, workload), value)
            for rows, n in itertools.product(ROWS, ROW_SIZES):
                raw.add(operation, "Shapes.time_call", (name, dtype, rows, n), raw.times(cost * rows / 64))
            for threads in THREADS:
                value = raw.times(cost / threads**0.7) if name in ("quick", "near") else SKIPPED
                raw.add(operation, "Threads.time_call", (name, dtype, 1024, threads), value)
            raw.add(operation, "Api.time_call", (name, dtype, 1024), raw.times(cost * 1.3))
            for statistic, about in (("load", 0.2), ("first_call_cold", 1.0), ("first_call_warm", 0.1)):
                value = about * raw.dice.uniform(0.5, 2) * (0.01 if name == BASELINE else 1)
                # Three processes; asv has only the median.
                each = {statistic: [value, value * raw.dice.uniform(0.9, 1), value * raw.dice.uniform(1, 1.1)]}
                raw.add(operation, f"Start.track_{statistic}", (name, dtype), value, processes=each)
                raw.starts[operation, name, statistic] = each[statistic]
            raw.add(operation, "Memory.peakmem_call", (name, dtype), raw.dice.randrange(150 << 20, 300 << 20))
        raw.add(operation, "Memory.peakmem_call", ("(arrays only)", dtype), 149 << 20)
        elements = 1 << 20 if dtype == CEILING else 1 << 18  # as many bytes as the sweep has
        raw.add(operation, "Ceiling.time_call", ("ceiling", CEILING, elements), raw.times(5e-5), shape=(1, elements, 1))
    for name, n in itertools.product(NAMES, SIZES):
        raw.add("softmax", "Accuracy.track_largest_error", (name, "float32", n), raw.dice.uniform(1, 90))
        raw.add("softmax", "Accuracy.track_typical_error", (name, "float32", n), raw.dice.uniform(0.2, 0.9))
    for name, order in itertools.product(NAMES, ORDERS):
        raw.add("argmax", "Orders.time_call", (name, "int8", order), raw.times(1e-3))
    return raw
