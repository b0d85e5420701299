"""Text on a screen: cut, filled and wrapped to the room that it has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from canary_tui.tui.presenters import probes
from canary_tui.tui.presenters.lines import (
    Column,
    Tone,
    changed_cells,
    clip,
    clip_line,
    fill,
    fit,
    limited,
    line,
    plain,
    width_of,
    wrap,
    wrap_commands,
    wrap_line,
)
from canary_tui.tui.presenters.words import ago, bytes_words, ms_words, span_words

TEXT = st.text(alphabet=st.characters(blacklist_categories=("Cc", "Cs", "Mn", "Me", "Cf")), max_size=40)


@given(TEXT, st.integers(0, 60))
def test_clipped_text_never_takes_more_room_than_it_has(text: str, width: int) -> None:
    assert cell_len(clip(text, width)) <= width


@given(TEXT, st.integers(1, 60))
def test_filled_text_takes_exactly_its_room(text: str, width: int) -> None:
    assert cell_len(fill(text, width)) == width


@given(st.lists(st.tuples(TEXT, st.sampled_from(Tone))), st.integers(0, 80))
def test_clipped_line_fits(spans: list[tuple[str, Tone]], width: int) -> None:
    assert width_of(clip_line(line(*spans), width)) <= width


def test_wrapped_text_loses_no_word() -> None:
    text = "one two three four five six seven"
    lines = wrap(text, 12)
    assert " ".join(lines) == text
    assert all(len(part) <= 12 for part in lines)


def test_a_command_keeps_its_tone_over_a_line_break() -> None:
    first, second, third = wrap_commands("run `chmod 600 file` now", 12)
    assert ("chmod", Tone.ACCENT) in first
    assert second[0] == ("600 file", Tone.ACCENT)
    assert third == (("now", Tone.PLAIN),)
    assert " ".join(map(plain, (first, second, third))) == "run `chmod 600 file` now"


def test_only_differing_cells_are_named() -> None:
    old, new = line("name  ", ("3.2 ms", Tone.PLAIN)), line("name  ", ("3.9 ms", Tone.PLAIN))
    assert changed_cells(old, new) == (8, 9)
    assert changed_cells(old, old) is None
    assert changed_cells(line("up"), line(("up", Tone.BAD))) == (0, 2)


def test_columns_go_from_the_right_and_those_that_stay_go_last() -> None:
    columns = [Column("a", "A", 10, stays=True), Column("b", "B", 10), Column("c", "C", 10, stays=True)]
    assert [key for key, _ in fit(columns, {}, 40)] == ["a", "b", "c"]
    assert [key for key, _ in fit(columns, {}, 25)] == ["a", "c"]
    narrow = fit(columns, {}, 14)
    assert [key for key, _ in narrow] == ["a", "c"]
    assert sum(width for _, width in narrow) + 2 <= 14


def test_times_and_sizes_have_the_digits_that_matter() -> None:
    assert [ms_words(ms) for ms in (3.21, 412.4, 1240, 12_400)] == ["3.2 ms", "412 ms", "1.24 s", "12 s"]
    assert [span_words(s) for s in (12.9, 125, 7_300, 200_000)] == ["12 s", "2 m", "2 h", "2 d"]
    assert ago(100, 100.5) == "just now"
    assert ago(100, 90) == "just now"
    assert [bytes_words(n) for n in (812, 3_400, 12_000_000)] == ["812 B", "3.4 kB", "12 MB"]


def test_sparkline_marks_failed_probes_and_is_as_wide_as_asked() -> None:
    spans = probes.spark((1.0, None, 250.0, 400.0), 250, 6)
    assert plain(spans) == "▁✕██  "
    assert ("✕", Tone.BAD) in spans
    assert ("█", Tone.WARN) in spans
    assert plain(probes.spark((1.0, 2.0, None), 250, 2)) == "▁✕"


@given(st.lists(st.tuples(TEXT, st.sampled_from(Tone)), max_size=5), st.integers(2, 60))
def test_a_wrapped_line_fits(spans: list[tuple[str, Tone]], width: int) -> None:
    assert all(width_of(part) <= width for part in wrap_line(line(*spans), width))


def test_a_wrapped_line_loses_no_word_and_no_tone() -> None:
    spans = line(("name", Tone.STRONG), (" · SSH login: ", Tone.BAD), "the key is not known")
    assert wrap_line(spans, 14) == [
        (("name", Tone.STRONG), (" · SSH", Tone.BAD)),
        (("login: ", Tone.BAD), ("the key", Tone.PLAIN)),
        (("is not known", Tone.PLAIN),),
    ]


@given(st.integers(0, 8), st.integers(0, 8), st.integers(6, 12))
def test_lines_left_out_leave_one_ellipsis_within_the_width(count: int, room: int, width: int) -> None:
    lines = [line("line", (f" {number}", Tone.BAD)) for number in range(count)]
    kept = limited(lines, room, width)
    assert len(kept) == min(count, room)
    if 0 < room < count:
        assert plain(kept[-1]).endswith("…")
        assert not plain(kept[-1]).endswith("……")
        assert width_of(kept[-1]) <= width
    else:
        assert kept == lines[:room]
