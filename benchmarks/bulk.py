"""A bulk COPY through the tunnel: how fast the bytes go."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.clients import both_ways
from benchmarks.report import Row, Section, compared, speed
from benchmarks.servers import bench_environment, servers
from tests.harness.process import binary

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres

SPEED = 0.95
TABLE = """
    create unlogged table bulk (line text);
    insert into bulk select repeat(md5(i::text), 32) from generate_series(1, {lines}) i;
    grant select on bulk to public;
"""
SAME_CIPHER = ("-c", "aes128-gcm@openssh.com")


def measure(*, quick: bool) -> Section:
    """Copy by both ways in turn: against ssh(1) as it comes, and with the cipher that we choose."""
    megabytes, runs = (10, 1) if quick else (300, 5)
    rows: list[Row] = []
    with servers() as place:
        postgres = place.postgres()
        # A table and not generate_series: making the rows would be what is measured.
        postgres.execute(TABLE.format(lines=megabytes * 977), postgres.database)
        for name, options in (("ssh -L's own cipher", ()), ("ssh -c aes128-gcm", SAME_CIPHER)):
            with both_ways(place, postgres, *options) as ports:
                speeds: tuple[list[float], list[float]] = ([], [])
                for _ in range(runs):
                    for port, found in zip(ports, speeds, strict=True):
                        found.append(copy(postgres, port))
            rows.append(compared(f"COPY of {megabytes} MB, {name}", *speeds, aim=SPEED, unit="speed"))
        straight = statistics.median(copy(postgres, postgres.port) for _ in range(runs))
        rows.append(Row("the same without any tunnel", speed(straight)))
    return Section("bulk", ("what", "canary", "ssh -N -L", "ratio", "aim"), rows)


def copy(postgres: Postgres, port: int) -> float:
    """COPY the table through a port with psql; return bytes a second."""
    address = f"host=127.0.0.1 port={port} user={postgres.user} dbname={postgres.database}"
    command = [binary("psql"), "-XAtqc", "copy bulk to stdout", address]
    began, size = time.perf_counter(), 0
    output, other = os.pipe()
    with subprocess.Popen(command, env=bench_environment(postgres), stdout=other) as process:
        os.close(other)
        while block := os.read(output, 1 << 20):
            size += len(block)
    os.close(output)
    if process.returncode != 0:
        raise RuntimeError(f"psql ended with {process.returncode}")
    return size / (time.perf_counter() - began)
