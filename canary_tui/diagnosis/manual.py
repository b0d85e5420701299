"""The catalogue as a page of the manual.

``python -m canary_tui.diagnosis.manual > docs/troubleshooting.md`` writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from canary_tui.diagnosis.catalogue import stage_title, title
from canary_tui.diagnosis.causes import CAUSES_BY_STAGE, ROWS
from canary_tui.diagnosis.causes.retries import NETWORK
from canary_tui.diagnosis.engines import ENGINES
from canary_tui.diagnosis.engines.words import EngineWords
from canary_tui.diagnosis.lines import Line
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.diagnosis.words import Sql, complete, fill

EXAMPLE: dict[str, str] = {
    "server": "orders-prod",
    "engine": "postgresql",
    "engine_title": "PostgreSQL",
    "sql": Sql.STANDARD,
    "db_host": "db.internal",
    "db_port": "5432",
    "db_user": "canary_reader",
    "db_name": "orders",
    "tls": "require",
    "ssh_host": "ssh.example.com",
    "ssh_port": "22",
    "ssh_user": "ssh_user",
    "local_port": "15432",
    "plainest_query": "select 1",
    "timeout": "5 s",
    "key_path": "~/.local/share/canary-tui/keys/orders-prod",
    "known_hosts_path": "~/.local/share/canary-tui/known_hosts",
    "known_hosts_line": "3",
    "ca_file": "/etc/ssl/orders-ca.pem",
    "variable": "ORDERS_PASSWORD",
    "offered": "SHA256:n3w…",
    "known": "SHA256:0ld…",
    "pid": "4711",
    "program": "ssh",
    "free_port": "15433",
}
"""The server of the page's examples."""

DIRECT = {"ssh_host": "", "ssh_port": "", "ssh_user": ""}
LABELS = {
    "tunnel": "with a tunnel",
    "direct": "without a tunnel",
    "openssh": "OpenSSH",
    "dropbear": "dropbear",
    "has:own_query": "with a query of your own",
    "lacks:own_query": "without a query of your own",
    "has:asks_elsewhere": "where pg_hba.conf asks LDAP, PAM or RADIUS",
    "has:no_tls": "with `tls: disable`",
    "lacks:no_tls": "with any other `tls`",
}

COMMON: tuple[tuple[str, str, tuple[Cause, ...]], ...] = (
    (
        "The SSH server is not reached",
        "The probe fails at *name look-up*, *SSH connect* or *SSH handshake*.",
        (
            Cause.NAME_NOT_FOUND,
            Cause.CONNECTION_REFUSED,
            Cause.CONNECT_TIMED_OUT,
            Cause.NETWORK_UNREACHABLE,
            Cause.NOT_SSH,
            Cause.SSH_TOO_MANY_CONNECTIONS,
            Cause.SSH_CLOSED_EARLY,
        ),
    ),
    (
        "The key is not accepted",
        "The probe fails at *SSH login*.",
        (
            Cause.KEY_NOT_ACCEPTED,
            Cause.KEY_LOGIN_NOT_OFFERED,
            Cause.MORE_AUTHENTICATION_REQUIRED,
            Cause.TOO_MANY_ATTEMPTS,
        ),
    ),
    (
        "The database is not reached from the SSH server, or refuses",
        "The probe fails at *forward* or later: the way to the SSH server is fine.",
        (
            Cause.FORWARDING_NOT_PERMITTED,
            Cause.DATABASE_REFUSED,
            Cause.DATABASE_NAME_NOT_FOUND,
            Cause.DATABASE_TIMED_OUT,
            Cause.DATABASE_UNREACHABLE,
            Cause.DATABASE_HOST_NOT_ALLOWED,
            Cause.TLS_REQUIRED,
            Cause.PASSWORD_REJECTED,
        ),
    ),
)
"""What people meet first, and the causes it can have, likeliest first."""

HEAD = """\
# Troubleshooting

<!-- Generated from canary_tui/diagnosis/causes by `python -m canary_tui.diagnosis.manual`. -->

Every failure has a *stage* (which hop broke) and a *cause* (why). Both stand on screen and in
`canary probe NAME --json`, with what to do about it. This page lists them all.

The examples are those of a server `orders-prod`: the database `orders` on `db.internal`, port 5432
(MySQL: 3306), the user `canary_reader`, reached through `ssh_user@ssh.example.com`. On screen your own
names stand there. Words in capitals are for you to fill in. *Without a tunnel* means that the database is
reached directly from this machine; *dropbear* is what is said where the SSH server is known to be one.
"""
RETRY = f"""\
What failed is tried again {NETWORK.words}; where it is not, that is said below the remedies.
"""


def troubleshooting() -> str:
    """Return the whole page (Markdown): the common issues, then each stage with each of its causes."""
    return "\n".join([HEAD, RETRY, *_common(), *_stages()])


def _common() -> Iterator[str]:
    yield "## Common issues\n"
    for heading, where, causes in COMMON:
        yield f"### {heading}\n"
        yield f"{where} In the order of likelihood:\n"
        for cause in causes:
            usual = next(line for line in ROWS[cause].summary if "has:excess" not in line.tags)
            yield f"- [{title(cause)}](#{cause}): {_example(usual)}"
        yield ""


def _stages() -> Iterator[str]:
    for stage, causes in CAUSES_BY_STAGE.items():
        yield f"## Stage `{stage}`: {_heading(stage)}\n"
        for cause in causes:
            yield from _cause(cause)
    yield "## At any stage\n"
    for cause, row in ROWS.items():
        if row.stage is None:
            yield from _cause(cause)


def _heading(stage: Stage) -> str:
    without = stage_title(stage, direct=True)
    with_tunnel = stage_title(stage, direct=False)
    return with_tunnel if with_tunnel == without else f"{with_tunnel}, or {without} without a tunnel"


def _cause(cause: Cause) -> Iterator[str]:
    row = ROWS[cause]
    yield f'<a id="{cause}"></a>\n'
    yield f"### `{cause}`: {title(cause)}\n"
    own = (_labelled(line, words) for words in ENGINES.values() for line in words.of(cause).summary)
    yield "\n>\n".join(f"> {said}" for said in (*own, *map(_labelled, row.summary))) + "\n"
    for piece in row.remedies:
        if isinstance(piece, Line):
            yield f"- {_labelled(piece)}"
        else:
            yield from (
                f"- {_labelled(line, words)}" for words in ENGINES.values() for line in words.at(piece, cause)
            )
    yield "" if row.retry is NETWORK else f"\n*Tried again* {row.retry.words}.\n"


def _labelled(line: Line, engine: EngineWords | None = None) -> str:
    labels = [engine.label] if engine is not None else []
    labels += [label for tag, label in LABELS.items() if tag in line.tags]
    if not labels:
        return _example(line)
    label = ", ".join(labels)
    return f"*{label[0].upper()}{label[1:]}:* {_example(line, engine)}"


def _example(line: Line, engine: EngineWords | None = None) -> str:
    """Return a sentence as it is said of the example server, or of one like it that the sentence is for."""
    words = EXAMPLE | (DIRECT if "direct" in line.tags else {})
    return fill(line.text, complete(words | dict(engine.example if engine is not None else {})))


if __name__ == "__main__":
    sys.stdout.write(troubleshooting())
