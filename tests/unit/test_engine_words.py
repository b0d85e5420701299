"""What each engine says of a failure: it has its place, and nobody is left without a remedy."""

from __future__ import annotations

from itertools import product

import pytest

from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.causes.stage_words import LOOK_AT
from canary_tui.diagnosis.engines import ENGINES
from canary_tui.diagnosis.engines.words import EngineWords, Own
from canary_tui.diagnosis.lines import Line, Slot, say
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.servers.model import Database, Engine, Server, SshServer

NEW = EngineWords(
    label="Newcomer",
    usual_ports="",
    example={},
    log=say("Read the newcomer's log."),
    certificate=(),
    own={Cause.DATABASE_REFUSED: Own(remedies=say("Start the newcomer."))},
)
"""An engine that was added a minute ago."""


@pytest.fixture
def newcomer(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The words of a server of the new engine."""
    monkeypatch.setitem(ENGINES, "newcomer", NEW)
    words = server(Engine.POSTGRESQL, tunnelled=True).words
    return words | {"engine": "newcomer", "engine_title": "Newcomer", "plainest_query": "PING"}


def server(engine: Engine, *, tunnelled: bool) -> Server:
    ssh = SshServer(host="bastion.example.com", user="me") if tunnelled else None
    database = Database(host="db.internal", port=5000, name="orders", user="reader")
    return Server(name="one", engine=engine, database=database, ssh=ssh).fitting()


def test_every_engine_has_its_words() -> None:
    assert set(ENGINES) == set(Engine)


def test_a_row_of_one_engine_alone_names_one_that_there_is() -> None:
    assert {row.engine for row in ROWS.values()} <= {"", *Engine}


def test_the_usual_ports_are_the_ones_that_are_taken_if_none_is_given() -> None:
    for engine in Engine:
        port = engine.facts.default_port
        assert str(port or "") in ENGINES[engine].usual_ports


@pytest.mark.parametrize("cause", [cause for cause in Cause if not ROWS[cause].engine])
def test_a_new_engine_has_a_remedy_for_every_cause(cause: Cause, newcomer: dict[str, str]) -> None:
    for stage, facts in product(
        {ROWS[cause].stage or Stage.QUERY, Stage.LOGIN}, ({}, {"own_query": "GET x"})
    ):
        told = explain(Failed(cause), stage, newcomer | facts)
        assert told.remedies
        said = "\n".join((told.summary, *told.remedies))
        for other in ("pg_hba", "postgresql.conf", "my.cnf", "select 1", "SELECT", "ALTER", "GRANT"):
            assert other not in said


def test_a_new_engine_is_told_its_own(newcomer: dict[str, str]) -> None:
    assert "Start the newcomer." in explain(Failed(Cause.DATABASE_REFUSED), Stage.FORWARD, newcomer).remedies
    assert "Read the newcomer's log." in explain(Failed(Cause.LOGIN_REFUSED), Stage.LOGIN, newcomer).remedies
    told = explain(Failed(Cause.QUERY_DENIED), Stage.QUERY, newcomer | {"own_query": "GET x"})
    assert told.remedies[0] == "Use a query that needs no rights: `probe.query: PING`."


@pytest.mark.parametrize("engine", ENGINES)
def test_what_an_engine_says_of_a_cause_has_its_place_in_the_cause_s_row(engine: str) -> None:
    for cause, own in ENGINES[engine].own.items():
        assert own.remedies or own.summary or own.look_at, cause
        assert not own.remedies or Slot.OWN in ROWS[cause].remedies, cause


@pytest.mark.parametrize("cause", Cause)
def test_a_row_has_a_place_for_engines_only_where_one_says_something(cause: Cause) -> None:
    says = any(words.of(cause).remedies for words in ENGINES.values())
    assert says == (Slot.OWN in ROWS[cause].remedies)


def test_no_row_speaks_of_one_engine_s_files_or_sql() -> None:
    lines: list[Line] = [line for row in ROWS.values() if not row.engine for line in row.lines()]
    lines += [line for of_stage in LOOK_AT.values() for line in of_stage]
    for line in lines:
        for word in ("postgresql.conf", "pg_hba", "my.cnf", "mysqld", "ALTER ", "GRANT ", "SHOW ", "SELECT "):
            assert word not in line.text or "asks_elsewhere" in line.text, line.text
