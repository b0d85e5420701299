"""A tunnel that breaks: the time until a client gets an answer through its local port again."""

from __future__ import annotations

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.report import AT_MOST, Row, Section, duration
from benchmarks.servers import installed, servers, wait_listening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.harness.sshd import Sshd

LIMIT = 1.0
AWAY_SECONDS = 3.0
GIVE_UP_SECONDS = 60.0
STEADY_SECONDS = 16.0
"""Canary meets the next loss as a first one after so long."""
SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16/"
"""PostgreSQL's SSLRequest: it is answered with one byte, and asks for nothing else."""


def measure(*, quick: bool) -> Section:
    """Break both ways' tunnels at once, each at its own SSH session, and see who is back when."""
    section = Section("recovery", ("what", "canary", "autossh", "ratio", "aim"))
    with servers() as place:
        sshd, postgres = place.sshd(), place.postgres()
        ours, theirs = place.user(sshd), place.user(sshd)
        (mine,), (other,) = ours.add(postgres), theirs.add(postgres)
        ports = [mine.local_port]
        with ExitStack() as stack:
            stack.enter_context(ours.canary())
            if installed("autossh"):
                stack.enter_context(theirs.autossh(other))
                ports.append(other.local_port)
            wait_listening(ports)
            what = "the sessions on the SSH server killed (kill -9)"
            times = recover(kill, sshd, ports, 1 if quick else 5, quick=quick)
            met = median(times[0]) <= LIMIT
            section.rows.append(Row(what, *spreads(times), aim=f"{AT_MOST} {duration(LIMIT)}", met=met))
            if not quick:
                what = f"the SSH server away for {AWAY_SECONDS:.0f} s, from its return"
                section.rows.append(Row(what, *spreads(recover(away, sshd, ports, 3, quick=quick))))
    return section


def recover(
    broken: Callable[[Sshd], None], sshd: Sshd, ports: Sequence[int], runs: int, *, quick: bool
) -> list[list[float]]:
    """Return the seconds from each break (or from the SSH server's return) to an answer, a list a port."""
    taken: list[list[float]] = [[] for _ in ports]
    for port in ports:
        until_answered(port)
    for _ in range(runs):
        time.sleep(0 if quick else STEADY_SECONDS)
        broken(sshd)
        with ThreadPoolExecutor() as threads:
            for found, seconds in zip(taken, threads.map(until_answered, ports), strict=True):
                found.append(seconds)
    return taken


def kill(sshd: Sshd) -> None:
    """Kill the session, as a crash would; the SSH server goes on taking logins."""
    sshd.kill_sessions()


def away(sshd: Sshd) -> None:
    """Take the SSH server away and bring it back."""
    sshd.kill()
    time.sleep(AWAY_SECONDS)
    sshd.start()


def until_answered(port: int) -> float:
    """Ask the database through a port until it answers; return the seconds. Raises TimeoutError."""
    began = time.perf_counter()
    while not answers(port):
        if time.perf_counter() - began > GIVE_UP_SECONDS:
            raise TimeoutError(f"no answer within {GIVE_UP_SECONDS:.0f} s")
        time.sleep(0.005)
    return time.perf_counter() - began


def answers(port: int) -> bool:
    """Return whether the database answers through a port now. A client that is kept waiting waits."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(SSL_REQUEST)
        return client.recv(1) == b"N"
    return False


def spreads(times: Sequence[Sequence[float]]) -> tuple[str, str]:
    """Return each one's median, and the longest beside it; words where autossh is missing."""
    said = [f"{duration(median(one))} (longest {duration(max(one))})" for one in times]
    return said[0], said[1] if len(said) > 1 else "not installed"
