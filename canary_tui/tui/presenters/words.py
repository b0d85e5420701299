"""Words, signs and numbers, the same on every screen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from canary_tui.diagnosis.catalogue import stage_title, title
from canary_tui.diagnosis.stages import SSH_STAGES, Stage
from canary_tui.monitor.board import Health
from canary_tui.servers.model import TlsMode
from canary_tui.tui.presenters.lines import Tone

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Cause
    from canary_tui.monitor.uptime import Uptime
    from canary_tui.servers.model import Server

SIGNS: dict[Health, tuple[str, Tone]] = {
    Health.UP: ("●", Tone.GOOD),
    Health.SLOW: ("▲", Tone.WARN),
    Health.DOWN: ("✕", Tone.BAD),
    Health.BROKEN: ("✕", Tone.BAD),
    Health.OPENING: ("◐", Tone.ACCENT),
    Health.UNKNOWN: ("·", Tone.MUTED),
    Health.OFF: ("○", Tone.MUTED),
}

SIGN_MEANINGS: tuple[tuple[str, Tone, str], ...] = (
    ("●", Tone.GOOD, "up: the last probe went the whole way"),
    ("▲", Tone.WARN, "slow: it took longer than 'slow after'"),
    ("✕", Tone.BAD, "down, or a probe that failed"),
    ("◐", Tone.ACCENT, "under way: a tunnel opens, a stage runs"),
    ("?", Tone.WARN, "waits for you: a host key or a password"),
    ("·", Tone.MUTED, "not probed yet"),
    ("○", Tone.MUTED, "off, or a stage that has not begun"),
    ("▁▃█", Tone.PLAIN, "the last probes; full height is 'slow after'"),
)


def cause_words(cause: Cause) -> str:
    """Return a cause as a person reads it: ``key not accepted``."""
    return title(cause)


def ms_words(ms: float) -> str:
    """Return milliseconds with the digits that matter: ``3.2 ms``, ``412 ms``, ``1.24 s``."""
    if ms < 10:
        return f"{ms:.1f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.2f} s" if ms < 10_000 else f"{ms / 1000:.0f} s"


def span_words(seconds: float) -> str:
    """Return a span of time in its largest unit: ``12 s``, ``2 m``, ``3 h``, ``4 d``."""
    seconds = max(0.0, seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def ago(at: float, now: float) -> str:
    """Return how long ago ``at`` was. Under a minute it moves each second, above each minute."""
    return f"{span_words(now - at)} ago" if now - at >= 1 else "just now"


def bytes_words(count: int) -> str:
    """Return a number of bytes: ``812 B``, ``3.4 kB``, ``12 MB``."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5 or unit == "GB":
            return f"{size:.1f} {unit}" if unit != "B" and size < 9.95 else f"{size:.0f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def uptime_words(uptime: Uptime | None, *, unknown: str = "–") -> str:
    """Return the share of the known time that a server was up: ``99.98 %``.

    ``100.00 %`` is said only where it was never down: a second in a day does not round away.
    """
    percent = uptime.percent if uptime is not None else None
    if uptime is None or percent is None:
        return unknown
    return f"{min(percent, 99.99) if uptime.down else percent:.2f} %"


def clock_words(at: float) -> str:
    """Return the local time of day, to the second."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S")


def moment_words(at: float) -> str:
    """Return the local month, day and time of day, to the second."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%m-%d %H:%M:%S")


def same_day(one: float, other: float) -> bool:
    """Tell whether two moments are of one local day."""
    return day_words(one)[:10] == day_words(other)[:10]


def day_words(at: float) -> str:
    """Return the local date and time, to the minute."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def utc_words(at: float) -> str:
    """Return the moment in UTC, to the second: what two people in two places can compare."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso_words(at: str) -> str:
    """Return an ISO 8601 moment as the other moments are written; what is no moment stays as it is."""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return at
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def stage_words(stage: Stage, *, direct: bool) -> str:
    """Return a stage as it stands at the beginning of a line; ``direct``: of a server without a tunnel."""
    words = stage_title(stage, direct=direct)
    return words[0].upper() + words[1:]


def expected_stages(server: Server) -> tuple[Stage, ...]:
    """Return the stages that a test of this server goes through; TLS only where it is asked for."""
    left_out: set[Stage] = set() if server.tunnel is not None else {*SSH_STAGES}
    if server.database.tls is TlsMode.DISABLE:
        left_out.add(Stage.TLS)
    if not server.engine.facts.has_login:
        left_out |= {Stage.TLS, Stage.LOGIN, Stage.QUERY}
    return tuple(stage for stage in Stage if stage not in left_out)
