"""``canary probe --json`` over real servers: the contract's JSON, stages and causes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from canary_tui.cli.main import run
from canary_tui.diagnosis.stages import Cause
from canary_tui.servers.model import TlsMode
from canary_tui.servers.passwords import Passwords
from tests.servers.world import World, with_database, with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.servers.model import Server
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd

SSH_STAGES = ["resolve", "connect", "handshake", "host_key", "auth", "forward"]


@pytest.fixture
def canary_probe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[World, Server], tuple[int, dict[str, Any]]]:
    """Write a server into the user's file, run ``canary probe NAME --json``, return status and JSON."""

    def probe(world: World, server: Server) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr("canary_tui.cli.main.Paths.of_user", lambda _config: world.paths)
        world.write(server)
        capsys.readouterr()
        status = run(["probe", server.name, "--json"])
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 1
        record: dict[str, Any] = json.loads(lines[0])
        return status, record

    return probe


def stages(record: dict[str, Any]) -> list[str]:
    return [stage["stage"] for stage in record["stages"]]


def test_a_tunnelled_postgresql_gives_every_stage_with_its_time(
    world: World, sshd: Sshd, postgres: Postgres, canary_probe: Any
) -> None:
    status, record = canary_probe(world, world.server(postgres, sshd))
    assert status == 0
    assert stages(record) == ["settings", *SSH_STAGES, "database", "login", "query"]
    assert all(stage["ok"] and stage["ms"] >= 0 for stage in record["stages"])
    assert (record["schema"], record["server"], record["route"]) == (1, "orders", "fresh")
    assert (record["ok"], record["failure"]) == (True, None)
    assert record["total_ms"] >= sum(stage["ms"] for stage in record["stages"]) * 0.99
    assert record["started_at"].endswith("Z")


def test_a_tunnelled_mariadb_gives_every_stage_with_its_time(
    world: World, sshd: Sshd, mariadb: MariaDB, canary_probe: Any
) -> None:
    status, record = canary_probe(world, world.server(mariadb, sshd, name="shop"))
    assert status == 0
    assert stages(record) == ["settings", *SSH_STAGES, "database", "login", "query"]
    assert all(stage["ok"] for stage in record["stages"])


@pytest.mark.parametrize("engine", ["postgres_tls", "mariadb_tls"])
def test_tls_is_a_stage_where_it_is_used(
    world: World, sshd: Sshd, engine: str, canary_probe: Any, request: pytest.FixtureRequest
) -> None:
    database = request.getfixturevalue(engine)
    status, record = canary_probe(world, world.server(database, sshd, tls=TlsMode.REQUIRE))
    assert status == 0
    assert stages(record) == ["settings", *SSH_STAGES, "database", "tls", "login", "query"]
    assert "TLS" in record["stages"][8]["note"]


def test_a_direct_server_has_no_ssh_stages(world: World, postgres: Postgres, canary_probe: Any) -> None:
    status, record = canary_probe(world, world.server(postgres))
    assert status == 0
    assert record["route"] == "direct"
    assert stages(record) == ["settings", "resolve", "connect", "database", "login", "query"]


@pytest.mark.parametrize("engine", ["postgres_tls", "mariadb_tls"])
def test_verify_full_checks_the_real_host_name_through_the_tunnel(
    world: World, sshd: Sshd, engine: str, canary_probe: Any, request: pytest.FixtureRequest, authority: Any
) -> None:
    """The certificate is for db.internal; the tunnel leads to 127.0.0.1, which it is not for."""
    database = request.getfixturevalue(engine)
    server = world.server(database, sshd, tls=TlsMode.VERIFY_FULL, ca_file=str(authority.ca))
    status, record = canary_probe(world, server)
    assert status == 1
    assert (record["failure"]["stage"], record["failure"]["cause"]) == ("tls", "certificate_name_mismatch")
    assert "127.0.0.1" in record["failure"]["summary"]


def refused(world: World, sshd: Sshd, postgres: Postgres) -> Server:
    return world.server(postgres, sshd, port=1)


def name_unknown(world: World, sshd: Sshd, postgres: Postgres) -> Server:
    return world.server(postgres, sshd, host="no-such-host.invalid")


def forwarding_forbidden(world: World, sshd: Sshd, postgres: Postgres) -> Server:
    server = world.server(postgres, sshd, install=False)
    sshd.authorize(f"restrict {world.key('orders').line}")
    return server


def key_not_installed(world: World, sshd: Sshd, postgres: Postgres) -> Server:
    return world.server(postgres, sshd, install=False)


def host_key_unknown(world: World, sshd: Sshd, postgres: Postgres) -> Server:
    server = world.server(postgres, sshd)
    world.paths.known_hosts.unlink()
    return server


def host_key_changed(world: World, sshd: Sshd, postgres: Postgres) -> Server:
    server = world.server(postgres, sshd)
    other = world.key("another").line.split()
    world.paths.known_hosts.write_text(f"[{sshd.host}]:{sshd.port} {other[0]} {other[1]}\n")
    return server


def tls_not_offered(world: World, sshd: Sshd, postgres: Postgres) -> Server:
    return world.server(postgres, sshd, tls=TlsMode.REQUIRE)


def key_gone(world: World, sshd: Sshd, postgres: Postgres) -> Server:
    return with_ssh(world.server(postgres, sshd), key="gone")


CASES = [
    (refused, "forward", "database_refused"),
    (name_unknown, "forward", "database_name_not_found"),
    (forwarding_forbidden, "forward", "forwarding_not_permitted"),
    (key_not_installed, "auth", "key_not_accepted"),
    (host_key_unknown, "host_key", "host_key_unknown"),
    (host_key_changed, "host_key", "host_key_changed"),
    (tls_not_offered, "tls", "tls_not_offered"),
    (key_gone, "settings", "key_missing"),
]


@pytest.mark.parametrize(("make", "stage", "cause"), CASES, ids=[case[2] for case in CASES])
def test_each_failure_is_named_with_its_stage_and_cause(
    world: World, sshd: Sshd, postgres: Postgres, canary_probe: Any,
    make: Callable[[World, Sshd, Postgres], Server], stage: str, cause: str,
) -> None:  # fmt: skip
    status, record = canary_probe(world, make(world, sshd, postgres))
    failure = record["failure"]
    assert (status, failure["stage"], failure["cause"]) == (1, stage, cause)
    assert stages(record)[-1] == stage
    assert not record["stages"][-1]["ok"]
    assert all(one["ok"] for one in record["stages"][:-1])
    assert failure["summary"]
    assert failure["remedies"]


async def test_a_probe_makes_one_connection_and_a_reused_tunnel_no_login(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    from tests.servers.test_tunnels import ssh_route

    server = world.server(postgres, sshd)
    async with ssh_route(world, server) as route:
        logins, connections = sshd.logins(), postgres.connections_seen()
        for _ in range(3):
            result = await world.probe(server, route)
            assert result.ok, result.failure
            assert [s.stage.value for s in result.stages] == [
                "settings", "forward", "database", "login", "query",
            ]  # fmt: skip
            assert result.route.value == "reused"
        assert postgres.connections_seen() == connections + 3
        assert sshd.logins() == logins


async def test_the_database_password_shows_nowhere_in_a_result(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    server = world.server(postgres, sshd)
    wrong = "hunter2-secret"
    result = await world.probe(with_database(server, password=world.password("wrong", wrong)))
    assert result.failure is not None
    assert result.failure.cause.value == "password_rejected"
    assert wrong not in repr(result)


async def test_a_password_file_that_is_not_used_is_named_where_none_is_found(
    world: World, postgres: Postgres
) -> None:
    file = world.folder / ".pgpass"
    file.write_text(f"*:*:*:*:{postgres.password}\n")
    file.chmod(0o644)
    world.tools.passwords = Passwords(home=world.folder, environ={})
    result = await world.probe(world.server(postgres, password=None))
    assert result.failure is not None
    assert result.failure.cause is Cause.PASSWORD_MISSING
    said = f"{file} is not used: other users may read it; chmod 600 it; "
    assert result.failure.detail.startswith(said)
    assert "password" in result.failure.detail.removeprefix(said), "the server's words stand behind"
    file.chmod(0o600)
    assert (await world.probe(world.server(postgres, password=None))).ok
