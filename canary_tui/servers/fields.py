"""One field's text to its value. Each function raises ValueError with what is wrong and what is allowed."""

from __future__ import annotations

import functools
import pwd
import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from canary_tui.servers.model import (
    ProbePlan,
    SshServer,
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
SMALLEST_HISTORY = 1_000_000


CREDENTIALS = re.compile(r"(?<![:/]):(?!//).*@|(?<=password=)[^&]+|(?<=passwd=)[^&]+", re.I | re.S)


def masked(text: str) -> str:
    """Return a value as it may be repeated: the password of a URL in it is not."""
    return CREDENTIALS.sub(lambda found: ":•••@" if found[0][-1] == "@" else "•••", text)


def boolean(text: str) -> bool:
    """Return what yes, no, on, off, true or false says, in any case."""
    try:
        return BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("is neither true nor false") from None


def port(text: str) -> int:
    """Return a TCP port. Decimal digits only: YAML 1.1 reads 022 as 18 and 1_000 as 1000."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and not text.startswith("0"):
        number = int(text)
        if number <= 65535:
            return number
    raise ValueError("is not a port (1–65535)")


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


def duration(low: float, high: float | None, *, above: bool = False) -> Callable[[str], float]:
    """Return the converter to seconds from ``low`` (not itself when ``above``) to ``high``."""
    allowed = f"{'more than ' if above else ''}{format_duration(low)}"
    allowed += f" – {format_duration(high)}" if high is not None else " or longer"

    def convert(text: str) -> float:
        seconds = parse_duration(text)
        if seconds < low or (above and seconds == low) or (high is not None and seconds > high):
            raise ValueError(f"is out of range ({allowed})")
        return seconds

    return convert


def size(text: str) -> int:
    """Return bytes: ``2GB``, ``500 MB``, ``1.5GiB``, or a bare number."""
    match = SIZE.match(text)
    factor = {**UNITS, **BINARY_UNITS}.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError("is no size, such as 500MB or 2GB")
    count = int(float(match[1]) * factor)
    if count < SMALLEST_HISTORY:
        raise ValueError("is too small (1MB or more)")
    return count


def _limited(struct: type[msgspec.Struct], field: str) -> Callable[[str], float]:
    """Return the converter with the limits that the model's own type carries."""
    kinds = {entry.name: entry.type for entry in msgspec.inspect.type_info(struct).fields}  # type: ignore[attr-defined]
    kind = kinds[field]
    low = kind.ge if kind.ge is not None else kind.gt
    return duration(low, kind.le, above=kind.gt is not None)


every = _limited(ProbePlan, "every")
timeout = _limited(ProbePlan, "timeout")
slow_after = _limited(ProbePlan, "slow_after")
connect_wait = _limited(SshServer, "connect_wait")
kept = duration(0, None, above=True)
