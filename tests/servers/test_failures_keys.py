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
from canary_tui.monitor.service import Monitor
from tests.harness.ports import eventually, free_port
from tests.servers.matrix import Case
from tests.servers.stand import command, do
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.stand import Stand


def key_file(stand: Stand) -> Path:
    return stand.world.paths.keys / "orders"


async def key_moved(stand: Stand) -> None:
    server = stand.server()
    elsewhere = key_file(stand).rename(stand.world.folder / "elsewhere")
    await stand.fails(server)
    await stand.works(with_ssh(server, key=str(elsewhere)))


async def key_gone_for_good(stand: Stand) -> None:
    """The second remedy: take the entry out, and install the key that is then made."""
    server = stand.server()
    stand.world.write(server)
    for name in ("orders", "orders.pub"):
        key_file(stand).with_name(name).unlink()
    await stand.fails(server)
    key = await stand.world.tools.key_of(server := with_ssh(server, key=""))
    stand.sshd.deauthorize()
    stand.sshd.authorize(key.line)
    await stand.works(server)


async def _spoiled(stand: Stand, content: bytes) -> None:
    server = stand.server()
    good = key_file(stand).read_bytes()
    key_file(stand).write_bytes(content)
    await stand.fails(server)
    key_file(stand).write_bytes(good)
    await stand.works(server)


async def key_empty(stand: Stand) -> None:
    await _spoiled(stand, b"")


async def key_is_no_key(stand: Stand) -> None:
    await _spoiled(stand, bytes(range(256)) * 8)


async def key_is_the_public_one(stand: Stand) -> None:
    server = stand.server()
    failure = await stand.fails(with_ssh(server, key=f"{key_file(stand)}.pub"))
    assert "public key" in failure.detail
    await stand.works(with_ssh(server, key=str(key_file(stand))))


async def key_encrypted(stand: Stand) -> None:
    server = stand.server()
    key = asyncssh.read_private_key(key_file(stand))
    key_file(stand).write_bytes(key.export_private_key("pkcs8-pem", passphrase="secret"))
    failure = await stand.fails(server)
    # A person would type the passphrase; here it is given.
    do(command(failure, "ssh-keygen -p") + " -P secret -N ''")
    await stand.works(server)


async def key_is_a_folder(stand: Stand) -> None:
    server = stand.server()
    await stand.fails(with_ssh(server, key=str(stand.world.paths.keys)))
    await stand.works(server)


async def key_readable_by_others(stand: Stand) -> None:
    server = stand.server()
    key_file(stand).chmod(0o640)
    failure = await stand.fails(server)
    do(command(failure, "chmod 600"))
    await stand.works(server)


async def known_hosts_is_a_folder(stand: Stand) -> None:
    server = stand.server()
    path = stand.world.paths.known_hosts
    good = path.rename(path.with_name("good"))
    path.mkdir()
    failure = await stand.fails(server)
    assert str(path) in failure.summary
    do(command(failure, "mv "))
    good.rename(path)
    await stand.works(server)


async def known_hosts_line_wrong(stand: Stand) -> None:
    server = stand.server()
    path = stand.world.paths.known_hosts
    good = path.read_bytes()
    assert server.ssh is not None
    where = f"[{server.ssh.host}]:{server.ssh.port}".encode()
    path.write_bytes(good + b"@no-such-mark somebody-else key\n")
    await stand.works(server)  # another host's line is no trouble of this one
    path.write_bytes(good + b"@no-such-mark " + where + b" key\n")
    failure = await stand.fails(server)
    assert str(path) in " ".join(failure.remedies)
    assert failure.detail.startswith(f"{path}:")
    path.write_bytes(good)
    await stand.works(server)


async def servers_file_broken_meanwhile(stand: Stand) -> None:
    """A server without an entry for its key: which one it is cannot be written down."""
    server = with_ssh(stand.server(), key="")
    stand.world.write(server)
    good = stand.world.paths.servers.read_bytes()
    stand.world.paths.servers.write_bytes(b"servers: [\n")
    await stand.fails(server)
    stand.world.paths.servers.write_bytes(good)
    await stand.works(server)


async def port_taken(stand: Stand) -> None:
    """The monitor's own case: no probe needs the local port."""
    assert stand.case is not None
    port = free_port()
    stand.world.write(with_ssh(stand.server(), local_port=port))
    other = stand.open(socket.create_server(("127.0.0.1", port)))
    monitor = Monitor(stand.world.paths)
    monitor.start()
    try:
        await eventually(lambda: monitor.snapshot().loaded)
        monitor.hold("orders")
        failure = await eventually(lambda: (row := monitor.snapshot().row("orders")) and row.failure)
        assert isinstance(failure, Failure)
        assert (failure.stage, failure.cause) == (stand.case.stage, stand.case.cause)
        assert str(port) in failure.summary
        assert str(os.getpid()) in do(command(failure, "ps -fp"))
        other.close()
        monitor.retry_now("orders")
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
async def test_what_is_wrong_here_is_named_before_anything_is_dialled(case: Case, stand: Stand) -> None:
    async with stand.of(case):
        await case.run(stand)
