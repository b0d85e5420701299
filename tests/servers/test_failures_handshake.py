"""The matrix: something answers, and it does not become an SSH connection."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from tests.harness.misbehave import ClosesAtOnce, ResetsAtOnce, Says, Silent
from tests.harness.ports import eventually
from tests.harness.proxy import Proxy
from tests.servers.matrix import Case
from tests.servers.stand import QUICK, at
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.harness.mariadb import MariaDB
    from tests.harness.misbehave import Fake
    from tests.servers.stand import Stand

BANNER = b"SSH-2.0-OpenSSH_9.2p1\r\n"


async def gives_way(stand: Stand, fake: Fake, *, timeout: float = QUICK) -> None:
    """Meet a fake in the SSH server's place; then the real one takes it."""
    with fake:
        server = stand.moved(stand.server(timeout=timeout), fake.port)
        await stand.fails(server)
    stand.open(Proxy((stand.sshd.host, stand.sshd.port), port=fake.port))
    await stand.works(server)


def faked(name: str, fake: Callable[[], Fake]) -> Callable[[Stand], Awaitable[None]]:
    """Return a case's run: a small honest fake, and then the real server."""

    async def run(stand: Stand) -> None:
        await gives_way(stand, fake())

    run.__name__ = name
    return run


async def postgresql_on_the_ssh_port(stand: Stand) -> None:
    server = stand.server()
    await stand.fails(with_ssh(server, port=stand.postgres.port))
    await stand.works(server)


async def max_startups(stand: Stand) -> None:
    ssh = stand.own_sshd("MaxStartups 1:100:1")
    server = stand.server(ssh)
    with socket.create_connection((ssh.host, ssh.port)):
        await eventually(ssh.sessions)
        failure = await stand.fails(server)
    assert "MaxStartups" in failure.detail
    await eventually(lambda: not ssh.sessions())
    await stand.works(server)


async def suspended(stand: Stand) -> None:
    """The machine takes connections and its SSH server does not run."""
    ssh = stand.own_sshd()
    server = stand.server(ssh, timeout=QUICK)
    ssh.suspend()
    try:
        await stand.fails(server)
    finally:
        ssh.resume()
    await stand.works(server)


async def wire_dead_after_the_connection(stand: Stand) -> None:
    """A proxy takes the connection, and then nothing passes."""
    proxy = stand.open(Proxy((stand.sshd.host, stand.sshd.port)))
    server = stand.moved(stand.server(timeout=QUICK), proxy.port)
    await stand.fails(server, at(Stage.HANDSHAKE, proxy.drop))
    proxy.resume()
    await stand.works(server)


async def _only(stand: Stand, *lines: str, host_keys: tuple[str, ...] = ("ed25519",)) -> None:
    """An sshd with few algorithms; the remedy takes the lines out, so that the defaults hold."""
    ssh = stand.own_sshd(*lines, host_key_types=host_keys)
    server = stand.server(ssh)
    failure = await stand.fails(server)
    assert "No matching" in failure.detail
    ssh.options = []
    ssh.restart()
    await stand.works(server)


async def old_key_exchange(stand: Stand) -> None:
    await _only(stand, "KexAlgorithms diffie-hellman-group1-sha1")


async def key_exchange_in_a_group_of_the_servers_own(stand: Stand) -> None:
    """The prime that the server sends would be tested on the event loop: 1 s for one of 2048 bits."""
    await _only(stand, "KexAlgorithms diffie-hellman-group-exchange-sha256")


async def old_cipher(stand: Stand) -> None:
    await _only(stand, "Ciphers 3des-cbc,aes256-cbc")


async def old_mac(stand: Stand) -> None:
    await _only(stand, "Ciphers aes128-ctr", "MACs hmac-md5-96")


async def old_host_key_algorithm(stand: Stand) -> None:
    await _only(stand, "HostKeyAlgorithms ssh-rsa", host_keys=("rsa",))


SMTP = b"220 mail.example.com ESMTP Postfix\r\n"
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
FAKES: tuple[tuple[Cause, str, Callable[[], Fake]], ...] = (
    (Cause.NOT_SSH, "smtp", lambda: Says(SMTP)),
    (Cause.NOT_SSH, "http", lambda: Says(HTTP, "close", after_client=True)),
    (Cause.NOT_SSH, "a_line_and_the_end", lambda: Says(b"hello\r\n", "close")),
    (Cause.NOT_SSH, "lines_without_a_version", lambda: Says(b"hello\r\n" * 1000)),
    (Cause.SSH_TOO_MANY_CONNECTIONS, "penalty", lambda: Says(b"Not allowed at this time\r\n", "close")),
    (Cause.SSH_CLOSED_EARLY, "closes_at_once", ClosesAtOnce),
    (Cause.SSH_CLOSED_EARLY, "resets_at_once", ResetsAtOnce),
    (Cause.SSH_CLOSED_EARLY, "closes_after_its_version", lambda: Says(BANNER, "close")),
    (Cause.SSH_CLOSED_EARLY, "resets_after_its_version", lambda: Says(BANNER, "reset")),
    (Cause.SSH_CLOSED_EARLY, "garbage_after_its_version", lambda: Says(BANNER + b"\0" * 64, "close")),
    (Cause.SSH_NO_ANSWER, "silent_port", Silent),
    (Cause.SSH_NO_ANSWER, "half_a_version", lambda: Says(b"SSH-2.")),
    (Cause.SSH_NO_ANSWER, "silent_after_its_version", lambda: Says(BANNER)),
    (Cause.SSH_NO_ANSWER, "silent_after_lines_and_version", lambda: Says(b"Welcome.\r\n" + BANNER)),
    (Cause.SSH_NO_COMMON_ALGORITHM, "ssh_1", lambda: Says(b"SSH-1.5-1.2.27\n")),
)

CASES = (
    *(Case(name, cause, Stage.HANDSHAKE, faked(name, fake)) for cause, name, fake in FAKES),
    *(
        Case(run.__name__, cause, Stage.HANDSHAKE, run)
        for cause, runs in {
            Cause.NOT_SSH: (postgresql_on_the_ssh_port,),
            Cause.SSH_TOO_MANY_CONNECTIONS: (max_startups,),
            Cause.SSH_NO_ANSWER: (suspended, wire_dead_after_the_connection),
            Cause.SSH_NO_COMMON_ALGORITHM: (
                old_key_exchange,
                key_exchange_in_a_group_of_the_servers_own,
                old_cipher,
                old_mac,
                old_host_key_algorithm,
            ),
        }.items()
        for run in runs
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_is_no_ssh_connection_is_named(case: Case, stand: Stand) -> None:
    async with stand.of(case):
        await case.run(stand)


async def test_mysql_on_the_ssh_port_is_told_as_no_ssh_server(stand: Stand, mariadb: MariaDB) -> None:
    async def run(stand: Stand) -> None:
        server = stand.server()
        await stand.fails(with_ssh(server, port=mariadb.port))
        await stand.works(server)

    async with stand.of(case := Case("mysql", Cause.NOT_SSH, Stage.HANDSHAKE, run)):
        await case.run(stand)


async def test_lines_before_the_version_do_no_harm(stand: Stand) -> None:
    """RFC 4253 §4.2: a server may say something before its version."""
    ssh = stand.own_sshd()
    server = stand.server(ssh)
    with Greeting((ssh.host, ssh.port)) as greeting:
        await stand.works(stand.moved(server, greeting.port, ssh=ssh))


class Greeting(Proxy):
    """A proxy that says some lines first, as some gateways do."""

    async def _serve(self, client: socket.socket) -> None:
        client.sendall(b"Authorised users only.\r\nAll is recorded.\r\n")
        await super()._serve(client)
