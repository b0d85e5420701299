"""Why an SSH server did not open a forward: by the code of its refusal, then by its words.

The codes are those of RFC 4254 §5.1. With *connect failed* (2) a server passes on what its own system said:
the words of ``strerror`` and ``gai_strerror`` in glibc, musl, BSD, macOS and Windows, and of the libraries of
servers that are written in Go, Java, Rust and Python.
"""

from __future__ import annotations

import re

import asyncssh
from asyncssh.constants import OPEN_UNKNOWN_CHANNEL_TYPE

from canary_tui.diagnosis.stages import Cause

LOOK_UP = (
    "name or service not known",  # glibc
    "name does not resolve",  # musl
    "nodename nor servname",  # BSD, macOS
    "no address associated",
    "non-recoverable failure in name resolution",
    "temporary failure in name resolution",
    "hostname nor servname",
    "try again",  # musl, for a name server that does not answer
    "no such host",  # Go, Windows
    "host not found",
    "unknown host",
    "unknownhost",  # Java
    "nxdomain",
    "unresolved address",
    "unresolvedaddress",  # Java NIO
    "enotfound",  # Node
    "eai_",
    "wsahost_not_found",
    "hostname resolution",  # Windows
    "address not found",
    "host unknown",
    "could not resolve",
    "cannot resolve",
    "failed to lookup address",  # Rust
    "server misbehaving",  # Go
    "getaddrinfo",
    "of the requested type",  # Windows
    "no name servers",
    "dns",
    "lookup ",  # Go says what it looked up, whatever came of that
)
REFUSED = ("refused", "econnrefused")
TIMED_OUT = (
    "timed out",
    "timeout",
    "etimedout",  # Node, Erlang
    "deadline exceeded",  # Go
    "deadline has elapsed",  # Rust
    "did not properly respond after a period of time",  # Windows
)
UNREACHABLE = (
    "unreachable",
    "no route to host",
    "host is down",
    "network is down",
    "ehostunreach",
    "enetunreach",
    "assign requested address",
    "address not available",  # musl
    "address family not supported",
)

RESET = ("connection reset", "forcibly closed", "econnreset")
"""What is there took the connection and ended it before the SSH server had seen that it stands."""

NUMBERS = {
    "10061": Cause.DATABASE_REFUSED,
    "10060": Cause.DATABASE_TIMED_OUT,
    "10051": Cause.DATABASE_UNREACHABLE,
    "10065": Cause.DATABASE_UNREACHABLE,
    "10054": Cause.DATABASE_CLOSED_EARLY,
    "11001": Cause.DATABASE_NAME_NOT_FOUND,
    "11002": Cause.DATABASE_NAME_NOT_FOUND,
    "11004": Cause.DATABASE_NAME_NOT_FOUND,
}
"""Windows Sockets error codes: the words beside them are in the system's own language."""
NUMBER = re.compile(r"(?<![\w.:\]])\d{5}(?!\w)")
"""One that is no port: those come after a colon."""

NO_WORDS = frozenset({"", "open failed", "connect failed"})
"""What sshd says where its connect failed at once, which it does without a route."""

WORDS: tuple[tuple[tuple[str, ...], Cause], ...] = (
    # A look-up first: its own words may say that the name server refused or timed out.
    (LOOK_UP, Cause.DATABASE_NAME_NOT_FOUND),
    (REFUSED, Cause.DATABASE_REFUSED),
    (TIMED_OUT, Cause.DATABASE_TIMED_OUT),
    (UNREACHABLE, Cause.DATABASE_UNREACHABLE),
    (RESET, Cause.DATABASE_CLOSED_EARLY),
)


def refusal(code: int, text: str) -> Cause:
    """Return what a refused channel stands for; ``forward_refused`` for what nobody has listed."""
    # A server that knows no forwards at all (a git host, an appliance) knows no such type of channel.
    if code in {asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_UNKNOWN_CHANNEL_TYPE}:
        return Cause.FORWARDING_NOT_PERMITTED
    if code != asyncssh.OPEN_CONNECT_FAILED:
        return Cause.FORWARD_REFUSED
    said = text.lower().strip()
    if said in NO_WORDS:
        return Cause.DATABASE_UNREACHABLE
    by_number = next((NUMBERS[number] for number in NUMBER.findall(said) if number in NUMBERS), None)
    by_words = (cause for words, cause in WORDS if any(word in said for word in words))
    return by_number or next(by_words, Cause.FORWARD_REFUSED)
