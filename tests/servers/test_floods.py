"""A database that sends too much is cut off and named; it costs neither memory nor the others' time."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.probe import probe
from canary_tui.servers.model import Engine, PasswordCommand, TlsMode
from canary_tui.tunnels.link import LOGIN_BYTES
from canary_tui.tunnels.route import DirectRoute
from tests.harness.floods import Does, Floods, announced, endless
from tests.harness.process import run
from tests.servers.flood_cases import ATTACKS, LOGGED_IN, NOTICE, PG_BEGINS, message
from tests.servers.probing import GRACE, probe_cleanly
from tests.servers.world import with_probe

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.model import Server
    from canary_tui.tunnels.ends import End
    from tests.harness.certs import Authority, Certificate
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.breakable import Breakable
    from tests.servers.flood_cases import Attack
    from tests.servers.world import World

MOST_MEMORY = 16 * 1024 * 1024
QUICK = [attack for attack in ATTACKS if "empty r" not in attack.name]
"""Without the smallest packets: 8 MB of them take many seconds where coverage is measured."""
SOME = QUICK[::3]
"""They differ in engine, stage and TLS; all of them are in the test of the memory."""
SECONDS = 20.0
"""Of a probe: on a busy machine 8 MB of small packets outlast the usual ones, and only that would be said."""
MOST_SENT = 64 * 1024 * 1024
"""Bytes that may be under way: what the kernel holds of 8 MB for each of three sockets, and more."""


def attacker(world: World, postgres: Postgres, attack: Attack, port: int, **changes: Any) -> Server:
    """Settings that lead to it."""
    server = world.server(postgres, port=port, tls=attack.mode, timeout=SECONDS, **changes)
    return msgspec.structs.replace(server, engine=attack.engine)


@pytest.mark.parametrize("attack", SOME, ids=[attack.name for attack in SOME])
async def test_it_is_cut_off_and_leaves_nothing_behind(
    world: World, postgres: Postgres, certificate: Certificate, attack: Attack
) -> None:
    with Floods(attack.script, attack.flood, tls=certificate) as flood:
        result = await probe_cleanly(world, attacker(world, postgres, attack, flood.port))
    assert flood.sent < MOST_SENT
    blamed(result, attack)


def blamed(result: ProbeResult, attack: Attack) -> None:
    """The failure is the attack's, and says what it was."""
    assert result.failure is not None
    assert result.failure.cause is attack.cause, result.failure
    assert result.failure.stage in attack.stages, result.failure
    assert result.failure.detail


async def test_memory_stays_and_other_servers_have_their_turn(
    world: World, postgres: Postgres, certificate: Certificate
) -> None:
    """In a process of its own, whose memory is measured."""
    with ExitStack() as floods:
        password = PasswordCommand(("echo", postgres.password))
        world.write(world.server(postgres, name="good", timeout=SECONDS, password=password))
        for number, attack in enumerate(ATTACKS):
            flood = floods.enter_context(Floods(attack.script, attack.flood, tls=certificate))
            server = attacker(world, postgres, attack, flood.port, password=password)
            world.write(msgspec.structs.replace(server, name=f"attacker-{number}"))
        program = [
            sys.executable,
            "-m",
            "tests.servers.measured_probes",
            str(world.folder),
            str(len(ATTACKS)),
        ]
        said = await asyncio.to_thread(run, program, limit=100)
    lines = [json.loads(line) for line in said.splitlines()]
    for attack, line in zip(ATTACKS, lines, strict=True):
        assert line["cause"] == attack.cause, (attack.name, line)
        assert line["stage"] in attack.stages, (attack.name, line)
        assert line["grown"] <= MOST_MEMORY, (attack.name, line)
        assert line["ms"] <= (SECONDS + GRACE) * 1000, (attack.name, line)
        assert all(line["good"]), attack.name


async def test_through_a_tunnel_it_is_the_same(
    world: World, postgres: Postgres, sshd: Sshd, certificate: Certificate
) -> None:
    for attack in QUICK[::9]:
        sshd.deauthorize()
        with Floods(attack.script, attack.flood, tls=certificate) as flood:
            server = world.server(postgres, sshd, port=flood.port, tls=attack.mode, timeout=SECONDS)
            result = await probe_cleanly(world, msgspec.structs.replace(server, engine=attack.engine))
        blamed(result, attack)


class LateRoute(DirectRoute):
    """Straight to a database that has sent too much before anybody looks."""

    async def open(self, trace: Trace) -> End:
        """Open a connection, and wait for more than a login may take."""
        end = await super().open(trace)
        while end.received <= LOGIN_BYTES:
            await asyncio.sleep(0.01)
        return end


@pytest.mark.parametrize("mode", [TlsMode.DISABLE, TlsMode.REQUIRE])
@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.MYSQL])
async def test_what_came_in_before_anybody_looked_is_the_databases(
    world: World, postgres: Postgres, engine: Engine, mode: TlsMode
) -> None:
    with Floods((), endless(b"x")) as flood:
        server = msgspec.structs.replace(world.server(postgres, port=flood.port, tls=mode), engine=engine)
        result = await probe(server, world.tools, route=LateRoute("127.0.0.1", flood.port))
    assert result.failure is not None
    assert (result.failure.stage, result.failure.cause) == (Stage.DATABASE, Cause.WRONG_PROTOCOL)
    assert result.stages[-1].stage is Stage.DATABASE


@pytest.mark.parametrize("engine", [Engine.POSTGRESQL, Engine.MYSQL])
@pytest.mark.parametrize("mode", [TlsMode.DISABLE, TlsMode.REQUIRE])
async def test_what_a_real_database_returns_may_be_8_mb(
    world: World, breakable: Breakable, engine: Engine, mode: TlsMode
) -> None:
    """In one row, and in many."""
    database = breakable.of(engine)
    many = "generate_series(1, 1000)" if engine is Engine.POSTGRESQL else "seq_1_to_1000"
    for rows, size in ((f"{many} s", 7_000), ("(select 1 as one) s", 7_000_000)):
        server = world.server(database, tls=mode, timeout=20.0)
        query = f"select repeat('x', {size}) from {rows}"
        result = await probe_cleanly(world, with_probe(server, query=query))
        assert result.ok, result.failure
        query = f"select repeat('x', {size * 9 // 7}) from {rows}"
        result = await probe_cleanly(world, with_probe(server, query=query))
        assert result.failure is not None
        assert (result.failure.stage, result.failure.cause) == (Stage.QUERY, Cause.QUERY_FAILED)
        assert result.failure.detail == "sent more than 8 MB in answer to a query"


async def test_a_chain_of_certificates_without_an_end_is_a_tls_failure(
    world: World, postgres: Postgres, authority: Authority
) -> None:
    certificate = authority.issue(["db.internal"])
    certificate.cert.write_bytes(certificate.cert.read_bytes() * 300)
    with Floods((*PG_BEGINS[TlsMode.REQUIRE], LOGGED_IN), endless(b"x"), tls=certificate) as flood:
        server = world.server(postgres, port=flood.port, tls=TlsMode.REQUIRE)
        result = await probe_cleanly(world, server)
    assert result.failure is not None
    assert (result.failure.stage, result.failure.cause) == (Stage.TLS, Cause.TLS_FAILED)


@pytest.mark.parametrize("piece", [b"N", NOTICE, message(b"D", b"")], ids=["bytes", "notices", "rows"])
async def test_what_trickles_runs_into_the_probes_limit(
    world: World, postgres: Postgres, piece: bytes
) -> None:
    begun = time.monotonic()
    with Floods((Does.HEARS,), lambda: iter(lambda: piece, b""), pause=0.1) as flood:
        server = world.server(postgres, port=flood.port, tls=TlsMode.DISABLE, timeout=1.0)
        result = await probe_cleanly(world, server)
    assert result.failure is not None
    assert result.failure.cause in {Cause.LOGIN_TIMED_OUT, Cause.WRONG_PROTOCOL}
    assert time.monotonic() - begun < 30


async def test_a_row_that_is_announced_and_does_not_come_runs_into_the_probes_limit(
    world: World, postgres: Postgres
) -> None:
    script = (*PG_BEGINS[TlsMode.DISABLE], LOGGED_IN, Does.HEARS)
    with Floods(script, announced(b"D\x7f\xff\xff\xff"), pause=0.4) as flood:
        server = world.server(postgres, port=flood.port, tls=TlsMode.DISABLE, timeout=1.0)
        result = await probe_cleanly(world, server)
    assert result.failure is not None
    assert (result.failure.stage, result.failure.cause) == (Stage.QUERY, Cause.QUERY_TIMED_OUT)
