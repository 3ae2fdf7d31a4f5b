"""The precheck: its noise against numbers worked out here, what it says by simulation, and processes that misbehave."""

from __future__ import annotations

import json
import math
import random
import statistics
import threading
from typing import Any

import pytest

from maxbench.bench.processes import messages
from maxbench.bench.processes.crew import Work
from maxbench.bench.suite import anchor
from maxbench.bench.workers import noise
from maxbench.reports.analysis import content, doubts
from maxbench.reports.analysis.changes import change, log_ratio
from maxbench.reports.measure import environment, precheck, recording
from maxbench.reports.measure.precheck import QUADS
from maxbench.reports.records import reading
from maxbench.reports.records.run import Machine, Noise, Precheck
from tests.report_data import Results


def quads(effects):
    return [[1.0, 1.0, math.exp(effect), math.exp(effect)] for effect in effects]


def test_the_spread_is_the_larger_of_that_within_and_between_processes() -> None:
    within = [quads([-0.02, 0.0, 0.02]), quads([-0.02, 0.0, 0.02])]
    found = precheck.noise_of(within, 20)
    # The median of |-0.02, 0, 0.02| is 0.02.
    assert found.spread == pytest.approx(1.4826 * 0.02 * math.sqrt(math.pi / 2 / QUADS))
    assert found.bias == 0
    assert found.visible == pytest.approx(math.expm1(found.spread * precheck.effect_in_spreads(20)))
    assert found.processes == 2
    between = [quads([level]) for level in (0.01, 0.02, 0.06)]
    found = precheck.noise_of(between, 20)
    assert found.spread == pytest.approx(statistics.stdev([0.01, 0.02, 0.06]))
    biased = precheck.noise_of([quads([-0.05])] * 3, 20)
    assert (biased.bias, biased.visible) == pytest.approx((math.expm1(-0.05), math.expm1(0.05)))


def test_the_effect_that_is_seen_where_every_process_has_to_show_it() -> None:
    # Of three processes the interval is from the smallest to the largest: all are above 0 with probability p^3.
    assert precheck.effect_in_spreads(3) == pytest.approx(statistics.NormalDist().inv_cdf(0.8 ** (1 / 3)))
    assert precheck.effect_in_spreads(3, power=0.5) < precheck.effect_in_spreads(3)
    # More processes see less; of 9 one may be dropped at each end, which 8 does not allow.
    assert precheck.effect_in_spreads(9) < precheck.effect_in_spreads(8)
    assert precheck.effect_in_spreads(50) < 0.55
    dice = random.Random(1)
    effect = precheck.effect_in_spreads(20)
    seen = [change([dice.gauss(effect, 1) for _ in range(20)]).low > 0 for _ in range(2000)]
    assert statistics.mean(seen) == pytest.approx(precheck.POWER, abs=0.03)


@pytest.mark.parametrize(("between", "tails"), [(0.0, 1.0), (0.01, 1.0), (0.003, 5.0)])
def test_an_effect_of_the_size_stated_is_seen_and_none_is_not(between: float, tails: float) -> None:
    """Known noise in; the comparison that the sentence is about is then simulated with that effect, and without."""
    dice = random.Random(4)

    def process(effect: float, count: int) -> list[list[float]]:
        level = dice.gauss(effect, between)
        return quads(dice.gauss(level, 0.02 * (tails if dice.random() < 0.1 else 1)) for _ in range(count))

    def seen(effect: float) -> bool:
        return change([log_ratio(process(effect, QUADS)) for _ in range(20)]).low > 0

    visible = [precheck.noise_of([process(0, noise.QUADS) for _ in range(3)], 20).visible for _ in range(150)]
    assert 0.7 <= statistics.mean(seen(math.log1p(effect)) for effect in visible) <= 0.97
    assert statistics.mean(seen(math.log1p(effect / 4)) for effect in visible) < 0.35
    assert statistics.mean(seen(0) for _ in visible) < 0.06  # the interval leaves 2.5% out on that side


def test_the_arms_are_two_copies_of_an_anchor() -> None:
    first, second = noise.prepare("one_thread")
    assert first() is second()
    codes = {arm.__defaults__[0] for arm in (first, second)}  # type: ignore[attr-defined]
    assert len(codes) == 2
    assert anchor.one_thread in codes


SAID = messages.Noise("tbb", 0.5, 0.01, {"one_thread": [[1, 1, 1.01, 1.01]] * 4})


class FakeCrew:
    """Workers of which the last may fail; they must measure one after the other."""

    failure: str | None = None
    started = 0
    measuring = threading.Lock()

    def __enter__(self) -> FakeCrew:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def run(self, job: messages.NoiseJob, *, env: dict[str, str], seconds: float, heard: Any) -> Work:
        assert (job, seconds) == (messages.NoiseJob(), 5.0)
        assert env["NUMBA_NUM_THREADS"] == "2"
        FakeCrew.started += 1
        last = FakeCrew.started == 3
        heard(messages.Ready())
        assert self.measuring.acquire(blocking=False)
        self.measuring.release()
        failed = last and self.failure is not None
        heard(messages.Ended() if failed else SAID)
        return Work([] if failed else [SAID], self.failure if failed else None)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (None, "this machine can see 1.0% in 60 s today; 2 threads (tbb)"),
        ("its process ended: exit status 3", "measuring the noise failed: its process ended: exit status 3"),
        ("its process ended: not finished after 5 s", "3 processes did not measure the noise within 5 s"),
    ],
)
def test_processes_that_fail_or_hang_cost_the_noise_alone(
    failure: str | None, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakeCrew, "failure", failure)
    monkeypatch.setattr(FakeCrew, "started", 0)
    monkeypatch.setattr(precheck, "Crew", FakeCrew)
    found = precheck.announce(2)
    assert said in capsys.readouterr().err
    assert FakeCrew.started == 3
    assert found.slower is not None
    assert reading.convert(Precheck, json.loads(json.dumps(found.as_json()))) == found


def test_the_side_car_has_it_and_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "machine", lambda name: Machine(name=name))
    monkeypatch.setattr(environment, "_output", lambda command, env=None: None)  # no process is started for the layer
    checked = Precheck(seconds=3.0, threads=2, layer="tbb", problem="a test")
    record = recording.begin("run", [], "quick", 2, "box", precheck=checked)
    assert record.threads.layer == "tbb"
    assert record.precheck == checked
    assert recording.begin("run", [], "quick", 2, "box").precheck is None


def test_a_report_says_what_the_machine_could_see(tmp_path) -> None:  # type: ignore[no-untyped-def]
    seen = Noise(visible=0.021, bias=0.001, spread=0.01, processes=3)
    less = Noise(visible=0.004, bias=0, spread=0.01, processes=3)
    checked = Precheck(
        seconds=3.0, threads=4, layer="tbb", quota=2.0, others=0.4, throttled=1, slower=1.2,
        noise={"one_thread": less, "many_threads": seen},
    )  # fmt: skip
    assert doubts.sentence(checked) == "this machine can see 2.1% in 60 s today"
    found = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), [[1.0]] * 5)
    gathered = content.gather([found.write(tmp_path, side={"precheck": checked.as_json()})])
    assert dict(gathered.facts[0][1])["precheck"] == "this machine can see 2.1% in 60 s"
    assert gathered.setups[0].endswith("; this machine can see 2.1% in 60 s.")
    for words in (
        "took 40% of the CPU",
        "throttled before",
        "became 1.20× as slow",
        "4 threads have a quota of 2 CPUs",
    ):
        assert sum(words in warning for warning in gathered.warnings) == 1, words
    quiet = Precheck(
        seconds=3.0, threads=2, layer="tbb", quota=2.0, others=0.1, throttled=0, slower=1.1, noise={"one_thread": seen}
    )
    assert doubts.before(quiet) == []
