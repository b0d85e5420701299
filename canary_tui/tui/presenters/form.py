"""The settings form without its screen: what stands in it, what is wrong with it, the server it means."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import msgspec

from canary_tui.servers import fields
from canary_tui.servers.model import (
    Database,
    Engine,
    PasswordCommand,
    PasswordEnv,
    PasswordKeyring,
    PasswordSource,
    ProbePlan,
    Server,
    SshServer,
    TlsMode,
    format_duration,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Values = dict[str, str]
"""Field to what stands in it. A switch is ``on`` or ``off``."""

ASK, ENV, COMMAND, KEYRING = "ask", "variable", "command", "keyring"

LABELS: dict[str, str] = {
    "name": "Name",
    "engine": "Engine",
    "db_host": "Database Hostname",
    "db_port": "Database Port",
    "db_name": "Database Name",
    "db_user": "Database User",
    "password_from": "Password from",
    "password_env": "Variable",
    "password_command": "Command",
    "password_keyring": "Password to keep",
    "tls": "TLS",
    "ca_file": "CA File",
    "tags": "Tags",
    "ssh_enabled": "Enable SSH tunnel",
    "ssh_host": "SSH Hostname",
    "ssh_port": "SSH Port",
    "ssh_user": "SSH Username",
    "local_port": "Local Port",
    "every": "Probe every",
    "timeout": "Timeout",
    "slow_after": "Slow after",
    "query": "Query",
}

CHECKS: dict[str, Callable[[str], object]] = {
    "name": fields.name,
    "db_host": fields.host,
    "db_port": fields.port,
    "db_name": fields.words,
    "db_user": fields.words,
    "password_env": fields.variable,
    "password_command": fields.command_line,
    "ca_file": fields.words,
    "tags": fields.words,
    "ssh_host": fields.host,
    "ssh_port": fields.port,
    "ssh_user": fields.some_words,
    "local_port": fields.port,
    "every": fields.every,
    "timeout": fields.timeout,
    "slow_after": fields.slow_after,
    "query": fields.query,
}
"""What each field is read by, as the same setting of servers.yaml is."""
QUOTED = frozenset({"db_port", "ssh_port", "local_port", "every", "timeout", "slow_after"})
"""Fields whose text is repeated before what is wrong with it."""
EMPTY: dict[str, str] = {
    "name": "is empty; what shall this server be called?",
    "db_port": f"is empty; a port ({fields.PORTS}) is needed",
    "password_env": "is empty; the name of an environment variable is needed",
    "ssh_port": f"is empty; a port ({fields.PORTS}) is needed",
    "ssh_user": "is empty; whose account on the SSH server is it?",
}
"""What is said of a field that may not be empty, where its check says less."""


def blank() -> Values:
    """Return the form of a new server."""
    plan = ProbePlan()
    return {
        **dict.fromkeys(LABELS, ""),
        "engine": Engine.POSTGRESQL.value,
        "db_port": default_port(Engine.POSTGRESQL),
        "password_from": ASK,
        "tls": TlsMode.PREFER.value,
        "ssh_enabled": "on",
        "ssh_port": "22",
        "every": format_duration(plan.every),
        "timeout": format_duration(plan.timeout),
        "slow_after": format_duration(plan.slow_after),
        "query": plan.query,
    }


def values_of(server: Server) -> Values:
    """Return the form of a server that is there already."""
    database, ssh, plan = server.database, server.ssh, server.probe
    values = blank() | {
        "name": server.name,
        "engine": server.engine.value,
        "db_host": database.host,
        "db_port": str(database.port),
        "db_name": database.name,
        "db_user": database.user,
        "tls": database.tls.value,
        "ca_file": database.ca_file,
        "tags": ", ".join(server.tags),
        "ssh_enabled": "on" if server.tunnel is not None else "off",
        "every": format_duration(plan.every),
        "timeout": format_duration(plan.timeout),
        "slow_after": format_duration(plan.slow_after),
        "query": plan.query,
    }
    if ssh is not None:
        values |= {
            "ssh_host": ssh.host,
            "ssh_port": str(ssh.port),
            "ssh_user": ssh.user,
            "local_port": str(ssh.local_port or ""),
        }
    match database.password:
        case PasswordEnv(env=variable):
            values |= {"password_from": ENV, "password_env": variable}
        case PasswordCommand(command=command):
            values |= {"password_from": COMMAND, "password_command": shlex.join(command)}
        case PasswordKeyring():
            values["password_from"] = KEYRING
        case _:
            pass
    return values


def default_port(engine: Engine) -> str:
    """Return what stands in the port's field where nobody has typed one."""
    return str(engine.facts.default_port or "")


def default_query(engine: Engine) -> str:
    """Return what stands in the query's field where nobody has typed one."""
    return engine.facts.plainest_query


def in_use(field: str, values: Values) -> bool:
    """Tell whether a field counts, and is shown, with the form as it is."""
    if fields.SETTINGS.get(field) in Engine(values["engine"]).facts.unused:
        return False
    if field in {"ssh_host", "ssh_port", "ssh_user", "local_port"}:
        return values["ssh_enabled"] == "on"
    if field in {"password_env", "password_command", "password_keyring"}:
        wanted = {"password_env": ENV, "password_command": COMMAND, "password_keyring": KEYRING}
        return values["password_from"] == wanted[field]
    if field == "ca_file":
        return values["tls"] in {TlsMode.VERIFY_CA.value, TlsMode.VERIFY_FULL.value}
    return True


def problem(field: str, values: Values, taken: Collection[str] = ()) -> str:
    """Say what is wrong with one field; empty when it is fine.

    ``taken`` are the names of the other servers.
    """
    if not in_use(field, values):
        return ""
    text = values[field].strip()
    if not text and field in EMPTY:
        return EMPTY[field]
    if not text and field == "local_port":
        return ""
    if field == "name" and text in taken:
        return "is the name of another server"
    try:
        if field in CHECKS:
            CHECKS[field](text)
    except ValueError as error:
        return f"{text} {error}".strip() if field in QUOTED else str(error)
    return ""


def problems(values: Values, taken: Collection[str] = ()) -> dict[str, str]:
    """Return every field that is wrong with what is wrong with it, in the form's order."""
    found = {field: problem(field, values, taken) for field in LABELS}
    return {field: text for field, text in found.items() if text}


def build(values: Values, base: Server | None = None) -> Server:
    """Return the server that the form means; what the form does not show is kept from ``base``.

    Raises ValueError for what ``problems`` has not seen.
    """
    text = {field: value.strip() for field, value in values.items()}
    old = base.database if base is not None else None
    return Server(
        name=fields.name(text["name"]),
        enabled=base.enabled if base is not None else True,
        tags=tuple(tag for tag in text["tags"].replace(",", " ").split() if tag),
        engine=Engine(text["engine"]),
        database=Database(
            host=fields.host(text["db_host"]),
            port=fields.port(text["db_port"]),
            name=text["db_name"],
            user=text["db_user"],
            password=_password(text) if in_use("password_from", values) else None,
            tls=TlsMode(text["tls"]),
            ca_file=text["ca_file"] if in_use("ca_file", values) else (old.ca_file if old else ""),
            allow_cleartext=old.allow_cleartext if old else False,
        ),
        ssh=_ssh(text, base.ssh if base is not None else None),
        probe=ProbePlan(
            every=fields.every(text["every"]),
            timeout=fields.timeout(text["timeout"]),
            slow_after=fields.slow_after(text["slow_after"]),
            query=fields.query(text["query"]) if in_use("query", values) else "",
        ),
    ).fitting()


def _password(text: Values) -> PasswordSource | None:
    match text["password_from"]:
        case "variable":
            return PasswordEnv(env=fields.variable(text["password_env"]))
        case "command":
            return PasswordCommand(command=fields.command_line(text["password_command"]))
        case "keyring":
            return PasswordKeyring()
        case _:
            return None


def _ssh(text: Values, old: SshServer | None) -> SshServer | None:
    """Switched off, the block is kept as it was: switching it on again brings everything back."""
    if text["ssh_enabled"] == "off":
        return None if old is None else msgspec.structs.replace(old, enabled=False)
    local_port = fields.port(text["local_port"]) if text["local_port"] else None
    host, port = fields.host(text["ssh_host"]), fields.port(text["ssh_port"])
    user = fields.some_words(text["ssh_user"])
    if old is None:
        return SshServer(host=host, port=port, user=user, local_port=local_port)
    return msgspec.structs.replace(old, enabled=True, host=host, port=port, user=user, local_port=local_port)
