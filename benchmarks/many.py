"""A thousand tunnels with a probe each ten seconds: the processor time and the memory of one program."""

from __future__ import annotations

import time

from benchmarks.processes import open_files, processor_seconds, pss
from benchmarks.report import AT_MOST, Row, Section, duration
from benchmarks.servers import servers

CORE, MEGABYTES = 0.25, 250
EVERY = 10


def measure(*, quick: bool) -> Section:
    """Hold them, each probed every ten seconds, and look at what that took."""
    count, seconds = (10, 1) if quick else (1000, 60)
    with servers() as place:
        sshd, postgres = place.sshd(), place.postgres()
        user = place.user(sshd)
        user.add(postgres, count)
        began = time.perf_counter()
        with user.canary(every=f"{EVERY}s") as canary:
            canary.wait_answered(count)
            opened = time.perf_counter() - began
            time.sleep(0 if quick else EVERY)
            before, logins, used = time.perf_counter(), postgres.logins_seen(), processor_seconds(canary.pid)
            time.sleep(seconds)
            taken = time.perf_counter() - before
            share = (processor_seconds(canary.pid) - used) / taken
            probes = (postgres.logins_seen() - logins) / taken
            size, files = pss([canary.pid]), open_files(canary.pid)
    rows = [
        Row("processor, of one core", f"{share:.0%}", aim=f"{AT_MOST} {CORE:.0%}", met=share <= CORE),
        Row(
            "memory (PSS)",
            f"{size / 1e6:.0f} MB",
            aim=f"{AT_MOST} {MEGABYTES} MB",
            met=size <= MEGABYTES * 1e6,
        ),
        Row("probes, of one connection to PostgreSQL each", f"{probes:.0f} a second"),
        Row("processor time, a probe", duration(share / probes) if probes else ""),
        Row("open files (most programs may open 1024)", str(files)),
        Row("until all had answered, two logins at a time", duration(opened)),
    ]
    return Section("many", (f"{count} tunnels", "canary", "", "", "aim"), rows)
