"""Choosing implementations by a pattern on the command line."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from maxbench import impls
from maxbench.impls import registry

from ..system.usage import UsageError


def select(patterns: Iterable[str] | None, operation: str | None = None) -> tuple[registry.Entry, ...]:
    """The implementations that match any pattern (all, without one) and belong to the operation (either, for None).

    A pattern is compared with the name and with ``operation.name``: see `matches`. One that is an implementation's very
    name chooses that one alone, and not those whose names hold it as well.

    Raises:
        UsageError: a pattern matches nothing; lists what there is.
    """
    entries = [e for e in impls.catalogue() if operation in (None, e.operation)]
    chosen: set[registry.Entry] = set()
    for pattern in patterns or ["*"]:
        some = [e for e in entries if named(e, [pattern])] or [e for e in entries if _matches(e, pattern)]
        if not some:
            known = ", ".join(dict.fromkeys(e.name for e in entries))
            raise UsageError(f"no implementation matches {pattern!r} (known: {known})")
        chosen.update(some)
    return tuple(entry for entry in entries if entry in chosen)


def named(entry: registry.Entry, patterns: Iterable[str] | None) -> bool:
    """Whether a pattern is an implementation's very name, and not one that it merely matches."""
    return any(pattern in (entry.name, f"{entry.operation}.{entry.name}") for pattern in patterns or ())


def _matches(entry: registry.Entry, pattern: str) -> bool:
    return matches(pattern, entry.name, f"{entry.operation}.{entry.name}")


def matches(pattern: str, *names: str) -> bool:
    """What a PATTERN means in every command: with ``*`` or ``?`` one of the names whole, else a word within one.

    Brackets are as they are: names of benchmarks have some.
    """
    if not set(pattern) & set("*?"):
        return any(pattern in name for name in names)
    return any(fnmatch.fnmatchcase(name, pattern.replace("[", "[[]")) for name in names)
