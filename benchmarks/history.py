"""What the history costs: a storm of probes, bytes a probe, and reading 400 days of 100 servers.

Run with ``python -m benchmarks history``. Medians of several runs.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import AT_MOST, Row, Section, duration
from canary_tui.diagnosis.stages import ProbeResult, RouteKind, Stage, StageResult
from canary_tui.monitor.board import Board, LogLine
from canary_tui.monitor.breakdowns import Breakdowns
from canary_tui.monitor.event_flow import EventFlow
from canary_tui.monitor.events import ProbeFinished
from canary_tui.monitor.histogram import Histogram
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.history.reader import HistoryReader
from canary_tui.monitor.history.recorder import Recorder
from canary_tui.monitor.history.rows import MICRO, encode_probe
from canary_tui.monitor.history.schema import open_history
from canary_tui.monitor.history.tables import history_file
from canary_tui.monitor.history.writer import HOUR_OVER, PROBE
from canary_tui.monitor.lock import Lock
from canary_tui.monitor.uptime import HOUR
from canary_tui.paths import Paths
from canary_tui.servers.fleet import Fleet
from canary_tui.servers.model import Database, Engine, Server, SshServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RATE = 1_000
SERVERS = 100
EVERY = 10
RUNS = 7
OPEN = 0.2
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


async def storm(folder: Path, rate: int, seconds: int) -> tuple[float, float]:
    """Feed ``rate`` probes a second; return processor seconds a probe, and seconds until all was on disk."""
    paths = Paths.below(folder)
    lock = Lock(paths)
    fleet = Fleet(servers=tuple(map(server, range(SERVERS))))
    flow = EventFlow(Board(), Breakdowns(lambda _event: None, folder), fleet)
    folds = {"uptime": flow.uptime, "incidents": flow.incidents, "unwritten": flow.unwritten}
    recorder = Recorder(paths, lock, flow.take, **folds)
    running = asyncio.create_task(recorder.run())
    used, began = _processor(), time.perf_counter()
    for number in range(rate * seconds):
        name, at = f"server-{number % SERVERS}", time.time()
        result = probe(name, at, number)
        ended = ProbeFinished(at=at, result=result)
        for fold in folds.values():
            fold.apply(ended)
        flow.unwritten.keep(LogLine(at=at, server=name, result=result))
        if number % 10 == 9:
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
    fed = time.perf_counter()
    recorder.close()
    await running
    lock.release()
    return (_processor() - used) / (rate * seconds), time.perf_counter() - fed


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def fill(path: Path, now: float, days: int, raw_days: float) -> None:
    """Make the history of a hundred servers: days of roll-ups, fewer of probes each ten seconds."""
    database = await open_history(path)
    await database.execute("PRAGMA synchronous = OFF")
    await database.execute("BEGIN")
    names = [(number + 1, f"server-{number}") for number in range(SERVERS)]
    await database.executemany("INSERT INTO servers VALUES (?, ?)", names)
    latencies = [Histogram.of(3 + (n * k) % 97 / 10 for n in range(360)).encode() for k in range(1, 20)]
    last = int(now // HOUR)
    for number, _ in names:
        rows = ((number, last - n, 3590.0, 10.0, 0.0, latencies[n % 19]) for n in range(1, days * 24))
        await database.executemany(f"{HOUR_OVER} VALUES (?, ?, ?, ?, ?, ?)", rows)
    await database.executemany(PROBE, _probes(now, raw_days))
    await database.execute("COMMIT")
    await database.close()


def _probes(now: float, days: float) -> Iterator[tuple[object, ...]]:
    for step in range(int(days * DAY / EVERY)):
        for number in range(SERVERS):
            key = round((now - days * DAY + step * EVERY + number * EVERY / SERVERS) * MICRO)
            yield (key, number + 1, None, *encode_probe(probe("", key / MICRO, step + number), key))


def median_seconds(work: Callable[[], object]) -> float:
    """Return the median of several runs."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def measure(*, quick: bool) -> Section:
    """Write a storm of probes, then read a long past."""
    section = Section("history", ("what", "canary", "", "", "aim"))
    seconds, days, raw_days = (1, 5, 0.02) if quick else (10, 400, 3)
    with tempfile.TemporaryDirectory() as folder:
        for rate in (RATE, 5 * RATE):
            section.rows += storm_rows(Path(folder, f"storm-{rate}"), rate, seconds)
        now = time.time()
        path = Path(folder, "long", "history.db")
        asyncio.run(fill(path, now, days, raw_days))
        section.rows += reading_rows(path, now, f"{days} days × {SERVERS} servers", days)
    return section


def storm_rows(folder: Path, rate: int, seconds: int) -> list[Row]:
    """Say what so many probes a second cost, and that none of them was lost."""
    cost, behind = asyncio.run(storm(folder, rate, seconds))
    path = history_file(Paths.below(folder))
    with closing(sqlite3.connect(path)) as database:
        kept = database.execute("SELECT count(*) FROM probes").fetchone()[0]
    lost = rate * seconds - kept
    processor = f"{cost * rate:.1%} ({duration(cost)} a probe)"
    return [
        Row(f"{rate} probes/s for {seconds} s: lost", f"{lost}", aim="0", met=lost == 0),
        Row(f"{rate} probes/s: on disk after the last one", duration(behind)),
        Row(f"{rate} probes/s: of one core", processor),
        Row(f"{rate} probes/s: bytes a probe", f"{path.stat().st_size / kept:.0f}"),
    ]


def reading_rows(path: Path, now: float, what: str, days: int) -> list[Row]:
    """Say how long the pages of a long past take."""
    reader = HistoryReader(path)
    rows = [Row(f"{what}: file", f"{path.stat().st_size / 1e6:.0f} MB")]
    for name, work in (
        ("open for writing", lambda: asyncio.run(_open_and_close(path))),
        ("last page of the log", reader.lines),
        (
            "a page of one server, two days back",
            lambda: reader.lines(LogQuery(server="server-50", before=now - 2 * DAY)),
        ),
        ("failures among successes (none)", lambda: reader.lines(LogQuery(failures=True))),
        ("uptimes of all, 24 h", lambda: reader.uptimes(DAY)),
        ("uptimes of all, 7 d", lambda: reader.uptimes(7 * DAY)),
        ("uptimes of all, 30 d", lambda: reader.uptimes(30 * DAY)),
        ("percentiles of one, 30 d", lambda: reader.percentiles("server-50", 30 * DAY)),
        ("latency chart of one, 24 h", lambda: reader.latency_series("server-50", DAY, 80)),
        (f"latency chart of one, {days} d", lambda: reader.latency_series("server-50", days * DAY, 80)),
        ("incidents", reader.incidents),
    ):
        taken = median_seconds(work)
        opening = name == "open for writing"
        aim, met = (f"{AT_MOST} {duration(OPEN)}", taken <= OPEN) if opening else ("", None)
        rows.append(Row(f"{what}: {name}", duration(taken), aim=aim, met=met))
    return rows


async def _open_and_close(path: Path) -> None:
    await (await open_history(path)).close()
