"""The harness itself: what the other server tests stand on."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import pwd
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from tests.harness import accounts, needs
from tests.harness.certs import Authority
from tests.harness.misbehave import BlackHole, ClosesAtOnce, ResetsAtOnce, Says, Silent
from tests.harness.ports import eventually, is_listening, wait_for
from tests.harness.postgres import Postgres
from tests.harness.process import is_running
from tests.harness.sshd import Sshd


def _new_key(server: Sshd, options: str = "") -> asyncssh.SSHKey:
    key = asyncssh.generate_private_key("ssh-ed25519")
    server.authorize(f"{options} {key.export_public_key().decode()}".strip())
    return key


async def _ssh(server: Sshd, key: asyncssh.SSHKey) -> asyncssh.SSHClientConnection:
    lines = "".join(f"[{server.host}]:{server.port} {line}\n" for line in server.host_public_keys)
    return await asyncssh.connect(
        server.host,
        server.port,
        username=server.user,
        client_keys=[key],
        agent_path=None,
        config=None,
        known_hosts=asyncssh.import_known_hosts(lines),
        login_timeout=5,
    )


async def test_sshd_counts_logins_and_forwards_and_lets_commands_run(sshd: Sshd, postgres: Postgres) -> None:
    key = _new_key(sshd)
    logins, forwards = sshd.logins(), sshd.forwards()
    async with await _ssh(sshd, key) as connection:
        result = await connection.run("id -un")
        assert str(result.stdout).strip() == sshd.user
        reader, writer = await connection.open_connection(postgres.host, postgres.port)
        writer.write(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # SSLRequest
        assert await reader.read(1) == b"N"
        writer.close()
        assert len(sshd.sessions()) == 1
    assert sshd.logins() == logins + 1
    assert sshd.forwards() == forwards + 1
    await eventually(lambda: not sshd.sessions())
    sshd.deauthorize()
    with pytest.raises(asyncssh.PermissionDenied):
        await _ssh(sshd, key)


async def test_sshd_keeps_its_port_and_loses_its_sessions_when_killed(
    make_sshd: Callable[..., Sshd],
) -> None:
    server = make_sshd()
    key, port = _new_key(server), server.port
    connection = await _ssh(server, key)
    sessions = server.sessions()
    server.kill()
    await asyncio.wait_for(connection.wait_closed(), 5)
    assert not server.running
    assert not any(map(is_running, sessions))
    with pytest.raises(ConnectionRefusedError):
        await _ssh(server, key)
    server.start()
    assert server.port == port
    async with await _ssh(server, key):
        server.stop(keep_sessions=True)
        assert len(server.sessions()) == 1
        server.start()
        assert len(server.sessions()) == 1
        server.kill_sessions()
        assert server.sessions() == []


async def test_sshd_suspends_and_changes_options_and_host_keys(make_sshd: Callable[..., Sshd]) -> None:
    server = make_sshd(["AllowTcpForwarding no"], ("ed25519", "ecdsa", "rsa"))
    key = _new_key(server)
    kinds = [line.split()[0] for line in server.host_public_keys]
    assert kinds == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
    connection = await _ssh(server, key)
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.open_connection("127.0.0.1", server.port)
    server.suspend()
    command = asyncio.ensure_future(connection.run("echo back"))
    done, _ = await asyncio.wait([command], timeout=0.2)
    assert not done
    server.resume()
    assert str((await command).stdout) == "back\n"
    before = server.host_public_keys
    server.options = {"AllowUsers": "nobody-else"}
    server.replace_host_keys(["ed25519"])
    await asyncio.wait_for(connection.wait_closed(), 5)
    assert server.host_public_keys[0] not in before
    with pytest.raises(asyncssh.PermissionDenied):
        await _ssh(server, key)


def test_certificates_expire_and_have_other_authorities(authority: Authority, tmp_path: Path) -> None:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    cases = {
        "certificate has expired": authority.issue(["db.internal"], not_after=yesterday),
        "unable to get local issuer": Authority(tmp_path, "Other CA").issue(["db.internal"]),
        "Hostname mismatch": authority.issue(["other.internal", "127.0.0.1"]),
    }
    for words, certificate in cases.items():
        assert certificate.key.stat().st_mode & 0o777 == 0o600
        with pytest.raises(ssl.SSLCertVerificationError, match=words):
            _handshake(certificate.cert, certificate.key, authority.ca)
    good = authority.issue(["db.internal"])
    _handshake(good.cert, good.key, authority.ca)


def _handshake(cert: Path, key: Path, ca: Path) -> None:
    """A TLS handshake for db.internal, in memory."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(cert, key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    context = ssl.create_default_context(cafile=str(ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    client = context.wrap_bio(to_client, to_server, server_hostname="db.internal")
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_fakes_misbehave() -> None:
    with Silent() as silent, socket.create_connection((silent.host, silent.port)) as client:
        client.sendall(b"hello")
        wait_for(lambda: silent.received == b"hello")
        assert silent.connections == silent.open_connections == 1
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
    with ClosesAtOnce() as closing, socket.create_connection((closing.host, closing.port)) as client:
        assert client.recv(1) == b""
    with (
        ResetsAtOnce() as resetting,
        socket.create_connection((resetting.host, resetting.port)) as client,
        pytest.raises(ConnectionResetError),
    ):
        client.recv(1)
    with Says(b"N", "close", after_client=True) as saying:
        for _ in range(2):
            with socket.create_connection((saying.host, saying.port)) as client:
                client.sendall(b"SSL?")
                assert (client.recv(9), client.recv(9)) == (b"N", b"")
        assert saying.connections == 2
    with BlackHole() as hole, pytest.raises(TimeoutError):
        socket.create_connection((hole.host, hole.port), timeout=0.2)
    for fake in (silent, closing, resetting, saying, hole):
        assert not is_listening(fake.port)


def test_servers_die_with_their_parent(server_folder: Path) -> None:
    program = (
        "import sys, time, pathlib; from tests.harness.sshd import Sshd\n"
        f"server = Sshd(pathlib.Path({str(server_folder / 'orphan')!r})); server.start()\n"
        "print(server.pid, server.user, flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, user = parent.stdout.readline().split()
        assert is_running(int(pid))
        parent.kill()
    wait_for(lambda: not is_running(int(pid)))
    if os.geteuid() == 0:
        accounts._sweep()
        with pytest.raises(KeyError):
            pwd.getpwnam(user)


def test_missing_servers_are_skipped_or_fail_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(needs.PROGRAMS, "db2", ("no-such-program",))
    assert needs.missing("sshd", "db2") == ["db2"]
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs db2"):
        needs.require("db2")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs db2"):
        needs.require("db2")
    lines = needs.not_run(["Skipped: needs db2", "Skipped: on Windows", "Skipped: needs db2"])
    assert lines == ["NOT RUN: 2 tests that need db2"]


def test_a_suspended_server_can_be_stopped(make_sshd: Callable[..., Sshd]) -> None:
    server = make_sshd()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert not is_running(pid)
    assert not is_listening(server.port)
