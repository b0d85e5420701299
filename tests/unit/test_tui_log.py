"""The log on the screen: what is kept of it, shown and exported."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from canary_tui.monitor.board import LogLine
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.json_records import probe_json
from canary_tui.tui.log_book import LogBook, shows
from canary_tui.tui.presenters.export import json_lines
from tests.screens import samples


def test_exported_line_is_the_contracts_object() -> None:
    result = samples.refused(at=1_795_344_127.123)
    record = json.loads(json_lines([result]))
    assert list(record) == [
        "schema",
        "server",
        "ok",
        "route",
        "started_at",
        "total_ms",
        "stages",
        "failure",
    ]
    assert record["started_at"] == "2026-11-22T10:42:07.123Z"
    assert record["stages"][1] == {"stage": "resolve", "ok": True, "ms": 0.4, "note": "192.0.2.7"}
    assert list(record["failure"]) == ["stage", "cause", "summary", "remedies", "detail"]
    assert probe_json(samples.passed())["failure"] is None


def entries(count: int, start: int = 1) -> list[LogLine]:
    """Return log lines, every second one of another server."""
    return [
        LogLine(seq=seq, at=float(seq), server="ab"[seq % 2], result=samples.passed("ab"[seq % 2]))
        for seq in range(start, start + count)
    ]


def test_log_book_keeps_the_newest_and_says_how_far_the_top_moved() -> None:
    book = LogBook(limit=1_000)
    assert book.add(entries(2_000)) == 0
    gone = book.add(entries(1, 2_001))
    assert gone == 1_001
    assert [entry.seq for entry in book.shown] == list(range(1_002, 2_002))
    assert book.newest == 2_001


def test_log_book_shows_what_passes_the_filter_and_everything_again() -> None:
    book = LogBook()
    book.add(entries(10))
    book.refilter(LogQuery(server="a"))
    assert {entry.server for entry in book.shown} == {"a"}
    book.add(entries(2, 11))
    assert len(book.shown) == 6
    book.refilter(LogQuery(failures=True))
    assert book.shown == []
    book.refilter(LogQuery())
    assert len(book.shown) == 12


def _lines(first: int, count: int) -> list[LogLine]:
    return [
        LogLine(seq=seq, at=float(seq), server="a" if seq % 2 else "b") for seq in range(first, first + count)
    ]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 1500)), max_size=12), st.sampled_from(["", "a"]))
def test_the_log_has_no_gap_and_a_limit_however_it_is_scrolled(
    steps: list[tuple[bool, int]], server: str
) -> None:
    book = LogBook(limit=500, most=2000)
    book.refilter(LogQuery(server=server))
    newest = first = 100_000
    for back, count in steps:
        if not back:
            book.add(_lines(newest, count))
            newest += count
        elif book.takes_older:
            before = first if book.oldest is None else round(book.oldest)
            page = [entry for entry in _lines(before - count, count) if shows(book.filter, entry)]
            book.add_older(page)
        shown = [round(entry.at) for entry in book.shown]
        apart = 2 if server else 1
        assert all(later - sooner == apart for sooner, later in itertools.pairwise(shown))
        assert len(shown) <= 2000 + 1500 + 1000


@given(
    st.integers(1, 900),
    st.integers(1, 300),
    st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=12),
)
def test_looking_on_from_the_past_meets_the_live_lines_without_gap_or_double(
    start: int, page: int, steps: list[tuple[bool, int]]
) -> None:
    """The history has lines 1–1000 and, as it is written, the live ones after them."""
    book, newest = LogBook(limit=500, most=2000), 1001
    book.add(_lines(newest, 1))
    book.look_back(_lines(start, page), last=False)
    for on, count in steps:
        if on and not book.live:
            after = round(book.shown[-1].at) + 1
            book.add_newer(_lines(after, min(page, newest - after + 1)), last=False)
        else:
            book.add(_lines(newest + 1, count))
            newest += count
        shown = [round(entry.at) for entry in book.shown]
        assert all(later - sooner == 1 for sooner, later in itertools.pairwise(shown))
        if book.live:
            assert shown[-1] == newest
        else:
            assert shown[0] == start
