"""The runner itself: a change that a test notices is killed, and one that none notices survives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray")

from tests.mutation.__main__ import ROOT, evaluated, mutants

MODULE = "def f():\n    return 1\n\n\nunused = 2\n"
TEST = "import sys\n\nsys.path.insert(0, {folder!r})\n\n\ndef test():\n    from changed import f\n    assert f() == 1\n"
TRY = "def f():\n    try:\n        g()\n    except E:\n        {}"
RUN = """
import sys
from pathlib import Path
from tests.mutation.__main__ import Mutant, start, wait
folder = Path(sys.argv[1])
tests = (str(folder / "test_changed.py"),)
start(Mutant(folder / "changed.py", (folder / "mutant").read_text(), tests), folder, 5, quiet=True)
print(wait()[1])
"""


@pytest.mark.parametrize(
    ("before", "after", "end"),
    [
        ("return 1", "return 1", "survived"),
        ("unused = 2", "unused = 3", "survived"),
        ("return 1", "return 2", "killed"),
        ("unused = 2", "raise ImportError", "killed"),
        ("unused = 2", "def", "killed"),
        ("unused = 2", "__import__('time').sleep(60)", "timed out"),
    ],
)
def test_how_a_mutant_ends(tmp_path: Path, before: str, after: str, end: str) -> None:
    (tmp_path / "changed.py").write_text(MODULE)
    (tmp_path / "mutant").write_text(MODULE.replace(before, after))
    (tmp_path / "test_changed.py").write_text(TEST.format(folder=str(tmp_path)))
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{end}\n"
    assert (tmp_path / "changed.py").read_text() == MODULE


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("def f(x: int): pass", "def f(x: str) -> int: pass", True),
        ("class A(Protocol):\n    @property\n    def b(self): ...", "class A(Protocol):\n    def b(self): ...", True),
        ("class A(Record):\n    b: Meta(ge=1)", "class A(Record):\n    b: Meta(ge=2)", False),
        ("class A:\n    b: Meta(ge=1)", "class A:\n    b: Meta(ge=2)", True),
        (TRY.format("return None"), TRY.format("pass"), True),
        ("def f():\n    if a:\n        return None\n    g()", "def f():\n    if a:\n        pass\n    g()", False),
        ("x = 1", "x = 2", False),
    ],
)  # fmt: skip
def test_what_is_not_evaluated_is_no_mutant(one: str, other: str, same: bool) -> None:
    assert (evaluated(one) == evaluated(other)) is same


def test_mutants_are_drawn_by_the_seed() -> None:
    module = ROOT / "reports" / "analysis" / "facts.py"

    def drawn(share: float, seed: str) -> list[str]:
        return [mutant.change for mutant in mutants(module, (), share, seed)]

    every = drawn(1, "")
    assert len(set(every)) == len(every) > 20
    assert drawn(0.4, "a") == drawn(0.4, "a") != drawn(0.4, "b")
    assert set(drawn(0.4, "a")) < set(every)
