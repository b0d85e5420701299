"""The matrix: something answers, and it does not become an SSH connection."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from tests.harness.misbehave import ClosesAtOnce, ResetsAtOnce, Says, Silent
from tests.harness.ports import eventually
from tests.harness.proxy import Proxy
from tests.servers.failure_case import QUICK, Case
from tests.servers.probing import at
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.harness.mariadb import MariaDB
    from tests.harness.misbehave import Fake
    from tests.servers.failure_case import FailureCase

BANNER = b"SSH-2.0-OpenSSH_9.2p1\r\n"


async def gives_way(case: FailureCase, fake: Fake, *, timeout: float = QUICK) -> None:
    """Meet a fake in the SSH server's place; then the real one takes it."""
    with fake:
        server = case.moved(case.server(timeout=timeout), fake.port)
        await case.fails(server)
    case.open(Proxy((case.sshd.host, case.sshd.port), port=fake.port))
    await case.works(server)


def faked(name: str, fake: Callable[[], Fake]) -> Callable[[FailureCase], Awaitable[None]]:
    """Return a case's run: a small honest fake, and then the real server."""

    async def run(case: FailureCase) -> None:
        await gives_way(case, fake())

    run.__name__ = name
    return run


async def postgresql_on_the_ssh_port(case: FailureCase) -> None:
    server = case.server()
    await case.fails(with_ssh(server, port=case.shared_postgres.port))
    await case.works(server)


async def max_startups(case: FailureCase) -> None:
    ssh = case.own_sshd("MaxStartups 1:100:1")
    server = case.server(ssh=ssh)
    with socket.create_connection((ssh.host, ssh.port)):
        await eventually(ssh.sessions)
        failure = await case.fails(server)
    assert "MaxStartups" in failure.detail
    await eventually(lambda: not ssh.sessions())
    await case.works(server)


async def suspended(case: FailureCase) -> None:
    """The machine takes connections and its SSH server does not run."""
    ssh = case.own_sshd()
    server = case.server(ssh=ssh, timeout=QUICK)
    ssh.suspend()
    try:
        await case.fails(server)
    finally:
        ssh.resume()
    await case.works(server)


async def wire_dead_after_the_connection(case: FailureCase) -> None:
    """A proxy takes the connection, and then nothing passes."""
    proxy = case.open(Proxy((case.sshd.host, case.sshd.port)))
    server = case.moved(case.server(timeout=QUICK), proxy.port)
    await case.fails(server, at(Stage.HANDSHAKE, proxy.drop))
    proxy.resume()
    await case.works(server)


async def _only(case: FailureCase, *lines: str, host_keys: tuple[str, ...] = ("ed25519",)) -> None:
    """An sshd with few algorithms; the remedy takes the lines out, so that the defaults hold."""
    ssh = case.own_sshd(*lines, host_key_types=host_keys)
    server = case.server(ssh=ssh)
    failure = await case.fails(server)
    assert "No matching" in failure.detail
    ssh.options = []
    ssh.restart()
    await case.works(server)


async def old_key_exchange(case: FailureCase) -> None:
    await _only(case, "KexAlgorithms diffie-hellman-group1-sha1")


async def key_exchange_in_a_group_of_the_servers_own(case: FailureCase) -> None:
    """The prime that the server sends would be tested on the event loop: 1 s for one of 2048 bits."""
    await _only(case, "KexAlgorithms diffie-hellman-group-exchange-sha256")


async def old_cipher(case: FailureCase) -> None:
    await _only(case, "Ciphers 3des-cbc,aes256-cbc")


async def old_mac(case: FailureCase) -> None:
    await _only(case, "Ciphers aes128-ctr", "MACs hmac-md5-96")


async def old_host_key_algorithm(case: FailureCase) -> None:
    await _only(case, "HostKeyAlgorithms ssh-rsa", host_keys=("rsa",))


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
async def test_what_is_no_ssh_connection_is_named(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)


async def test_mysql_on_the_ssh_port_is_told_as_no_ssh_server(
    failure_case: FailureCase, mariadb: MariaDB
) -> None:
    async def run(case: FailureCase) -> None:
        server = case.server()
        await case.fails(with_ssh(server, port=mariadb.port))
        await case.works(server)

    await failure_case.run(Case("mysql", Cause.NOT_SSH, Stage.HANDSHAKE, run))


async def test_lines_before_the_version_do_no_harm(failure_case: FailureCase) -> None:
    """RFC 4253 §4.2: a server may say something before its version."""
    ssh = failure_case.own_sshd()
    server = failure_case.server(ssh=ssh)
    with Greeting((ssh.host, ssh.port)) as greeting:
        await failure_case.works(failure_case.moved(server, greeting.port, ssh=ssh))


class Greeting(Proxy):
    """A proxy that says some lines first, as some gateways do."""

    async def _serve(self, client: socket.socket) -> None:
        client.sendall(b"Authorised users only.\r\nAll is recorded.\r\n")
        await super()._serve(client)
