"""Connection URLs: read from the clipboard, written for other programs. Never with a password in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from canary_tui.databases.registry import clients_of
from canary_tui.databases.ways import way_to
from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.diagnosis.words import shell_word
from canary_tui.servers import fields
from canary_tui.servers.model import Engine, TlsMode
from canary_tui.servers.secrets import Secret
from canary_tui.tui.presenters.uri import (
    ESCAPES,
    SEVERAL_HOSTS,
    pair_values,
    place_and_parameters,
    url_values,
)
from canary_tui.tui.presenters.url_words import TAKEN, folded, may_be_named, tls_of

if TYPE_CHECKING:
    from canary_tui.databases.client_environment import EngineClients
    from canary_tui.monitor.board import Row

SCHEMES = {scheme: engine for engine in Engine for scheme in engine.facts.url_schemes}
PROGRAMS = "|".join(program for engine in Engine for program in engine.facts.clients)
URL = re.compile(
    rf"(?P<jdbc>jdbc:)?(?P<scheme>{'|'.join(SCHEMES)})(?P<driver>[+:][a-z0-9_+:]+)?://", re.IGNORECASE
)
SOCKET_URL = re.compile(r"(?:[a-z0-9]+[+:-])?(?:unix|socket)://", re.IGNORECASE)
"""How clients of several services write a URL of a socket: ``redis+unix://``, ``redis-socket://``, ``unix://``."""
BEFORE = re.compile(rf"(?:export\s+|set\s+)?[A-Z_][A-Z0-9_]*\s*[=:]\s*|(?:{PROGRAMS})\s+", re.IGNORECASE)
"""What stands before a URL that was copied with its line: ``DATABASE_URL=``, ``psql``."""
PAIRS = re.compile(r"(?:host|hostaddr|port|dbname|user|password|sslmode|service)\s*=", re.IGNORECASE)
QUOTES = {'"': '"', "'": "'", "`": "`", "<": ">"}
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
LONGEST = 8_000
"""Characters of a URL."""

UNKNOWN = "what is not known here"
INVISIBLE_INSIDE = "there is a line break or an invisible character in it"
SOCKET = "it leads to a unix socket, and databases are reached by host and port"
NO_HOST = "it names no host"
INSTANCE = "it names an instance of SQL Server, whose port only that server knows; it is written host:port"
SQL_SERVER = frozenset({"sqlserver", "mssql"})
HTTP_BY_JDBC = frozenset({"clickhouse"})
"""What JDBC's driver speaks HTTP to: the usual port of the scheme is the native protocol's."""


class UrlParts(msgspec.Struct, frozen=True):
    """What a connection URL says; empty where it says nothing."""

    engine: Engine
    host: str = ""
    port: str = ""
    name: str = ""
    user: str = ""
    tls: TlsMode | None = None
    password: Secret | None = None
    ca_file: str = ""
    left_out: tuple[str, ...] = ()
    """What an entry has no setting for, to be shown: parameters by their names where they are known ones."""


def is_url(text: str) -> bool:
    """Tell whether ``text`` is a connection URL, or a libpq string, of an engine that we know."""
    return _begins(_bare(text[:LONGEST]))


def _begins(bare: str) -> bool:
    return any(kind.match(bare) for kind in (URL, SOCKET_URL, PAIRS))


def parse_url(text: str) -> UrlParts:
    """Read a connection URL (libpq's, JDBC's, SQLAlchemy's, MySQL's) or a libpq string of ``key=value``.

    Raises ValueError with what is wrong and how it is written, and with nothing that stands in the URL.
    """
    try:
        return _parse(text)
    except ValueError as error:
        raise ValueError(f"is no connection URL that can be read: {error}") from None


def _parse(text: str) -> UrlParts:
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} characters")
    bare = _bare(text)
    if not bare.isprintable():
        raise ValueError(INVISIBLE_INSIDE)
    if SOCKET_URL.match(bare):
        raise ValueError(SOCKET)
    url = URL.match(bare)
    if url is None:
        if PAIRS.match(bare) is None:
            usual = ", ".join(f"{next(iter(engine.facts.url_schemes))}://" for engine in Engine)
            raise ValueError(f"it begins with none of {usual} and their like")
        parts = _parts(Engine.POSTGRESQL, pair_values(bare), jdbc=False)
        if UNKNOWN in parts.left_out:
            raise ValueError("it has a key that libpq has not; a value with a space is written 'in quotes'")
        return parts
    engine = SCHEMES[url["scheme"].lower()]
    if not engine.facts.has_login:
        return _place(engine, url, bare[url.end() :])
    libpq = engine.facts.libpq and not url["jdbc"] and not url["driver"]
    parts = _parts(engine, url_values(bare[url.end() :], form_encoded=not libpq), jdbc=bool(url["jdbc"]))
    if UNKNOWN in parts.left_out and "@" in bare.partition("?")[2]:
        # The end of a password with / and ? in it looks like this; an honest parameter is one that is known.
        raise ValueError(f"an @ stands where the host does not begin; {ESCAPES}")
    return parts


def _place(engine: Engine, url: re.Match[str], rest: str) -> UrlParts:
    """Return host and port alone, which stand before all parameters.

    What else the URL says, its password included, is dropped here.
    """
    scheme, driver = url["scheme"].lower(), url["driver"] or ""
    if driver == "+srv":
        raise ValueError("its hosts stand in the DNS (SRV), and an entry has one; take one of them")
    rest, semicolon, more = rest.partition(";")  # jdbc:sqlserver://host:1433;user=…
    if "@" in more:
        raise ValueError(f"an @ stands where the host does not begin; {ESCAPES}")
    values, parameters = place_and_parameters(rest, form_encoded=True)
    told = {folded(key) for key in parameters} | {
        folded(pair.partition("=")[0].strip()) for pair in more.split(";")
    }
    # A path without a host is a database's name or number, or else a file.
    if "unixsocket" in told or (not values["host"] and not re.fullmatch(r"\w*", values["dbname"])):
        raise ValueError(SOCKET)
    named = {"user": "the user", "password": "the password", "dbname": "the database's name"}
    left_out = [said for key, said in named.items() if values.get(key)]
    if scheme in SQL_SERVER:
        values["host"], instance, _ = values["host"].partition("\\")
        if not values["port"] and (instance or told & {"instance", "instancename"}):
            raise ValueError(INSTANCE)
    parts = _parts(engine, {key: values[key] for key in ("host", "port")}, jdbc=False)
    if not parts.host:
        raise ValueError(NO_HOST)
    if semicolon or parameters:
        left_out.append("the parameters")
    by_http = "http" in driver or (url["jdbc"] and scheme in HTTP_BY_JDBC)
    usual = None if by_http or told & {"port", "portnumber"} else engine.facts.url_schemes[scheme]
    return msgspec.structs.replace(parts, port=parts.port or str(usual or ""), left_out=tuple(left_out))


def _bare(text: str) -> str:
    """Return the URL without what was copied along with it."""
    blank = INVISIBLE + " \t\r\n\v\f\xa0"
    bare = text.strip(blank)
    if not _begins(bare) and (before := BEFORE.match(bare)):
        bare = bare[before.end() :]
    if bare[-1:] == ";" and bare[:1] in QUOTES:
        bare = bare[:-1]
    if len(bare) > 1 and QUOTES.get(bare[0]) == bare[-1]:
        bare = bare[1:-1].strip(blank)
    return bare


def _parts(engine: Engine, given: dict[str, str], *, jdbc: bool) -> UrlParts:
    values: dict[str, str] = {}
    left_out = []
    for key, value in given.items():
        if (word := folded(key)) in TAKEN:
            values[word] = value
        else:
            left_out.append(key if may_be_named(key) else UNKNOWN)
    host, port = values.get("host") or values.get("hostaddr", ""), values.get("port", "")
    if host.startswith(("/", "@")) or values.get("unixsocket"):
        raise ValueError(SOCKET)
    if "," in host + port:
        raise ValueError(SEVERAL_HOSTS)
    if not all(value.isprintable() for word, value in values.items() if word != "password"):
        raise ValueError(INVISIBLE_INSIDE)
    try:
        fields.port(port or "1")
    except ValueError:
        raise ValueError(f"what stands for its port is none ({fields.PORTS}); {ESCAPES}") from None
    if values.get("host") and values.get("hostaddr"):
        left_out.append("hostaddr")
    password, ca_file = values.get("password"), values.get("sslrootcert", "")
    return UrlParts(
        engine=engine,
        host=host,
        port=port,
        name=values.get("dbname", ""),
        user=values.get("user", ""),
        tls=tls_of(values, jdbc=jdbc and engine.facts.libpq),
        password=Secret(password) if password else None,
        ca_file="" if ca_file == "system" else ca_file,
        left_out=tuple(dict.fromkeys(left_out)),
    )


def split_destination(text: str) -> tuple[str, str, str]:
    """Split ``user@host:port``, ``ssh://…`` or ``[::1]:22`` into user, host and port (or empty).

    A password in it is left out: canary-tui logs in with a key.
    """
    text = text.strip().removeprefix("ssh://").rstrip("/")
    login, _, place = text.rpartition("@")
    user = login.partition(":")[0]
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
    clients = _clients(row)
    return clients.url() if clients is not None else ""


def how_to_use(row: Row) -> str:
    """Return the command that reaches the database from a shell on this machine."""
    clients = _clients(row)
    return " ".join(map(shell_word, clients.shell_words())) if clients is not None else NOT_BOUND


def without_client(row: Row) -> str:
    """Say what to do instead where the engine has no client of its own."""
    server, url = row.server, connection_url(row)
    mine = f"Start yours at {url} (y copies it)" if url else NOT_BOUND
    return (
        f"With engine: {server.engine.value} there is no client to start. {mine.rstrip('.')}, or in another "
        f"shell: canary connect {shell_word(server.name)} -- COMMAND"
    )


def _clients(row: Row) -> EngineClients | None:
    """Return how programs reach the row's server; None while nothing is bound."""
    try:
        way = way_to(row.server, row.local, Failed(Cause.TUNNEL_LOST))
    except Failed:
        return None
    return clients_of(row.server, way)
