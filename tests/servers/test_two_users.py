"""Two unprivileged users of one machine: one runs canary-tui, the other attacks its local end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.harness.accounts import login_account
from tests.harness.neighbours import Flood, Squatter
from tests.harness.ports import free_port, has_ipv6
from tests.servers.cli import environment
from tests.servers.held_tunnel import psql
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tell"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users"),
]
OTHER = "nobody"
AS_USER = """
import encodings.ascii, encodings.idna, encodings.latin_1, email.parser, importlib, os, pkgutil, sys
import canary_tui
for module in pkgutil.walk_packages(canary_tui.__path__, "canary_tui."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
uid, gid = map(int, sys.argv[1:3])
del sys.argv[1:3]
os.setgroups([])
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
from canary_tui.cli.main import main
main()
"""
"""``canary`` as another user, who may not be allowed to read this Python: all of it is imported before."""


@pytest.fixture
def home(server_folder: Path, sshd: Sshd) -> Iterator[World]:
    """The files of the unprivileged user, in a folder that they may pass through."""
    folder = server_folder / f"home-{os.urandom(4).hex()}"
    folder.mkdir(mode=0o755)
    user = World(folder)
    yield user
    user.close()
    sshd.deauthorize()


@contextmanager
def connected(user: World) -> Iterator[subprocess.Popen[str]]:
    """``canary connect orders`` as the unprivileged user, once it says where the tunnel is."""
    account = login_account()
    settings = environment(user)
    for path in (user.folder, *user.folder.rglob("*")):
        os.chown(path, *account.owner, follow_symlinks=False)
    command = [sys.executable, "-c", AS_USER, *map(str, account.owner), "connect", "orders"]
    process = subprocess.Popen(
        command, env=settings, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "PGHOSTADDR=127.0.0.1" in line, line or process.communicate()[1]
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> str:
    """End it as Ctrl-C does and return what it has said to its user."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=30)[1]


async def test_the_other_one_is_turned_away_from_the_tunnel_of_the_first(
    home: World, sshd: Sshd, postgres: Postgres
) -> None:
    me, port = login_account().name, free_port()
    home.write(with_ssh(home.server(postgres, sshd), local_port=port))
    before = postgres.logins_seen()
    with connected(home) as process, Flood("127.0.0.1", port, rate=3000, seconds=60, user=OTHER):
        for host in ("127.0.0.1", "::1") if has_ipv6() else ("127.0.0.1",):
            assert await psql(postgres, f"host={host} port={port}", user=me) == "hello"
            for stranger in (OTHER, "root"):
                assert "server closed the connection" in await psql(
                    postgres, f"host={host} port={port}", user=stranger
                )
        said = await asyncio.to_thread(ended, process)
    served = 2 if has_ipv6() else 1
    assert postgres.logins_seen() == before + served
    refused = [line for line in said.splitlines() if "client refused" in line]
    assert len(refused) == 2
    assert f" more clients of other users ({OTHER}, uid " in refused[1]
    assert "root, uid 0" in refused[1]


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
async def test_the_other_ones_listener_is_named_though_its_process_is_hidden(
    home: World, sshd: Sshd, postgres: Postgres
) -> None:
    me, port = login_account().name, free_port()
    home.write(with_ssh(home.server(postgres, sshd), local_port=port))
    with Squatter("::1", port, user=OTHER) as squatter, connected(home) as process:
        assert await psql(postgres, f"host=127.0.0.1 port={port}", user=me) == "hello"
        said = await asyncio.to_thread(ended, process)
        assert squatter.stop() == ""
    assert said.count(f"[::1]:{port} belongs to a program of another user ({OTHER}, uid ") == 1
    assert "pid" not in said.partition("belongs to")[2].partition(":")[0]


async def test_a_port_that_the_other_one_has_is_not_connected_to(
    home: World, sshd: Sshd, postgres: Postgres
) -> None:
    port = free_port()
    home.write(with_ssh(home.server(postgres, sshd), local_port=port))
    with Squatter("127.0.0.1", port, user=OTHER) as squatter, connected(home) as process:
        said = await asyncio.to_thread(ended, process)
        assert f"orders is at 127.0.0.1:{port}" not in said
        assert "orders is at 127.0.0.1:" in said
        assert squatter.stop() == ""
