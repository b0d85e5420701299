"""What the history costs: a storm of probes, bytes a probe, and reading 400 days of 100 servers.

Run with ``python -m benchmarks.history``; prints a table in Markdown. Medians of several runs.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import ProbeResult, RouteKind, Stage, StageResult
from canary_tui.monitor.board import LogLine
from canary_tui.monitor.events import FleetLoaded, ProbeFinished
from canary_tui.monitor.histogram import Histogram
from canary_tui.monitor.history.reader import HistoryReader
from canary_tui.monitor.history.recorder import Recorder
from canary_tui.monitor.history.rows import MICRO, encode_probe
from canary_tui.monitor.history.schema import open_history
from canary_tui.monitor.history.tables import history_file
from canary_tui.monitor.history.writer import HOUR_OVER, PROBE
from canary_tui.monitor.lock import Lock
from canary_tui.monitor.uptime import HOUR
from canary_tui.paths import Paths
from canary_tui.servers.model import Database, Engine, Fleet, Server, SshServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATE = 1_000
STORM_SECONDS = 10
SERVERS = 100
DAYS = 400
RAW_DAYS = 3
EVERY = 10
RUNS = 7
STAGES = (Stage.SETTINGS, Stage.FORWARD, Stage.DATABASE, Stage.TLS, Stage.LOGIN, Stage.QUERY)
DAY = 86_400.0


def server(number: int) -> Server:
    """Return one of a hundred servers."""
    return Server(
        name=f"server-{number}",
        engine=Engine.POSTGRESQL,
        database=Database(host=f"10.0.0.{number}", port=5432),
        ssh=SshServer(host="jump", user="u"),
    )


def probe(name: str, at: float, number: int) -> ProbeResult:
    """Return a probe as a tunnel that stands gives them, no two with the same times."""
    stages = [
        StageResult(stage=s, ok=True, ms=0.2 + (number * 37 + n) % 900 / 1000) for n, s in enumerate(STAGES)
    ]
    stages[3] = StageResult(stage=Stage.TLS, ok=True, ms=1.2, note="TLSv1.3 TLS_AES_256_GCM_SHA384")
    total = sum(stage.ms for stage in stages)
    return ProbeResult(
        server=name,
        ok=True,
        route=RouteKind.REUSED,
        started_at=at - total / 1000,
        total_ms=total,
        stages=tuple(stages),
    )


async def storm(folder: Path, rate: int) -> tuple[float, float]:
    """Feed ``rate`` probes a second; return processor seconds a probe, and seconds until all was on disk."""
    paths = Paths.below(folder)
    lock = Lock(paths)
    recorder = Recorder(paths, lock, lambda _event: None)
    recorder.feed(FleetLoaded(at=time.time(), fleet=Fleet(servers=tuple(map(server, range(SERVERS))))))
    running = asyncio.create_task(recorder.run())
    used, began = _processor(), time.perf_counter()
    for number in range(rate * STORM_SECONDS):
        name, at = f"server-{number % SERVERS}", time.time()
        result = probe(name, at, number)
        recorder.feed(ProbeFinished(at=at, result=result))
        recorder.keep(LogLine(seq=number, at=at, server=name, result=result))
        if number % 10 == 9:
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
    fed = time.perf_counter()
    recorder.close()
    await running
    lock.release()
    return (_processor() - used) / (rate * STORM_SECONDS), time.perf_counter() - fed


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def fill(path: Path, now: float) -> None:
    """Make the history of a hundred servers: 400 days of roll-ups, three days of probes each ten seconds."""
    database = await open_history(path)
    await database.execute("PRAGMA synchronous = OFF")
    await database.execute("BEGIN")
    names = [(number + 1, f"server-{number}") for number in range(SERVERS)]
    await database.executemany("INSERT INTO servers VALUES (?, ?)", names)
    latencies = [Histogram.of(3 + (n * k) % 97 / 10 for n in range(360)).encode() for k in range(1, 20)]
    last = int(now // HOUR)
    for number, _ in names:
        rows = ((number, last - n, 3590.0, 10.0, 0.0, latencies[n % 19]) for n in range(1, DAYS * 24))
        await database.executemany(f"{HOUR_OVER} VALUES (?, ?, ?, ?, ?, ?)", rows)
    await database.executemany(PROBE, _probes(now))
    await database.execute("COMMIT")
    await database.close()


def _probes(now: float) -> Iterator[tuple[object, ...]]:
    for step in range(int(RAW_DAYS * DAY / EVERY)):
        for number in range(SERVERS):
            key = round((now - RAW_DAYS * DAY + step * EVERY + number * EVERY / SERVERS) * MICRO)
            yield (key, number + 1, None, *encode_probe(probe("", key / MICRO, step + number), key))


def median_ms(work: Callable[[], object]) -> float:
    """Return the median of several runs in milliseconds."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def table(rows: list[tuple[str, str]]) -> None:
    """Print Markdown."""
    print("| what | measured |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


def main() -> None:
    """Measure and print."""
    rows: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for rate in (RATE, 5 * RATE):
            one = Path(folder, f"storm-{rate}")
            cost, behind = asyncio.run(storm(one, rate))
            path = history_file(Paths.below(one))
            kept = sqlite3.connect(path).execute("SELECT count(*) FROM probes").fetchone()[0]
            lost = rate * STORM_SECONDS - kept
            rows.append((f"{rate} probes/s for {STORM_SECONDS} s: lost", f"{lost}"))
            rows.append((f"{rate} probes/s: on disk after the last one", f"{behind * 1000:.0f} ms"))
            rows.append(
                (f"{rate} probes/s: one core", f"{cost * rate * 100:.1f} % ({cost * 1e6:.0f} µs a probe)")
            )
            rows.append((f"{rate} probes/s: bytes a probe", f"{path.stat().st_size / kept:.0f}"))
        now = time.time()
        path = Path(folder, "long", "history.db")
        asyncio.run(fill(path, now))
        reader = HistoryReader(path)
        rows.append((f"{DAYS} days × {SERVERS} servers: file", f"{path.stat().st_size / 1e6:.0f} MB"))
        for name, work in (
            ("open for writing", lambda: asyncio.run(_open_and_close(path))),
            ("last page of the log", reader.lines),
            ("a page of one server, two days back", lambda: reader.lines("server-50", before=now - 2 * DAY)),
            ("failures among successes (none)", lambda: reader.lines(failures=True)),
            ("uptimes of all, 24 h", lambda: reader.uptimes(DAY)),
            ("uptimes of all, 7 d", lambda: reader.uptimes(7 * DAY)),
            ("uptimes of all, 30 d", lambda: reader.uptimes(30 * DAY)),
            ("percentiles of one, 30 d", lambda: reader.percentiles("server-50", 30 * DAY)),
            ("latency chart of one, 24 h", lambda: reader.latency_series("server-50", DAY, 80)),
            ("latency chart of one, 400 d", lambda: reader.latency_series("server-50", 400 * DAY, 80)),
            ("incidents", reader.incidents),
        ):
            rows.append((f"{DAYS} days × {SERVERS} servers: {name}", f"{median_ms(work):.1f} ms"))
    table(rows)


async def _open_and_close(path: Path) -> None:
    await (await open_history(path)).close()


if __name__ == "__main__":
    main()
