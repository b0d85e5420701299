"""What a copy that does not monitor does not believe: a history that cannot be read, or stands still."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from canary_tui.monitor.board import Health
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.follower import FIRST_SILENT_SECONDS, PATIENCE, SILENT_SECONDS, STEP_SECONDS, Follower
from canary_tui.monitor.history.recorder import TICK_SECONDS
from canary_tui.monitor.history.schema import set_aside
from canary_tui.monitor.lock import Holder
from tests.harness.ports import eventually
from tests.unit.fake_history import server
from tests.unit.follower_pair import Pair, tunnel

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("frequent_batches")


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
        await eventually(lambda: recorder._writer is not None and not recorder.flow.unwritten._moved, 5)
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
