"""Services behind a TCP port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.keys.authorized import restricted_line
from canary_tui.servers.model import Database, Engine, ProbePlan, Server, SshServer
from tests.servers.world import World

if TYPE_CHECKING:
    from tests.harness.sshd import Sshd

HOST = "127.0.0.1"


def service(world: World, port: int, sshd: Sshd | None = None, *, timeout: float = 5.0) -> Server:
    """An entry for what listens on ``port``; its key is installed as `canary key` prints it."""
    ssh = None
    if sshd is not None:
        sshd.authorize(restricted_line(world.key("cache").line, HOST, port))
        world.trust(sshd)
        ssh = SshServer(host=sshd.host, port=sshd.port, user=sshd.user, key="cache")
    server = Server(
        name="cache",
        engine=Engine.TCP,
        database=Database(host=HOST, port=port),
        ssh=ssh,
        probe=ProbePlan(timeout=timeout, slow_after=5),
    )
    return server.fitting()
