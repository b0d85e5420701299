"""A tunnel that breaks: the time until a client gets an answer through its local port again."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

from benchmarks.report import AT_MOST, Row, Section, duration
from benchmarks.stand import installed, stand, wait_listening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.harness.sshd import Sshd

LIMIT = 1.0
AWAY_SECONDS = 3.0
GIVE_UP_SECONDS = 60.0
STEADY_SECONDS = 31.0
"""Canary meets the next loss as a first one after so long."""
SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16/"
"""PostgreSQL's SSLRequest: it is answered with one byte, and asks for nothing else."""


def measure(*, quick: bool) -> Section:
    """Break both ways' tunnels in turn, in two ways."""
    runs = 1 if quick else 5
    with_autossh = installed("autossh")
    cases: list[tuple[str, Callable[[Sshd], None], bool]] = [
        ("the session on the SSH server killed (kill -9)", kill, True)
    ]
    if not quick:
        cases.append((f"the whole SSH server away for {AWAY_SECONDS:.0f} s, from its return", away, False))
    rows = []
    for what, broken, aimed in cases:
        ours = recover(broken, runs, by="canary", quick=quick)
        theirs = recover(broken, runs, by="autossh", quick=quick) if with_autossh else []
        rows.append(
            Row(
                what,
                spread(ours),
                spread(theirs) if theirs else "autossh is not installed",
                aim=f"{AT_MOST} {duration(LIMIT)}" if aimed else "",
                met=sorted(ours)[len(ours) // 2] <= LIMIT if aimed else None,
            )
        )
    return Section("recovery", ("what", "canary", "autossh", "ratio", "aim"), rows)


def recover(broken: Callable[[Sshd], None], runs: int, *, by: str, quick: bool) -> list[float]:
    """Return the seconds from each break (or from the SSH server's return) to an answer."""
    taken = []
    with stand() as place:
        sshd, postgres = place.sshd(), place.postgres()
        user = place.user(sshd)
        (tunnel,) = user.add(postgres)
        with user.canary() if by == "canary" else user.autossh(tunnel):
            wait_listening([tunnel.local_port])
            until_answered(tunnel.local_port)
            for _ in range(runs):
                time.sleep(0 if quick else STEADY_SECONDS)
                broken(sshd)
                began = time.perf_counter()
                until_answered(tunnel.local_port)
                taken.append(time.perf_counter() - began)
    return taken


def kill(sshd: Sshd) -> None:
    """Kill the session, as a crash would; the SSH server goes on taking logins."""
    sshd.kill_sessions()


def away(sshd: Sshd) -> None:
    """Take the SSH server away and bring it back."""
    sshd.kill()
    time.sleep(AWAY_SECONDS)
    sshd.start()


def until_answered(port: int) -> None:
    """Ask the database through a port until it answers. Raises TimeoutError."""
    deadline = time.perf_counter() + GIVE_UP_SECONDS
    while not answers(port):
        if time.perf_counter() > deadline:
            raise TimeoutError(f"no answer within {GIVE_UP_SECONDS:.0f} s")
        time.sleep(0.005)


def answers(port: int) -> bool:
    """Return whether the database answers through a port now. A client that is kept waiting waits."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(SSL_REQUEST)
        return client.recv(1) == b"N"
    return False


def spread(times: Sequence[float]) -> str:
    """Return a median, and the longest beside it."""
    ordered = sorted(times)
    return f"{duration(ordered[len(ordered) // 2])} (longest {duration(ordered[-1])})"
