"""Bulk data through the local port while probes go on: the same bytes, and no memory that grows with them."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from canary_tui.monitor.board import Health
from tests.harness.ports import wait_for
from tests.servers.test_monitor import port_of, row, running, wait_until

if TYPE_CHECKING:
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

MEGABYTES = 300
COPY = f"copy (select repeat(md5(i::text), 32) from generate_series(1, {MEGABYTES * 1024}) i) to stdout"
"""Lines of 1 KiB that differ, so that a lost, doubled or swapped block shows."""


def copy_digest(postgres: Postgres, port: int) -> tuple[str, int]:
    """Run the COPY through a port; return the digest and the number of bytes."""
    address = f"host=127.0.0.1 port={port} user={postgres.user} dbname={postgres.database}"
    digest, size = hashlib.sha256(), 0
    environment = {"PGPASSWORD": postgres.password, "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        ["psql", "-Atqc", COPY, address], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        while block := process.stdout.read(1 << 20):
            digest.update(block)
            size += len(block)
    assert process.returncode == 0
    return digest.hexdigest(), size


def resident_bytes() -> int:
    """What this process holds in memory now (Linux); its highest mark elsewhere."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_copy_of_300_mb_twice_in_parallel_gives_the_same_bytes_while_probes_go_on(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd, timeout=20))
    expected = copy_digest(postgres, postgres.port)
    assert expected[1] > MEGABYTES * 1_000_000
    with running(world) as monitor:
        port = port_of(wait_until(monitor, lambda r: r.health is Health.UP))
        copy_digest(postgres, port)  # allocators and buffers have their size now
        before, probes = resident_bytes(), monitor.snapshot().log_seq
        found: list[tuple[str, int]] = []
        highest = 0
        copies = [
            threading.Thread(target=lambda: found.append(copy_digest(postgres, port))) for _ in range(2)
        ]
        for copy in copies:
            copy.start()
        while any(copy.is_alive() for copy in copies):
            highest = max(highest, resident_bytes())
            copies[0].join(0.1)
        wait_for(lambda: row(monitor).bytes_down >= 3 * expected[1], 15, "all bytes are counted")
        assert found == [expected, expected]
        assert highest - before < 40_000_000, "memory does not grow with what is copied"
        during = [line.result for line in monitor.log_after(probes) if line.result]
        assert during, "probes went on"
        assert all(result.ok for result in during), "and passed"
