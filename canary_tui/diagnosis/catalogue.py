"""From a cause to what a person reads: a summary in plain words, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.causes.row import Row
from canary_tui.diagnosis.causes.stage_words import LOOK_AT, TITLES
from canary_tui.diagnosis.engines import ENGINES
from canary_tui.diagnosis.engines.words import EngineWords
from canary_tui.diagnosis.lines import Line
from canary_tui.diagnosis.stages import SSH_STAGES, Cause, Failed, Failure, Stage
from canary_tui.diagnosis.words import STAND_INS, complete, fill

_USUAL_ENGINE = next(iter(ENGINES))


def explain(failed: Failed, stage: Stage, words: Mapping[str, str]) -> Failure:
    """Return the failure that ``failed``, met in ``stage``, is to a person.

    ``words`` is the server's ``Server.words``; ``failed.facts`` are added to it. A word that is
    missing or strange never raises: the sentence says "the SSH server" where it has no name.
    """
    known = complete({**words, **failed.facts})
    row, engine = ROWS[failed.cause], _engine(known)
    tags = _tags(stage, known)
    summary = _first((*engine.of(failed.cause).summary, *row.summary), tags) or row.summary[-1]
    return Failure(
        stage=stage,
        cause=failed.cause,
        summary=fill(summary.text, known),
        remedies=tuple(fill(line.text, known) for line in _remedies(row, engine) if line.tags <= tags),
        detail=failed.detail,
    )


def look_at(cause: Cause, stage: Stage, words: Mapping[str, str]) -> str:
    """Return the setting of the other side to look at; empty where the failure is ours alone.

    ``words`` as for ``explain``.
    """
    known = complete(words)
    own, row, of_stage = _engine(known).of(cause).look_at, ROWS[cause].look_at, LOOK_AT.get(stage, ())
    line = _first((*own, *row, *of_stage), _tags(stage, known))
    return fill(line.text, known) if line is not None else ""


def title(cause: Cause) -> str:
    """Return a cause in two to four words, for a cell of a list: ``key not accepted``."""
    return ROWS[cause].title


def stage_title(stage: Stage, *, direct: bool) -> str:
    """Return what a stage is called on screen; ``direct``: of a server without an SSH server before it."""
    tunnelled, without = TITLES[stage]
    return without if direct else tunnelled


def _remedies(row: Row, engine: EngineWords) -> Iterator[Line]:
    for piece in row.remedies:
        yield from (piece,) if isinstance(piece, Line) else engine.at(piece, row.cause)


def _first(lines: tuple[Line, ...], tags: frozenset[str]) -> Line | None:
    return next((line for line in lines if line.tags <= tags), None)


def _engine(words: Mapping[str, str]) -> EngineWords:
    return ENGINES.get(words.get("engine", ""), ENGINES[_USUAL_ENGINE])


def _tags(stage: Stage, words: Mapping[str, str]) -> frozenset[str]:
    tunnelled = "ssh_host" in words or stage in SSH_STAGES
    route = "tunnel" if tunnelled else "direct"
    software = "dropbear" if words.get("ssh_software") == "dropbear" else "openssh"
    facts = (f"has:{word}" if word in words else f"lacks:{word}" for word in STAND_INS)
    return frozenset({stage.value, route, software, *facts})
