"""One field's text to its value: what the file, the form and the command line read every setting by.

Each function raises ValueError with what is wrong and what is allowed, to be said after the field's name or
its text.
"""

from __future__ import annotations

import functools
import pwd
import re
import shlex
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from canary_tui.servers.model import (
    Interval,
    Kept,
    Port,
    Size,
    Slowness,
    Timeout,
    Wait,
    format_duration,
    host_problem,
    name_problem,
    parse_duration,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

    E = TypeVar("E", bound=StrEnum)

BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?i?)B?\Z", re.ASCII)
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
BINARY_UNITS = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}

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
"""Fields of the form and options of the command line whose setting not every engine has a use for."""

CREDENTIALS = re.compile(r"(?<!:):(?!//).*@|(?<=password=)[^&]+|(?<=passwd=)[^&]+", re.I | re.S)


def masked(text: str) -> str:
    """Return a value as it may be repeated: the password of a URL in it is not."""
    return CREDENTIALS.sub(lambda found: ":•••@" if found[0][-1] == "@" else "•••", text)


def boolean(text: str) -> bool:
    """Return what yes, no, on, off, true or false says, in any case."""
    try:
        return BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("is neither true nor false") from None


def _limits(kind: Any) -> Any:
    """Return the ``Meta`` that a type of the model carries."""
    return get_args(kind)[1]


PORTS = f"{_limits(Port).ge}–{_limits(Port).le}"
"""Which ports there are, for a person."""


def port(text: str) -> int:
    """Return a TCP port. Decimal digits only: YAML 1.1 reads 022 as 18 and 1_000 as 1000."""
    if re.fullmatch("[1-9][0-9]{0,4}", text) and int(text) <= _limits(Port).le:
        return int(text)
    raise ValueError(f"is not a port ({PORTS})")


def words(text: str) -> str:
    """Return one line of text."""
    if not text.isprintable():
        raise ValueError("has a line break or a control character in it")
    return text


def some_words(text: str) -> str:
    """Return one line of text that is not empty."""
    if not text.strip():
        raise ValueError("is empty")
    return words(text)


def query(text: str) -> str:
    """Return a statement, which may take several lines."""
    if not text.strip():
        raise ValueError("is empty; one statement is needed, such as select 1")
    return text


@functools.lru_cache(4096)  # a jumpbox is the host of many servers
def host(text: str) -> str:
    """Return a host name or an IP address."""
    if problem := host_problem(text):
        raise ValueError(problem)
    return text


def name(text: str) -> str:
    """Return a server's name."""
    if problem := name_problem(text):
        raise ValueError(problem)
    return text


def variable(text: str) -> str:
    """Return the name of an environment variable."""
    if not some_words(text) or "=" in text or any(map(str.isspace, text)):
        raise ValueError("is no name of an environment variable")
    return text


def command_line(text: str) -> tuple[str, ...]:
    """Return the words of a command, split as a shell does it."""
    try:
        found = tuple(shlex.split(text))
    except ValueError:
        raise ValueError("has a quote that is not closed") from None
    return command(found)


def command(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a command, which begins with a program."""
    if not words or not words[0]:
        raise ValueError("is empty; a command that prints the password is needed")
    if any("\0" in word for word in words):
        raise ValueError("has a NUL in it, which no argument may have")
    return words


def account(text: str) -> str:
    """Return the name of a user of this machine."""
    try:
        pwd.getpwnam(text)
    except (KeyError, ValueError):
        raise ValueError("is no user of this machine") from None
    return text


def choice(kind: type[E]) -> Callable[[str], E]:
    """Return the converter to one of an enumeration's words."""
    known = {member.value: member for member in kind}
    allowed = ", ".join(known)

    def convert(text: str) -> E:
        try:
            return known[text]
        except KeyError:
            raise ValueError(f"is not one of {allowed}") from None

    return convert


class Duration:
    """Reads seconds within the limits of a type, such as ``Interval``."""

    def __init__(self, kind: Any) -> None:
        self._limits = _limits(kind)
        above, most = self._limits.gt, self._limits.le
        low = above if above is not None else self._limits.ge
        self.allowed = f"{'more than ' if above is not None else ''}{format_duration(low)}"
        """What is allowed, for a person: ``1s – 1d``."""
        self.allowed += f" – {format_duration(most)}" if most is not None else " or longer"

    def __call__(self, text: str) -> float:
        """Return the seconds that a text such as ``5m`` stands for."""
        seconds, limits = parse_duration(text), self._limits
        low = seconds > limits.gt if limits.gt is not None else seconds >= limits.ge
        if not low or (limits.le is not None and seconds > limits.le):
            raise ValueError(f"is out of range ({self.allowed})")
        return seconds


every = Duration(Interval)
timeout = Duration(Timeout)
slow_after = Duration(Slowness)
connect_wait = Duration(Wait)
kept = Duration(Kept)


def size(text: str) -> int:
    """Return bytes: ``2GB``, ``500 MB``, ``1.5GiB``, or a bare number."""
    match = SIZE.match(text)
    factor = {**UNITS, **BINARY_UNITS}.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError("is no size, such as 500MB or 2GB")
    count, least = int(float(match[1]) * factor), _limits(Size).ge
    if count < least:
        raise ValueError(f"is too small ({least // 10**6}MB or more)")
    return count
