"""What a server is: frozen records that carry their own limits.

Limits live in the types (``Meta``), and nowhere else: ``fields`` makes of them what the file, the form and
the command line check by. Durations are seconds, ports are TCP ports, sizes are bytes.
"""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from canary_tui.servers.engine_facts import POSTGRESQL
from canary_tui.servers.engine_facts import Engine as Engine  # noqa: PLC0414 - part of a server

NAME_LENGTH = 63
NAME_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9_.-]{{0,{NAME_LENGTH - 1}}}\Z"
HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Interval = Annotated[float, Meta(ge=1, le=86_400)]
Timeout = Annotated[float, Meta(ge=1, le=60)]
Slowness = Annotated[float, Meta(gt=0, le=60)]
Wait = Annotated[float, Meta(ge=0, le=300)]
Kept = Annotated[float, Meta(gt=0)]
Size = Annotated[int, Meta(ge=1_000_000)]


class TlsMode(StrEnum):
    """How TLS is used, in libpq's words (``sslmode``)."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"

    @property
    def required(self) -> bool:
        """Whether a connection without TLS is a failure."""
        return self not in {TlsMode.DISABLE, TlsMode.PREFER}

    @property
    def verifies(self) -> bool:
        """Whether the certificate is checked."""
        return self in {TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL}


class Listen(StrEnum):
    """What the local end of a tunnel is."""

    PORT = "port"
    SOCKET = "socket"


class PasswordEnv(msgspec.Struct, frozen=True, tag=True):
    """The password is in an environment variable."""

    env: str


class PasswordCommand(msgspec.Struct, frozen=True, tag=True):
    """The password is the first line that a command prints. Run without a shell."""

    command: tuple[str, ...]


class PasswordKeyring(msgspec.Struct, frozen=True, tag=True):
    """The password is in the system's keyring, under ``canary-tui`` and the server's name."""

    keyring: bool = True


PasswordSource = PasswordEnv | PasswordCommand | PasswordKeyring


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """A database as the SSH server sees it (or as this machine does, when direct)."""

    host: str
    port: Port
    name: str = ""
    user: str = ""
    password: PasswordSource | None = None
    tls: TlsMode = TlsMode.PREFER
    ca_file: str = ""
    """PEM file of certificate authorities; empty: the system's."""
    allow_cleartext: bool = False
    """Whether the password may go, readable, to a server that TLS has not verified."""


class SshServer(msgspec.Struct, frozen=True, kw_only=True):
    """The SSH server (jumpbox) in front of a database."""

    enabled: bool = True
    host: str
    port: Port = 22
    user: str
    key: str = ""
    """A file name in the keys folder or a path; empty: not made yet, the server's name is used."""
    next_key: str = ""
    """A new key that is being tried and not in use yet; spelled as ``key``."""
    old_key: str = ""
    """The key before this one: its line is still to be removed from ``authorized_keys``."""
    local_port: Port | None = None
    listen: Listen = Listen.PORT
    connect_wait: Wait = 5.0
    allow_users: tuple[str, ...] = ()


class ProbePlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is probed. ``timeout`` limits the whole probe, first stage to last."""

    every: Interval = 10.0
    timeout: Timeout = 5.0
    slow_after: Slowness = 0.25
    query: str = POSTGRESQL.plainest_query
    """As it stands in the file. The engine's own plainest one takes the place of that of PostgreSQL."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """One database and the way to it."""

    name: Name
    enabled: bool = True
    tags: tuple[str, ...] = ()
    engine: Engine
    database: Database
    ssh: SshServer | None = None
    probe: ProbePlan = ProbePlan()

    @property
    def tunnel(self) -> SshServer | None:
        """The SSH server when the tunnel is switched on, else None (a direct connection)."""
        return self.ssh if self.ssh is not None and self.ssh.enabled else None

    @property
    def key_name(self) -> str:
        """The ``key:`` entry, or what it is when there is none: the server's name."""
        return (self.ssh.key if self.ssh else "") or self.name

    @property
    def user(self) -> str:
        """The database user: as it is given, or the engine's own where none is."""
        return self.database.user or self.engine.facts.default_user

    def fitting(self) -> Server:
        """Return the server with its engine's default query, and no setting that the engine has no use for.

        Sources: ``EngineFacts.plainest_query`` and ``EngineFacts.unused``.
        """
        facts, database, query = self.engine.facts, self.database, self.probe.query
        if not facts.has_login:
            database = Database(host=database.host, port=database.port)
        if not facts.has_login or query == ProbePlan().query:
            query = facts.plainest_query
        probe = msgspec.structs.replace(self.probe, query=query)
        return msgspec.structs.replace(self, database=database, probe=probe)

    @property
    def through(self) -> str:
        """How it is reached, for a person: ``user@host``, with the port where it is not 22."""
        if self.tunnel is None:
            return "direct"
        port = "" if self.tunnel.port == 22 else f":{self.tunnel.port}"
        return f"{self.tunnel.user}@{self.tunnel.host}{port}"

    @property
    def words(self) -> dict[str, str]:
        """The names that the sentences of a diagnosis use."""
        ssh, facts, query = self.tunnel, self.engine.facts, self.probe.query
        return {
            "server": self.name,
            "engine": self.engine.value,
            "engine_title": facts.title,
            "sql": facts.sql or "",
            "db_host": self.database.host,
            "db_port": str(self.database.port),
            "db_user": self.user,
            "db_name": self.database.name or self.database.user or "the default database",
            "tls": self.database.tls.value,
            "no_tls": self.database.tls.value if self.database.tls is TlsMode.DISABLE else "",
            "own_query": "" if query.strip(" ;\n").lower() == facts.plainest_query.lower() else query,
            "plainest_query": facts.plainest_query,
            "ssh_host": ssh.host if ssh else "",
            "ssh_port": str(ssh.port) if ssh else "",
            "ssh_user": ssh.user if ssh else "",
            "local_port": str(ssh.local_port or "") if ssh else "",
            "timeout": f"{self.probe.timeout:g} s",
        }


def host_problem(host: str) -> str:
    """Say what is wrong with a host name or IP address; empty when it is fine.

    Names follow RFC 1123 §2.1, with the underscore that real networks use; international names
    are given in either form. IPv6 addresses are written without brackets.
    """
    if not host:
        return "is empty; a host name or an IP address is needed"
    if host != host.strip() or any(c.isspace() for c in host):
        return "has a space in it"
    if not host.isprintable():  # some of these vanish in the name that is looked up (RFC 3454, table B.1)
        return "has a character in it that cannot be shown"
    if host.startswith("[") and host.endswith("]"):
        return f"has brackets; write the IPv6 address without them: {host[1:-1]}"
    if "/" in host:
        return "looks like a URL or a path; only the host name is needed"
    if "@" in host:
        return f"has a user in it; put {host.partition('@')[0].partition(':')[0]!r} into the user field"
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return _name_problem(host)
    return ""


def _name_problem(host: str) -> str:
    if ":" in host:
        name, _, port = host.rpartition(":")
        if port.isdigit() and ":" not in name:
            return f"has a port in it; put {port} into the port field"
        return "is no IPv6 address"
    try:
        ascii_name = host.rstrip(".").encode("idna").decode("ascii")
    except UnicodeError:
        return "is no host name"
    if len(ascii_name) > 253:
        return "is longer than 253 characters"
    if re.fullmatch(r"[0-9.]+", ascii_name):
        return "is no IPv4 address"
    if not all(HOST_LABEL.match(label) for label in ascii_name.split(".")):
        return "is no host name (letters, digits, '-', '_' and '.')"
    return ""


def wire_host(host: str) -> str:
    """Return a host as it goes over the wire: an international name in its ASCII form (RFC 5891 §4).

    sshd hands the name to its resolver as it comes, and compares ``permitopen`` letter by letter.
    """
    return host if host.isascii() else host.encode("idna").decode("ascii")


def name_problem(name: str) -> str:
    """Say what is wrong with a server's name; empty when it is fine."""
    if name.endswith(".pub"):
        return "ends in .pub, as the public half of another server's key does"
    if re.match(NAME_PATTERN, name):
        return ""
    return (
        f"is no server name (1 to {NAME_LENGTH} letters, digits, '_', '.', '-', the first a letter or digit)"
    )


def name_like(text: str) -> str:
    """Return the server's name that is nearest to a text, such as a database's name; empty when none is."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text).strip("-_.")[:NAME_LENGTH]


DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\Z", re.ASCII)
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}


def parse_duration(text: str) -> float:
    """Return the seconds that ``text`` (``250ms``, ``10s``, ``5m``, ``2h``, ``3d``) stands for.

    A bare number is seconds. Raises ValueError when it is no duration.
    """
    match = DURATION.match(text.strip())
    if match is None:
        raise ValueError("is no duration, such as 250ms, 10s, 5m, 2h or 3d")
    return float(match[1]) * SECONDS[match[2]]


def format_duration(seconds: float) -> str:
    """Return the shortest spelling that ``parse_duration`` reads back as ``seconds``."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit in ("d", "h", "m"):
        if seconds >= SECONDS[unit] and seconds % SECONDS[unit] == 0:
            return f"{seconds / SECONDS[unit]:g}{unit}"
    return f"{seconds:g}s"
