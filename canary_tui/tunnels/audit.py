"""Proves what a server's key can and cannot do on its SSH server, by trying.

Nothing is changed on the SSH server and nothing is left running there. A refusal is told from a grant
by evidence: sshd *grants* a shell to a key with a forced command and then runs that command, so only a
word that comes back from a shell proves one.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from enum import StrEnum
from typing import TYPE_CHECKING

import asyncssh
import msgspec

from canary_tui.diagnosis.findings import what_to_do
from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.diagnosis.trace import Trace
from canary_tui.tunnels.failures import words_of
from canary_tui.tunnels.route import SshRoute

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from canary_tui.tunnels.ssh_connection import SshConnection

TRY_SECONDS = 4.0
"""How long one try may take. A forward that is silent for so long was allowed: a refusal is quick."""
NO_HOST = "canary-audit.invalid"
"""A name that never exists (RFC 2606 §2): whether it may be asked for shows without reaching anybody."""
NO_SOCKET = "/nonexistent/canary-audit"
LIKELY_SOCKETS = ("/run/dbus/system_bus_socket", "/run/systemd/journal/stdout", "/run/docker.sock")


class Found(StrEnum):
    """What a try showed."""

    ALLOWED = "allowed"
    REFUSED = "refused"


class AuditCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried."""

    check: str
    """``database other_port other_host shell command reverse_forward reverse_forward_port_1 unix_socket
    agent root_login``."""
    title: str
    wanted: Found
    found: Found
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return self.found is self.wanted


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that was tried, and the line that limits the key where something is too wide."""

    server: str
    checks: tuple[AuditCheck, ...]
    line: str
    """The restricted ``authorized_keys`` line for this server."""
    software: str = ""
    """The SSH server, as a sentence names it."""
    beyond: tuple[str, ...] = ()
    """The checks that no line closes on that SSH server."""

    @property
    def ok(self) -> bool:
        """Whether the key reaches its database and nothing else."""
        return not self.findings

    @property
    def findings(self) -> list[str]:
        """The checks that are not as they should be."""
        return [check.check for check in self.checks if not check.ok]

    @property
    def advice(self) -> str:
        """What to do about the findings; empty where there are none."""
        return what_to_do(self.findings, self.beyond, self.software) if self.findings else ""


async def beyond_the_database(ssh: SshConnection, user: str, host: str, port: int) -> list[AuditCheck]:
    """Try everything that the key of the database at ``host``:``port`` should not be able to do.

    Raises Failed where the connection ends meanwhile: what it no longer does was not refused.
    """
    other = 1 if port != 1 else 2
    tries: list[tuple[str, str, Callable[[], Awaitable[tuple[bool, str]]]]] = [
        ("other_port", f"another port of {host} ({other})", lambda: _forward(ssh, host, other)),
        ("other_host", "another host", lambda: _forward(ssh, NO_HOST, port)),
        ("unix_socket", "a unix socket", lambda: _unix_socket(ssh)),
        ("shell", "a shell", lambda: _shell(ssh)),
        ("command", "a command", lambda: _command(ssh)),
        ("agent", "agent forwarding", lambda: _agent(ssh)),
        ("reverse_forward", "a reverse forward", lambda: _reverse(ssh, 0)),
        ("reverse_forward_port_1", "a reverse forward of port 1", lambda: _reverse(ssh, 1)),
    ]
    checks = []
    for name, title, attempt in tries:
        allowed, detail = await attempt()
        await asyncio.sleep(0)  # a try that fails at once may do so before the end of the connection is told
        if not ssh.open:
            raise ssh.loss()
        found = Found.ALLOWED if allowed else Found.REFUSED
        checks.append(AuditCheck(check=name, title=title, wanted=Found.REFUSED, found=found, detail=detail))
    root = Found.ALLOWED if user == "root" else Found.REFUSED
    detail = "the login is root: an account of its own limits more" if user == "root" else ""
    checks.append(
        AuditCheck(
            check="root_login", title="a login as root", wanted=Found.REFUSED, found=root, detail=detail
        )
    )
    return checks


async def _forward(ssh: SshConnection, host: str, port: int) -> tuple[bool, str]:
    try:
        async with asyncio.timeout(TRY_SECONDS):
            end = await SshRoute(ssh, host, port).open(Trace(time.perf_counter))
    except TimeoutError:
        return True, "not refused; no answer yet"
    except Failed as failed:
        return failed.cause is not Cause.FORWARDING_NOT_PERMITTED, failed.detail
    end.abort()
    return True, "connected"


async def _unix_socket(ssh: SshConnection) -> tuple[bool, str]:
    """Try to reach a unix socket of the SSH server.

    sshd gives the same answer for a socket that is not there and for one that is not permitted, so only
    one that is there tells: some that most systems have, and the agent's that a session was given.
    """
    for path in LIKELY_SOCKETS:
        if await _reaches(ssh, path):
            return True, f"{path} was reached"
    nonce, quoted = _nonce()
    try:
        async with asyncio.timeout(TRY_SECONDS):
            command = f'echo {quoted}"$SSH_AUTH_SOCK"; cat'
            async with ssh.connection.create_process(command, encoding="utf-8", errors="replace") as holding:
                path = (await holding.stdout.readline()).partition(nonce)[2].strip()
                reached = bool(path) and await _reaches(ssh, path)
                holding.stdin.write_eof()
    except (TimeoutError, asyncssh.Error, OSError):
        return False, "none was reached"
    return reached, f"{Source.SSH_OUTPUT.text(path)} was reached" if reached else "none was reached"


async def _reaches(ssh: SshConnection, path: str) -> bool:
    try:
        async with asyncio.timeout(TRY_SECONDS):
            channel, _ = await ssh.connection.create_unix_connection(asyncssh.SSHUNIXSession[bytes], path)
    except (TimeoutError, asyncssh.ChannelOpenError):
        return False
    channel.abort()
    return True


async def _shell(ssh: SshConnection) -> tuple[bool, str]:
    said, nonce, detail = await _session(ssh, None)
    return nonce in said, detail or ("a shell answered" if nonce in said else "granted, but nothing runs")


async def _command(ssh: SshConnection) -> tuple[bool, str]:
    said, nonce, detail = await _session(ssh, "echo {nonce}")
    return nonce in said, detail or ("it ran" if nonce in said else "granted, but it does not run")


async def _agent(ssh: SshConnection) -> tuple[bool, str]:
    said, nonce, detail = await _session(ssh, 'echo {nonce}"$SSH_AUTH_SOCK"')
    path = said.partition(nonce)[2].strip() if nonce in said else ""
    return bool(path), detail or (
        f"a socket was made: {Source.SSH_OUTPUT.text(path)}" if path else "no socket was made"
    )


async def _session(ssh: SshConnection, command: str | None) -> tuple[str, str, str]:
    """Run a command, or a shell (None), that writes a nonce; return the output, the nonce, a refusal's words.

    The nonce is sent with quotes in it that only a shell takes out: an echo of the input is no proof.
    """
    nonce, quoted = _nonce()
    said = ""
    try:
        async with asyncio.timeout(TRY_SECONDS):
            text = command.format(nonce=quoted) if command is not None else None
            async with ssh.connection.create_process(text, encoding="utf-8", errors="replace") as process:
                if command is None:
                    process.stdin.write(f"echo {quoted}\nexit\n")
                with contextlib.suppress(BrokenPipeError, ConnectionError):
                    process.stdin.write_eof()
                said = await process.stdout.read(100_000)
    except TimeoutError:
        return said, nonce, "" if nonce in said else "granted, but nothing came back"
    except (asyncssh.Error, OSError) as error:
        return said, nonce, words_of(error)
    return said, nonce, ""


def _nonce() -> tuple[str, str]:
    """Return a word that nobody can guess, and how it is spelled for a shell."""
    nonce = secrets.token_hex(12)
    return nonce, f"{nonce[:6]}''{nonce[6:]}"


async def _reverse(ssh: SshConnection, port: int) -> tuple[bool, str]:
    try:
        async with asyncio.timeout(TRY_SECONDS):
            listener = await ssh.connection.forward_remote_port("localhost", port, "127.0.0.1", 9)
    except TimeoutError:
        return False, "no answer"
    except (asyncssh.Error, asyncssh.ChannelListenError, OSError) as error:
        return False, words_of(error)
    detail = f"it listens on port {listener.get_port()} of the SSH server"
    listener.close()
    await listener.wait_closed()
    return True, detail
