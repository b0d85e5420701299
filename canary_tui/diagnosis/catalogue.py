"""From a cause to what a person reads: a summary in plain words, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.causes.row import Line
from canary_tui.diagnosis.causes.stage_words import LOOK_AT, TITLES
from canary_tui.diagnosis.stages import SSH_STAGES, Cause, Failed, Failure, Stage
from canary_tui.diagnosis.words import STAND_INS, complete, fill

_TAGS = frozenset(tag for row in ROWS.values() for line in row.lines() for tag in line.tags)


def explain(failed: Failed, stage: Stage, words: Mapping[str, str]) -> Failure:
    """Return the failure that ``failed``, met in ``stage``, is to a person.

    ``words`` is the server's ``Server.words``; ``failed.facts`` are added to it. A word that is
    missing or strange never raises: the sentence says "the SSH server" where it has no name.
    """
    known = complete({**words, **failed.facts})
    row = ROWS[failed.cause]
    tags = _tags(stage, known)
    summary = _first(row.summary, tags) or row.summary[-1]
    return Failure(
        stage=stage,
        cause=failed.cause,
        summary=fill(summary.text, known),
        remedies=tuple(fill(line.text, known) for line in row.remedies if line.tags <= tags),
        detail=failed.detail,
    )


def look_at(cause: Cause, stage: Stage, words: Mapping[str, str]) -> str:
    """Return the setting of the other side to look at; empty where the failure is ours alone.

    ``words`` as for ``explain``.
    """
    known = complete(words)
    tags = _tags(stage, known)
    line = _first(ROWS[cause].look_at, tags) or _first(LOOK_AT.get(stage, ()), tags)
    return fill(line.text, known) if line is not None else ""


def title(cause: Cause) -> str:
    """Return a cause in two to four words, for a cell of a list: ``key not accepted``."""
    return ROWS[cause].title


def stage_title(stage: Stage, *, direct: bool) -> str:
    """Return what a stage is called on screen; ``direct``: of a server without an SSH server before it."""
    tunnelled, without = TITLES[stage]
    return without if direct else tunnelled


def _first(lines: tuple[Line, ...], tags: frozenset[str]) -> Line | None:
    return next((line for line in lines if line.tags <= tags), None)


def _tags(stage: Stage, words: Mapping[str, str]) -> frozenset[str]:
    tunnelled = "ssh_host" in words or stage in SSH_STAGES
    route = "tunnel" if tunnelled else "direct"
    # Which engine it is decides half of the remedies; without a word of it, the default engine is meant.
    engine = words.get("engine", "")
    if engine not in _TAGS:
        engine = "postgresql"
    software = "dropbear" if words.get("ssh_software") == "dropbear" else "openssh"
    facts = (f"has:{word}" if word in words else f"lacks:{word}" for word in STAND_INS)
    return frozenset({stage.value, route, engine, software, *facts})
