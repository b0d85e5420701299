"""Probes as lines: sparkline, log line, waterfall, uptime bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Stage
from canary_tui.monitor.board import LogLine
from canary_tui.tui.presenters.lines import Line, Span, Tone, clip_line, fill, line, numbered, wrap
from canary_tui.tui.presenters.words import (
    cause_words,
    clock_words,
    day_words,
    moment_words,
    ms_words,
    stage_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from canary_tui.diagnosis.stages import ProbeResult

BLOCKS = "▁▂▃▄▅▆▇█"
FAILED_SIGN = "✕"
SHORT: dict[Stage, str] = {
    Stage.SETTINGS: "set",
    Stage.RESOLVE: "dns",
    Stage.CONNECT: "tcp",
    Stage.HANDSHAKE: "ssh",
    Stage.HOST_KEY: "host",
    Stage.AUTH: "auth",
    Stage.FORWARD: "fwd",
    Stage.DATABASE: "db",
    Stage.TLS: "tls",
    Stage.LOGIN: "login",
    Stage.QUERY: "query",
}


def spark(recent: Sequence[float | None], slow_ms: float, width: int) -> Line:
    """Return the last probes as a row of blocks, oldest first, ``width`` cells wide.

    A full block is ``slow_ms``: the same height means the same in every row of one plan.
    """
    spans: list[Span] = []
    for ms in recent[-width:] if width else ():
        if ms is None:
            spans.append((FAILED_SIGN, Tone.BAD))
            continue
        level = min(len(BLOCKS) - 1, int(ms / slow_ms * (len(BLOCKS) - 1)))
        spans.append((BLOCKS[level], Tone.WARN if ms > slow_ms else Tone.GOOD))
    return line(*_merged(spans), " " * (width - len(spans)))


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for text, tone in spans:
        if merged and merged[-1][1] is tone:
            merged[-1] = (merged[-1][0] + text, tone)
        else:
            merged.append((text, tone))
    return merged


def history_begins(oldest: float, *, narrowed: bool) -> LogLine:
    """Return the line before the oldest one, at whose moment it stands; ``narrowed``: by a filter."""
    words = "nothing older passes the filter" if narrowed else "the history begins here"
    return LogLine(seq=0, at=oldest, server="", text=f"{words}, {day_words(oldest)}")


def no_longer_kept(at: float, oldest: float | None) -> LogLine:
    """Return the line that stands for a moment whose lines are gone, before the oldest that is kept."""
    text = f"{day_words(at)} is no longer kept"
    if oldest is None:
        return LogLine(seq=0, at=at, server="", text=text)
    return LogLine(seq=0, at=oldest, server="", text=f"{text}; the history begins here, {day_words(oldest)}")


def log_line(entry: LogLine, name_width: int, slow_ms: float, *, dated: bool = False) -> Line:
    """Return one line of the log: time, server, sign, total, stage times or the cause.

    ``dated``: the lines are not all of one day.
    """
    head: tuple[Span, ...] = (
        (moment_words(entry.at) if dated else clock_words(entry.at), Tone.MUTED),
        ("  ", Tone.PLAIN),
        (fill(entry.server, name_width), Tone.PLAIN),
        ("  ", Tone.PLAIN),
    )
    result = entry.result
    if result is None:
        return line(*head, ("› ", Tone.ACCENT), entry.text)
    total = fill(ms_words(result.total_ms), 8, right=True)
    if result.failure is not None:
        cause = cause_words(result.failure.cause)
        where = stage_words(result.failure.stage, direct=result.direct)
        return line(
            *head,
            (f"✕ {total}", Tone.BAD),
            "  ",
            (cause, Tone.BAD),
            (f"  {where}: {result.failure.summary}", Tone.MUTED),
        )
    slow = result.total_ms > slow_ms
    return line(
        *head,
        (f"{'▲' if slow else '●'} ", Tone.WARN if slow else Tone.GOOD),
        (total, Tone.WARN if slow else Tone.PLAIN),
        "  ",
        (stage_times(result), Tone.MUTED),
    )


def stage_times(result: ProbeResult) -> str:
    """Return each stage with its milliseconds, short: ``tcp 0.4  auth 21``. Stages that took no time go."""
    return "  ".join(
        f"{SHORT[stage.stage]} {stage.ms:.1f}" if stage.ms < 10 else f"{SHORT[stage.stage]} {stage.ms:.0f}"
        for stage in result.stages
        if stage.ms >= 0.05
    )


def search_text(entry: LogLine) -> str:
    """Return what a text filter of the log looks at, in lower case."""
    if entry.result is None:
        return f"{entry.server} {entry.text}".lower()
    failure = entry.result.failure
    said = (
        f"{cause_words(failure.cause)} {failure.cause.value} {failure.summary} {failure.detail}"
        if failure
        else "ok"
    )
    notes = " ".join(stage.note for stage in entry.result.stages)
    return f"{entry.server} {said} {notes}".lower()


def waterfall(result: ProbeResult, width: int) -> list[Line]:
    """Return a probe's stages as bars, each starting where the one before ended."""
    total = max(sum(stage.ms for stage in result.stages), 0.001)
    room = max(8, width - 40)
    lines: list[Line] = []
    start = 0.0
    for stage in result.stages:
        left = round(start / total * room)
        bar = max(1, round((start + stage.ms) / total * room) - left)
        left = min(left, room - bar)
        tone = Tone.GOOD if stage.ok else Tone.BAD
        lines.append(
            line(
                ("✓ " if stage.ok else "✕ ", tone),
                fill(stage_words(stage.stage, direct=result.direct), 16),
                (fill(ms_words(stage.ms), 9, right=True), Tone.PLAIN if stage.ok else Tone.BAD),
                "  ",
                (fill(" " * left + "█" * bar, room), tone),
                " ",
                (stage.note, Tone.MUTED),
            )
        )
        start += stage.ms
    return [clip_line(spans, width) for spans in lines]


def failure_lines(result: ProbeResult, width: int) -> list[Line]:
    """Return what broke, what to do and the library's words, wrapped."""
    failure = result.failure
    if failure is None:
        return []
    lines = [line((text, Tone.BAD)) for text in wrap(failure.summary, width)]
    lines += numbered(failure.remedies, width)
    if failure.detail:
        lines += [line((text, Tone.MUTED)) for text in wrap(f"in its own words: {failure.detail}", width)]
    return lines


def uptime_bar(results: Sequence[ProbeResult], width: int) -> Line:
    """Return the probes in ``width`` cells, oldest first.

    A cell is ``━`` where all of its probes passed, ``╍`` where some failed, ``✕`` where all did. Ends with
    the share that passed.
    """
    if not results:
        return line(("no probes yet", Tone.MUTED))
    passed = sum(result.ok for result in results)
    share = f" {passed / len(results) * 100:.1f} % of {len(results)}"
    cells = max(1, min(width - len(share), len(results)))
    spans: list[Span] = []
    for cell in range(cells):
        part = results[cell * len(results) // cells : (cell + 1) * len(results) // cells]
        good = sum(result.ok for result in part)
        some: Span = ("✕", Tone.BAD) if not good else ("╍", Tone.WARN)
        spans.append(("━", Tone.GOOD) if good == len(part) else some)
    return line(*_merged(spans), share)
