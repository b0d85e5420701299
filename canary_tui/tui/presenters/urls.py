"""Connection URLs: read from the clipboard, written for other programs. Never with a password in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from canary_tui.diagnosis.words import shell_word
from canary_tui.servers.model import Engine, TlsMode, default_user
from canary_tui.servers.secrets import Secret

if TYPE_CHECKING:
    from canary_tui.monitor.board import Row

SCHEMES: dict[str, Engine] = {
    "postgresql": Engine.POSTGRESQL,
    "postgres": Engine.POSTGRESQL,
    "mysql": Engine.MYSQL,
    "mariadb": Engine.MYSQL,
}
URL = re.compile(rf"\s*(?:{'|'.join(SCHEMES)})(?:\+[a-z0-9]+)?://", re.IGNORECASE)
MYSQL_TLS = {
    "disabled": TlsMode.DISABLE,
    "preferred": TlsMode.PREFER,
    "required": TlsMode.REQUIRE,
    "verify_ca": TlsMode.VERIFY_CA,
    "verify_identity": TlsMode.VERIFY_FULL,
}


class UrlParts(msgspec.Struct, frozen=True):
    """What a connection URL says; empty where it says nothing."""

    engine: Engine
    host: str = ""
    port: str = ""
    name: str = ""
    user: str = ""
    tls: TlsMode | None = None
    password: Secret | None = None


def is_url(text: str) -> bool:
    """Tell whether ``text`` is a connection URL of an engine that we know."""
    return URL.match(text) is not None


def parse_url(text: str) -> UrlParts:
    """Read a connection URL (libpq's and MySQL's forms). Raises ValueError, without the URL in its words."""
    try:
        parts = urlsplit(text.strip())
        engine = SCHEMES[parts.scheme.split("+")[0].lower()]
        query = dict(parse_qsl(parts.query))
        host, port = parts.hostname or "", str(parts.port or "")
    except (ValueError, KeyError):
        raise ValueError("is no connection URL that can be read") from None
    mode = (query.get("sslmode") or query.get("ssl-mode") or query.get("ssl_mode") or "").lower()
    return UrlParts(
        engine=engine,
        host=unquote(host or query.get("host", "")),
        port=port or query.get("port", ""),
        name=unquote(parts.path.lstrip("/")),
        user=unquote(parts.username or query.get("user", "")),
        tls=MYSQL_TLS.get(mode) or (TlsMode(mode) if mode in set(TlsMode) else None),
        password=Secret(unquote(parts.password)) if parts.password else None,
    )


def split_destination(text: str) -> tuple[str, str, str]:
    """Split ``user@host:port``, ``ssh://…`` or ``[::1]:22`` into user, host and port (or empty)."""
    text = text.strip().removeprefix("ssh://").rstrip("/")
    user, _, place = text.rpartition("@")
    bracketed = re.fullmatch(r"\[(?P<host>[^\]]+)\](?::(?P<port>\d+))?", place)
    if bracketed:
        return user, bracketed["host"], bracketed["port"] or ""
    host, colon, port = place.rpartition(":")
    if colon and port.isdigit() and ":" not in host:
        return user, host, port
    return user, place, ""


NOT_BOUND = "The local port opens together with the tunnel."


def connection_url(row: Row) -> str:
    """Return the URL for another program on this machine, without a password.

    Empty while a tunnel's local end is not bound: whoever listens there then is somebody else.
    """
    database, engine = row.server.database, row.server.engine
    user = quote(database.user or default_user(engine), safe="")
    name = quote(database.name, safe="")
    if row.server.tunnel is not None and not row.local:
        return ""
    if row.local.startswith("/"):
        folder = row.local.rpartition("/")[0] if engine is Engine.POSTGRESQL else row.local
        key = "host" if engine is Engine.POSTGRESQL else "unix_socket"
        # The port is part of the socket's name, and libpq looks for that file alone.
        port = f"&port={database.port}" if engine is Engine.POSTGRESQL else ""
        return f"{engine.value}://{user}@/{name}?{key}={quote(folder, safe='/')}{port}"
    host, port = _address(row)
    place = f"[{host}]" if ":" in host else host
    return f"{engine.value}://{user}@{place}:{port}/{name}"


def how_to_use(row: Row) -> str:
    """Return the command that reaches the database from a shell on this machine."""
    server, database = row.server, row.server.database
    mysql = server.engine is Engine.MYSQL
    if server.tunnel is not None and not row.local:
        return NOT_BOUND
    if not row.local.startswith("/"):
        host, port = _address(row)
        where = ["-h", host, "-P" if mysql else "-p", port]
    elif mysql:
        where = [f"--socket={row.local}"]
    else:
        where = ["-h", row.local.rpartition("/")[0], "-p", str(database.port)]
    user = ["-u" if mysql else "-U", database.user or default_user(server.engine)]
    name = [_as_argument(database.name, mysql=mysql)] if database.name else []
    return " ".join(map(shell_word, ["mysql" if mysql else "psql", *where, *user, *name]))


def _as_argument(name: str, *, mysql: bool) -> str:
    """Return a database's name so that no client takes it for an option, nor psql for a connection string."""
    if re.fullmatch(r"\w[\w.-]*", name):
        return name
    escaped = re.sub(r"(['\\])", r"\\\1", name)
    return f"--database={name}" if mysql else f"dbname='{escaped}'"


def _address(row: Row) -> tuple[str, str]:
    """Return host and port where a program on this machine reaches the database."""
    if row.server.tunnel is None:
        return row.server.database.host, str(row.server.database.port)
    host, _, port = row.local.rpartition(":")
    return host, port
