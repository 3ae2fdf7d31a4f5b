"""Damaged and hostile results folders and array files, from a seed: what a reader must survive."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.report_data import IMPLEMENTATIONS, Results

# What an escape sequence, a page, a spreadsheet or Markdown would obey.
TEXTS = (
    "\x1b[2J\x1b]0;owned\x07", "\u202egnp.exe", "\ud800", "=HYPERLINK(\"http://x\")", "<script>alert(1)</script>",
    "](javascript:alert(1))", "../../outside", "/outside", "..", "a\r\nb", "\x00", "x" * 100_000, "{{ 7 * 7 }}", "fast",
    "", "https://x/> <script>", "@SUM(A1)", "`$(touch x)`",
)  # fmt: skip
NUMBERS = (-1, 0, True, False, 1e400, -1e400, float("nan"), 10**400, -(10**18), 10**18, 0.5, 1e-320, 2**63)
OTHERS = (None, [], {}, [[]], [None] * 3, {"a": 1}, [1] * 1000)
FILES = ("run.json", "journal.jsonl", "agreement.json", "machine.json", "benchmarks.json", "env.json")


def deep(levels: int) -> Any:
    """A list in a list in a list."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def healthy(folder: Path) -> Path:
    """A run folder in which each cell's median is the same in whatever way it is taken."""
    results = Results()
    for operation, name in (("softmax", "naive"), ("softmax", "numpy_vectorized"), ("argmax", "naive")):
        for n in (2, 1024):
            seconds = SECONDS[operation, name, n]
            samples = [[seconds * k for k in (0.99, 1, 1.01)]] * 3
            results.add(f"{operation}.Sweep.time_call", (name, "float32", n), samples, shape=(4, n, 1), dtype="float32")
    findings = [
        {"operation": "softmax", "implementation": name, "case": "ties", "dtype": "float32", "status": "agrees"}
        for name in ("naive", "numpy_vectorized")
    ]
    results.write(folder, side={"implementations": IMPLEMENTATIONS}, findings=findings)
    about = {
        name: {"name": name, "param_names": ["implementation", "dtype", "n"], "unit": "seconds", "code": "",
               "params": [["'naive'", "'numpy_vectorized'"], ["'float32'"], ["2", "1024"]]}
        for name in results.cells
    }  # fmt: skip
    (folder / "asv" / "results" / "benchmarks.json").write_text(json.dumps({**about, "version": 2}))
    return folder


SECONDS = {
    (operation, name, n): 1e-3 * k
    for k, (operation, name, n) in enumerate(
        [("softmax", "naive", 2), ("softmax", "naive", 1024), ("softmax", "numpy_vectorized", 2),
         ("softmax", "numpy_vectorized", 1024), ("argmax", "naive", 2), ("argmax", "naive", 1024)], 1,
    )
}  # fmt: skip


def folders(where: Path, count: int, seed: int = 19) -> Iterator[tuple[str, Path]]:
    """So many damaged folders, each with what was done to it; a folder is there until the next is asked for."""
    dice = random.Random(seed)
    pattern = healthy(where / "healthy")
    (where / "outside").mkdir()
    (where / "outside" / "secret.json").write_text('{"commit_hash": "secret"}')
    for number in range(count):
        folder = where / f"folder {number}"
        shutil.copytree(pattern, folder)
        words = [dice.choice(DAMAGES)(folder, dice) for _ in range(dice.choice((1, 1, 1, 2, 3)))]
        yield f"{number}: {'; '.join(words)}", folder
        shutil.rmtree(folder)


def _file(folder: Path, dice: random.Random) -> Path:
    ending = dice.choice(FILES)
    found = sorted(path for path in folder.rglob("*") if path.name.endswith(ending))
    return found[0] if found else folder / ending


def _text(path: Path) -> str:
    """The text of what is still a file; opening others would wait, or never end."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 20:
        raise OSError
    return path.read_text()


def _values(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _values(item, (*at, key))


def _change(folder: Path, dice: random.Random) -> str:
    """Another value, or none, at a place of a file."""
    path = _file(folder, dice)
    try:
        text = _text(path)
        lines = path.suffix == ".jsonl"
        value = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    except (OSError, ValueError):
        return f"nothing more to {path.name}"
    at = dice.choice(list(_values(value)))
    kind = dice.choice(("text", "number", "other", "deep", "gone", "text", "number"))
    new = {
        "text": lambda: dice.choice(TEXTS),
        "number": lambda: dice.choice(NUMBERS), "other": lambda: dice.choice(OTHERS),
        "deep": lambda: deep(100), "gone": lambda: None,
    }[kind]()  # fmt: skip
    if not at:
        value = new
    else:
        holder = value
        for key in at[:-1]:
            holder = holder[key]
        if kind == "gone":
            del holder[at[-1]]
        else:
            holder[at[-1]] = new
    if lines and isinstance(value, list):
        path.write_text("".join(json.dumps(line) + "\n" for line in value))
    else:
        path.write_text(json.dumps(value))
    return f"{path.name} {'.'.join(map(str, at))} = {str(new)[:40]!a} ({kind})"


def _bytes(folder: Path, dice: random.Random) -> str:
    """Other bytes: cut off, overwritten, doubled, not UTF-8."""
    path = _file(folder, dice)
    if path.is_symlink() or not path.is_file():
        return "nothing"
    content = path.read_bytes()
    at = dice.randrange(len(content) + 1)
    noise = bytes(dice.randrange(256) for _ in range(8))
    way = dice.choice(("cut", "noise", "empty", "twice", "marked", "not UTF-8", "deep"))
    path.write_bytes({
        "cut": content[:at], "noise": content[:at] + noise + content[at + 8 :], "empty": b"", "twice": content * 2,
        "marked": b"\xef\xbb\xbf" + content, "not UTF-8": content.replace(b"softmax", b"softm\xff\xfe"),
        "deep": b"[" * 200_000,
    }[way])  # fmt: skip
    return f"{path.name} {way}"


def _kind(folder: Path, dice: random.Random) -> str:
    """Something else than a file in its place."""
    path = _file(folder, dice)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    way = dice.choice(("FIFO", "folder", "/dev/zero", "loop", "outside", "large", "gone"))
    if way == "FIFO":
        os.mkfifo(path)
    elif way == "folder":
        path.mkdir()
    elif way == "large":
        with open(path, "wb") as file:
            file.truncate(300 << 20)
    elif way != "gone":
        target = {"/dev/zero": "/dev/zero", "loop": path.name, "outside": folder.parent / "outside" / "secret.json"}
        path.symlink_to(target[way])
    return f"{path.name} is {way}"


def _huge(folder: Path, dice: random.Random) -> str:
    """A product of parameters that has 10^18 cells, without a value for each."""
    path = next((folder / "asv" / "results").rglob("*env.json"), None)
    try:
        data = json.loads(_text(path or folder / "none"))
        rows = data["results"]
        row = rows[dice.choice(sorted(rows))]
        columns = data["result_columns"]
        row[columns.index("params")] = [[str(k) for k in range(1000)]] * 6
        row[columns.index("result")] = dice.choice((None, [1.0]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return "nothing huge"
    assert path is not None
    path.write_text(json.dumps(data))
    return "10^18 cells"


DAMAGES: tuple[Callable[[Path, random.Random], str], ...] = (_change,) * 6 + (_bytes, _kind, _huge)


def arrays(where: Path) -> dict[str, Path]:
    """Array files that cannot be read, by what is wrong with them."""
    where.mkdir()
    whole = io.BytesIO()
    np.save(whole, np.arange(1000.0))
    good = whole.getvalue()
    packed = io.BytesIO()
    np.savez_compressed(packed, a=np.arange(1000.0))

    def header(text: str, version: tuple[int, int] = (1, 0), body: bytes = b"") -> bytes:
        content = text.encode("latin1", "replace")
        size = len(content).to_bytes(2 if version == (1, 0) else 4, "little")
        return b"\x93NUMPY" + bytes(version) + size + content + body

    def about(shape: str, descr: str = "'<f8'") -> str:
        return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"

    def archive(*members: tuple[str, bytes]) -> bytes:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as file:
            for name, content in members:
                file.writestr(name, content)
        return held.getvalue()

    at = packed.getvalue().index(b"a.npy") + 60
    encrypted = bytearray(packed.getvalue())
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        encrypted[encrypted.index(mark) + (6 if mark.endswith(b"\x04") else 8)] |= 1
    files: dict[str, bytes] = {
        "cut.npy": good[: len(good) // 2],
        "long.npy": good + b"more",
        "empty.npy": b"",
        "magic.npy": b"\x93NUMPY",
        "version.npy": header(about("(1,)"), (9, 0), b"\0" * 8),
        "third.npy": header(about("(1,)"), (3, 0), b"\0" * 8),
        "no-header.npy": header("", body=b"\0" * 8),
        "not-python.npy": header("{'descr': '<f8', 'shape': (", body=b"\0" * 8),
        "calls.npy": header("{'descr': __import__('os').system('touch x'), 'fortran_order': 0, 'shape': (1,)}\n"),
        "large-header.npy": header(about("(1,)") + " " * 20_000, (2, 0), b"\0" * 8),
        "huge.npy": header(about("(1000000000000,)")),
        "overflow.npy": header(about("(4611686018427387904, 4)"), body=b"\0" * 8),
        "negative.npy": header(about("(-1,)"), body=b"\0" * 8),
        "bool-shape.npy": header(about("(True,)"), body=b"\0" * 8),
        "objects.npy": header(about("(1,)", "'|O'"), body=b"\x80\x04N."),
        "unknown-dtype.npy": header(about("(1,)", "'<q99'"), body=b"\0" * 8),
        "text.npy": b"1 2 3\n",
        "no-array.npz": archive(("readme.txt", b"hello")),
        "not-npy.npz": archive(("a.npy", b"1 2 3")),
        "announces.npz": archive(("a.npy", header(about("(1000000000000,)")))),
        "names.npz": archive(("a\x1b[2J\u202e.npy", good), ("b.npy", good)),
        "corrupt.npz": packed.getvalue()[:at] + b"\xff" * 20 + packed.getvalue()[at + 20 :],
        "cut.npz": packed.getvalue()[:200],
        "encrypted.npz": bytes(encrypted),
        "long.npz": archive(("a.npy", good + b"more")),
    }
    for name, content in files.items():
        (where / name).write_bytes(content)
    found = {name: where / name for name in files}
    os.mkfifo(where / "fifo.npy")
    (where / "folder.npy").mkdir()
    return {**found, "fifo.npy": where / "fifo.npy", "folder.npy": where / "folder.npy"}
