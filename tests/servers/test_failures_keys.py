"""The matrix: files and a port on this machine that are not as they should be."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import asyncssh
import pytest

from canary_tui.diagnosis.stages import Cause, Failure, Stage
from canary_tui.monitor.board import Health
from canary_tui.monitor.local import LocalMonitor
from canary_tui.monitor.requests import RetryNow
from tests.harness.ports import eventually, free_port
from tests.servers.failure_case import Case, do
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.failure_case import FailureCase


def key_file(case: FailureCase) -> Path:
    return case.world.paths.keys / "orders"


async def key_moved(case: FailureCase) -> None:
    server = case.server()
    elsewhere = key_file(case).rename(case.world.folder / "elsewhere")
    await case.fails(server)
    await case.works(with_ssh(server, key=str(elsewhere)))


async def key_gone_for_good(case: FailureCase) -> None:
    """The second remedy: take the entry out, and install the key that is then made."""
    server = case.server()
    case.world.write(server)
    for name in ("orders", "orders.pub"):
        key_file(case).with_name(name).unlink()
    await case.fails(server)
    key = await case.world.tools.key_of(server := with_ssh(server, key=""))
    case.sshd.deauthorize()
    case.sshd.authorize(key.line)
    await case.works(server)


async def _spoiled(case: FailureCase, content: bytes) -> None:
    server = case.server()
    good = key_file(case).read_bytes()
    key_file(case).write_bytes(content)
    await case.fails(server)
    key_file(case).write_bytes(good)
    await case.works(server)


async def key_empty(case: FailureCase) -> None:
    await _spoiled(case, b"")


async def key_is_no_key(case: FailureCase) -> None:
    await _spoiled(case, bytes(range(256)) * 8)


async def key_is_the_public_one(case: FailureCase) -> None:
    server = case.server()
    failure = await case.fails(with_ssh(server, key=f"{key_file(case)}.pub"))
    assert "public key" in failure.detail
    await case.works(with_ssh(server, key=str(key_file(case))))


async def key_encrypted(case: FailureCase) -> None:
    server = case.server()
    key = asyncssh.read_private_key(key_file(case))
    key_file(case).write_bytes(key.export_private_key("pkcs8-pem", passphrase="secret"))
    await case.fails(server)
    # A person would type the passphrase; here it is given.
    do(case.advice("ssh-keygen -p") + " -P secret -N ''")
    await case.works(server)


async def key_is_a_folder(case: FailureCase) -> None:
    server = case.server()
    await case.fails(with_ssh(server, key=str(case.world.paths.keys)))
    await case.works(server)


async def key_readable_by_others(case: FailureCase) -> None:
    server = case.server()
    key_file(case).chmod(0o640)
    await case.fails(server)
    do(case.advice("chmod 600"))
    await case.works(server)


async def known_hosts_is_a_folder(case: FailureCase) -> None:
    server = case.server()
    path = case.world.paths.known_hosts
    good = path.rename(path.with_name("good"))
    path.mkdir()
    failure = await case.fails(server)
    assert str(path) in failure.summary
    do(case.advice("mv "))
    good.rename(path)
    await case.works(server)


async def known_hosts_line_wrong(case: FailureCase) -> None:
    server = case.server()
    path = case.world.paths.known_hosts
    good = path.read_bytes()
    assert server.ssh is not None
    where = f"[{server.ssh.host}]:{server.ssh.port}".encode()
    path.write_bytes(good + b"@no-such-mark somebody-else key\n")
    await case.works(server)  # another host's line is no trouble of this one
    path.write_bytes(good + b"@no-such-mark " + where + b" key\n")
    failure = await case.fails(server)
    assert str(path) in " ".join(failure.remedies)
    assert failure.detail.startswith(f"{path}:")
    path.write_bytes(good)
    await case.works(server)


async def servers_file_broken_meanwhile(case: FailureCase) -> None:
    """A server without an entry for its key: which one it is cannot be written down."""
    server = with_ssh(case.server(), key="")
    case.world.write(server)
    good = case.world.paths.servers.read_bytes()
    case.world.paths.servers.write_bytes(b"servers: [\n")
    await case.fails(server)
    case.world.paths.servers.write_bytes(good)
    await case.works(server)


async def port_taken(case: FailureCase) -> None:
    """The monitor's own case: no probe needs the local port."""
    port = free_port()
    case.world.write(with_ssh(case.server(), local_port=port))
    other = case.open(socket.create_server(("127.0.0.1", port)))
    monitor = LocalMonitor(case.world.paths)
    monitor.start()
    try:
        await eventually(lambda: monitor.snapshot().loaded)
        failure = await eventually(lambda: (row := monitor.snapshot().row("orders")) and row.failure)
        assert isinstance(failure, Failure)
        case.failure = failure
        assert (failure.stage, failure.cause) == (case.expected.stage, case.expected.cause)
        assert str(port) in failure.summary
        assert str(os.getpid()) in do(case.advice("ps -fp"))
        other.close()
        monitor.ask(RetryNow("orders"))
        await eventually(lambda: (row := monitor.snapshot().row("orders")) and row.health is Health.UP)
    finally:
        assert await asyncio.to_thread(monitor.stop, 5)


CASES = tuple(
    Case(run.__name__, cause, Stage.SETTINGS, run)
    for cause, runs in {
        Cause.KEY_MISSING: (key_moved, key_gone_for_good),
        Cause.KEY_UNREADABLE: (
            key_empty,
            key_is_no_key,
            key_is_the_public_one,
            key_encrypted,
            key_is_a_folder,
        ),
        Cause.KEY_PERMISSIONS: (key_readable_by_others,),
        Cause.SETTINGS_INVALID: (
            known_hosts_is_a_folder,
            known_hosts_line_wrong,
            servers_file_broken_meanwhile,
        ),
        Cause.LOCAL_PORT_TAKEN: (port_taken,),
    }.items()
    for run in runs
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_is_wrong_here_is_named_before_anything_is_dialled(
    case: Case, failure_case: FailureCase
) -> None:
    await failure_case.run(case)
