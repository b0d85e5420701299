"""What may reach a terminal: the one function that cleans, and what it promises whatever it is given."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from canary_tui.diagnosis.printable import MOST_MARKS, Source, filtered, one_line

TEXT = st.text(
    st.characters(codec=None) | st.sampled_from("\x1b\x9b]m[;\x07\x9c\\\u0301\u202e\n "), max_size=60
)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain words", "plain words"),
        ("  two\r\n\t lines\n", "two lines"),
        ("\x1b[31;1mred\x1b[0m: no", "red: no"),
        ("a\x9b1mb", "ab"),
        ("a\x1b]52;c;cm0gLXJm\x07b", "a b"),
        ("a\x1b]0;title\x1b\\b", "a b"),
        ("a\x9d0;title\x9cb", "a b"),
        ("a\x1bPq#0\x1b\\b", "a b"),
        ("a\x1b[2J\x1b[Hb", "a b"),
        ("a\x1b]8;;http://x\x07link", "a link"),
        ("an end that never comes \x1b]0;x", "an end that never comes ]0;x"),
        ("\x1b\x1b[0m[31mx", "x"),
        ("nul\0del\x7fnel\x85", "nul del nel"),
        ("evil\u202egnp.exe\u2066x\u2069", "evil gnp.exe x"),
        ("line\u2028para\u2029end", "line para end"),
        ("zero\u200bwidth\u200d\ufeff", "zero width"),
        ("soft\u00adhyphen", "soft hyphen"),
        ("private\ue000\U000f0000use", "private use"),
        ("blank\u2800\u3164\u115fletters", "blank letters"),
        ("not\U000e0041tagged", "not tagged"),
        ("caf\udce9", "caf\ufffd"),
        ("naïve – “Zürich” 東京 עברית ✓ e\u0301", "naïve – “Zürich” 東京 עברית ✓ e\u0301"),
        ("z" + "\u0300" * 90 + "o", "z" + "\u0300" * MOST_MARKS + "o"),
        (b"by\xfftes\x1b[1m", "by\ufffdtes"),
        (b"SSH-2.0-x\r\n", "SSH-2.0-x"),
        ("", ""),
        (b"", ""),
    ],
)
def test_text_from_outside_is_one_printable_line(said: str | bytes, shown: str) -> None:
    assert one_line(said) == shown


@given(TEXT, st.integers(2, 80))
@example("\x9b\x1b[0m" * 20, 5)
@example("\x1b]\x1b[0m52;c;x\x07", 80)
def test_it_is_always_printable_and_short_and_doing_it_twice_changes_nothing(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit
    assert one_line(line, limit) == line


@given(st.binary(max_size=80), st.integers(2, 80))
def test_bytes_are_taken_as_they_come(data: bytes, limit: int) -> None:
    assert one_line(data, limit) == one_line(one_line(data, limit), limit)


@given(TEXT)
def test_a_sink_lets_through_lines_of_printable_text_only(text: str) -> None:
    passed = filtered(text)
    assert passed.replace("\n", "").replace("\t", "").isprintable()
    assert passed.count("\n") == text.count("\n")
    assert passed.count("\t") == text.count("\t")
    assert len(passed) <= len(text)
    assert filtered(passed) == passed


@given(TEXT)
def test_no_letter_carries_a_flood_of_marks(text: str) -> None:
    marks = 0
    for char in one_line(text):
        marks = marks + 1 if unicodedata.category(char) in {"Mn", "Me"} else 0
        assert marks <= MOST_MARKS


@pytest.mark.parametrize("piece", ["x", "\x1b]", "\x1b[", "\u0301", " ", "\x9d;", "é", "\ud800"])
@pytest.mark.parametrize("source", [Source.SSH_ERROR, Source.PATH])
def test_a_megabyte_costs_no_more_than_its_beginning(piece: str, source: Source) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.perf_counter()
    line = source.text(text)
    assert time.perf_counter() - began < 5  # and not minutes
    assert len(line) <= source.limit
    assert line.endswith("…")


def test_what_was_left_out_is_said() -> None:
    assert one_line("a" * 10, 10) == "a" * 10
    assert one_line("a" * 11, 10) == "a" * 9 + "…"
    assert one_line(b"a" * 500, 10) == "a" * 9 + "…"
    assert one_line(" " * 1000 + "late", 10) == "…"
