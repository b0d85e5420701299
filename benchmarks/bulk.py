"""A bulk COPY through the tunnel: how fast the bytes go."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.clients import both_ways
from benchmarks.report import Row, Section, compared
from benchmarks.stand import bench_environment, stand
from tests.harness.process import binary

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres

SPEED = 0.95
SAME_CIPHER = ("-c", "aes128-gcm@openssh.com")


def measure(*, quick: bool) -> Section:
    """Copy by both ways in turn: against ssh(1) as it comes, and with the cipher that we choose."""
    megabytes, runs = (10, 1) if quick else (300, 5)
    rows: list[Row] = []
    with stand() as place:
        postgres = place.postgres()
        # A table and not generate_series: making the rows would be what is measured.
        fill = f"create unlogged table bulk as select repeat(md5(i::text), 32) as line from generate_series(1, {megabytes * 977}) i;"
        postgres.execute(
            f"{fill} alter table bulk alter line set storage plain; grant select on bulk to public",
            postgres.database,
        )
        for name, options in (("ssh -L's own cipher", ()), ("ssh -c aes128-gcm", SAME_CIPHER)):
            with both_ways(place, postgres, *options) as ports:
                speeds: tuple[list[float], list[float]] = ([], [])
                for _ in range(runs):
                    for port, found in zip(ports, speeds, strict=True):
                        found.append(copy(postgres, port))
            rows.append(compared(f"COPY of {megabytes} MB, {name}", *speeds, aim=SPEED, unit="speed"))
        direct = [copy(postgres, postgres.port) for _ in range(runs)]
        rows.append(compared("the same without any tunnel", direct, direct, aim=0, unit="speed"))
        last = rows.pop()
        rows.append(Row(last.what, last.ours))
    return Section("bulk", ("what", "canary", "ssh -N -L", "ratio", "aim"), rows)


def copy(postgres: Postgres, port: int) -> float:
    """COPY the table through a port with psql; return bytes a second."""
    address = f"host=127.0.0.1 port={port} user={postgres.user} dbname={postgres.database}"
    command = [binary("psql"), "-XAtqc", "copy bulk to stdout", address]
    began, size = time.perf_counter(), 0
    with subprocess.Popen(command, env=bench_environment(postgres), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while block := process.stdout.read(1 << 20):
            size += len(block)
    if process.returncode != 0:
        raise RuntimeError(f"psql ended with {process.returncode}")
    return size / (time.perf_counter() - began)
