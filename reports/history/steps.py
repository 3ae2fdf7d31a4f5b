"""Steps in a series: where they are (ruptures), how large, and how surely (Pettitt's test).

The search is in the log of the ratio to the anchor, whose run-to-run variation is a fraction of that of times. PELT
with an absolute-value cost puts change points where medians differ; each is then tested on the two segments that
meet there. Pettitt's rank test takes into account that the place was chosen by looking.

R. Killick, P. Fearnhead, I. A. Eckley, "Optimal detection of changepoints with a linear computational cost", JASA
107, 2012. A. N. Pettitt, "A non-parametric approach to the change-point problem", Applied Statistics 28, 1979.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..analysis import rules
from .series import Point, Series

SHORTEST = 3  # points of a segment: less cannot be told from outliers
PENALTY = 3.0  # in units of the noise's scale times log(points): an L1 fit gains this little from noise rarely
LEAST_NOISE = 1e-4  # of a log ratio: values that happen to be equal are not free of it


class NoRuptures(RuntimeError):
    """The package that finds change points is missing; the message says how to get it."""


@dataclass(frozen=True)
class Step:
    """A lasting change of a series.

    Attributes:
        before, after: the measured commits on either side: whatever changed is in ``before..after``.
        size: as a fraction; positive is slower.
        confidence: 1 - p of Pettitt's test on the segments before and after.
        index: of the first point after it.
    """

    before: str
    after: str
    size: float
    confidence: float
    index: int

    @property
    def sure(self) -> bool:
        """Whether it is shown as a step and not as a possible one."""
        return rules.step(self.size, self.confidence) == "step"


@dataclass(frozen=True)
class Found:
    """A step with the series it is in."""

    series: Series
    step: Step


def find(series: Series) -> list[Step]:
    """The steps of at least `rules.STEP`, oldest first; none in a series that is shorter than two segments.

    Raises:
        NoRuptures: ruptures is not installed.
    """
    points = [p for p in series.points if p.placed and p.ratio is not None and p.ratio > 0]
    values = [math.log(p.ratio) for p in points if p.ratio is not None]
    return steps(points, values)


def steps(points: Sequence[Point], values: Sequence[float]) -> list[Step]:
    """`find` on values that belong to points."""
    try:
        import numpy as np
        import ruptures
    except ImportError:
        raise NoRuptures("change points need ruptures: pip install 'maxbench[history]'") from None
    scale = _noise(values)
    if len(values) < 2 * SHORTEST:
        return []
    # A segment's cost is its sum of absolute deviations, in units of the noise.
    signal = np.asarray(values, np.float64)[:, None] / scale
    search = ruptures.Pelt(model="l1", min_size=SHORTEST, jump=1).fit(signal)
    ends = search.predict(pen=PENALTY * math.log(len(values)))
    bounds = [0, *ends]
    found = []
    for start, middle, end in zip(bounds, bounds[1:], bounds[2:], strict=False):
        before, after = values[start:middle], values[middle:end]
        size = math.expm1(statistics.median(after) - statistics.median(before))
        confidence = 1 - pettitt([*before, *after])
        if rules.step(size, confidence) != "none":
            found.append(Step(points[middle - 1].commit, points[middle].commit, size, confidence, middle))
    return found


def _noise(values: Sequence[float]) -> float:
    """The scale of the noise, from differences of neighbours, which a step touches only once."""
    differences = [abs(b - a) for a, b in itertools.pairwise(values)]
    return max(statistics.median(differences) / math.sqrt(2), LEAST_NOISE) if differences else LEAST_NOISE


def pettitt(values: Sequence[float]) -> float:
    """The p-value of "no change anywhere" by Pettitt's test: 2 exp(-6 K^2 / (n^3 + n^2)), at most 1."""
    n = len(values)
    largest = best = 0
    for t in range(n - 1):
        # U(t) = U(t - 1) + sum over j of sign(x_t - x_j).
        best += sum((values[t] > v) - (values[t] < v) for v in values)
        largest = max(largest, abs(best))
    return min(1.0, 2 * math.exp(-6 * largest**2 / (n**3 + n**2)))
