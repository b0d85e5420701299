"""A copy that does not monitor knows from the history what the other one does, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Failure, HostKeyOffer, Stage
from canary_tui.monitor.board import RECENT, Health
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.follower import Follower
from canary_tui.monitor.history import tail as tail_module
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.lock import Holder
from tests.unit.fake_history import REFUSED, server
from tests.unit.follower_pair import Pair, tunnel

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("frequent_batches")


OFFER = HostKeyOffer(
    host="jump", port=22, key_type="ssh-ed25519", fingerprint="SHA256:x", public_line="ssh-ed25519 A"
)
MISSING = Failure(stage=Stage.SETTINGS, cause=Cause.PASSWORD_MISSING, summary="no source has it", remedies=())


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
