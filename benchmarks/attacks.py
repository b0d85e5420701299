"""Twenty servers that are probed every second, and one more that attacks: how late the twenty are.

The attackers are stand-ins; an SSH server that floods runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import own_memory
from benchmarks.report import AT_MOST, Row, Section, duration, memory
from benchmarks.servers import Tool, servers
from tests.harness.floods import Floods
from tests.harness.hostile_ssh import HostileSsh
from tests.harness.misbehave import Fake
from tests.harness.ports import free_port, wait_for
from tests.servers.flood_cases import ATTACKS, message

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from benchmarks.servers import User

ROOT = Path(__file__).parents[1]
SERVERS = 20
EVERY = 1.0
CALM_SECONDS = 10.0
ATTACK_SECONDS = 15.0
MOST_MEMORY = 16e6
LATE_SECONDS = 0.25
"""A quarter of an interval: who looks at the list does not see it."""


@dataclass(frozen=True)
class Attack:
    """``start`` makes the attacker, ``entry`` its place in the servers file."""

    name: str
    start: Callable[[Path], AbstractContextManager[HostileSsh | Floods | Fake]]
    engine: str = "postgresql"


def measure(*, quick: bool) -> Section:
    """Let each of the attackers be the twenty-first server for a while."""
    section = Section(
        "attacks",
        ("late, of 20 servers probed each second", "median", "95 of 100", "latest", "memory"),
    )
    calm, attack = (1.0, 3.0) if quick else (CALM_SECONDS, ATTACK_SECONDS)
    with servers() as place:
        sshd, postgres = place.sshd(), place.postgres()
        for one in attacks()[:1] if quick else attacks():
            user = place.user(sshd)
            user.add(postgres, 2 if quick else SERVERS)
            section.rows += _rows(user, one, calm, attack)
    return section


def _rows(user: User, attack: Attack, calm: float, seconds: float) -> list[Row]:
    user.write(f"{EVERY:g}s")
    log = user.folder / "inside.log"
    program = ["env", *user.environment(), f"PYTHONPATH={ROOT}", sys.executable, "-m", "benchmarks.inside"]
    with attack.start(user.folder) as attacker, Tool(program, log) as inside:
        wait_for(
            lambda: len({said["server"] for said in _probes(log)}) == len(user.tunnels), 60, "all were probed"
        )
        time.sleep(2 * EVERY)  # the first probe of all comes at once, and the second when its turn is
        calmed = time.time()
        time.sleep(calm)
        began, before = time.time(), own_memory(inside.pid)
        user.append(_entry(attack, attacker, user))
        highest = before
        while time.time() < began + seconds:
            highest = max(highest, own_memory(inside.pid))
            time.sleep(0.1)
    probes = [said for said in _probes(log) if said["server"] != "attacker"]
    if '"attacker", "tunnel": "lost"' not in log.read_text() and not any(
        said["server"] == "attacker" and said["probe"] != "passed" for said in _probes(log)
    ):
        raise RuntimeError(f"{attack.name}: nothing happened")
    grown = highest - before
    return [
        _row("nobody attacks", [said for said in probes if calmed <= said["began"] < began]),
        _row(attack.name, [said for said in probes if said["began"] >= began], grown),
    ]


def _row(name: str, probes: list[dict[str, float]], grown: int | None = None) -> Row:
    """Return how late probes were: how much more than the interval lies between two of a server."""
    late = []
    for server in {said["server"] for said in probes}:
        starts = [said["began"] for said in probes if said["server"] == server]
        late += [max(0.0, after - before - EVERY) for before, after in itertools.pairwise(starts)]
    late.sort()
    if not late:
        return Row(name, "–")
    median, high, latest = late[len(late) // 2], late[len(late) * 95 // 100], late[-1]
    cells = (duration(median), duration(high), duration(latest))
    if grown is None:
        return Row(name, *cells)
    met = latest <= LATE_SECONDS and grown <= MOST_MEMORY
    aim = f"+{memory(max(0, grown))}, aim {AT_MOST} {memory(MOST_MEMORY)} and {duration(LATE_SECONDS)}"
    return Row(name, *cells, aim=aim, met=met)


def _probes(log: Path) -> list[dict[str, float]]:
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    return [
        said for said in map(json.loads, filter(lambda line: line.endswith("}"), lines)) if "probe" in said
    ]


def _entry(attack: Attack, attacker: HostileSsh | Floods | Fake, user: User) -> str:
    """Return the attacker's entry in the servers file."""
    database = user.tunnels[0].database
    host, port, ssh = attacker.host, attacker.port, ""
    if isinstance(attacker, HostileSsh) or attack.engine == "ssh":
        ssh = (
            f"    ssh: {{host: {host}, port: {port}, user: me, key: {user.tunnels[0].name}, "
            f"local_port: {free_port()}}}\n"
        )
        host, port = database.host, database.port
    if isinstance(attacker, HostileSsh):
        with user.known_hosts.open("a") as file:
            file.write(f"[{attacker.host}]:{attacker.port} {attacker.host_key}\n")
    engine = "mysql" if attack.engine == "mysql" else "postgresql"
    password = user.password(database)
    return (
        f"  - name: attacker\n    engine: {engine}\n    database: {{host: {host}, port: {port}, "
        f"tls: disable, allow_cleartext: true, "
        f"name: {database.database}, user: {database.user}, password: {password}}}\n{ssh}"
        f"    probe: {{every: 1s, timeout: 5s}}\n"
    )


def attacks() -> list[Attack]:
    """Return an attacker for each way of attacking."""
    return [
        Attack("SSH: MSG_IGNORE without end, at the login", lambda folder: HostileSsh(folder, "ignore@auth")),
        Attack("SSH: the same, on a standing tunnel", lambda folder: HostileSsh(folder, "ignore@later")),
        Attack(
            "SSH: requests without end, the same",
            lambda folder: HostileSsh(folder, "request@later"),
        ),
        Attack("SSH: banners without end", lambda folder: HostileSsh(folder, "banner@auth")),
        Attack(
            "SSH: one new key exchange after the other", lambda folder: HostileSsh(folder, "rekey@channel")
        ),
        Attack("SSH: one byte a packet, on a channel", lambda folder: HostileSsh(folder, "content@channel")),
        Attack("SSH: lines and no version, ten a second", _tarpit, "ssh"),
        _flood("PostgreSQL: an error of 100 MB", "before: error of 100 MB"),
        _flood("PostgreSQL: notices without end", "after: notices"),
        Attack("PostgreSQL: two billion rounds of SCRAM", lambda _: Rounds()),
        _flood("MySQL: packets of 16 MB", "before: packets of 16 MB", "mysql"),
        _flood("MySQL: rows without end", "after: rows", "mysql"),
    ]


def _flood(name: str, case: str, engine: str = "postgresql") -> Attack:
    attack = next(one for one in ATTACKS if one.name == f"{engine} disable, {case}")
    return Attack(name, lambda _: Floods(attack.script, attack.flood), engine)


def _tarpit(_folder: Path) -> Floods:
    return Floods((), lambda: itertools.repeat(b"zq8 kfj x2\r\n"), pause=0.1)


class Rounds(Fake):
    """A PostgreSQL that asks for as many rounds of SCRAM as the protocol can."""

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_recv(client, 65_536)
        await loop.sock_sendall(client, message(b"R", b"\0\0\0\x0aSCRAM-SHA-256\0\0"))
        said = await loop.sock_recv(client, 65_536)
        nonce = re.search(rb"r=([^,]+)", said)
        first = b"r=" + (nonce[1] if nonce else b"") + b"x,s=c2FsdA==,i=2147483647"
        await loop.sock_sendall(client, message(b"R", b"\0\0\0\x0b" + first))
        await self._listen_to(client)
