"""The options of all commands: each means the same wherever it is, old names are refused, and bad values are named."""

from __future__ import annotations

import argparse
import importlib
from collections import defaultdict
from collections.abc import Iterator

import pytest

from maxbench.reports.commands import main, options
from maxbench.reports.measure import environment
from maxbench.reports.measure.selection import matches, select


def actions() -> Iterator[tuple[str, argparse.Action]]:
    """Every option of every command, with the command."""

    def of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for sub in action.choices.values():
                    yield from of(sub)
            else:
                yield action

    for name in main.COMMANDS:
        parser = argparse.ArgumentParser()
        importlib.import_module(f"maxbench.reports.commands.{name.replace('-', '_')}").add_arguments(parser)
        yield from ((name, action) for action in of(parser) if action.option_strings not in ([], ["-h", "--help"]))


def test_an_option_that_several_commands_have_is_defined_once_and_means_the_same() -> None:
    found = defaultdict(list)
    for command, action in actions():
        if action.help != argparse.SUPPRESS:
            found[action.option_strings[0]].append((command, action))
    # Those are the commands' own, under one name in one command, or a switch that needs no more words.
    own = {name for name in found if name not in options.OPTIONS}
    assert {name for name in own if len({command for command, _ in found[name]}) > 1} == {"--full"}
    for name in set(found) - own:
        definition = options.OPTIONS[name]
        for command, action in found[name]:
            # The FILE of `tune --output` is no folder.
            assert action.metavar in (definition.get("metavar"), "FILE"), (command, name)
            assert (action.help or "").startswith(definition.get("help", "")), (command, name)
            if "type" in definition and (command, name) != ("device-report", "--budget"):
                assert action.type is definition["type"], (command, name)


def ends_with(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(words)
    assert ended.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["side-by-side", "--rounds", "3"], "--rounds has another name now: say --samples (samples that a process"),
        (["side-by-side", "--case", "^n = 2"], "--case has another name now: say --input"),
        (["device-report", "--seconds", "480"], "--seconds has another name now: say --budget"),
        (["tune", "--seconds=5"], "--seconds has another name now: say --budget"),
        (["compare", "a", "b", "--least", "5"], "--least has another name now: say --threshold"),
    ],
)
def test_an_old_name_is_refused_with_the_new_one(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ends_with(words, message, capsys)
    assert words[0] in dict(actions())


@pytest.mark.parametrize("command", ["run", "side-by-side"])
@pytest.mark.parametrize("given", ["0", "-1", "1.5", "x", ""])
def test_counts_are_whole_numbers_from_one_on(command: str, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = f"{given!r}: accepted are whole numbers, 1 and more"
    ends_with([command, f"--processes={given}"], message, capsys)
    ends_with([command, f"--threads={given}"], message, capsys)


@pytest.mark.parametrize("command", ["run", "side-by-side"])
def test_more_threads_than_cpus_are_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    cpus = environment.usable_cpus()
    ends_with([command, "--threads", str(cpus + 1)], f"'{cpus + 1}': accepted are 1 to {cpus}, the CPUs", capsys)
    assert options.threads(str(cpus)) == cpus


@pytest.mark.parametrize(
    ("words", "accepted"),
    [
        (["device-report", "--budget=59.9"], "60 and more"),
        (["device-report", "--budget=nan"], "60 and more"),
        (["device-report", "--budget=inf"], "60 and more"),
        (["device-report", "--sample-seconds=0"], "finite numbers above 0"),
        (["tune", "--budget=-1"], "finite numbers above 0"),
        (["gate", "main", "--budget=inf"], "finite numbers above 0"),
        (["gate", "main", "--threshold=0"], "finite numbers above 0"),
        (["compare", "a", "b", "--threshold=-1"], "0 and more, below 1000"),
        (["compare", "a", "b", "--threshold=1000"], "0 and more, below 1000"),
        (["compare", "a", "b", "--threshold=nan"], "0 and more, below 1000"),
    ],
)
def test_numbers_out_of_bounds_are_refused(words: list[str], accepted: str, capsys: pytest.CaptureFixture[str]) -> None:
    option, _, given = words[-1].partition("=")
    ends_with(words, f"argument {option}: {given!r}: accepted are {accepted}", capsys)


def test_the_rounds_of_older_runs_are_processes() -> None:
    """A side-car has the options that its run was given, and `--resume` takes them from there."""
    parser = argparse.ArgumentParser()
    importlib.import_module("maxbench.reports.commands.run").add_arguments(parser)
    assert parser.parse_args(["--rounds", "4"]).processes == parser.parse_args(["--processes", "4"]).processes == 4


@pytest.mark.parametrize(
    ("pattern", "names", "there"),
    [
        ("simple", ("numba_simple",), True),
        ("Simple", ("numba_simple",), False),
        ("simple*", ("numba_simple",), False),
        ("*simple", ("numba_simple",), True),
        ("numba_simpl?", ("numba_simple",), True),
        ("softmax.n*", ("naive", "softmax.naive"), True),
        ("argmax.n*", ("naive", "softmax.naive"), False),
        ("*[int32,*", ("argmax.naive[int32,64x1000]",), True),
        ("[int32", ("argmax.naive[int32,64x1000]",), True),
        ("*[int32]", ("argmax.naive2",), False),
    ],
)
def test_a_pattern_is_a_word_or_a_whole_name_with_wildcards(pattern: str, names: tuple[str, ...], there: bool) -> None:
    assert matches(pattern, *names) == there


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["torch_cuda"], {"softmax.torch_cuda", "argmax.torch_cuda"}),
        (["softmax.torch_cuda"], {"softmax.torch_cuda"}),
        (["torch_cuda", "argmax.torch_cuda_compiled"],
         {"softmax.torch_cuda", "argmax.torch_cuda", "argmax.torch_cuda_compiled"}),
        (["torch_cuda*"], {f"{operation}.torch_cuda{more}" for operation in ("softmax", "argmax")
                           for more in ("", "_compiled")}),
        (["h_cuda"], {f"{operation}.torch_cuda{more}" for operation in ("softmax", "argmax")
                      for more in ("", "_compiled")}),
    ],
)  # fmt: skip
def test_a_name_chooses_no_other_that_holds_it(patterns: list[str], names: set[str]) -> None:
    assert {f"{entry.operation}.{entry.name}" for entry in select(patterns)} == names
