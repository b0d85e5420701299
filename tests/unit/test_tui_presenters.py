"""What the screens say: pure functions, no screen needed."""

from __future__ import annotations

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.monitor.board import Health, LogLine, Row
from canary_tui.monitor.events import FleetLoaded, ProbeFinished
from canary_tui.monitor.incident_tracker import IncidentTracker
from canary_tui.monitor.request import TestState
from canary_tui.monitor.uptime import Uptime
from canary_tui.servers.fleet import Fleet
from canary_tui.tui.presenters import advice, fleet, incidents, probes, trail
from canary_tui.tui.presenters.lines import plain, width_of
from canary_tui.tui.presenters.report import report
from canary_tui.tui.presenters.words import cause_words, iso_words, uptime_words
from canary_tui.tui.screens.page import error_words
from tests.screens import samples


@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
def test_every_row_is_as_wide_as_the_heading_says(width: int) -> None:
    rows = samples.fleet()
    chosen = fleet.layout(rows, width)
    for row in rows:
        assert width_of(fleet.fleet_line(row, chosen, samples.NOW)) <= width - 2
    assert width_of(fleet.heading(chosen)) <= width


def test_counts_leave_out_what_is_zero() -> None:
    assert plain(fleet.counts(samples.fleet()[:2], 60)) == "2 servers  ● 2 up"
    assert plain(fleet.counts((), 60)) == "0 servers"


def test_every_cause_has_words_without_underscores() -> None:
    assert not [cause for cause in Cause if "_" in cause_words(cause) or not cause_words(cause)]


def test_trail_shows_what_is_done_under_way_and_to_come() -> None:
    test = TestState(stage=Stage.CONNECT, stages=samples.refused().stages[:2])
    lines = [plain(spans) for spans in trail.trail(samples.server(), test, 60)]
    assert lines[0].startswith("✓ Settings")
    assert lines[2].startswith("◐ ")
    assert lines[-1] == "○ Query"


def direct_words() -> dict[str, str]:
    """Return what each presenter says of a server without a tunnel whose database refuses connections."""
    direct, result = samples.server("reports", tunnel=False), samples.unreached()
    assert result.failure is not None
    tracker = IncidentTracker()
    tracker.apply(FleetLoaded(at=samples.NOW, fleet=Fleet(servers=(direct,))))
    (changed,) = tracker.apply(ProbeFinished(at=samples.NOW, result=result))
    under_way, over = TestState(stage=Stage.CONNECT), TestState(stages=result.stages, result=result)
    row = Row(server=direct, health=Health.DOWN, failure=result.failure, last=result)
    entry = LogLine(seq=1, at=samples.NOW, server="reports", result=result)
    said = {
        "a test under way": trail.trail(direct, under_way, 100),
        "a test that ended": trail.trail(direct, over, 100),
        "its verdict": trail.verdict(direct, over, 100),
        "the server list": advice.advice(row, samples.NOW),
        "a line of the log": [probes.log_line(entry, 10, 250.0)],
        "the stages of that line": probes.waterfall(result, 100),
        "an incident": [incidents.incident_line(changed.incident, samples.NOW)],
    }
    lines = {name: " ".join(plain(spans) for spans in lines) for name, lines in said.items()}
    return lines | {"the report": report(direct, result)}


@pytest.mark.parametrize(("place", "said"), direct_words().items(), ids=direct_words())
def test_a_direct_server_s_stages_have_their_own_names(place: str, said: str) -> None:
    assert "Database connect" in said, place
    assert "SSH connect" not in said, place


def test_a_note_without_room_beside_the_time_stands_whole_below_it() -> None:
    long = f"ecdsa-sha2-nistp256 {samples.offer().fingerprint}"
    result = samples.refused()
    stages = tuple(
        msgspec.structs.replace(stage, note=long) if stage.stage is Stage.HOST_KEY else stage
        for stage in result.stages
    )
    server, test = samples.server(), TestState(result=msgspec.structs.replace(result, stages=stages))
    narrow = [plain(spans) for spans in trail.trail(server, test, 72)]
    assert narrow[narrow.index(f"  {long}") - 1].startswith("✓ Host key")
    assert any(
        "Host key" in plain(spans) and long in plain(spans) for spans in trail.trail(server, test, 110)
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            Failed(Cause.KEY_PERMISSIONS, detail="mode 0644"),
            f"{cause_words(Cause.KEY_PERMISSIONS)}: mode 0644",
        ),
        (Failed(Cause.KEY_MISSING), cause_words(Cause.KEY_MISSING)),
        (KeyError("orders-prod"), "There is no server orders-prod any more."),
        (OSError(2, "No such file or directory", "keys/x"), "keys/x: No such file or directory"),
        (OSError(24, "Too many open files"), "Too many open files"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_an_error_is_said_in_words(error: Exception, words: str) -> None:
    assert error_words(error) == words


def test_what_is_no_moment_is_shown_as_it_is_written() -> None:
    assert iso_words("2026-03-01T10:00:00+01:00") == "2026-03-01 09:00 UTC"
    assert iso_words("last spring") == "last spring"


def test_servers_that_are_down_are_counted_on_the_narrowest_screen() -> None:
    rows = samples.fleet()
    assert plain(fleet.counts(rows, 70)).startswith("7 servers  ● 2 up")
    assert plain(fleet.counts(rows, 30)).startswith("✕ 2 down  ▲ 1 slow")


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("cause", Cause)
def test_no_state_is_cut_from_80_cells_on(cause: Cause, width: int) -> None:
    row = msgspec.structs.replace(samples.fleet()[3], failure=samples.failure(Stage.AUTH, cause))
    chosen = fleet.layout((row,), width - 1)
    assert cause_words(cause) in plain(fleet.fleet_line(row, chosen, samples.NOW))
    assert width_of(fleet.fleet_line(row, chosen, samples.NOW)) <= width - 3


@pytest.mark.parametrize(
    ("uptime", "said"),
    [
        (None, "–"),
        (Uptime(unknown=3600), "–"),
        (Uptime(asleep=3600), "–"),
        (Uptime(up=3600), "100.00 %"),
        (Uptime(up=9998, down=2), "99.98 %"),
        (Uptime(up=86_399, down=1), "99.99 %"),
        (Uptime(up=86_399.9, down=0.1), "99.99 %"),
        (Uptime(down=10), "0.00 %"),
    ],
)
def test_uptime_is_of_the_known_time_and_never_rounds_an_outage_away(
    uptime: Uptime | None, said: str
) -> None:
    assert uptime_words(uptime) == said


def test_the_uptimes_are_the_first_columns_to_go_the_longest_span_before_the_others() -> None:
    rows = samples.fleet()
    wide = [key for key, _ in fleet.layout(rows, 140)]
    assert wide[-3:] == ["day", "week", "month"]
    for width in range(140, 20, -1):
        chosen = fleet.layout(rows, width)
        keys = [key for key, _ in chosen]
        assert keys == wide[: len(keys)] or not {"recent", *fleet.UPTIMES} & set(keys)
        if "week" in keys:
            assert dict(chosen)["through"] == len("ssh_user@bastion-1"), "nothing is cut for it"


def test_each_uptime_stands_in_the_column_of_its_span_and_unknown_is_a_dash() -> None:
    row = samples.fleet()[0]
    uptimes = (Uptime(up=9998, down=2), Uptime(asleep=600, unknown=90), Uptime(up=900, down=100))
    said = plain(fleet.fleet_line(row, fleet.layout([row], 140), samples.NOW, uptimes))
    assert said.split()[-5:] == ["99.98", "%", "–", "90.00", "%"]
    assert plain(fleet.fleet_line(row, fleet.layout([row], 140), samples.NOW)).split()[-3:] == ["–"] * 3
