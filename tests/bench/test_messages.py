"""The conversation's messages: read strictly in type and tolerantly in extent, each of them, at both ends.

Messages are made from what `bench.processes.messages` declares, so that one that is added is tested with the others.
"""

from __future__ import annotations

import functools
import importlib
import json
import typing
from collections.abc import Iterator
from multiprocessing.connection import Client, Listener
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec import inspect

from maxbench.bench.processes import hub, launch, link, messages
from maxbench.bench.processes.crew import PROGRAM, Crew
from maxbench.bench.processes.link import Link, Lost, encoded
from maxbench.bench.processes.messages import VERSION, Cell, CellDone, Ended, Hello, Outcome, Ready, Welcome
from maxbench.bench.processes.verdict import Verdict

# What is read, by what reads it there.
READERS = {
    hub: [(Hello, hub._read_hello), (messages.AnyEvent, hub._read_event)],
    link: [
        (Welcome, link._read_welcome), (messages.AnyCommand, link._read_command), (messages.Parts, link._read_parts),
        (Verdict, link._read_verdict),
    ],
}  # fmt: skip
EVERY = [
    (one, read)
    for readers in READERS.values()
    for kind, read in readers
    for one in (typing.get_args(kind) or (kind,))
]  # fmt: skip
EACH_JOB = [(Welcome, link._read_welcome, job) for job in typing.get_args(messages.AnyJob)]
EACH_TASK = [(Welcome, link._read_welcome, task) for task in typing.get_args(messages.AnyTask)]

about = functools.cache(inspect.type_info)
few = settings(max_examples=12)
Path = tuple[str | int, ...]
TEXT = some.text("ab \N{GREEK SMALL LETTER MU}", max_size=3)


@functools.cache
def of(kind: Any) -> some.SearchStrategy[Any]:
    """Values of a type, as JSON has them."""
    return made(about(kind))


def made(info: inspect.Type) -> some.SearchStrategy[Any]:
    """Values of a type, as JSON has them."""
    match info:
        case inspect.StructType() | inspect.DataclassType():
            needed = {one.encode_name: made(one.type) for one in info.fields if one.required}
            more = {one.encode_name: made(one.type) for one in info.fields if not one.required}
            tag = {info.tag_field: some.just(info.tag)} if isinstance(info, inspect.StructType) and info.tag else {}
            return some.fixed_dictionaries({**tag, **needed}, optional=more)
        case inspect.UnionType():
            return some.one_of([made(one) for one in info.types])
        case inspect.ListType():
            return some.lists(made(info.item_type), min_size=info.min_length or 0, max_size=info.max_length or 2)
        case inspect.VarTupleType():
            return some.lists(made(info.item_type), max_size=3)
        case inspect.TupleType():
            return some.tuples(*[made(one) for one in info.item_types]).map(list)
        case inspect.DictType():
            return some.dictionaries(TEXT, made(info.value_type), max_size=2)
        case inspect.LiteralType():
            return some.sampled_from(info.values)
        case inspect.IntType():
            return some.integers(-9 if info.ge is None else info.ge, 10 if info.le is None else info.le)
        case inspect.FloatType():
            return some.floats(0.125, 1e6)
        case inspect.StrType():
            return TEXT
        case inspect.BoolType():
            return some.booleans()
        case inspect.NoneType():
            return some.none()
    raise NotImplementedError(info)


def wrong(info: inspect.Type) -> some.SearchStrategy[Any]:
    """Values that are not of a type."""
    kinds = info.types if isinstance(info, inspect.UnionType) else (info,)
    values: list[Any] = ["?", "1", "1.5", "true", "null", 1.5, True, {"?": 1}, ["?"], 10**400, None]
    for kind in kinds:
        match kind:
            case inspect.StructType() | inspect.DataclassType() | inspect.DictType():
                values = [value for value in values if not isinstance(value, dict)]
            case inspect.ListType() | inspect.TupleType() | inspect.VarTupleType():
                values = [value for value in values if not isinstance(value, list)]
            case inspect.StrType():
                values = [value for value in values if not isinstance(value, str)]
            case inspect.BoolType():
                values = [value for value in values if not isinstance(value, bool)]
            case inspect.NoneType():
                values = [value for value in values if value is not None]
            case inspect.IntType():
                bounds = ([] if kind.ge is None else [kind.ge - 1]) + ([] if kind.le is None else [kind.le + 1])
                values = [value for value in (*values, *bounds) if kind.le is not None or value != 10**400]
            case inspect.FloatType():
                values = [value for value in (*values, *([] if kind.gt is None else [-1.0])) if value != 1.5]
    return some.sampled_from(values)


def fields(info: inspect.Type, value: Any, path: Path = ()) -> Iterator[tuple[Path, inspect.Type, bool]]:
    """Every field in a value, with its type and whether it must be there."""
    match info:
        case inspect.UnionType():
            for kind in info.types:
                if isinstance(kind, inspect.StructType):
                    if isinstance(value, dict) and value.get(kind.tag_field) == kind.tag:
                        yield from fields(kind, value, path)
                elif isinstance(kind, inspect.ListType) and isinstance(value, list):
                    yield from fields(kind, value, path)
        case inspect.StructType() | inspect.DataclassType():
            for one in info.fields:
                if one.encode_name in value:
                    yield (*path, one.encode_name), one.type, one.required
                    yield from fields(one.type, value[one.encode_name], (*path, one.encode_name))
        case inspect.ListType():
            for index, item in enumerate(value):
                yield from fields(info.item_type, item, (*path, index))


def named(path: Path) -> str:
    """A path as errors have it."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def drawn(data: some.DataObject, kind: Any, inner: Any) -> dict[str, Any]:
    """A message of a type; a welcome with a job, or a task, of a type."""
    value: dict[str, Any] = data.draw(of(kind))
    if inner is not None and issubclass(inner, messages.Job):
        value["job"] = data.draw(of(inner))
    elif inner is not None:
        value["job"] = data.draw(of(messages.DeviceJob))
        value["job"]["tasks"] = [data.draw(of(inner))]
    return value


each = pytest.mark.parametrize(
    ("kind", "read", "inner"), [*((kind, read, None) for kind, read in EVERY), *EACH_JOB, *EACH_TASK],
    ids=lambda one: getattr(one, "__name__", ""),
)  # fmt: skip


@each
@few
@given(data=some.data())
def test_what_is_said_is_what_is_heard_and_more_is_ignored(kind: Any, read: Any, inner: Any, data: Any) -> None:
    value = drawn(data, kind, inner)
    found = read(json.dumps(value).encode())
    assert type(found) is kind
    assert read(encoded(found)) == found
    for path, _, _ in list(fields(about(kind), value)):
        if isinstance(at(value, path[:-1]), dict):
            at(value, path[:-1])["of a later version"] = [1]
    value["of a later version"] = {"a": None}
    assert read(json.dumps(value).encode()) == found


@each
@few
@given(data=some.data())
def test_what_is_of_another_type_is_named_with_its_value(kind: Any, read: Any, inner: Any, data: Any) -> None:
    value = drawn(data, kind, inner)
    if not (found := list(fields(about(kind), value))):
        return
    path, info, _ = data.draw(some.sampled_from(found))
    bad = at(value, path[:-1])[path[-1]] = data.draw(wrong(info))
    with pytest.raises(ValueError, match=r"; it is ") as refused:
        read(json.dumps(value).encode())
    said, _, shown = str(refused.value).rpartition("; it is ")
    assert said.startswith(named(path))
    # Of a list or object its part may be named, which is what is wrong.
    assert shown == link.called(bad) or said.startswith((f"{named(path)}[", f"{named(path)}."))


@each
@few
@given(data=some.data())
def test_what_is_missing_is_named(kind: Any, read: Any, inner: Any, data: Any) -> None:
    value = drawn(data, kind, inner)
    found = [path for path, _, required in fields(about(kind), value) if required]
    if not found:
        return
    path = data.draw(some.sampled_from(found))
    del at(value, path[:-1])[path[-1]]
    with pytest.raises(ValueError, match=rf"missing required field {path[-1]}\b") as refused:
        read(json.dumps(value).encode())
    assert named(path[:-1]) in str(refused.value)


def test_no_message_is_left_out() -> None:
    for base, union in (
        (messages.Event, messages.AnyEvent), (messages.Command, messages.AnyCommand), (messages.Job, messages.AnyJob),
        (messages.Task, messages.AnyTask),
    ):  # fmt: skip
        assert set(base.__subclasses__()) == set(typing.get_args(union))


@pytest.mark.parametrize("job", typing.get_args(messages.AnyJob))
def test_a_job_names_the_module_that_does_it(job: Any) -> None:
    module = importlib.import_module(f"maxbench.bench.workers.{job.__struct_config__.tag}")
    assert typing.get_type_hints(module.main)["job"] is job


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
def test_a_process_of_another_version_is_refused(version: int) -> None:
    heard: list[Any] = []
    with hub.Hub(lambda talk, message: heard.append(message)) as one, Client(one.address) as connection:
        connection.send_bytes(json.dumps({"version": version, "token": "", "pid": 1}).encode())
        with pytest.raises((EOFError, OSError)):
            connection.recv_bytes()
    assert heard == []
    with pytest.raises(ValueError, match=rf"version: Expected int .= {VERSION}; it is {version}"):
        hub._read_hello(json.dumps({"version": version, "token": "", "pid": 1}).encode())


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([Welcome(VERSION + 1)], rf"version: Expected int <= {VERSION}; it is {VERSION + 1}"),
        ([Welcome(VERSION - 1)], rf"version: Expected int >= {VERSION}; it is {VERSION - 1}"),
        ([Welcome(VERSION), {"do": "dance"}], r"do: Invalid value 'dance'; it is \"dance\""),
        ([Welcome(VERSION), {"do": "prepare", "bytes": 1}], "missing required field input"),
    ],
)
def test_what_a_server_must_not_say_is_lost(answers: list[Any], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Listener() as listener:
        monkeypatch.setenv(link.ADDRESS, str(listener.address))

        def answer() -> None:
            with listener.accept() as connection:
                for one in answers:
                    connection.recv_bytes()
                    connection.send_bytes(encoded(one))

        Thread(target=answer, daemon=True).start()
        with pytest.raises(Lost, match=reason):
            Link().say(Ready())


def test_who_says_what_it_must_not_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the cells that behave are heard."""
    heard: list[Any] = []
    with Crew(lambda talk, message: heard.append(message)) as crew:
        for name, value in crew.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv(link.TOKEN, raising=False)
        good, bad = (Link(Cell("softmax.Sweep", [name], "here")) for name in ("good", "bad"))
        with pytest.raises(Lost):
            bad.say(CellDone(Outcome(samples=[-1.0])))
        while not isinstance(heard[-1], Ended):
            pass
        said = "ValueError: outcome.samples[0]: Expected float > 0.0; it is -1.0"
        assert heard[-1] == Ended(f"it said what it must not: {said}")
        good.say(CellDone(Outcome(samples=[1.0])))
        assert heard[-1] == CellDone(Outcome(samples=[1.0]))
        good.close()


def test_a_worker_without_a_job_ends() -> None:
    with hub.Hub(lambda talk, message: None) as one:
        env = launch.environment({**one.variables, link.TOKEN: "of a job that is over"})
        ending, _ = launch.run(launch.python(str(PROGRAM), "worker"), env=env, seconds=60)
    assert (ending.status, ending.printed) == (3, ())


class Word(str):
    """A text of a class of its own, as plug-ins have them."""

    __slots__ = ()

    def __str__(self) -> str:
        return "of its own"


def test_numbers_and_texts_of_other_classes_are_sent_as_what_they_are() -> None:
    outcome = Outcome(detail=Word("why"), samples=[np.float64(0.5)])
    assert hub._read_event(encoded(CellDone(outcome))) == CellDone(Outcome(detail="why", samples=[0.5]))
    with pytest.raises(TypeError, match="a message cannot hold a complex"):
        encoded(CellDone(Outcome(samples=[1j])))  # type: ignore[list-item]
