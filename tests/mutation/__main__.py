"""Change the modules below one place at a time and run the tests: a change that no test notices survives.

The changes are cosmic-ray's, and statements replaced by ``pass``. Each mutant runs in a forked process, until a
test fails. Prints the survivors and the share killed by module.
"""

from __future__ import annotations

import argparse
import ast
import collections
import contextlib
import difflib
import importlib
import math
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import parso
import psutil
import pytest
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator

from . import sitecustomize

ROOT = Path(__file__).parents[2]
# What is mutated, and further test files that are about it: those named after the module come first. All are in the
# folder of `tests` that mirrors the module's, or in that which is named. Of two patterns for a module the later counts.
MODULES = {
    "bench/inputs/array_files": "reports/records/damage",
    "bench/inputs/recipe": "bench/timing/inputs",
    "bench/processes/crew": "bench/crew bench/crew_failures",
    "bench/processes/hub": "bench/timing/hub bench/crew",
    "bench/processes/judge": "bench/timing/judge",
    "bench/processes/launch": "bench/launch bench/launch_parts",
    "bench/processes/link": "bench/timing/hub bench/crew bench/messages",
    "bench/processes/messages": "bench/messages",
    "bench/processes/verdict": "bench/timing/hub bench/timing/judge",
    "bench/timing/*": "ready sampling timing",
    "impls/contract/*": "impls/contract",
    "impls/contract/cases": "impls/cases",
    "impls/contract/layouts": "impls/layouts",
    "impls/api": "",
    "impls/host_arrays": "layouts api api_calls",
    "impls/inputs": "",
    "impls/layout": "layouts api",
    "impls/registry": "",
    "impls/views": "",
    "impls/agreement": "layouts",
    "reports/analysis/*": "derived reports/golden_report/*",
    "reports/analysis/changes": "reports/gate/gate_statistics reports/gate/verdicts",
    "reports/analysis/rules": "",
    "reports/analysis/table": "reports/golden_report/golden_tables reports/records/reading",
    "reports/gate/run": "",
    "reports/gate/session": "gate_statistics",
    "reports/gate/sources": "",
    "reports/gate/trees": "sources",
    "reports/gate/packages": "sources",
    "reports/gate/starts": "",
    "reports/gate/verdicts": "gate_statistics",
    "reports/measure/cells": "",
    "reports/measure/checks": "",
    "reports/records/*": "reading runs schema reports/analysis/table",
    "reports/records/asv_writing": "reports/analysis/table",
    "reports/records/journal_rows": "asv_writing reading",
    "reports/records/schema": "",
    "reports/system/git": "",
    "reports/system/text": "",
}

# One replacement for an arithmetic operator, where cosmic-ray has eleven: the others fail at the first call. No
# exchange of == and `is` or of - and ~, which are equal on most values here (None, small integers, -1).
OPERATORS = re.compile(
    r"NumberReplacer|AddNot|ReplaceAndWithOr|ReplaceOrWithAnd|ReplaceTrueWithFalse|ReplaceFalseWithTrue"
    r"|ZeroIterationForLoop|RemoveDecorator|ExceptionReplacer|ReplaceContinueWithBreak|ReplaceBreakWithContinue"
    r"|ReplaceUnaryOperator_Delete_\w+|ReplaceComparisonOperator_(Is_IsNot|IsNot_Is|(?!Is)[A-Za-z]+_(?!Is)\w+)"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_Mul|Pow_Mul"
    r"|LShift_RShift|RShift_LShift|BitAnd_BitOr|BitOr_BitAnd|BitXor_BitAnd)"
)

# Mutants that no test of results could notice, "operator: line -> changed line", and why.
EQUIVALENT = {
    r"\w+: @functools\.\w*cache|NumberReplacer: .*maxsize=": "a cache saves time alone",
    r"ReplaceTrueWithFalse: @dataclass": "frozen and slots refuse assignments that no code makes",
    r"\w+: BLOCK = ": "how many elements an oracle takes at a time bounds memory alone",
    r"NumberReplacer: .*default_rng\(\d": "any seed serves",
    r"AddNot: .*\b(if|elif|while|assert) not ": "`not not x` is what the deletion of `not` gives",
    r"NumberReplacer: (_COLUMNS = |yield \"|return np.stack\(\[rng)": "any size of the random inputs of pairs serves",
    r"Drop: __all__ = ": "no code imports *",
    r"Drop: \w+ = ((Callable|Literal|tuple)\[|TypeVar)": "types stand in annotations alone",
    r"ReplaceBinaryOperator_Mul_Div: ((def|self,) .*)?\*,": "the mark of keyword-only parameters is no multiplication",
    r"ReplaceBinaryOperator_Add_Sub: .*64 \* k \+ d": "d takes both signs",
    r'ReplaceComparisonOperator_Eq_(LtE: .*kind == "b"|GtE: .*\b(x|part) == top)': "nothing lies on the other side",
    r"ReplaceComparisonOperator_Lt_(LtE: .*rng\.random|Gt: .*< 0\.5)": "random numbers are not the limit itself",
    r'ReplaceUnaryOperator_Delete_USub: Layout\((".*", )-1(.*) -> Layout\(\1(?:1)\2$': "of two axes, -1 is 1",
    # Sizes and values that no name of a case or layout states: others serve as well.
    r"NumberReplacer: (?!.*(badly|for d in))(.*)\b\d+(, (?:\d+|n), (?:1|inner)\).*) -> \2 ?\d+\3$": "any rows",
    r"NumberReplacer: (?!.*(_shape|badly|for d in))(.*\b\d+, )\d+(, 1\).*) -> \2 ?\d+\3$": "any columns",
    r"NumberReplacer: (?!.*broadcast)((Layout|a =).*normal\(\w+, \w+, )\([^()]*\)(.*) -> \1\([^()]*\)\3$": "any size",
    r'NumberReplacer: yield Case\("(inner axis: ties"|.* over an inner axis".* -> .*= (8|10|34|36)\b)': "any size",
    r'NumberReplacer: yield Case\("all negative".* -> .*- [46], 3,': "any negative number",
    r"NumberReplacer: .* -> .*( (21|19), dtype\)| -= 2| = - 2|\* [79]\)\.astype.*|n // [79]\] = 0)$": "any such value",
    r"NumberReplacer: .*broadcast_to.*\(3, 70\).* -> .*\( [24], 70\).*": "any rows",
    r"NumberReplacer: .*(near\[ -1\]|matches\(name, known, 2\))": "the nearest name comes first, and alone",
    r"NumberReplacer: .* -> kernels\[ -1\],": "there is exactly one",
    r"NumberReplacer: reason = .*refusal\(name, 0": "its dtype is refused, whatever the size",
    r"ReplaceComparisonOperator_LtE_(Lt|Eq): .*<= _NUMBERS": "to look at numbers costs time alone",
    r"NumberReplacer: (around|size) = ": "how much memory lies around an out",
    r"NumberReplacer: .*1e4.* -> .*(9999|10001)\.0": "exp is 0 at any such distance",
    r"NumberReplacer: .*reshape\(-1.* -> .*\(- 2": "to NumPy -2 is -1 here",
    r"ReplaceComparisonOperator_NotEq_Gt: .*last - first": "n axes never span less than n",
    r"ReplaceComparisonOperator_Eq_LtE: .*(size|shape\[1\]) == 0": "no size is negative",
    r"ReplaceComparisonOperator_Eq_(Lt|LtE|GtE): .*\b(hits|trials) == ": "0 <= hits <= trials, and at 0 the root is 0",
    r"NumberReplacer: (for _ in range\(60\)|low, high = 0\.0, 1\.0)": "the bisection ends at the same place",
    r"ReplaceComparisonOperator_Gt_GtE: .*falling\(": "the bisection ends at the same place",
    # The measuring core and the launcher. A mutant is not put in place of a file that is run as a program.
    r"\w+: (if __name__ == |_serve\(\)|sys\.path\.(insert|append))": "run in programs alone",
    r"NumberReplacer: GUARD_BYTES, GUARD = |NumberReplacer: memory = aligned_empty": "any guard of a page serves",
    r'Drop: self\.declared = ""': "every check sets it",
    r"ReplaceComparisonOperator_Eq_Lt: if len\(self\._arrays\) == 1": "a cycle of one costs time alone",
    r"NumberReplacer: .*self\._arrays\[ -1\]": "any copy serves, and often there is one",
    r"NumberReplacer: (FAR_|LATE_|PARTS|WHOLE|KEPT|MOST_|FIELD|MEMORY_|LAST_|LEAST_|_P|SECONDS|TIMEOUT)": "limits",
    r"ReplaceComparisonOperator_Lt_NotEq: .*(seconds|time) < math.inf": "no number is larger",
    r"NumberReplacer: .*bytearray\(": "an empty message fits into anything",
    r'ReplaceComparisonOperator_Eq_LtE: .*os\.name == "posix"': "the other name is nt",
    r"NumberReplacer: .*group\[ -1\]": "what has a problem is alone",
    r"NumberReplacer: .*cpu_count\(\) or ": "the number is known",
    r'ReplaceComparisonOperator_Eq_(LtE: if finding\.status == "failed"|GtE: bad = next)': "it is failed or wrong",
    r"NumberReplacer: return 1e-9, Failed": "what failed has no time",
    r"Drop: assert |ReplaceFalseWithTrue: .*repr=False": "no result depends on it",
    r"ReplaceTrueWithFalse: .*strict=True": "of what has equal lengths",
    # Records and analysis.
    r'NumberReplacer: .*getattr\(os, "': "the name is known",
    r"NumberReplacer: .*file\.read\(MOST_BYTES \+ .* -> .* 2": "one byte too many is enough",
    r"NumberReplacer: .*_field\(parts\[0\]": "a list's type has one parameter",
    r"ReplaceComparisonOperator_Gt_NotEq: .*len\(problems\.found\) > count": "problems do not become fewer",
    r"ReplaceComparisonOperator_Lt_NotEq: .* 0 < figure\.processes": "no count is negative",
    r"ReplaceComparisonOperator_(Gt|Lt)_NotEq: if direction .* -> if direction != 0": "an interval contains its value",
    r'ReplaceComparisonOperator_NotEq_Gt: .*!= ""': "no text is less than the empty one",
    r'ReplaceComparisonOperator_Eq_(LtE: .*status == "failed"|GtE: .*status == "wrong")': "no status is beyond",
    r"NumberReplacer: worst = .* -> .* -1": "both are too little to be said",
    r'NumberReplacer: .* -> .*(commit|machine)"\]\.iloc\[ -1\]': "the rows of a run have one of each",
    r"ReplaceComparisonOperator_Eq_LtE: .*len\(known\) == 1": "there is at least one",
    r'ReplaceComparisonOperator_Eq_LtE: .*(rows\["call"\].*"Own"|== "first_call")': "no other one of a ladder is less",
    r"ReplaceComparisonOperator_Eq_LtE: .*isinf\(self\.high\) ==": "low is never larger than high",
    r"ReplaceComparisonOperator_Eq_GtE: .*== math\.inf": "no number is larger",
    r'ReplaceComparisonOperator_Eq_GtE: .*row\["benchmark"\] == "(Transfer|Sweep)"': "no other rung is greater",
    r"ReplaceComparisonOperator_Eq_LtE: .*stored == folder": "what is inside is greater",
    r'ReplaceComparisonOperator_NotEq_Gt: .*(status != "available"|outcome != "cannot tell")': "nothing is less",
    r'ReplaceComparisonOperator_Eq_LtE: .*status == "ok" and has\(': "of the others only what was skipped has anything",
    r"ReplaceComparisonOperator_Gt_NotEq: .*len\(stored\) > 1": "without runs none is named",
    r"NumberReplacer: .*mine\[ -1\]": "inputs with one winner are alike",
    r'ReplaceComparisonOperator_Eq_LtE: .*contest\.benchmark == "Own"': "no other benchmark with contests is less",
    r"NumberReplacer: .*index > measured.get.* -> .*- 2": "both are less than every index",
    r"Drop: return (_decode\(words\)|text\.replace\(.*isprintable)": "what follows reads the same, slowly",
}


class Drop(Operator):
    """Replaces a statement by ``pass``; imports and docstrings stay."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        """Where there is such a statement."""
        if node.type == "simple_stmt" and not node.children[0].type.startswith(("import", "string", "keyword")):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """The statement without what it does."""
        prefix = node.get_first_leaf().prefix
        node.children[0] = parso.python.tree.Keyword("pass", node.start_pos, prefix)
        return node

    @classmethod
    def examples(cls) -> tuple:
        """None: only cosmic-ray's own tests read them."""
        return ()


def _end(body: list[ast.stmt]) -> None:
    """Replace what returns None at the end of a function, where it returns None anyway."""
    match body:
        case [*_, ast.Return(value=None | ast.Constant(value=None))]:
            body[-1] = ast.Pass()
        case [*_, ast.If() | ast.With() | ast.Try(orelse=[]) as last]:
            for part in (last, *getattr(last, "handlers", ())):
                _end(part.body)
            _end(getattr(last, "orelse", []))


def evaluated(code: str) -> str:
    """A text that is equal for modules that do the same.

    Annotations are not evaluated (``from __future__``), except those of a record's fields. A function that ends
    returns None. Only type checkers look into a protocol.
    """
    tree = ast.parse(code)
    kept = set()
    for node in ast.walk(tree):
        bases = {ast.unparse(base) for base in node.bases} if isinstance(node, ast.ClassDef) else set()
        if "Protocol" in bases:
            node.body = [ast.Pass()]
        elif bases & {"Record", "msgspec.Struct"}:
            kept.update(node.body)
        if isinstance(node, ast.FunctionDef):
            _end(node.body)
        for field in {"annotation", "returns"} & set(node._fields) if node not in kept else ():
            setattr(node, field, None)
    return ast.dump(tree)


@dataclass(frozen=True)
class Mutant:
    """A module with one change."""

    module: Path
    code: str
    tests: tuple[str, ...]
    change: str = ""


def _import_once() -> None:
    """What tests import and is no part of this project: here, once for all mutants."""
    for name in (
        "asv.results", "asv_runner.statistics", "cpuinfo", "hypothesis.strategies", "jinja2", "jsonschema",
        "matplotlib.figure", "ml_dtypes", "msgspec", "numba", "packaging.requirements", "pandas", "psutil", "pyarrow",
        "rich.progress", "rich.table", "scipy.sparse", "scipy.special", "scipy.stats", "torch",
    ):  # fmt: skip
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def mutants(module: Path, tests: tuple[str, ...], share: float, seed: str = "") -> Iterator[Mutant]:
    """The changes of one module, or a random share of them."""
    original = module.read_text()
    seen = {evaluated(original)}
    nodes = list(ast_nodes(get_ast(original)))
    names = {name.removeprefix("core/"): name for name in plugins.operator_names()}
    operators = {short: plugins.get_operator(name)() for short, name in names.items() if OPERATORS.fullmatch(short)}
    chance = random.Random(f"{seed}{module.name}")
    for name, operator in {"Drop": Drop(), **operators}.items():
        starts = [start[0] for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, line in enumerate(starts):
            if chance.random() >= share:
                continue
            try:
                code = mutate_code(original, operator, occurrence)
            except AttributeError:  # cosmic-ray has no answer to `except package.Error`
                continue
            before, after = (text.splitlines()[line - 1].strip() for text in (original, code))
            if any(re.match(rule, f"{name}: {before} -> {after}") for rule in EQUIVALENT):
                continue
            try:
                meaning = evaluated(code)
            except SyntaxError:  # `not name := value`
                continue
            if meaning not in seen:
                seen.add(meaning)
                diff = list(difflib.unified_diff(original.splitlines(), code.splitlines(), n=0, lineterm=""))[3:]
                where = f"{module.relative_to(ROOT)}:{line} {name}"
                yield Mutant(module, code, tests, "\n    ".join([where, *diff]))


def tests_of(module: Path, names: str) -> tuple[str, ...]:
    """The test files of a module."""
    own = module.parent.relative_to(ROOT)
    found = []
    for name in (f"{module.stem}_*", module.stem, *names.split()):
        folder, _, stem = name.rpartition("/")
        found += sorted((ROOT / "tests" / (folder or own)).glob(f"test_{stem}.py"))
    return tuple(dict.fromkeys(map(str, found)))


def start(mutant: Mutant, folder: Path, seconds: float, quiet: bool) -> int:
    """Run the tests on a mutant in a forked process, which exits with pytest's status; its process id."""
    if process := os.fork():
        return process
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
    signal.alarm(math.ceil(seconds))  # a deadlock takes no CPU time
    if quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.dup2(2, 1)  # on stdout stands the report
    file = folder / f"{os.getpid()}.py"
    file.write_text(mutant.code)
    os.environ[sitecustomize.VARIABLE] = f"{mutant.module}{os.pathsep}{file}"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), str(ROOT)])
    sys.path.append(str(Path(__file__).parent))  # for processes that get this one's places
    sitecustomize.substitute(str(mutant.module), str(file))
    # Hypothesis: the same examples for each mutant, and none too slow on a busy machine.
    same = ["-n", "0", "-p", "no:cacheprovider", "--hypothesis-profile", "ci", "--rootdir", str(ROOT)]
    # One file after the other: most mutants are killed by the first, and collecting the others takes longest.
    os._exit(next((status for file in mutant.tests if (status := pytest.main(["-x", "-q", *same, file]))), 0))


def wait() -> tuple[int, str]:
    """The id of the next process that ends, and whether its mutant "survived", was "killed" or "timed out".

    Ends what its tests have left behind.
    """
    process, status = os.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if one.environ().get(sitecustomize.VARIABLE, "").endswith(f"{os.sep}{process}.py"):
                one.kill()
    return process, "timed out" if os.WIFSIGNALED(status) else "killed" if status else "survived"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="modules, as impls/contract/cases")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="mutants at a time")
    parser.add_argument("--sample", type=float, default=1.0, metavar="SHARE", help="a random share of the mutants")
    parser.add_argument("--seed", default="", help="of the share; the same draws the same")
    parser.add_argument("--least", type=float, default=90.0, metavar="PERCENT", help="killed of each module, else 1")
    options = parser.parse_args()
    tests: dict[Path, tuple[str, ...]] = {}
    for pattern, names in MODULES.items():
        for module in sorted(ROOT.glob(f"{pattern}.py")):
            if fnmatchcase(str(module.relative_to(ROOT).with_suffix("")), options.only):
                tests[module] = tests_of(module, names)
    if not tests:
        parser.error(f"--only {options.only}: no such module among {', '.join(MODULES)}")
    _import_once()
    counts = {module: collections.Counter[str]() for module in tests}
    with tempfile.TemporaryDirectory() as scratch:
        every = tuple(sorted({file for files in tests.values() for file in files}))
        limits: dict[tuple[str, ...], float] = {}
        for files in dict.fromkeys((every, *tests.values())):  # the first may compile
            begin = time.monotonic()
            start(Mutant(module, module.read_text(), files), Path(scratch), 3600, quiet=False)
            if wait()[1] != "survived":
                raise SystemExit("the tests fail without a mutant")
            limits[files] = 4 * options.jobs * (time.monotonic() - begin) + 15
        for module, files in tests.items():
            start(Mutant(module, "raise SystemError", files), Path(scratch), 3600, quiet=True)
            if not files or wait()[1] == "survived":
                raise SystemExit(f"{module}: no test imports it")
        running: dict[int, Mutant] = {}
        queue = (
            mutant for module, files in tests.items() for mutant in mutants(module, files, options.sample, options.seed)
        )
        while True:
            while len(running) < options.jobs and (mutant := next(queue, None)):
                running[start(mutant, Path(scratch), limits[mutant.tests], quiet=True)] = mutant
            if not running:
                break
            process, end = wait()
            mutant = running.pop(process)
            counts[mutant.module][end] += 1
            if end == "survived":
                print(mutant.change, flush=True)
    print("\n| module | mutants | killed | of these by time | % |\n|---|---|---|---|---|")
    shares = []
    for module, count in counts.items():
        if total := count.total():
            killed = total - count["survived"]
            shares.append(100 * killed / total)
            print(f"| {module.relative_to(ROOT)} | {total} | {killed} | {count['timed out']} | {shares[-1]:.1f} |")
    return int(min(shares, default=0.0) < options.least)


if __name__ == "__main__":
    sys.exit(main())
