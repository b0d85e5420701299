"""A second copy beside a process that monitors, in a test."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from canary_tui.monitor.board import Health
from canary_tui.monitor.standby import Standby
from tests.harness.ports import free_port, wait_for
from tests.servers.watching import Watching
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.monitor.board import LogLine, Row
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World

WITHIN = 2.0 + 1.0
"""Seconds: the promise, and what a busy machine may take."""
LIMIT = 20.0


class SecondCopy:
    """A second copy in this process, and every line of its log as a screen would take them over."""

    def __init__(self, world: World) -> None:
        self.standby = Standby(world.paths)
        self.lines: list[LogLine] = []

    @property
    def row(self) -> Row:
        """The one server's row."""
        (row,) = self.standby.snapshot().rows
        return row

    @property
    def monitors(self) -> bool:
        """Whether it monitors itself."""
        return self.standby.snapshot().monitored_by is None

    def take_lines(self) -> list[LogLine]:
        """Take over what is new in the log."""
        self.lines += self.standby.log_after(self.lines[-1].seq if self.lines else 0, 10_000)
        return self.lines

    def is_now(self, health: Health) -> bool:
        """Whether the server is read from the history and is in this state."""
        rows = self.standby.snapshot().rows
        self.take_lines()
        return bool(rows) and rows[0].health is health


@contextmanager
def second_copy(world: World) -> Iterator[SecondCopy]:
    """A copy beside a process that monitors already."""
    copy = SecondCopy(world)
    copy.standby.start()
    try:
        yield copy
    finally:
        assert copy.standby.stop(5)


@contextmanager
def both(home: World, sshd: Sshd, postgres: Postgres) -> Iterator[tuple[Watching, SecondCopy, int]]:
    """``canary watch`` with a tunnel that is up, a copy that shows it, and the local port."""
    port = free_port()
    home.write(with_ssh(home.server(postgres, sshd), local_port=port))
    with Watching() as first:
        first.until(lambda: any(event["probe"]["ok"] for event in first.of("probe_finished")), "it is up")
        with second_copy(home) as second:
            wait_for(lambda: second.is_now(Health.UP), WITHIN, "the copy shows it")
            yield first, second, port


def told(lines: list[LogLine]) -> list[str]:
    """Lines as the history has them: a time to the microsecond, a probe's start to the millisecond."""
    return [
        json.dumps([line.server, line.text, round(line.at * 1e6), line.result and line.result.total_ms])
        for line in lines
    ]


def listening(pid: int) -> set[int]:
    """The TCP ports of this machine on which a process listens."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(str(descriptor.readlink()))
        except FileNotFoundError:
            continue
    rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {
        int(row[1].rpartition(":")[2], 16)
        for row in rows
        if row[3] == "0A" and f"socket:[{row[9]}]" in sockets
    }
