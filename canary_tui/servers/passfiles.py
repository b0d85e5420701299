"""Passwords that ``psql`` and ``mysql`` would find too: ``~/.pgpass`` and ``~/.my.cnf``."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from canary_tui.ownership import others_may_change

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1_000_000
MY_CNF_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "s": " ", "\\": "\\", '"': '"', "'": "'"}


class Ignored(Exception):
    """The file is there but must not be used; ``str`` says why."""


def pgpass(path: Path, host: str, port: int, database: str, user: str) -> str | None:
    """Return the password of the first line that matches, by libpq's rules.

    ``host:port:database:user:password``; ``*`` matches anything, ``\\`` escapes, ``#`` begins a
    comment (PostgreSQL documentation, "The Password File"). Raises Ignored, as libpq does, for a
    file that others may read.
    """
    text = _content(path, forbidden=stat.S_IRWXG | stat.S_IRWXO, who="other users may read it; chmod 600 it")
    wanted = (host, str(port), database, user)
    for line in re.split(r"\r?\n", text):
        if line.startswith("#"):
            continue
        *pattern, password = [*re.findall(r"((?:\\.|[^:\\]|\\\Z)*)(?::|\Z)", line)[:5], ""][:5]
        if len(pattern) == 4 and password and all(map(_matches, pattern, wanted)):
            return _unescaped(password)
    return None


def _matches(pattern: str, value: str) -> bool:
    return pattern == "*" or _unescaped(pattern) == value


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def my_cnf(path: Path, host: str, port: int, user: str) -> str | None:
    """Return the password of ``[client]`` when its host and user are these, and its port if it has one.

    The syntax is that of MySQL's option files. Raises Ignored, as ``mysql`` does, for a file that
    everybody may write.
    """
    text = _content(path, forbidden=stat.S_IWOTH, who="everybody may write it; chmod 600 it")
    options: dict[str, str] = {}
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line[1:].partition("]")[0].strip()
        elif section == "client" and line and line[0] not in "#;!":
            key, _, value = line.partition("=")
            options[key.strip().replace("_", "-").lower()] = _my_cnf_value(value.strip())
    matches = (
        options.get("host", "").lower() == host.lower()
        and options.get("user") == user
        and options.get("port", str(port)) == str(port)
    )
    return (options.get("password") or None) if matches and host else None


def _my_cnf_value(text: str) -> str:
    quote = text[:1]
    if quote in {"'", '"'} and (quoted := re.match(rf"{quote}((?:\\.|[^{quote}\\])*){quote}", text)):
        text = quoted[1]
    else:
        text = text.partition("#")[0].rstrip()
    return re.sub(r"\\(.)", lambda found: MY_CNF_ESCAPES.get(found[1], found[0]), text)


def _content(path: Path, *, forbidden: int, who: str) -> str:
    """Return the file's text, empty when there is none. Raises Ignored."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise Ignored(f"{path} is not used: it is no regular file")
        if info.st_mode & forbidden:
            raise Ignored(f"{path} is not used: {who}")
        if reason := others_may_change(path):
            raise Ignored(f"{path} is not used: {reason}")
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES).decode(errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise Ignored(f"{path} is not used: {error.strerror}") from None
