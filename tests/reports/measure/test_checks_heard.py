"""What is made of what a checking process says: no process is started here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes.crew import Work
from maxbench.bench.processes.messages import (
    About,
    Array,
    Checked,
    CheckJob,
    Described,
    Ended,
    Given,
    Message,
    Trial,
    Tried,
    Unavailable,
)  # fmt: skip
from maxbench.bench.processes.verdict import Claim, Verdict
from maxbench.impls import agreement, contract
from maxbench.impls.contract.layouts import LAYOUTS, OUT_LAYOUTS
from maxbench.impls.registry import Entry
from maxbench.reports.measure import checks

OWN = [Entry("softmax", name, "maxbench", f"maxbench.impls.softmax_{name}") for name in "ab"]
OWN_ARGMAX = Entry("argmax", "c", "maxbench", "maxbench.impls.argmax_c")
PLUG_IN = Entry("softmax", "p", "plug 1.0", "plug:run")
CLASH = Entry("softmax", "q", "plug 1.0", "plug:run", "name clash")
REFUSING = [layout.name for layout in OUT_LAYOUTS if layout.refused is not None]


def described(
    name: str = "p", dtypes: Sequence[str] = ("float64",), differs: Mapping[str, str] | None = None
) -> Described:
    return Described(name, About("cpu", "one", list(dtypes), dict(differs or {})))


class Workers:
    """In place of a crew: answers jobs, and keeps them."""

    def __init__(self, work: Callable[[CheckJob], Work]) -> None:
        self._work = work
        self.jobs: list[tuple[CheckJob, float]] = []

    def run(self, job: CheckJob, *, seconds: float, env: dict[str, str] | None = None) -> Work:
        self.jobs.append((job, seconds))
        return self._work(job)


def checked(case: str, dtype: str, *verdict: Any) -> Checked:
    claim = Claim("softmax", Input("case", dtype, name=case), case, (1,), dtype)
    return Checked(claim, Verdict(*(verdict or ("agrees",))))


def sound(names: Iterable[tuple[str, str]]) -> list[Message]:
    found: list[Message] = []
    for case, dtype in names:
        found.append(Trial(case, dtype))
        if case not in REFUSING:
            found.append(checked(case, dtype))
        found.append(Tried(case, dtype))
    return found


NAMES = agreement.names_of_trials(["float64"])


def check(messages: Sequence[Message], failure: str | None = None) -> checks.Checked:
    crew: Any = Workers(lambda job: Work([described(), *messages], failure))
    (found,), pairs = checks.check_all([PLUG_IN], ["float64"], jobs=1, crew=crew)
    assert pairs == []
    return found


def test_what_agrees_everywhere_is_available() -> None:
    found = check(sound(NAMES))
    assert [(f.case, f.dtype) for f in found.findings] == NAMES
    assert {f.status for f in found.findings} == {"agrees"}
    assert {(f.operation, f.implementation, f.detail) for f in found.findings} == {("softmax", "p", "")}
    assert (found.status, found.reason) == ("available", "")
    assert any(layout.name in {f.case for f in found.findings} for layout in LAYOUTS)


def test_the_job_says_what_is_to_be_checked() -> None:
    crew: Any = Workers(lambda job: Work(sound(NAMES)))
    seen: list[checks.Checked] = []
    found, _ = checks.check_all([PLUG_IN], ["float64"], crew=crew, timeout=7.0, done=seen.append)
    assert crew.jobs == [(CheckJob("softmax", ["p"], trials=True, dtypes=["float64"]), 7.0)]
    assert seen == found
    checks.check_all([PLUG_IN], crew=crew)
    assert crew.jobs[1] == (CheckJob("softmax", ["p"], trials=True), checks.TIMEOUT)


@pytest.mark.parametrize(
    ("at", "message", "status", "detail", "declared"),
    [
        (3, ("wrong", "at (0,)"), "wrong", "at (0,)", ""),
        (3, ("differs", "at (0,)", "sums", "n*"), "differs", "at (0,)", "sums"),
        (3, "spoken", "wrong", "returned None", ""),
        (3, "spoken", "failed", "raised ValueError", ""),
        (3, "spoken", "not supported", "too large", ""),
        (3, None, "failed", "its process said nothing of it", ""),
        (-1, None, "failed", "its process said nothing of it", ""),
    ],
)
def test_each_trial_has_what_was_said_of_it(at: int, message: Any, status: str, detail: str, declared: str) -> None:
    case, dtype = NAMES[at]
    rest = sound([*NAMES[:at], *(NAMES[at + 1 :] if at != -1 else [])])
    if isinstance(message, tuple):
        rest += [checked(case, dtype), checked(case, dtype, *message), checked(case, dtype)]
    elif message is not None:
        rest.append(Tried(case, dtype, status, detail))  # type: ignore[arg-type]
    found = check(rest)
    one = found.findings[NAMES.index((case, dtype))]
    assert (one.status, one.detail, one.declared) == (status, detail, declared)
    assert sum(f.status != "agrees" for f in found.findings) == 1
    bad = status in ("wrong", "failed")
    assert found.status == (status if bad else "available")
    assert found.reason == (f"{case} float64: {detail}" if bad else "")


def test_a_wrong_result_outweighs_what_was_declared_and_what_was_said() -> None:
    case, dtype = NAMES[0]
    said = [checked(case, dtype, "differs", "d", "sums", "n*"), checked(case, dtype, "wrong", "w"),
            Tried(case, dtype, "failed", "r")]  # fmt: skip
    assert check(sound(NAMES[1:]) + said).findings[0].detail == "w"


def test_layouts_that_must_be_refused_need_no_result_and_others_do() -> None:
    assert REFUSING
    silent = [Tried(case, dtype) for case, dtype in NAMES]
    found = check(silent)
    assert {f.case for f in found.findings if f.status == "agrees"} == set(REFUSING)
    assert {f.status for f in found.findings if f.case not in REFUSING} == {"failed"}


def test_a_process_that_ends_has_failed_where_it_was() -> None:
    begun = [*sound(NAMES[:5]), Trial(NAMES[5][0], "float64"), Ended()]
    found = check(begun, "killed")
    assert len(found.findings) == 6
    last = found.findings[-1]
    assert (last.status, last.case, last.dtype, last.detail) == ("failed", NAMES[5][0], "float64", "killed")
    assert found.status == "failed"
    assert found.reason == f"{NAMES[5][0]} float64: killed"
    found = check([], "killed")
    assert [(f.status, f.case, f.dtype) for f in found.findings] == [("failed", "", "")]
    assert found.reason == "killed"


def test_declared_differences_that_did_not_occur_are_said_of_a_full_check_alone() -> None:
    differs = {"n = 1/*": "sums", "n = 2/*": "rounds"}
    case = "n = 1"
    wanted = agreement.names_of_trials(contract.SOFTMAX.dtypes)
    rest = sound(name for name in wanted if name != (case, "float64"))
    rest.append(checked(case, "float64", "differs", "d", "sums", "n = 1/*"))
    about = described("p", contract.DTYPES, differs)
    crew: Any = Workers(lambda job: Work([about, *rest]))
    (found,), _ = checks.check_all([PLUG_IN], crew=crew)
    stale = [f for f in found.findings if f.status == "stale"]
    assert len(stale) == 1
    assert "'n = 2/*' did not occur" in stale[0].detail
    assert found.status == "available"
    (found,), _ = checks.check_all([PLUG_IN], contract.SOFTMAX.dtypes, crew=crew)
    assert not [f for f in found.findings if f.status == "stale"]
    crew = Workers(lambda job: Work([about, *rest], "killed"))
    (found,), _ = checks.check_all([PLUG_IN], crew=crew)
    assert not [f for f in found.findings if f.status == "stale"]


@pytest.mark.skipif(not contract.OPTIONAL, reason="no optional dtype is installed")
def test_an_optional_dtype_that_is_not_taken_is_one_finding_where_it_was_asked_for() -> None:
    (optional,) = contract.OPTIONAL
    both = agreement.names_of_trials(["float64", optional])
    for dtypes, about, expected in (
        (["float64", optional], ["float64"], [("", optional, "not supported")]),
        (["float64", optional], ["float64", optional], []),
        (None, ["float64"], []),
    ):
        said = [described("p", about), *sound(both)]
        crew: Any = Workers(lambda job, said=said: Work(said))
        (found,), _ = checks.check_all([PLUG_IN], dtypes, crew=crew)
        unsupported = [(f.case, f.dtype, f.status) for f in found.findings if f.status == "not supported"]
        assert unsupported == expected
        assert (optional in {f.dtype for f in found.findings if f.case}) == (optional in about)
        assert all(f.detail == f"{optional} is not among its dtypes" for f in found.findings if not f.case)


def test_what_does_not_load_says_why() -> None:
    for message, status in (
        (Unavailable("p", "no cuda"), "unavailable"),
        (Unavailable("p", "no cuda", broken=True), "failed"),
    ):
        crew: Any = Workers(lambda job, message=message: Work([message]))
        (found,), _ = checks.check_all([PLUG_IN], crew=crew)
        assert (found.status, found.reason) == (status, "no cuda")
        assert [(f.status, f.detail, f.case) for f in found.findings] == [(status, "no cuda", "")]
        (found,) = checks.describe_all([PLUG_IN], crew)
        assert (found.status, found.reason, found.findings) == (status, "no cuda", [])
    other = Unavailable("another", "no cuda")
    for work, reason in ((Work([other]), "its process said nothing of it"), (Work([], "killed"), "killed")):
        crew = Workers(lambda job, work=work: work)
        (found,), _ = checks.check_all([PLUG_IN], crew=crew)
        assert (found.status, found.reason) == ("failed", reason)
        assert [f.status for f in found.findings] == ["failed"]


@pytest.mark.parametrize("name", ["a", "z"])
def test_what_is_said_of_another_name_is_not_of_this_one(name: str) -> None:
    said = [described(name), Unavailable(name, "not this one")]
    crew: Any = Workers(lambda job: Work(said))
    (found,) = checks.describe_all([PLUG_IN], crew)
    assert (found.status, found.reason, found.about) == ("failed", "its process said nothing of it", None)


def test_as_many_are_checked_at_a_time_as_were_asked_for() -> None:
    running = most = 0

    def work(job: CheckJob) -> Work:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        running -= 1
        return Work([], "it ended")

    crew: Any = Workers(work)
    for jobs in (1, 3):
        most = 0
        checks.check_all([*OWN, PLUG_IN], ["float64"], jobs=jobs, crew=crew)
        assert most == jobs


def test_what_cannot_be_loaded_starts_no_process() -> None:
    crew: Any = Workers(lambda job: Work())
    (found,), _ = checks.check_all([CLASH], crew=crew)
    assert (found.status, found.reason) == ("unavailable", "name clash")
    assert [(f.status, f.detail) for f in found.findings] == [("unavailable", "name clash")]
    (found,) = checks.describe_all([CLASH], crew)
    assert (found.status, found.reason) == ("unavailable", "name clash")
    assert crew.jobs == []


def test_descriptions_share_a_process_among_ours_and_each_plug_in_has_its_own() -> None:
    crew: Any = Workers(lambda job: Work([described(name) for name in job.names]))
    found = checks.describe_all([PLUG_IN, OWN[0], OWN_ARGMAX, OWN[1]], crew)
    assert [c.entry for c in found] == [PLUG_IN, OWN[0], OWN_ARGMAX, OWN[1]]
    assert {c.status for c in found} == {"available"}
    jobs = {(job.operation, *job.names, job.trials): seconds for job, seconds in crew.jobs}
    assert jobs == {("softmax", "a", "b", False): 120.0, ("argmax", "c", False): 60.0, ("softmax", "p", False): 60.0}


def test_where_one_brings_down_the_process_of_all_each_is_looked_at_alone() -> None:
    def work(job: CheckJob) -> Work:
        said = [described(name) for name in job.names]
        return Work(said, "killed") if "a" in job.names else Work(said)

    crew: Any = Workers(work)
    found = checks.describe_all(OWN, crew)
    assert [(c.entry.name, c.status, c.reason) for c in found] == [("a", "failed", "killed"), ("b", "available", "")]
    assert [job.names for job, _ in crew.jobs] == [["a", "b"], ["a"], ["b"]]


def test_pairs_are_those_of_the_sound() -> None:
    def arrays(dtype: str, x: np.ndarray, what: str, operation: str) -> Given:
        result = np.argmax(x, axis=1) if operation == "argmax" else np.exp(x - x.max(axis=1, keepdims=True))
        return Given(Array(what, [*result.shape], result.dtype.name, dtype_of_x=dtype), result)

    def work(job: CheckJob) -> Work:
        said = [described(name) for name in job.names] + sound(NAMES)
        if job.names == ["b"]:
            said.append(checked(*NAMES[0], "wrong", "w"))
        said += [arrays("float64", x, what, job.operation) for what, x in agreement.pair_inputs("float64")]
        return Work(said)

    crew: Any = Workers(work)
    found, pairs = checks.check_all([*OWN, OWN_ARGMAX], ["float64"], jobs=2, crew=crew)
    assert [c.status for c in found] == ["available", "wrong", "available"]
    assert {f.implementation for f in pairs} == {"a / c"}
    assert len(pairs) == 5
    assert {f.status for f in pairs} == {"agrees"}
    assert found[0].pairs.keys() == {("float64", what) for what, _ in agreement.pair_inputs("float64")}
