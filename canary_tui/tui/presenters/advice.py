"""What the server list says beside the table: what is wrong, and the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.board import Health
from canary_tui.monitor.events import TunnelState
from canary_tui.tui.presenters import urls
from canary_tui.tui.presenters.lines import Line, Span, Tone, limited, line, wrap_line
from canary_tui.tui.presenters.words import SIGNS, bytes_words, ms_words, span_words, stage_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from canary_tui.monitor.board import Row, Snapshot

EMPTY: tuple[Line, ...] = (
    line(),
    line(("No servers yet.", Tone.STRONG)),
    line(),
    line("canary holds SSH tunnels to databases behind jumpboxes, probes the"),
    line("whole way every few seconds, and says which hop broke and why."),
    line(),
    line(("a", Tone.ACCENT), "            adds a server; a connection URL can be pasted"),
    line(("canary demo", Tone.ACCENT), "  in a shell starts a fleet to look around in"),
)
"""What stands where the table would."""

KEYS_FOR_CAUSE: dict[Cause, str] = {
    Cause.KEY_NOT_ACCEPTED: "p shows the key and the steps to install it, then t tests.",
    Cause.KEY_MISSING: "p shows the key, e edits the settings.",
    Cause.KEY_PERMISSIONS: "Then press r to try again.",
    Cause.FORWARDING_NOT_PERMITTED: "p shows the line that permits it, then t tests.",
    Cause.PASSWORD_REJECTED: "P gives another password, e changes where it comes from.",
    Cause.LOCAL_PORT_TAKEN: "e chooses another local port.",
}


def empty(*, view_only: bool) -> tuple[Line, ...]:
    """Return what stands where the table would; who may only look is not told how to add."""
    return EMPTY[:-2] if view_only else EMPTY


def advice(row: Row, now: float, *, view_only: bool = False) -> tuple[Line, Line]:
    """Return the two lines below the table: what is wrong and the next step, or how to use the tunnel.

    ``view_only``: another process monitors, and keys that act are not offered.
    """
    if view_only and row.health is not Health.BROKEN:
        return _advice(row, now)[0], _elsewhere(row, now)
    return _advice(row, now)


def _elsewhere(row: Row, now: float) -> Line:
    """Return the next step of who may only look."""
    if not row.server.enabled:
        return line()
    if row.host_key is not None:
        return line((f"canary trust {row.server.name}", Tone.ACCENT), " in a shell decides about it.")
    if row.password_wanted:
        return line(
            "Name a source with `password:` in servers.yaml, or give it to the process that monitors."
        )
    if row.failure is None:
        return line((urls.how_to_use(row), Tone.MUTED))
    remedy = row.failure.remedies[0] if row.failure.remedies else ""
    wait = row.retry_at - now if row.retry_at is not None else 0.0
    soon = f"Next try in {span_words(wait)}. " if wait > 0 else ""
    return line((soon, Tone.MUTED), (remedy, Tone.PLAIN))


def _advice(row: Row, now: float) -> tuple[Line, Line]:
    name: Span = (row.server.name, Tone.STRONG)
    if row.health is Health.BROKEN:
        return _mistaken(row), line("Correct servers.yaml there; it is read again as soon as it is saved.")
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
    if row.mistakes:
        said = " Correct servers.yaml there; until then it runs on its last good settings."
        return _mistaken(row), line(name, " ", *_well(row, now), ".", said)
    return line(name, " ", *_well(row, now)), line((urls.how_to_use(row), Tone.MUTED))


def _mistaken(row: Row) -> Line:
    return line((row.server.name, Tone.STRONG), (" · settings: ", Tone.BAD), "; ".join(row.mistakes))


def fitted(said: Sequence[Line], width: int, height: int) -> list[Line]:
    """Wrap what is said to ``height`` lines; what is wrong never takes the room of the next step."""
    if not said:
        return []
    first, *rest = said
    wrong = limited(wrap_line(first, width), max(1, height - len(rest)), width)
    step = [part for spans in rest for part in wrap_line(spans, width)]
    return wrong + limited(step, height - len(wrong), width)


def _trouble(row: Row, now: float) -> tuple[Line, Line]:
    failure = row.failure
    if failure is None:
        raise ValueError("a row without trouble")
    where = stage_words(failure.stage, direct=row.server.tunnel is None)
    first = line((row.server.name, Tone.STRONG), (f" · {where}: ", Tone.BAD), failure.summary)
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
    if row.local_trouble:
        spans.append((f" · {row.local_trouble}", Tone.WARN))
    if row.clients:
        used = f"{row.clients} client{'' if row.clients == 1 else 's'}"
        moved = f"↑ {bytes_words(row.bytes_up)} ↓ {bytes_words(row.bytes_down)}"
        spans.append((f" · {used}, {moved}", Tone.MUTED))
    return spans


BANNER_LINES = 2


def problem_lines(snapshot: Snapshot) -> list[Line]:
    """Return everything that is wrong with the file or has no effect, one a line."""
    wrong = snapshot.problems or [mistake for row in snapshot.rows for mistake in row.mistakes]
    unused = () if snapshot.problems else snapshot.warnings
    return [line(("✕ ", Tone.BAD), text) for text in wrong] + [
        line(("▲ ", Tone.WARN), text) for text in unused
    ]


def banner(snapshot: Snapshot) -> list[Line]:
    """Return the first problems of the file and how to see the others; nothing when there are none."""
    lines = problem_lines(snapshot)
    if not lines:
        return []
    more = len(lines) - BANNER_LINES
    said = f"! shows {more} more" if more > 0 else "! shows it all"
    return [line(_in_short(snapshot), (said, Tone.ACCENT)), *lines[:BANNER_LINES]]


def _in_short(snapshot: Snapshot) -> Span:
    if snapshot.problems:
        return "servers.yaml is wrong; the last good list stays. ", Tone.BAD
    wrong = sum(bool(row.mistakes) for row in snapshot.rows)
    if wrong:
        entries = "an entry" if wrong == 1 else f"{wrong} entries"
        return f"servers.yaml has mistakes in {entries}; the others are used. ", Tone.BAD
    return "servers.yaml has settings without effect. ", Tone.WARN
