"""The settings form without its screen: what stands in it, what is wrong with it, the server it means."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import msgspec

from canary_tui.servers.model import (
    Database,
    Engine,
    Name,
    PasswordCommand,
    PasswordEnv,
    PasswordKeyring,
    PasswordSource,
    Port,
    ProbePlan,
    Server,
    SshServer,
    TlsMode,
    format_duration,
    host_problem,
    name_problem,
    parse_duration,
)

if TYPE_CHECKING:
    from collections.abc import Collection

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

SETTINGS = {
    "db_name": "database.name",
    "db_user": "database.user",
    "password_from": "database.password",
    "password_env": "database.password",
    "password_command": "database.password",
    "password_keyring": "database.password",
    "tls": "database.tls",
    "ca_file": "database.ca_file",
    "query": "probe.query",
}
"""The settings of fields that not every engine has a use for."""

DURATIONS: dict[str, tuple[float, float, str]] = {
    "every": (1, 86_400, "1s – 1d"),
    "timeout": (1, 60, "1s – 60s"),
    "slow_after": (0.001, 60, "1ms – 60s"),
}


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
        "query": plan.query or ProbePlan().query,
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


def in_use(field: str, values: Values) -> bool:
    """Tell whether a field counts, and is shown, with the form as it is."""
    if SETTINGS.get(field) in Engine(values["engine"]).facts.unused:
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
    if field == "name":
        found = name_problem(text) if text else "is empty; what shall this server be called?"
        return found or ("is the name of another server" if text in taken else "")
    if field in {"db_host", "ssh_host"}:
        return host_problem(text)
    if field in {"db_port", "ssh_port"} or (field == "local_port" and text):
        return port_problem(text)
    if field in DURATIONS:
        return duration_problem(field, text)
    needed = {
        "ssh_user": "is empty; whose account on the SSH server is it?",
        "password_env": "is empty; the name of an environment variable is needed",
        "query": "is empty; a cheap one such as 'select 1' is needed",
    }
    if field in needed and not text:
        return needed[field]
    if field == "password_env" and ("=" in text or any(char.isspace() for char in text)):
        return "is no name of an environment variable"
    return command_problem(text) if field == "password_command" else ""


def port_problem(text: str) -> str:
    """Say what is wrong with a TCP port; empty when it is fine."""
    if not text:
        return "is empty; a port (1–65535) is needed"
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65_535):
        return f"{text} is not a port (1–65535)"
    return ""


def duration_problem(field: str, text: str) -> str:
    """Say what is wrong with a duration and its limits; empty when it is fine."""
    least, most, allowed = DURATIONS[field]
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        return str(error)
    return "" if least <= seconds <= most else f"{text} is outside {allowed}"


def command_problem(text: str) -> str:
    """Say what is wrong with a command line; empty when it is fine."""
    try:
        words = shlex.split(text)
    except ValueError:
        return "has a quote that is not closed"
    return "" if words else "is empty; a command that prints the password is needed"


def problems(values: Values, taken: Collection[str] = ()) -> dict[str, str]:
    """Return every field that is wrong with what is wrong with it, in the form's order."""
    found = {field: problem(field, values, taken) for field in LABELS}
    return {field: text for field, text in found.items() if text}


def build(values: Values, base: Server | None = None) -> Server:
    """Return the server that the form means; what the form does not show is kept from ``base``.

    Raises msgspec.ValidationError for what ``problems`` has not seen.
    """
    text = {field: value.strip() for field, value in values.items()}
    old = base.database if base is not None else None
    server = Server(
        name=text["name"],
        enabled=base.enabled if base is not None else True,
        tags=tuple(tag for tag in text["tags"].replace(",", " ").split() if tag),
        engine=Engine(text["engine"]),
        database=Database(
            host=text["db_host"],
            port=int(text["db_port"]),
            name=text["db_name"],
            user=text["db_user"],
            password=_password(text),
            tls=TlsMode(text["tls"]),
            ca_file=text["ca_file"] if in_use("ca_file", values) else (old.ca_file if old else ""),
            allow_cleartext=old.allow_cleartext if old else False,
        ),
        ssh=_ssh(text, base.ssh if base is not None else None),
        probe=ProbePlan(
            every=parse_duration(text["every"]),
            timeout=parse_duration(text["timeout"]),
            slow_after=parse_duration(text["slow_after"]),
            query=text["query"],
        ),
    )
    # Not the whole server at once: msgspec cannot tell the kinds of password source apart.
    msgspec.convert((server.name, server.database.port), tuple[Name, Port])
    _check(server.probe)
    if server.ssh is not None:
        _check(server.ssh)
    return server.fitting()


def _check(part: SshServer | ProbePlan) -> None:
    """Hold a part to the limits that its type carries: making a struct does not check them."""
    msgspec.convert(msgspec.structs.asdict(part), type(part))


def _password(text: Values) -> PasswordSource | None:
    match text["password_from"]:
        case "variable":
            return PasswordEnv(env=text["password_env"])
        case "command":
            return PasswordCommand(command=tuple(shlex.split(text["password_command"])))
        case "keyring":
            return PasswordKeyring()
        case _:
            return None


def _ssh(text: Values, old: SshServer | None) -> SshServer | None:
    """Switched off, the block is kept as it was: switching it on again brings everything back."""
    if text["ssh_enabled"] == "off":
        return None if old is None else msgspec.structs.replace(old, enabled=False)
    local_port = int(text["local_port"]) if text["local_port"] else None
    host, port, user = text["ssh_host"], int(text["ssh_port"]), text["ssh_user"]
    if old is None:
        return SshServer(host=host, port=port, user=user, local_port=local_port)
    return msgspec.structs.replace(old, enabled=True, host=host, port=port, user=user, local_port=local_port)
