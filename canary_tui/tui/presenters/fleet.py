"""The server list: its columns, cells, counts and the two lines below that explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.board import RECENT, Health
from canary_tui.monitor.events import TunnelState
from canary_tui.tui.presenters import urls
from canary_tui.tui.presenters.lines import Column, Line, Span, Tone, fill, fit, join, line
from canary_tui.tui.presenters.probes import spark
from canary_tui.tui.presenters.words import (
    SIGNS,
    STAGE_WORDS,
    ago,
    bytes_words,
    cause_words,
    ms_words,
    span_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from canary_tui.monitor.board import Row

COLUMNS: tuple[Column, ...] = (
    Column("name", "Server", 12, stays=True),
    Column("engine", "Engine", 10),
    Column("through", "Through", 11),
    Column("local", "Local", 6),
    Column("state", "State", 16, stays=True),
    Column("latency", "Latency", 9, stays=True),
    Column("recent", "Last probes", 11),
)
"""A further column is added here and in ``cell``."""
MARGIN = 4
"""Cursor and sign in front of a row."""

Layout = tuple[tuple[str, int], ...]


def layout(rows: Sequence[Row], width: int) -> Layout:
    """Choose the columns for ``width`` cells. State has room for the words of any cause."""
    wanted = {
        "name": max([12, *(len(row.server.name) for row in rows)]),
        "engine": 10,
        "through": max([14, *(len(row.server.through) for row in rows)]),
        "local": 6,
        "state": max([16, *(len(state(row)[0]) for row in rows)]),
        "latency": 9,
        "recent": RECENT,
    }
    return tuple(fit(COLUMNS, {key: min(want, 40) for key, want in wanted.items()}, width - MARGIN))


def heading(chosen: Layout) -> Line:
    """Return the table's first line."""
    titles = {column.key: column.title for column in COLUMNS}
    cells = (
        line((fill(titles[key], width, right=key in {"latency", "local"}), Tone.MUTED))
        for key, width in chosen
    )
    return (" " * MARGIN, Tone.PLAIN), *join(cells)


def fleet_line(row: Row, chosen: Layout, now: float) -> Line:
    """Return one server's line. The cursor stands before it."""
    return (sign(row), *join(cell(row, key, width, now) for key, width in chosen))


def sign(row: Row) -> Span:
    """Return the sign of a server's state; ``?`` while it waits for a person."""
    if row.server.enabled and (row.host_key is not None or row.password_wanted):
        return "? ", Tone.WARN
    text, tone = SIGNS[row.health]
    return f"{text} ", tone


def state(row: Row) -> Span:
    """Return the word for a server's state: the cause where something is wrong."""
    if not row.server.enabled or row.health is Health.OFF:
        return "off", Tone.MUTED
    if row.host_key is not None:
        return ("host key changed" if row.host_key.known else "host key unknown"), Tone.WARN
    if row.password_wanted:
        return "password wanted", Tone.WARN
    if row.failure is not None:
        return cause_words(row.failure.cause), Tone.BAD
    return row.health.value, SIGNS[row.health][1]


def cell(row: Row, key: str, width: int, now: float) -> Line:
    """Return one cell, exactly ``width`` cells wide."""
    server = row.server
    if key == "name":
        return line((fill(server.name, width), Tone.STRONG if server.enabled else Tone.MUTED))
    if key == "state":
        text, tone = state(row)
        return line((fill(text, width), tone))
    if key == "recent":
        return spark(row.recent, server.probe.slow_after * 1000, width)
    text, tone = {
        "engine": (server.engine.value, Tone.MUTED),
        "through": (server.through, Tone.PLAIN if server.tunnel else Tone.MUTED),
        "local": local_words(row),
        "latency": latency(row, now),
    }[key]
    return line((fill(text, width, right=key in {"latency", "local"}), tone))


def local_words(row: Row) -> Span:
    """Return the local end: ``:15432``, ``socket``, or a dash."""
    ssh = row.server.tunnel
    if ssh is None:
        return "–", Tone.MUTED
    if row.local.startswith("/"):
        return "socket", Tone.PLAIN
    _, _, port = row.local.rpartition(":")
    if port:
        return f":{port}", Tone.PLAIN
    return (f":{ssh.local_port}" if ssh.local_port else "–"), Tone.MUTED


def latency(row: Row, now: float) -> Span:
    """Return the last probe's time, or since when the server is down."""
    if row.health is Health.DOWN and row.since:
        return ago(row.since, now), Tone.MUTED
    if row.last is not None and row.last.ok and row.server.enabled:
        return ms_words(row.last.total_ms), Tone.WARN if row.health is Health.SLOW else Tone.PLAIN
    return "–", Tone.MUTED


def counts(rows: Iterable[Row]) -> Line:
    """Return the header's summary: ``4 servers · 2 up · 1 slow · 1 down``. What is zero is left out."""
    listed = [row.health for row in rows]
    spans: list[Span] = [(f"{len(listed)} server{'' if len(listed) == 1 else 's'}", Tone.MUTED)]
    for health in (Health.UP, Health.SLOW, Health.DOWN, Health.OPENING, Health.OFF):
        count = listed.count(health)
        if count:
            sign_text, tone = SIGNS[health]
            spans += [("  ", Tone.PLAIN), (f"{sign_text} {count} {health.value}", tone)]
    return tuple(spans)


KEYS_FOR_CAUSE: dict[Cause, str] = {
    Cause.KEY_NOT_ACCEPTED: "p shows the key and the steps to install it, then t tests.",
    Cause.KEY_MISSING: "p shows the key, e edits the settings.",
    Cause.KEY_PERMISSIONS: "Then press r to try again.",
    Cause.FORWARDING_NOT_PERMITTED: "p shows the line that permits it, then t tests.",
    Cause.PASSWORD_REJECTED: "P gives another password, e changes where it comes from.",
    Cause.LOCAL_PORT_TAKEN: "e chooses another local port.",
}


def advice(row: Row, now: float) -> tuple[Line, Line]:
    """Return the two lines below the table: what is wrong and the next step, or how to use the tunnel."""
    name: Span = (row.server.name, Tone.STRONG)
    if not row.server.enabled:
        return line(name, " is switched off: not opened, not probed."), line(("o opens it.", Tone.ACCENT))
    if row.host_key is not None:
        said = "shows another host key than the one you trust" if row.host_key.known else "is not known yet"
        return (
            line(name, (" · SSH host key: ", Tone.WARN), f"{row.host_key.host} {said}."),
            line(("h shows it and how to compare it.", Tone.ACCENT), " Nothing is sent until you decide."),
        )
    if row.password_wanted:
        return (
            line(name, (" · password: ", Tone.WARN), "no source has the database password."),
            line(("P asks you for it", Tone.ACCENT), " (kept in memory only); e sets where it comes from."),
        )
    if row.failure is not None:
        return _trouble(row, now)
    return line(name, " ", *_well(row, now)), line((urls.how_to_use(row), Tone.MUTED))


def _trouble(row: Row, now: float) -> tuple[Line, Line]:
    failure = row.failure
    if failure is None:
        raise ValueError("a row without trouble")
    first = line(
        (row.server.name, Tone.STRONG), (f" · {STAGE_WORDS[failure.stage]}: ", Tone.BAD), failure.summary
    )
    default = "e edits the settings." if failure.stage is Stage.SETTINGS else "t tests every stage."
    keys = KEYS_FOR_CAUSE.get(failure.cause, default)
    remedy = f" {failure.remedies[0]}" if failure.remedies else ""
    # The key comes first: on a narrow screen the end of the remedy is what falls off.
    return first, line((keys, Tone.ACCENT), (_retry(row, now), Tone.MUTED), (remedy, Tone.PLAIN))


def _retry(row: Row, now: float) -> str:
    if row.tunnel is TunnelState.STOPPED:
        return " r tries again."
    if row.retry_at is not None and row.retry_at > now:
        return f" Next try in {span_words(row.retry_at - now)}; r tries now."
    return ""


def _well(row: Row, now: float) -> list[Span]:
    spans: list[Span] = [(f"is {row.health.value}", SIGNS[row.health][1])]
    if row.health is Health.OPENING and row.tunnel_reason:
        spans.append((f": {row.tunnel_reason}", Tone.PLAIN))
    if row.health is Health.SLOW:
        limit = ms_words(row.server.probe.slow_after * 1000)
        spans.append((f": slower than {limit}; enter shows which stage takes the time", Tone.PLAIN))
    if row.since and row.health in {Health.UP, Health.SLOW}:
        spans.append((f", for {span_words(now - row.since)}", Tone.MUTED))
    if row.clients:
        used = f"{row.clients} client{'' if row.clients == 1 else 's'}"
        moved = f"↑ {bytes_words(row.bytes_up)} ↓ {bytes_words(row.bytes_down)}"
        spans.append((f" · {used}, {moved}", Tone.MUTED))
    return spans


def matches(row: Row, text: str) -> bool:
    """Tell whether a server is found by the list's filter: every word in name, tags, hosts or state."""
    server = row.server
    hay = f"{server.name} {' '.join(server.tags)} {server.through} {server.database.host} "
    hay = f"{hay}{server.engine.value} {state(row)[0]}".lower()
    return all(word in hay for word in text.lower().split())


def in_trouble(row: Row) -> bool:
    """Tell whether ``n`` and ``N`` stop at this server."""
    waiting = row.host_key is not None or row.password_wanted
    return row.server.enabled and (waiting or row.health in {Health.DOWN, Health.SLOW})


def wants_password(row: Row) -> bool:
    """Tell whether giving a password by hand may help this server."""
    causes = {Cause.PASSWORD_MISSING, Cause.PASSWORD_REJECTED}
    return row.failure is not None and row.failure.cause in causes


BANNER_LINES = 2


def problem_lines(problems: Sequence[str]) -> list[Line]:
    """Return everything that is wrong with the file, one a line."""
    return [line(("✕ ", Tone.BAD), text) for text in problems]


def banner(problems: Sequence[str]) -> list[Line]:
    """Return the first problems of the file and how to see the others; nothing when there are none."""
    if not problems:
        return []
    more = len(problems) - BANNER_LINES
    said = f"! shows {more} more" if more > 0 else "! shows it all"
    head = line(("servers.yaml is wrong; the last good list stays. ", Tone.BAD), (said, Tone.ACCENT))
    return [head, *problem_lines(problems[:BANNER_LINES])]
