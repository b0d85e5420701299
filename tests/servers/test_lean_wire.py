"""What a tunnel puts on the wire: nothing but what is needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.constants import MSG_IGNORE
from asyncssh.packet import String

from canary_tui.databases.first_bytes import SSL_REQUEST
from canary_tui.diagnosis.trace import Trace
from canary_tui.tunnels.dial import dial
from canary_tui.tunnels.route import SshRoute
from tests.harness.ports import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

EMPTY = "Received SSH2_MSG_IGNORE"
"""What sshd logs at DEBUG3 for each such packet."""


async def test_no_empty_packets_go_before_those_with_data(
    world: World, postgres: Postgres, make_sshd: Callable[..., Sshd]
) -> None:
    sshd = make_sshd({"LogLevel": "DEBUG3"})
    server = world.server(postgres, sshd)
    assert server.tunnel is not None
    trace = Trace(time.perf_counter)
    ssh = await dial(server.tunnel, world.key(server.name).private, world.tools.known_hosts, trace)
    try:
        end = await SshRoute(ssh, postgres.host, postgres.port).open(trace)
        end.write(SSL_REQUEST)
        assert await end.held_bytes(1) == b"N", "the database has answered, so sshd has read all of it"
        assert EMPTY not in sshd.log_text()
        asyncssh.SSHClientConnection.send_packet(ssh.connection, MSG_IGNORE, String(b""))
        await eventually(lambda: EMPTY in sshd.log_text(), what="sshd logs them")
        end.abort()
    finally:
        await ssh.close()
