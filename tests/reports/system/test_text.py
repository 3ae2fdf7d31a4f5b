"""Numbers and words as people read them, at the places where the unit or the number of digits changes."""

from __future__ import annotations

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from maxbench.reports.system import text

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"), (1, "1.00"), (-1, "-1.00"), (9.994, "9.99"), (9.996, "10.0"), (99.96, "100"), (100, "100"),
        (999.6, "1,000"), (1234567, "1,230,000"), (0.01234, "0.0123"), (0.09996, "0.100"), (NAN, "–"), (INF, "–"),
        (-INF, "–"),
    ],
)  # fmt: skip
def test_three_digits_without_an_exponent(value: float, words: str) -> None:
    assert text.digits(value) == words
    assert text.factor(value) == (words if words == "–" else f"{words}×")
    assert text.bandwidth(value) == (words if words == "–" else f"{words} GB/s")


@given(some.floats(1e-9, 1e12) | some.floats(-1e12, -1e-9))
def test_the_digits_are_those_of_the_number(value: float) -> None:
    words = text.digits(value)
    assert float(words.replace(",", "")) == float(f"{value:.2e}")
    assert len(words.replace(",", "").replace(".", "").strip("-0")) <= 3


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1.00 s"), (0.9996, "1.00 s"), (0.9994, "999 ms"), (1e-3, "1.00 ms"), (999.6e-6, "1.00 ms"),
        (1e-6, "1.00 µs"), (1e-9, "1.00 ns"), (1e-10, "0.100 ns"), (0, "0 ns"), (-2, "-2.00 s"), (3600, "3,600 s"),
        (NAN, "–"), (INF, "–"),
    ],
)  # fmt: skip
def test_times_have_the_largest_unit_that_fits(seconds: float, words: str) -> None:
    assert text.seconds(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"), (1, "1.00 B"), (1023, "1,020 B"), (1024, "1.00 KiB"), (1 << 20, "1.00 MiB"), (1 << 30, "1.00 GiB"),
        (1 << 40, "1,020 GiB"), (NAN, "–"),
    ],
)  # fmt: skip
def test_sizes_have_binary_units(size: float, words: str) -> None:
    assert text.size(size) == words


def test_intervals_have_one_unit_and_none_where_an_end_is_not_known() -> None:
    assert text.seconds_range(1.2e-3, 1.31) == "1.20–1,310 ms"
    assert text.factor_range(0.5, 12) == "0.500–12.0×"
    for low, high in ((NAN, 1.0), (1.0, NAN), (1.0, INF), (-INF, 1.0)):
        assert text.seconds_range(low, high) == text.factor_range(low, high) == ""


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0%"), (0.0995, "10%"), (0.0994, "9.9%"), (0.003, "0.3%"), (1.5, "150%"), (-0.05, "-5.0%"), (NAN, "–"),
     (INF, "–")],
)  # fmt: skip
def test_small_shares_have_a_digit_more(value: float, words: str) -> None:
    assert text.percent(value) == words


def test_words_of_shapes_and_counts() -> None:
    assert (text.shape(8, 21, 1), text.shape(8, 21, 2), text.shape(8, 21, 0)) == (
        "8 × 21", "8 × 21 × 2 (axis 1)", "8 × 21 × 0 (axis 1)",
    )  # fmt: skip
    counts = [text.plural(count, noun) for count, noun in ((0, "time"), (1, "time"), (2, "time"), (1, "process"))]
    assert counts == ["0 times", "1 time", "2 times", "1 process"]
    assert text.plural(2000, "process") == "2,000 processes"
    assert [text.listed(list(names)) for names in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


def test_of_long_words_the_beginning_is_shown() -> None:
    assert text.cut("  no GPU here. Install one") == "no GPU here"
    assert text.cut("first line\nsecond") == "first line"
    assert text.cut("version 2. 5 is old. So it is") == "version 2. 5 is old"
    assert (text.cut("x" * 90), text.cut("x" * 91)) == ("x" * 90, f"{'x' * 89}…")
    assert (text.cut("abcd", 4), text.cut("abcde", 4)) == ("abcd", "abc…")


@given(some.text())
def test_no_cell_of_a_spreadsheet_begins_as_a_formula(words: str) -> None:
    found = text.no_formula(words)
    assert found in (words, f"'{words}")
    assert (found != words) == words.startswith(("=", "+", "-", "@", "\t", "\r"))
    stream = io.StringIO(newline="")
    csv.writer(stream).writerow([found, "end"])
    assert next(csv.reader(io.StringIO(stream.getvalue(), newline="")))[0] == found


def test_markdown_takes_words_as_they_are() -> None:
    special = "\\`*_{}[]|~$#@!"
    assert text.markdown(special) == "".join(f"\\{one}" for one in special)
    assert text.markdown("a <b>\n & \t c") == "a &lt;b&gt; &amp; c"
