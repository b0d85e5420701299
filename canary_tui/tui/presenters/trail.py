"""A connection test as a trail of stages, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import ProbeResult, Stage, StageResult
from canary_tui.tui.presenters.keys import tried_lines
from canary_tui.tui.presenters.lines import (
    Line,
    Tone,
    clip_line,
    fill,
    line,
    numbered,
    width_of,
    wrap,
    wrap_line,
)
from canary_tui.tui.presenters.words import (
    cause_words,
    expected_stages,
    ms_words,
    stage_words,
)

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Failure
    from canary_tui.monitor.request import TestState
    from canary_tui.servers.model import Server

SPINNER = "◐◓◑◒"


def trail(server: Server, test: TestState, width: int, turn: int = 0) -> list[Line]:
    """Return one line a stage: pending ``○``, running, passed ``✓`` with its time, failed ``✕``.

    ``turn`` moves the sign of the stage under way.
    """
    direct = server.tunnel is None
    done = test.result.stages if test.result is not None else test.stages
    lines = [part for stage in done for part in _ended(stage, width, direct=direct)]
    over = test.result is not None
    passed = {stage.stage for stage in done}
    if not over and test.stage is not None:
        sign = SPINNER[turn % len(SPINNER)]
        under_way = fill(stage_words(test.stage, direct=direct), 16)
        lines.append(line((f"{sign} {under_way}", Tone.ACCENT), ("  …", Tone.MUTED)))
        passed.add(test.stage)
    reached = max((list(Stage).index(stage) for stage in passed), default=-1)
    if not (over and test.result is not None and test.result.ok):
        lines += [
            line((f"○ {stage_words(stage, direct=direct)}", Tone.MUTED))
            for stage in expected_stages(server)
            if list(Stage).index(stage) > reached
        ]
    return [clip_line(spans, width) for spans in lines]


def _ended(stage: StageResult, width: int, *, direct: bool) -> list[Line]:
    tone = Tone.GOOD if stage.ok else Tone.BAD
    head = line(
        (f"{'✓' if stage.ok else '✕'} ", tone),
        (fill(stage_words(stage.stage, direct=direct), 16), Tone.PLAIN if stage.ok else Tone.BAD),
        fill(ms_words(stage.ms), 9, right=True),
    )
    beside = (*head, *line(("   " + stage.note if stage.note else "", Tone.MUTED)))
    if width_of(beside) <= width:
        return [beside]
    # Half a fingerprint is none: what has no room beside the time stands below it.
    return [head, line("  ", (stage.note, Tone.MUTED))]


def verdict(server: Server, test: TestState, width: int) -> list[Line]:
    """Return the words below the trail: what came of it, what to do, the library's own words."""
    result = test.result
    if result is None:
        return [line(("Testing… escape cancels.", Tone.MUTED))]
    if result.failure is None:
        said = f"The whole way works: {ms_words(result.total_ms)} over a fresh connection."
        return [line(("✓ ", Tone.GOOD), (text, Tone.GOOD)) for text in wrap(said, width - 2)]
    return failure_words(result.failure, width, direct=server.tunnel is None)


def keys_tried(test: TestState, width: int) -> list[Line]:
    """Return what became of the new or the old key, where the server's key is being changed."""
    if test.tried is not None:
        return [part for spans in tried_lines(test.tried) for part in wrap_line(spans, width)]
    if test.trying_keys:
        return [line(("The keys of the change of key are tried…", Tone.MUTED))]
    return []


def failure_words(failure: Failure, width: int, *, direct: bool) -> list[Line]:
    """Return what broke, what to do about it, and the library's own words.

    ``direct``: at a server without a tunnel.
    """
    where = stage_words(failure.stage, direct=direct)
    lines = [
        line(("✕ ", Tone.BAD), (f"{where}: {cause_words(failure.cause)}", Tone.BAD)),
        *(line(text) for text in wrap(failure.summary, width)),
        line(),
        *numbered(failure.remedies, width),
    ]
    if failure.detail:
        said = f"In its own words: {failure.detail}"
        lines += [line(), *(line((text, Tone.MUTED)) for text in wrap(said, width))]
    return lines


def needs_decision(result: ProbeResult) -> bool:
    """Tell whether the test stopped at a host key that a person may accept."""
    return result.host_key is not None
