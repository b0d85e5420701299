"""`engine: tcp` at the command line: added, probed, listed, and no password anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from canary_tui.servers.model import Database, Engine, Server
from tests.harness.misbehave import Says, Silent
from tests.harness.ports import free_port
from tests.servers.cli import LIMIT, Canary, start
from tests.servers.tcp_services import HOST, service
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from tests.harness.sshd import Sshd


ADD = ("add", "cache", "--engine", "tcp", "--db-host", HOST)


def test_it_is_added_probed_and_listed_at_the_command_line(world: World, sshd: Sshd, canary: Canary) -> None:
    world.trust(sshd)
    with Silent() as silent:
        ssh = ("--ssh-host", sshd.host, "--ssh-port", str(sshd.port), "--ssh-user", sshd.user)
        added = canary(*ADD, "--db-port", str(silent.port), *ssh)
        assert added.status == 0, added.err
        sshd.authorize(added.out.strip())
        probed = canary("probe", "cache", "--json")
        assert probed.status == 0, probed.out
        assert '"query"' not in probed.out
        listed = canary("list", "--json")
    assert '"engine":"tcp"' in listed.out.replace(": ", ":")
    assert '"tls":null' in listed.out.replace(": ", ":")
    text = world.paths.servers.read_text()
    assert not any(key in text for key in ("user: root", "tls:", "query:", "password:", "name: orders"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "--db-port is needed: --engine tcp has no usual one"),
        (("--db-port", "1", "--db-user", "me"), "--db-user does not go with --engine tcp"),
        (("--db-port", "1", "--db-name", "me"), "--db-name does not go with --engine tcp"),
        (("--db-port", "1", "--tls", "verify-full"), "--tls does not go with --engine tcp"),
        (("--db-port", "1", "--password-keyring"), "--password-keyring does not go with --engine tcp"),
        (("--db-port", "1", "--password-env", "X"), "--password-env does not go with --engine tcp"),
    ],
)
def test_what_it_has_not_is_refused(canary: Canary, world: World, more: tuple[str, ...], said: str) -> None:
    outcome = canary(*ADD, *more)
    assert outcome.status == 2
    assert said in outcome.err
    assert not world.paths.servers.exists()


def test_a_password_is_not_asked_for(canary: Canary, world: World) -> None:
    world.write(service(world, 6379))
    outcome = canary("password", "cache", stdin="hunter2\n")
    assert outcome.status == 2
    assert "engine: tcp has no login" in outcome.err


def test_connect_gives_a_command_the_address_and_nobodys_password(
    world: World, sshd: Sshd, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGPASSWORD", "MYSQL_PWD", "OTHERS_PASSWORD"):
        monkeypatch.setenv(name, "hunter2")
    with Says(b"hello\n") as greeter:
        other = Server(
            name="other",
            engine=Engine.POSTGRESQL,
            database=Database(host="x", port=5432, password=world.password("x", "y")),
        )
        world.write(service(world, greeter.port, sshd), other)
        greeting = "exec 3<>/dev/tcp/$CANARY_HOST/$CANARY_PORT; head -n 1 <&3"
        script = f'{greeting}; env | grep -c "hunter2\\|CANARY_TEST_X"'
        outcome = canary("connect", "cache", "--", "bash", "-c", script)
    assert outcome.out == "hello\n1\n", outcome.err  # OTHERS_PASSWORD is no server's


def test_connect_prints_the_url(world: World, sshd: Sshd) -> None:
    server = with_ssh(service(world, free_port(), sshd), local_port=free_port())
    assert server.ssh is not None
    world.write(server)
    process = start(world, "connect", "cache")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"tcp://{HOST}:{server.ssh.local_port}\n"
    finally:
        process.terminate()
        process.communicate(timeout=LIMIT)
