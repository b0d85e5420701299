"""From a cause to what a person reads: a summary in plain words, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from canary_tui.diagnosis.sentences import ENTRIES
from canary_tui.diagnosis.sentences.entry import Entry, Line
from canary_tui.diagnosis.stages import Cause, Failed, Failure, Stage
from canary_tui.diagnosis.words import STAND_INS, complete, fill

_SSH_STAGES = frozenset({Stage.HANDSHAKE, Stage.HOST_KEY, Stage.AUTH, Stage.FORWARD})
_TAGS = frozenset(tag for entry in ENTRIES.values() for line in entry.lines() for tag in line.tags)
_STAGE_TITLES: dict[Stage, str] = {
    Stage.SETTINGS: "settings",
    Stage.RESOLVE: "name look-up",
    Stage.CONNECT: "SSH connect",
    Stage.HANDSHAKE: "SSH handshake",
    Stage.HOST_KEY: "host key",
    Stage.AUTH: "SSH login",
    Stage.FORWARD: "forward",
    Stage.DATABASE: "database",
    Stage.TLS: "TLS",
    Stage.LOGIN: "database login",
    Stage.QUERY: "query",
}


def explain(failed: Failed, stage: Stage, words: Mapping[str, str]) -> Failure:
    """Return the failure that ``failed``, met in ``stage``, is to a person.

    ``words`` is the server's ``Server.words``; ``failed.facts`` are added to it. A word that is
    missing or strange never raises: the sentence says "the SSH server" where it has no name.
    """
    known = complete({**words, **failed.facts})
    entry = ENTRIES[failed.cause]
    tags = _tags(stage, known)
    return Failure(
        stage=stage,
        cause=failed.cause,
        summary=fill(_summary(entry, tags).text, known),
        remedies=tuple(fill(line.text, known) for line in entry.remedies if line.tags <= tags),
        detail=failed.detail,
    )


def title(cause: Cause) -> str:
    """Return a cause in two to four words, for a cell of a list: ``key not accepted``."""
    return ENTRIES[cause].title


def stage_title(stage: Stage, *, direct: bool = False) -> str:
    """Return what a stage is called on screen; a direct server's connection goes to the database."""
    if direct and stage is Stage.CONNECT:
        return "database connect"
    return _STAGE_TITLES[stage]


def _summary(entry: Entry, tags: frozenset[str]) -> Line:
    """Return the first summary that fits; the last one is said when none does."""
    return next((line for line in entry.summaries if line.tags <= tags), entry.summaries[-1])


def _tags(stage: Stage, words: Mapping[str, str]) -> frozenset[str]:
    tunnelled = "ssh_host" in words or stage in _SSH_STAGES
    route = "tunnel" if tunnelled else "direct"
    # Which engine it is decides half of the remedies; without a word of it, the default engine is meant.
    engine = words.get("engine", "")
    if engine not in _TAGS:
        engine = "postgresql"
    facts = (f"has:{word}" if word in words else f"lacks:{word}" for word in STAND_INS)
    return frozenset({stage.value, route, engine, *facts})
