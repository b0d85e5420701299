"""A history that cannot be read or written is set aside or waited for, and that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor.history import unwritten
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.history.reader import HistoryUnreadable
from tests.unit.fake_history import REFUSED, START, FakeHistory
from tests.unit.kept_history import DAY, kept, rows, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("frequent_batches")


@pytest.mark.parametrize(
    "junk",
    [b"this is no database at all " * 100, b"SQLite format 3\0" + b"\x07" * 5000],
    ids=["text", "torn"],
)
async def test_a_corrupt_file_is_set_aside_and_said(tmp_path: Path, junk: bytes) -> None:
    history = FakeHistory(tmp_path)
    history.paths.state.mkdir()
    history.path.write_bytes(junk)
    async with history.recording() as recorder:
        history.probed(recorder)
    assert len(history.reader.lines()) == 1
    (aside,) = history.paths.state.glob("history.db.corrupt-*")
    assert aside.read_bytes() == junk
    assert str(aside) in history.notes[0]


async def test_a_database_of_another_program_is_set_aside(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    history.paths.state.mkdir()
    rows(history.path, "CREATE TABLE theirs (x)")
    async with history.recording() as recorder:
        history.probed(recorder)
    assert len(history.reader.lines()) == 1
    assert len(list(history.paths.state.glob("history.db.corrupt-*"))) == 1


async def test_a_file_that_breaks_while_it_is_written_is_set_aside(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    async with history.recording() as recorder:
        for _ in range(500):
            history.probed(recorder)
            history.now += 1
    whole = history.path.read_bytes()
    history.path.write_bytes(whole[:4096] + b"\x55" * (len(whole) - 4096))
    async with history.recording() as recorder:
        for _ in range(3):
            history.probed(recorder)
            history.now += 1
            await until(lambda: bool(history.notes))
    assert "not sound" in history.notes[0]
    assert len(history.reader.lines()) == 3


async def test_a_full_disk_is_said_once_and_nothing_is_lost(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    async with history.recording() as recorder:
        history.probed(recorder)
        await until(lambda: len(history.reader.lines()) == 1)
        assert recorder._writer is not None
        await recorder._writer.database.execute("PRAGMA max_page_count = 1")  # SQLite's own full disk
        for _ in range(300):
            history.now += 1
            history.probed(recorder, failure=REFUSED)
        await until(lambda: bool(history.notes))
        assert len(history.reader.lines(LogQuery(limit=500))) == 1
        await recorder._writer.database.execute("PRAGMA max_page_count = 1000000")
        await until(lambda: len(history.reader.lines(LogQuery(limit=500))) == 301)
    assert [note.partition(":")[0] for note in history.notes] == [
        "the history cannot be written",
        "the history is written again",
    ]
    assert history.reader.uptimes(DAY)["orders"].down > 0
    assert len(history.reader.incidents()) == 1


async def test_the_oldest_lines_go_when_too_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwritten, "QUEUE_LENGTH", 10)
    history = FakeHistory(tmp_path)
    async with history.recording() as recorder:
        for number in range(25):
            history.wrote(recorder, f"line {number}")
    assert [line.text for line in history.reader.lines()] == [f"line {number}" for number in range(15, 25)]
    assert "15 lines were lost" in history.notes[-1]


async def test_a_file_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    history = FakeHistory(tmp_path)
    async with history.recording() as recorder:
        history.probed(recorder)
    rows(history.path, "PRAGMA user_version = 99")
    before = history.path.read_bytes()
    async with history.recording() as recorder:
        history.probed(recorder)
    assert history.path.read_bytes() == before
    assert "newer canary-tui" in history.notes[0]
    with pytest.raises(HistoryUnreadable, match="newer canary-tui"):
        history.reader.lines()


async def test_a_recorder_that_is_begun_again_after_a_defect_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = FakeHistory(tmp_path)
    async with history.recording() as recorder:
        history.probed(recorder, failure=REFUSED)
        history.now += 20
        history.probed(recorder, failure=REFUSED)
        await kept(history, 2)

        async def a_defect() -> bool:
            raise RuntimeError("odd")

        with monkeypatch.context() as patch:
            patch.setattr(recorder, "_write", a_defect)
            await until(lambda: bool(history.notes))
        history.now += 10
        history.probed(recorder)
        await kept(history, 3)
    assert "the history failed: RuntimeError: odd" in history.notes[0]
    (incident,) = history.reader.incidents()
    assert (incident.started, incident.ended) == (START, START + 30)
    assert history.reader.uptimes(DAY)["orders"].down == 30
