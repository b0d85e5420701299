"""Servers of each kind, and the failures that the catalogue tells of them."""

from __future__ import annotations

from collections.abc import Iterator

from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.engines import ENGINES
from canary_tui.diagnosis.lines import Line
from canary_tui.diagnosis.stages import Cause, Failed, Failure, Stage
from canary_tui.servers.model import Database, Engine, Server, SshServer

SSH = SshServer(host="bastion.example.com", port=2222, user="ssh_user", local_port=15432)
DIRECT_POSTGRESQL = Server(
    name="reports",
    engine=Engine.POSTGRESQL,
    database=Database(host="10.0.3.9", port=5433, name="reports", user="reader"),
)
TUNNELLED_POSTGRESQL = Server(
    name="orders-prod",
    engine=Engine.POSTGRESQL,
    database=Database(host="10.0.3.12", port=5432, name="orders", user="canary_reader"),
    ssh=SSH,
)
TUNNELLED_MYSQL = Server(
    name="billing",
    engine=Engine.MYSQL,
    database=Database(host="10.0.3.13", port=3306, name="billing", user="canary_reader"),
    ssh=SSH,
)
SERVERS = (DIRECT_POSTGRESQL, TUNNELLED_POSTGRESQL, TUNNELLED_MYSQL)


def failure(
    cause: Cause,
    server: Server = TUNNELLED_POSTGRESQL,
    stage: Stage | None = None,
    facts: dict[str, str] | None = None,
) -> Failure:
    return explain(Failed(cause, facts=facts), stage or ROWS[cause].stage or Stage.QUERY, server.words)


def text_of(failure: Failure) -> str:
    return "\n".join((failure.summary, *failure.remedies))


def every_line() -> Iterator[Line]:
    """Every sentence of every cause and every engine."""
    for row in ROWS.values():
        yield from row.lines()
    for words in ENGINES.values():
        yield from words.lines()
