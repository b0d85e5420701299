"""Whatever answers instead of an SSH server is named by what it said; an SSH server that is slow is none."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.tunnels import greeting
from canary_tui.tunnels.greeting import GREETING_BYTES, greeted
from tests.harness.floods import Floods
from tests.harness.misbehave import Fake, Says
from tests.harness.ports import eventually, free_port, is_listening
from tests.harness.process import find_binary, spawn
from tests.harness.proxy import Proxy
from tests.servers.leftovers import nothing_left
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.failure_case import FailureCase


LIMIT = 1.0
"""Seconds for a whole probe; the server is greeted after a quarter of a second of silence here."""


@dataclass(frozen=True)
class Peer:
    """What answers, and how its words are told."""

    name: str
    fake: Callable[[], Fake | Floods]
    detail: str
    cause: Cause = Cause.NOT_SSH


def answers(words: bytes) -> Callable[[], Fake]:
    return lambda: Says(words, after_client=True)


def says(words: bytes) -> Callable[[], Fake]:
    return lambda: Says(words)


def floods(first: bytes, again: bytes, pause: float = 0.0) -> Floods:
    return Floods((first,), lambda: itertools.repeat(again), pause=pause)


PEERS = (
    Peer("redis", answers(b"-ERR unknown command 'SSH-2.0-canary-tui'\r\n"), "-ERR unknown command"),
    Peer("redis_with_password", answers(b"-NOAUTH Authentication required.\r\n"), "-NOAUTH"),
    Peer("redis_protected", says(b"-DENIED Redis is running in protected mode\r\n"), "-DENIED"),
    Peer("memcached", answers(b"ERROR\r\n"), "it answers 'ERROR'"),
    Peer("smtp", says(b"220-mail.example.com ESMTP\r\n220 ready\r\n"), "220-mail.example.com"),
    Peer("smtp_busy", says(b"421 4.3.2 Service not available\r\n"), "421 4.3.2"),
    Peer("ftp", says(b"220 (vsFTPd 3.0.3)\r\n"), "vsFTPd"),
    Peer("pop3", says(b"+OK Dovecot ready.\r\n"), "+OK Dovecot"),
    Peer("imap", says(b"* OK [CAPABILITY IMAP4rev1] ready\r\n"), "* OK [CAPABILITY"),
    Peer("nntp", says(b"200 news.example.com InterNetNews\r\n"), "200 news"),
    Peer("http", answers(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"), "HTTP/1.1 400"),
    Peer("http_0_9", answers(b"<html><body>Bad Request</body></html>"), "<html>"),
    Peer("mysql", says(b"J\0\0\0\x0a8.0.36\0\x08\0\0\0"), "8.0.36"),
    Peer("postgresql_error", answers(b"E\0\0\0\x2aSFATAL\0C08P01\0Mbad\0\0"), "FATAL"),
    Peer("vnc", says(b"RFB 003.008\n"), "RFB 003.008"),
    Peer("telnet", says(b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23\xff\xfd\x27"), "it answers"),
    Peer("telnet_login", says(b"\r\nlogin: "), "login:"),
    Peer("tls_alert", answers(b"\x15\x03\x01\x00\x02\x02\x46"), "it answers"),
    Peer("rsync", says(b"@RSYNCD: 31.0\n"), "@RSYNCD: 31.0"),
    Peer("nats", says(b'INFO {"server_id":"x","version":"2.9"}\r\n'), "INFO {"),
    Peer("amqp", answers(b"AMQP\0\0\x09\x01"), "AMQP"),
    Peer("echo", answers(b"SSH-2.0-canary-tui\r\n"), "sends back what it is sent"),
    Peer("something_new", answers(b"what do you want\r\n"), "what do you want"),
    Peer("prompt", answers(b"Username: "), "Username:"),
    Peer("lines_at_once", says(b"one\r\ntwo\r\nthree\r\n"), "tarpit?): 'one'"),
    Peer("tarpit_fast", lambda: floods(b"x1y2\r\n", b"zq8 kfj\r\n" * 500), "tarpit?): 'x1y2'"),
    Peer("tarpit", lambda: floods(b"x1y2\r\n", b"zq8 kfj\r\n", pause=0.2), "tarpit?): 'x1y2'"),
    Peer("tarpit_slow", lambda: floods(b"", b"zq8 kfj\r\n", pause=LIMIT * 0.8), "it answers 'zq8 kfj'"),
    Peer("bytes_without_a_line", lambda: floods(b"abc", b"d" * 500), "it answers 'abcddd"),
    Peer("version_of_1_MB", lambda: floods(b"SSH-2.0-", b"A" * 65_536), "longer than an SSH server's"),
    Peer("version_too_long", says(b"SSH-2.0-" + b"A" * 300 + b"\r\n"), "longer than an SSH server's"),
    Peer("version_with_nul", says(b"SSH-2.0-Open\0SSH\r\n"), "not plain text"),
    Peer("version_of_garbage", says(b"SSH-2.0-\xff\xfe\x01\r\n"), "not plain text"),
    Peer("version_with_escape", says(b"SSH-2.0-x\x1b]52;c;Zm9v\x07\r\n"), "not plain text"),
    Peer("hostile_words", says(b"220 \x1b]0;x\x07\xe2\x80\xae mail\r\n"), "220"),
    Peer("ssh_1", says(b"SSH-1.5-1.2.27\n"), "it speaks 'SSH-1.5", Cause.SSH_NO_COMMON_ALGORITHM),
    Peer("ssh_3", says(b"SSH-3.0-next\r\n"), "it speaks 'SSH-3.0", Cause.SSH_NO_COMMON_ALGORITHM),
    Peer("half_a_version", says(b"SSH-2.0-Open"), "did not end it: 'SSH-2.0-Open'", Cause.SSH_NO_ANSWER),
    Peer("full", says(b"Exceeded MaxStartups\r\n"), "Exceeded", Cause.SSH_TOO_MANY_CONNECTIONS),
)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
async def test_what_is_no_ssh_server_is_told_with_its_words(peer: Peer, failure_case: FailureCase) -> None:
    failure_case.monkeypatch.setattr(greeting, "QUIET_SECONDS", LIMIT / 4)
    with peer.fake() as fake:
        async with nothing_left():
            result = await failure_case.world.probe(
                with_ssh(failure_case.server(timeout=LIMIT), port=fake.port)
            )
    failure = result.failure
    assert failure is not None
    assert (failure.stage, failure.cause) == (Stage.HANDSHAKE, peer.cause), failure
    assert peer.detail in failure.detail
    assert failure.detail.isprintable()
    assert result.total_ms < (LIMIT + 1) * 1000


async def test_a_tarpit_is_named_by_a_tunnel_and_a_short_probe_alike() -> None:
    """The caller's time ends it, whatever that is."""
    with floods(b"", b"zq8 kfj\r\n", pause=0.05) as tarpit:
        for seconds in (0.3, 1.5):
            trace = Trace(time.perf_counter)
            trace.enter(Stage.HANDSHAKE)
            with socket.create_connection((tarpit.host, tarpit.port)) as sock:
                sock.setblocking(False)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await greeted(sock, trace)
            failed = trace.timed_out()
            assert (failed.cause, failed.stage) == (Cause.NOT_SSH, None)
            assert "never an SSH version" in failed.detail
        trace.enter(Stage.AUTH)
        assert trace.timed_out().cause is Cause.AUTH_TIMED_OUT, "that was the handshake's"


async def test_no_more_than_the_limit_is_looked_at() -> None:
    with floods(b"", b"a" * 65_536) as fake, socket.create_connection((fake.host, fake.port)) as sock:
        sock.setblocking(False)
        with pytest.raises(Failed) as caught:
            await greeted(sock, Trace(time.perf_counter))
        assert caught.value.cause is Cause.NOT_SSH
        assert len(sock.recv(GREETING_BYTES)) == GREETING_BYTES, "asyncssh would have had all of it"


class Slowly(Proxy):
    """A proxy before a real server, which says ``first`` and then passes the version on as ``pieces``."""

    first = b""
    pause = 0.0

    async def _pump_down(self, upstream: socket.socket, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, self.first)
        version = await loop.sock_recv(upstream, 65_536)
        for byte in version[:60]:
            await loop.sock_sendall(client, bytes([byte]))
            await asyncio.sleep(self.pause)
        await loop.sock_sendall(client, version[60:])
        await super()._pump_down(upstream, client)


@pytest.mark.parametrize(
    "first", [b"", b"Authorised users only.\r\n", "Zutritt für Befugte\n".encode(), b"\r\n"]
)
async def test_a_version_that_comes_byte_by_byte_is_one(first: bytes, failure_case: FailureCase) -> None:
    server = failure_case.server()
    with Slowly((failure_case.sshd.host, failure_case.sshd.port)) as proxy:
        proxy.first, proxy.pause = first, 0.03
        failure_case.monkeypatch.setattr(greeting, "QUIET_SECONDS", 0.3)
        await failure_case.works(failure_case.moved(server, proxy.port))
    assert proxy.connections == 1, "a server that has begun to speak is not greeted first"


REAL = {
    "redis-server": (["--port", "{port}", "--bind", "127.0.0.1", "--save", ""], "-ERR unknown command"),
    "memcached": (["-u", "nobody", "-l", "127.0.0.1", "-p", "{port}"], "it answers 'ERROR'"),
    "endlessh": (["-4", "-p", "{port}", "-d", "100"], "never an SSH version (a tarpit?)"),
}


@pytest.mark.parametrize("program", REAL)
async def test_real_servers_where_they_are_installed(
    program: str, failure_case: FailureCase, tmp_path: Path
) -> None:
    path = find_binary(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    arguments, detail = REAL[program]
    port = free_port()
    command = [str(path), *(argument.replace("{port}", str(port)) for argument in arguments)]
    process = spawn(command, tmp_path / "log", parent_death=signal.SIGKILL)
    try:
        await eventually(lambda: is_listening(port))
        failure_case.monkeypatch.setattr(greeting, "QUIET_SECONDS", LIMIT / 4)
        failure = (
            await failure_case.world.probe(with_ssh(failure_case.server(timeout=LIMIT), port=port))
        ).failure
    finally:
        process.kill()
        process.wait()
    assert failure is not None
    assert failure.cause is Cause.NOT_SSH
    assert detail in failure.detail
