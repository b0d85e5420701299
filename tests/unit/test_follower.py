"""A copy that does not monitor knows from the history what the other one does, and nothing else."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Failure, HostKeyOffer, Stage
from canary_tui.monitor.board import RECENT, Health, Row
from canary_tui.monitor.events import TunnelChanged, TunnelState
from canary_tui.monitor.follower import (
    FIRST_SILENT_SECONDS,
    PATIENCE,
    SILENT_SECONDS,
    STEP_SECONDS,
    Follower,
)
from canary_tui.monitor.history import recorder as recorder_module
from canary_tui.monitor.history import tail as tail_module
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.history.recorder import TICK_SECONDS
from canary_tui.monitor.history.schema import set_aside
from canary_tui.monitor.lock import Holder, Lock
from canary_tui.servers.file import ServersFile
from tests.harness.ports import eventually
from tests.unit.fake_history import REFUSED, FakeHistory, server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from canary_tui.monitor.history.recorder import Recorder

OFFER = HostKeyOffer(
    host="jump", port=22, key_type="ssh-ed25519", fingerprint="SHA256:x", public_line="ssh-ed25519 A"
)
MISSING = Failure(stage=Stage.SETTINGS, cause=Cause.PASSWORD_MISSING, summary="no source has it", remedies=())


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches come often, so that tests need not wait for them."""
    monkeypatch.setattr(recorder_module, "BATCH_SECONDS", 0.02)
    monkeypatch.setattr(recorder_module, "AGAIN_SECONDS", 0.05)


class Pair:
    """A history that is written, and the one who follows it."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.history = FakeHistory(folder, *names)
        # The lock is signed with the real time, and what is older than that is not the present.
        self.history.now = self.began = float(int(time.time()) + 2)
        file = ServersFile(self.history.paths.servers)
        for name in self.history.names:
            file.add(server(name))
        self.file = file
        self.batches = 0
        self.steady = 0.0
        self.follower = Follower(self.history.paths, lambda: self.history.now, lambda: self.steady)

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[Recorder]:
        """Record, and count the batches that are in the file."""
        async with self.history.recording() as recorder:
            write = recorder._write

            async def counted() -> bool:
                written = await write()
                self.batches += 1
                return written

            recorder._write = counted  # type: ignore[method-assign]
            await eventually(lambda: recorder._writer is not None, 5)
            yield recorder

    @property
    def holder(self) -> Holder:
        """Who the lock says it is; nobody has ended it in these tests."""
        holder = Lock(self.history.paths).acquire()
        assert holder is not None
        return holder

    async def written(self) -> None:
        """Wait until everything that was said is in the file: one batch may be under way already."""
        enough = self.batches + 2
        await eventually(lambda: self.batches >= enough, 5)

    async def look(self) -> None:
        """Have what was said written, and look."""
        await self.written()
        self.follower.look(self.holder)

    def look_for(self, seconds: float) -> str:
        """Look for so long, with nobody writing, and return what is said of it in the end."""
        end, holder = self.steady + seconds, self.holder
        while self.steady < end:
            self.steady += STEP_SECONDS / 2
            self.history.now += STEP_SECONDS / 2
            self.follower.look(holder)
        return self.follower.snapshot.unread

    def row(self, name: str = "orders") -> Row:
        row = self.follower.snapshot.row(name)
        assert row is not None
        return row

    def texts(self) -> list[str]:
        return [line.text for line in self.follower.board.log_after(0, 10_000)]


def tunnel(history: FakeHistory, state: TunnelState, name: str = "orders", **more: object) -> TunnelChanged:
    return TunnelChanged(at=history.now, server=name, state=state, **more)  # type: ignore[arg-type]


async def test_rows_show_probes_and_tunnels_as_the_monitor_has_them(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "orders", "billing")
    history = pair.history
    async with pair.recording() as recorder:
        recorder.feed(tunnel(history, TunnelState.UP, local="127.0.0.1:15432"))
        recorder.feed(
            tunnel(history, TunnelState.WAITING, "billing", failure=REFUSED, retry_at=history.now + 9)
        )
        history.now += 1
        good = history.probed(recorder)
        await pair.look()
        snapshot = pair.follower.snapshot
        assert snapshot.loaded
        assert snapshot.monitored_by == pair.holder
        assert snapshot.monitored_by.pid == os.getpid()
        assert (pair.row().health, pair.row().last, pair.row().local) == (Health.UP, good, "127.0.0.1:15432")
        waiting = pair.row("billing")
        assert (waiting.health, waiting.failure) == (Health.DOWN, REFUSED)
        assert waiting.retry_at == pair.began + 9
        history.now += 1
        history.probed(recorder, failure=REFUSED)
        await pair.look()
        assert (pair.row().health, pair.row().since) == (Health.DOWN, history.now)
        assert pair.row().recent == (4.25, None)


async def test_what_waits_for_a_person_is_shown(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "orders", "billing")
    async with pair.recording() as recorder:
        recorder.feed(tunnel(pair.history, TunnelState.STOPPED, failure=REFUSED, host_key=OFFER))
        pair.history.probed(recorder, "billing", failure=MISSING)
        await pair.look()
        assert pair.row().host_key == OFFER
        assert pair.row("billing").password_wanted


async def test_nothing_new_is_no_new_snapshot(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    async with pair.recording() as recorder:
        pair.history.probed(recorder)
        await pair.look()
        before = pair.follower.snapshot
        await pair.look()
        assert pair.follower.snapshot is before


async def test_what_a_dead_monitor_left_is_not_the_present(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    history = pair.history
    async with pair.recording() as recorder:
        recorder.feed(tunnel(history, TunnelState.UP, local="127.0.0.1:15432"))
        history.probed(recorder)
        await pair.look()
        assert pair.row().health is Health.UP
    history.now += 5
    after = Holder(77, history.now)
    pair.follower.look(after)
    assert (pair.row().health, pair.row().local, pair.row().recent) == (Health.UNKNOWN, "", ())
    fresh = Follower(history.paths, lambda: history.now)
    fresh.look(after)
    (row,) = fresh.snapshot.rows
    assert (row.health, row.tunnel, row.last) == (Health.UNKNOWN, TunnelState.CLOSED, None)
    assert len(fresh.board.log_after(0, 10)) == 1, "the log is the past, and stays"


async def test_a_monitor_that_begins_forgets_the_tunnels_of_the_one_before(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    async with pair.recording() as recorder:
        recorder.feed(tunnel(pair.history, TunnelState.UP))
    async with pair.recording() as recorder:
        await pair.look()
        assert pair.follower._tail.news(0.0) is None
        unsigned = Follower(pair.history.paths, lambda: pair.history.now)
        unsigned.look(Holder(0, 0.0))
        (row,) = unsigned.snapshot.rows
        assert row.tunnel is TunnelState.CLOSED


async def test_a_state_has_begun_when_it_began_however_long_ago(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "orders", "billing")
    history = pair.history
    async with pair.recording() as recorder:
        for name in history.names:
            recorder.feed(tunnel(history, TunnelState.UP, name))
        history.probed(recorder, failure=REFUSED)
        history.probed(recorder, "billing")
        history.now += 10
        began = history.now
        for _ in range(3 * RECENT):
            history.probed(recorder)
            history.probed(recorder, "billing", failure=REFUSED)
            history.now += 10
        await pair.written()
        pair.follower.look(pair.holder)
        assert (pair.row().health, pair.row("billing").health) == (Health.UP, Health.DOWN)
        for name in history.names:
            assert pair.row(name).since == pytest.approx(began, abs=0.001)
            assert len(pair.row(name).recent) == RECENT


async def test_the_log_goes_on_from_the_history_without_gap_or_repetition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "FIRST_LINES", 10)
    monkeypatch.setattr(tail_module, "MOST_LINES", 7)
    pair = Pair(tmp_path)
    history = pair.history
    async with pair.recording() as recorder:
        for number in range(25):
            history.wrote(recorder, f"old {number}")
        await pair.look()
        assert pair.texts() == [f"old {number}" for number in range(15, 25)]
        for number in range(30):
            history.wrote(recorder, f"new {number}", "gone" if number % 2 else "orders")
            history.probed(recorder)
            history.now += number % 3 / 10
        await pair.written()
        while pair.follower.look(pair.holder):
            pass
        lines = pair.follower.board.log_after(0, 1000)
        assert [line.seq for line in lines] == list(range(1, 71))
        older = history.reader.lines(LogQuery(before=lines[0].at, limit=1000))
        everything = [
            (line.at, line.server, line.text, line.result)
            for line in history.reader.lines(LogQuery(limit=1000))
        ]
        assert [(x.at, x.server, x.text, x.result) for x in (*older, *lines)] == everything


async def test_a_clock_that_is_set_back_stops_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    history = pair.history
    async with pair.recording() as recorder:
        for number in range(5):
            history.wrote(recorder, f"before {number}")
            history.now += 60
        await pair.look()
        history.now -= 200
        await pair.look()
        for number in range(5):
            history.now += 60
            history.wrote(recorder, f"after {number}")
            await pair.look()
    assert pair.texts() == [f"{when} {number}" for when in ("before", "after") for number in range(5)]


async def test_a_server_that_comes_into_the_file_brings_what_is_known_of_it(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    history = pair.history
    async with pair.recording() as recorder:
        recorder.feed(tunnel(history, TunnelState.UP, "billing"))
        history.probed(recorder, "billing")
        await pair.look()
        assert pair.follower.snapshot.row("billing") is None
        pair.file.add(server("billing"))
        await pair.look()
        assert pair.row("billing").health is Health.UP
        assert pair.row("billing").recent == (4.25,)


async def test_what_the_next_monitor_wrote_before_it_was_noticed_is_shown(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    history = pair.history
    async with pair.recording() as recorder:
        history.wrote(recorder, "begun")
        await pair.written()
        before = Holder(77, 1.0)
        pair.follower.look(before)
        recorder.feed(tunnel(history, TunnelState.UP, local="127.0.0.1:15432"))
        history.probed(recorder)
        await pair.written()
        pair.follower.look(before)
        assert pair.row().local == ""
        pair.follower.look(pair.holder)
        assert (pair.row().local, pair.row().health) == ("127.0.0.1:15432", Health.UP)


async def test_a_server_that_comes_while_others_are_probed_brings_its_tunnel_too(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    history = pair.history
    async with pair.recording() as recorder:
        recorder.feed(tunnel(history, TunnelState.UP, "billing", local="127.0.0.1:15433"))
        await pair.look()
        pair.file.add(server("billing"))
        history.probed(recorder)
        await pair.look()
        assert pair.row("billing").local == "127.0.0.1:15433"


async def test_a_wrong_servers_file_is_said_and_the_last_good_list_stays(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    async with pair.recording():
        await pair.look()
        text = pair.history.paths.servers.read_text()
        pair.history.paths.servers.write_text(text.replace("postgresql", "oracle"))
        await pair.look()
        # The mistake is in its entry alone: it is shown as it was last good, with what is wrong.
        assert "oracle" in pair.row().mistakes[0]
        assert pair.row().server.engine.value == "postgresql"
        pair.history.paths.servers.write_text("servers: oracle\n")
        await pair.look()
        assert "where a list" in pair.follower.snapshot.problems[0]
        assert pair.row().server.name == "orders"


async def test_a_history_that_cannot_be_read_is_said_after_a_moment_and_again_followed(
    tmp_path: Path,
) -> None:
    pair = Pair(tmp_path)
    history = pair.history
    async with pair.recording() as recorder:
        recorder.feed(tunnel(history, TunnelState.UP))
        history.probed(recorder)
        await pair.look()
        holder = pair.holder
    aside = set_aside(history.path)
    for _ in range(PATIENCE - 1):
        pair.follower.look(holder)
    assert (pair.follower.snapshot.unread, pair.row().health) == ("", Health.UP)
    history.path.write_bytes(b"junk" * 1000)
    pair.follower.look(holder)
    assert "not a database" in pair.follower.snapshot.unread
    assert str(history.path) in pair.follower.snapshot.unread
    assert pair.row().health is Health.UNKNOWN
    history.path.unlink()
    for file in history.paths.state.glob(f"{aside.name}*"):
        file.rename(file.with_name(file.name.replace(aside.name, history.path.name)))
    history.now += 1
    pair.follower.look(holder)
    assert (pair.follower.snapshot.unread, pair.row().health) == ("", Health.UP)
    assert len(pair.follower.board.log_after(0, 100)) == 1


def test_a_history_that_is_not_there_is_said(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    for _ in range(PATIENCE):
        pair.follower.look(Holder(77, 1.0))
    assert "it is not there" in pair.follower.snapshot.unread
    assert [row.health for row in pair.follower.snapshot.rows] == [Health.UNKNOWN]
    assert not pair.history.paths.state.exists(), "looking makes nothing"


async def test_a_deleted_history_is_begun_anew_with_where_the_tunnels_stand(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    history = pair.history
    async with pair.recording() as recorder:
        recorder.feed(tunnel(history, TunnelState.UP, local="127.0.0.1:15432"))
        history.probed(recorder)
        await pair.look()
        history.path.unlink()
        await eventually(history.path.exists, 5)
        await eventually(lambda: recorder._writer is not None and not recorder._moved, 5)
        assert "was deleted" in history.notes[0]
        fresh = Follower(history.paths, lambda: history.now)
        history.now += 1
        history.probed(recorder)
        await pair.written()
        fresh.look(pair.holder)
        assert fresh.snapshot.rows[0].local == "127.0.0.1:15432"
        await pair.look()
        assert pair.row().recent == (4.25, 4.25)
    assert len(history.reader.lines()) == 1


async def test_a_monitor_that_writes_nothing_any_more_is_not_believed_until_it_writes(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    history = pair.history
    async with pair.recording() as recorder:
        recorder.feed(tunnel(history, TunnelState.UP, local="127.0.0.1:15432"))
        history.probed(recorder)
        await pair.look()
        # Nothing runs beside this: the recorder stands still, as after a SIGSTOP.
        assert pair.look_for(SILENT_SECONDS) == ""
        assert pair.row().health is Health.UP
        said = pair.look_for(STEP_SECONDS)
        since = time.strftime("%H:%M:%S", time.localtime(pair.began))
        assert said.startswith(f"Process {os.getpid()} has written nothing since ")
        assert said.endswith(since)
        assert (pair.row().health, pair.row().local, pair.row().last) == (Health.UNKNOWN, "", None)
        pair.file.add(server("billing"))
        assert pair.look_for(1000) == said
        assert [row.health for row in pair.follower.snapshot.rows] == [Health.UNKNOWN] * 2
        history.wrote(recorder, "awake again")
        await pair.look()
        assert pair.follower.snapshot.unread == ""
        assert (pair.row().health, pair.row().local) == (Health.UP, "127.0.0.1:15432")
        assert len(pair.row().recent) == 1
        assert len(pair.follower.board.log_after(0, 10)) == 2


async def test_a_monitor_that_probes_seldom_is_believed_meanwhile(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    async with pair.recording() as recorder:
        recorder.feed(tunnel(pair.history, TunnelState.UP))
        pair.history.probed(recorder)
        await pair.look()
        for _ in range(12):
            assert pair.look_for(TICK_SECONDS) == ""
            await pair.written()
        assert pair.row().health is Health.UP


async def test_before_a_server_was_probed_it_may_take_longer(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    async with pair.recording() as recorder:
        recorder.feed(tunnel(pair.history, TunnelState.OPENING))
        await pair.look()
        assert pair.look_for(FIRST_SILENT_SECONDS) == ""
        assert "has written nothing since" in pair.look_for(STEP_SECONDS)


async def test_nothing_need_be_written_of_servers_that_are_switched_off(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.file.set_value("orders", ("enabled",), False)
    async with pair.recording() as recorder:
        pair.history.wrote(recorder, "begun")
        await pair.look()
        assert pair.look_for(1000) == ""
        pair.file.set_value("orders", ("enabled",), True)
        assert pair.look_for(SILENT_SECONDS) == "", "it counts from the moment at which one is watched"


async def test_a_copy_that_stood_still_itself_accuses_nobody(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    async with pair.recording() as recorder:
        pair.history.probed(recorder)
        recorder.feed(tunnel(pair.history, TunnelState.UP))
        await pair.look()
        pair.steady += 3600
        pair.follower.look(pair.holder)
        assert (pair.follower.snapshot.unread, pair.row().health) == ("", Health.UP)


async def test_where_nobody_monitors_nothing_is_known_and_it_is_said_why(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    async with pair.recording() as recorder:
        recorder.feed(tunnel(pair.history, TunnelState.UP))
        pair.history.probed(recorder)
        await pair.look()
        holder = pair.holder
    pair.follower.end()
    pair.follower.expect(holder, "no thread is free")
    for _ in range(2):
        pair.follower.look(holder, "no thread is free")
        snapshot = pair.follower.snapshot
        assert (snapshot.monitored_by, snapshot.unread) == (holder, "no thread is free")
        assert pair.row().health is Health.UNKNOWN
    assert len(pair.follower.board.log_after(0, 10)) == 1
