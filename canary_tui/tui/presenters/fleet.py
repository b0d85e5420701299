"""The server list: its columns, cells, counts and the two lines below that explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.causes import ROWS
from canary_tui.monitor.board import RECENT, Health
from canary_tui.tui.presenters.lines import Column, Line, Span, Tone, fill, fit, join, line, width_of
from canary_tui.tui.presenters.probes import spark
from canary_tui.tui.presenters.words import (
    SIGNS,
    ago,
    cause_words,
    ms_words,
    uptime_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from canary_tui.monitor.board import Row
    from canary_tui.monitor.uptime import Uptime

COLUMNS: tuple[Column, ...] = (
    Column("name", "Server", 12, stays=True),
    Column("engine", "Engine", 10),
    Column("through", "Through", 11),
    Column("local", "Local", 6),
    Column("state", "State", 16, stays=True),
    Column("latency", "Latency", 9, stays=True),
    Column("recent", "Last probes", 11),
    Column("day", "24 h", 8),
    Column("week", "7 d", 8),
    Column("month", "30 d", 8),
)
"""A further column is added here and in ``cell``."""
MARGIN = 4
"""Cursor and sign in front of a row."""

UPTIMES = ("day", "week", "month")
"""The columns of the uptimes, in the order of ``long_run.SPANS``."""
RIGHT = frozenset({"latency", "local", *UPTIMES})
"""Columns of numbers."""

Layout = tuple[tuple[str, int], ...]


WIDEST = 40
"""Cells of the widest column: a name may have 63 characters."""


def layout(rows: Sequence[Row], width: int) -> Layout:
    """Choose the columns for ``width`` cells. State has room for the words of any cause."""
    wanted = {
        "name": max([8, *(len(row.server.name) for row in rows)]),
        "engine": 10,
        "through": max([14, *(len(row.server.through) for row in rows)]),
        "local": 6,
        "state": max([16, *(len(state(row)[0]) for row in rows)]),
        "latency": 9,
        "recent": RECENT,
        **dict.fromkeys(UPTIMES, 8),
    }
    wanted = {key: min(want, WIDEST) for key, want in wanted.items()}
    # A state is never cut while there is another column that could go.
    columns = [_whole(column, wanted) if column.key == "state" else column for column in COLUMNS]
    chosen = fit(columns, wanted, width - MARGIN)
    # Nor is the way to a server for the sake of a longer span.
    while columns[-1].key in UPTIMES[1:] and dict(chosen).get("through") != wanted["through"]:
        columns.pop()
        chosen = fit(columns, wanted, width - MARGIN)
    return tuple(chosen)


def _whole(column: Column, wanted: Mapping[str, int]) -> Column:
    return Column(column.key, column.title, wanted[column.key], stays=column.stays)


def heading(chosen: Layout) -> Line:
    """Return the table's first line."""
    titles = {column.key: column.title for column in COLUMNS}
    cells = (line((fill(titles[key], width, right=key in RIGHT), Tone.MUTED)) for key, width in chosen)
    return (" " * MARGIN, Tone.PLAIN), *join(cells)


def fleet_line(row: Row, chosen: Layout, now: float, uptimes: Sequence[Uptime | None] = ()) -> Line:
    """Return one server's line. The cursor stands before it. ``uptimes`` are those of ``UPTIMES``."""
    return (sign(row), *join(cell(row, key, width, now, uptimes) for key, width in chosen))


def uptimes_fit_below(row: Row, chosen: Layout) -> bool:
    """Tell whether the lines below the table say a server's uptimes: the table has not all of them.

    Where something is wrong the room is for that.
    """
    columns = {key for key, _ in chosen}
    return row.health in {Health.UP, Health.SLOW} and not columns.issuperset(UPTIMES)


def sign(row: Row) -> Span:
    """Return the sign of a server's state; ``?`` while it waits for a person."""
    if row.server.enabled and (row.host_key is not None or row.password_wanted):
        return "? ", Tone.WARN
    text, tone = SIGNS[row.health]
    return f"{text} ", tone


def state(row: Row) -> Span:
    """Return the word for a server's state: the cause where something is wrong."""
    if row.health is Health.BROKEN:
        return row.health.value, Tone.BAD
    if not row.server.enabled or row.health is Health.OFF:
        return "off", Tone.MUTED
    if row.host_key is not None:
        return ("host key changed" if row.host_key.known else "host key unknown"), Tone.WARN
    if row.password_wanted:
        return "password wanted", Tone.WARN
    if row.failure is not None:
        return cause_words(row.failure.cause), Tone.BAD
    if row.mistakes:
        return f"{row.health}, entry wrong", Tone.WARN
    return row.health.value, SIGNS[row.health][1]


def cell(row: Row, key: str, width: int, now: float, uptimes: Sequence[Uptime | None] = ()) -> Line:
    """Return one cell, exactly ``width`` cells wide."""
    server = row.server
    if key == "name":
        off = not server.enabled and row.health is not Health.BROKEN
        return line((fill(server.name, width), Tone.MUTED if off else Tone.STRONG))
    if key == "state":
        text, tone = state(row)
        return line((fill(text, width), tone))
    if key == "recent":
        return spark(row.recent, server.probe.slow_after * 1000, width)
    if key in UPTIMES:
        uptime = dict(zip(UPTIMES, uptimes, strict=False)).get(key)
        tone = Tone.MUTED if uptime is None or not uptime.down else Tone.PLAIN
        return line((fill(uptime_words(uptime), width, right=True), tone))
    if row.health is Health.BROKEN:  # whatever says it may be what is wrong
        return line((fill("–", width, right=key in RIGHT), Tone.MUTED))
    text, tone = {
        "engine": (server.engine.value, Tone.MUTED),
        "through": (server.through, Tone.PLAIN if server.tunnel else Tone.MUTED),
        "local": local_words(row),
        "latency": latency(row, now),
    }[key]
    return line((fill(text, width, right=key in RIGHT), tone))


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


def counts(rows: Iterable[Row], room: int) -> Line:
    """Return the header's summary: ``4 servers  ● 2 up  ▲ 1 slow  ✕ 1 down``. What is zero is left out.

    Where it is longer than ``room`` cells it begins with the worst, for its end is what falls off.
    """
    listed = [row.health for row in rows]
    total: Span = (f"{len(listed)} server{'' if len(listed) == 1 else 's'}", Tone.MUTED)
    counted = [
        (f"{SIGNS[health][0]} {listed.count(health)} {health.value}", SIGNS[health][1])
        for health in (Health.UP, Health.SLOW, Health.DOWN, Health.BROKEN, Health.OPENING, Health.OFF)
        if health in listed
    ]
    said = join(line(span) for span in (total, *counted))
    if width_of(said) <= room:
        return said
    order = {SIGNS[Health.DOWN][1]: 0, SIGNS[Health.SLOW][1]: 1}
    return join(line(span) for span in sorted(counted, key=lambda span: order.get(span[1], 2)))


ON_SERVER = frozenset(
    {"edit", "delete", "key", "test", "open_close", "log", "copy_url", "shell"}
    | {"host_key", "password", "retry", "probe", "next_trouble"}
)
"""Actions of the list that need a server under the cursor."""


def applies(action: str, row: Row | None) -> bool:
    """Tell whether an action of ``ON_SERVER`` means something for the server under the cursor."""
    if row is None:
        return False
    if row.health is Health.BROKEN:
        return action in {"log", "next_trouble"}
    if action == "host_key":
        return row.host_key is not None
    if action == "password":
        return row.password_wanted or wants_password(row)
    return action != "key" or row.server.tunnel is not None


def matches(row: Row, text: str) -> bool:
    """Tell whether a server is found by the list's filter: every word in name, tags, hosts or state."""
    server = row.server
    hay = f"{server.name} {' '.join(server.tags)} {server.through} {server.database.host} "
    hay = f"{hay}{server.engine.value} {state(row)[0]}".lower()
    return all(word in hay for word in text.lower().split())


def in_trouble(row: Row) -> bool:
    """Tell whether ``n`` and ``N`` stop at this server."""
    waiting = row.host_key is not None or row.password_wanted
    trouble = row.server.enabled and (waiting or row.health in {Health.DOWN, Health.SLOW})
    return trouble or bool(row.mistakes)


def wants_password(row: Row) -> bool:
    """Tell whether giving a password by hand may help this server."""
    return row.failure is not None and ROWS[row.failure.cause].password_helps
