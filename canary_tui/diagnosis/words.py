"""The words that a diagnosis's sentences are filled with: host, port, user, and what follows from them.

A placeholder is ``{word}`` in prose. Inside a command it is ``{word!how}``, where *how* says by whose rules
the value is quoted; a word that is not known, or that cannot stand there and mean itself alone, stands in
capitals, as in any manual: ``DB_USER``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from enum import StrEnum

from canary_tui.diagnosis.printable import VALUE_LIMIT, one_line


class Sql(StrEnum):
    """How names and texts are quoted in a database's SQL. The word ``sql`` tells it."""

    STANDARD = "standard"
    MYSQL = "mysql"


PLACEHOLDER = re.compile(r"\{([a-z_]+)(?:!([a-z]+))?\}")

STAND_INS: dict[str, str] = {
    "server": "this server",
    "engine": "the database's engine",
    "engine_title": "the database",
    "db_host": "the database's host",
    "db_port": "the database's port",
    "db_user": "the database user",
    "db_name": "the default database",
    "tls": "as it is",
    "no_tls": "TLS is switched off",
    "own_query": "a query of its own",
    "plainest_query": "the plainest query",
    "ended_after": "less time than the probe allows",
    "asks_elsewhere": "a directory",
    "ssh_host": "the SSH server",
    "ssh_port": "the SSH port",
    "ssh_user": "the SSH user",
    "ssh_software": "the SSH server's software",
    "wanted": "a password or a code",
    "after_login": "after the login",
    "local_port": "the local port",
    "timeout": "the time limit",
    "key_path": "the private key's file",
    "key_line": "the public key",
    "known_hosts_path": "canary-tui's known_hosts file",
    "known_hosts_line": "one",
    "ca_file": "the file of certificate authorities",
    "variable": "the environment variable",
    "foreign_file": "the servers file",
    "exposed": "who may write it",
    "offered": "the key it shows now",
    "known": "the key that was trusted",
    "host_key_file": "the host key's file",
    "pid": "unknown",
    "program": "another program",
    "free_port": "another port",
    "open_files": "a limited number",
    "excess": "more than it should",
    # What follows from the words above:
    "db_at": "(host not known)",
    "ssh_at": "(host not known)",
    "target": "the host",
    "target_port": "the port",
    "target_setting": "the host in the settings",
    "origin": "this machine",
    "client": "the address as the database sees it",
}
"""Every word that a sentence may use, and what is said where it is not known."""

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")
_PLAIN_WORD = re.compile(r"(?!-)[\w.:%@\[\]-]+\Z")
_PLAIN_WORDS = re.compile(r"[A-Za-z0-9]+(?: [A-Za-z0-9]+)*\Z")
_RESERVED = frozenset(
    {"all", "any", "column", "database", "default", "end", "from", "group", "index", "key", "limit", "on"}
    | {"order", "primary", "public", "replication", "samegroup", "samerole", "sameuser", "schema", "select"}
    | {"session_user", "table", "to", "user", "window", "with"}
)
"""Names that are words of SQL, or of pg_hba.conf, and so are quoted where they are a user's own."""


def endpoint(host: str, port: str) -> str:
    """Return ``host:port``, with an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    if not host or not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def complete(words: Mapping[str, str]) -> dict[str, str]:
    """Return the known words, as they are, and those that follow from them."""
    own = {word: value for word, value in words.items() if word in STAND_INS}
    if own.get("db_name") == STAND_INS["db_name"]:
        del own["db_name"]

    def get(word: str) -> str:
        return own.get(word, "")

    tunnelled = bool(get("ssh_host"))
    host, port = ("ssh_host", "ssh_port") if tunnelled else ("db_host", "db_port")
    who = "the SSH server's" if tunnelled else "this machine's"
    own |= {
        "db_at": endpoint(get("db_host"), get("db_port")),
        "ssh_at": endpoint(get("ssh_host"), get("ssh_port")),
        "target": get(host),
        "target_port": get(port),
        "target_setting": "ssh.host" if tunnelled else "database.host",
        "origin": get("ssh_host") or "this machine",
        "client": f"{who} address as the database sees it",
        "sql": words.get("sql", ""),
    }
    return {word: value for word, value in own.items() if value}


def fill(text: str, words: Mapping[str, str]) -> str:
    """Return ``text`` with its placeholders replaced by ``words``, which ``complete`` made.

    The values become printable here, and where it is a command that is to be pasted, nothing but values.
    """

    def value(found: re.Match[str]) -> str:
        word, how = found[1], found[2]
        raw = words.get(word, "")
        if how is None:
            # Backticks are ours: between them stands what a person may run.
            return one_line(raw).replace("`", "'") or STAND_INS[word]
        fits = 0 < len(raw) <= VALUE_LIMIT and (raw.isprintable() or how == "sh")
        return (QUOTING[how](raw, words) if fits else "") or word.upper()

    return PLACEHOLDER.sub(value, text)


def shell_word(value: str) -> str:
    """Return ``value`` as one word for a shell, on one printable line.

    What cannot be printed is escaped as bash, zsh and POSIX.1-2024 read it: ``$'…'``. It stays one quoted
    word in a shell that does not.
    """
    if value.isprintable():
        return shlex.quote(value)
    safe = (c if c.isprintable() and c not in "'\\" else _escaped(c) for c in value)
    return f"$'{''.join(safe)}'"


def _escaped(char: str) -> str:
    handler = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", handler))


def _argument(value: str, words: Mapping[str, str]) -> str:
    del words
    if value.startswith("-"):  # quoted or not, a program would take it for an option
        return ""
    if value.startswith("~/"):  # the shell expands it only where it is not quoted
        return "~/" + (shell_word(value[2:]) if value[2:] else "")
    return shell_word(value)


def _identifier(value: str, words: Mapping[str, str]) -> str:
    if _PLAIN_NAME.match(value) and value not in _RESERVED:
        return value
    mark = "`" if words.get("sql") == Sql.MYSQL else '"'
    return mark + value.replace(mark, mark * 2) + mark


def _literal(value: str, words: Mapping[str, str]) -> str:
    if words.get("sql") == Sql.MYSQL:
        value = value.replace("\\", "\\\\")
    return "'" + value.replace("'", "''") + "'"


def _hba(value: str, words: Mapping[str, str]) -> str:
    del words
    if _PLAIN_NAME.match(value) and value not in _RESERVED:
        return value
    return '"' + value.replace('"', '""') + '"'


QUOTING: dict[str, Callable[[str, Mapping[str, str]], str]] = {
    "plain": lambda value, _: value if _PLAIN_WORDS.match(value) else "",
    "code": lambda value, _: value if _PLAIN_WORD.match(value) else "",
    "sh": _argument,
    "sql": _identifier,
    "text": _literal,
    "hba": _hba,
    "pgpass": lambda value, _: value.replace("\\", "\\\\").replace(":", "\\:"),
}
"""How a value is written inside a command: as it is (plain words; a plain name or a number), for a shell, as
a name or a text of SQL, in pg_hba.conf, in ~/.pgpass. Empty: it cannot be."""


def host_key_file(key_type: str) -> str:
    """Return the file on the SSH server that holds the public half of a host key of this type.

    The names are OpenSSH's (sshd_config(5), HostKey).
    """
    kind = key_type.removeprefix("ssh-").removeprefix("rsa-").split("@")[0].split("-")[0]
    if not re.fullmatch(r"[a-z0-9]+", kind):  # it stands in a command
        kind = "KEYTYPE"
    return f"/etc/ssh/ssh_host_{ {'sha2': 'rsa', 'dss': 'dsa'}.get(kind, kind) }_key.pub"
