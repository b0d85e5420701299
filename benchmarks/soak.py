"""Fifty servers, probed every second, whose SSH server is restarted every twenty seconds.

Memory and tasks must not grow, and every probe that is due must come: it may fail only while the tunnel
under it does not stand.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.processes import open_files, own_memory
from benchmarks.report import AT_MOST, Row, Section
from benchmarks.servers import Tool, servers
from tests.harness.ports import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.harness.sshd import Sshd

ROOT = Path(__file__).parents[1]
GROWTH = 0.03
RESTART_SECONDS = 20.0
EVERY = 1.0
LATE_SECONDS = 5.0
"""A probe's own limit: the next result may come that much later than the interval, if this one hangs."""
LOST_SECONDS = 0.5
"""A probe that fails so shortly before its tunnel is known to be lost has failed with it."""


@dataclass
class Course:
    """What was seen of the process from outside: memory and descriptors, once a second."""

    memory: list[tuple[float, int]] = field(default_factory=list)
    files: list[tuple[float, int]] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)


def measure(*, quick: bool, minutes: float = 10.0) -> Section:
    """Run it and compare the last minute with the third (of the last sixth and the third in shorter ones)."""
    count, seconds, pause = (3, 6.0, 3.0) if quick else (50, minutes * 60, RESTART_SECONDS)
    with servers() as place:
        sshd, postgres = place.sshd(), place.postgres()
        user = place.user(sshd)
        user.add(postgres, count)
        user.write(f"{EVERY:g}s")
        log = user.folder / "inside.log"
        command = [
            "env",
            *user.environment(),
            f"PYTHONPATH={ROOT}",
            sys.executable,
            "-m",
            "benchmarks.inside",
        ]
        began = time.time()
        with Tool(command, log) as inside:
            wait_for(lambda: said(log, "tunnel", "up") >= count, 60, "all tunnels are up")
            course = watch_over(inside.pid, sshd, seconds, pause)
        lines = log.read_text("utf-8").splitlines()
    if strange := [line for line in lines if not line.startswith("{")]:
        raise RuntimeError("it said: " + "\n".join(strange[:40]))
    spoken = [json.loads(line) for line in lines]
    return Section(
        "soak",
        (f"{count} servers, {seconds / 60:.3g} minutes", "canary", "", "", "aim"),
        judged(course, spoken, began, seconds),
    )


def said(log: Path, key: str, value: str) -> int:
    """Return of how many servers something was said so far."""
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    found = (json.loads(line) for line in lines if line.endswith("}"))
    return len({one["server"] for one in found if one.get(key) == value})


def watch_over(pid: int, sshd: Sshd, seconds: float, pause: float) -> Course:
    """Restart the SSH server again and again, and look at the process once a second."""
    course = Course()
    end = time.time() + seconds
    restart = time.time() + pause
    while time.time() < end:
        if time.time() >= restart:
            course.restarts.append(time.time())
            sshd.restart()
            restart += pause
        course.memory.append((time.time(), own_memory(pid)))
        course.files.append((time.time(), open_files(pid)))
        time.sleep(1)
    return course


def judged(course: Course, spoken: list[dict[str, Any]], began: float, seconds: float) -> list[Row]:
    """Return the table's rows."""
    minute = min(60.0, seconds / 6)
    tasks = [(one["at"], one["tasks"]) for one in spoken if "tasks" in one]
    threads = [(one["at"], one["threads"]) for one in spoken if "threads" in one]
    start = course.memory[0][0]

    def means(samples: Sequence[tuple[float, int]]) -> tuple[float, float]:
        third = [value for at, value in samples if 2 * minute <= at - start < 3 * minute]
        last = [value for at, value in samples if at - start >= seconds - minute]
        return statistics.mean(third), statistics.mean(last)

    rows = []
    for what, samples, unit, aim in (
        (
            "memory of its own (MB), third and last minute",
            course.memory,
            1e6,
            f"{AT_MOST} {1 + GROWTH:.2f} ×",
        ),
        ("tasks, the same", tasks, 1, f"{AT_MOST} {1 + GROWTH:.2f} ×"),
        ("threads, the same", threads, 1, ""),
        ("open files, the same", course.files, 1, ""),
    ):
        third, last = means(samples)
        met = last / third <= 1 + GROWTH if aim else None
        rows.append(
            Row(what, f"{third / unit:.1f} → {last / unit:.1f}", "", f"{last / third:.3f} ×", aim, met)
        )
    end = course.memory[-1][0]
    passed, failed, wrong, late = probes(spoken, start, end)
    rows += [
        Row("restarts of the SSH server", str(len(course.restarts))),
        Row("probes that passed", str(passed)),
        Row("probes that failed, the tunnel being down", str(failed)),
        Row("probes that failed though the tunnel stood", str(wrong), aim="0", met=wrong == 0),
        Row("probes that were due and did not come", str(late), aim="0", met=late == 0),
    ]
    return rows


def probes(spoken: list[dict[str, Any]], start: float, end: float) -> tuple[int, int, int, int]:
    """Count probes: passed, failed with the tunnel, failed without that reason, and not come at all."""
    passed = failed = wrong = late = 0
    for server in {one["server"] for one in spoken if "server" in one}:
        own = [one for one in spoken if one.get("server") == server]
        downs = _downs([one for one in own if "tunnel" in one], end)
        last = start
        for one in own:
            if "probe" not in one or not start <= one["at"] <= end:
                continue
            late += one["at"] - last > EVERY + LATE_SECONDS
            last = one["at"]
            if one["probe"] == "passed":
                passed += 1
            elif any(begun - LOST_SECONDS <= last <= over + EVERY for begun, over in downs):
                failed += 1
            else:
                wrong += 1
        late += end - last > EVERY + LATE_SECONDS
    return passed, failed, wrong, late


def _downs(changes: list[dict[str, Any]], end: float) -> list[tuple[float, float]]:
    """Return from when to when the tunnel did not stand."""
    downs: list[tuple[float, float]] = []
    since: float | None = None
    for change in changes:
        if change["tunnel"] == "up":
            if since is not None:
                downs.append((since, change["at"]))
            since = None
        elif since is None:
            since = change["at"]
    return [*downs, (since, end)] if since is not None else downs
