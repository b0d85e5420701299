"""``canary watch`` seen from inside: prints each probe, each tunnel's change, and its tasks each second.

Started by the soak as a process of its own; says nothing but JSON Lines.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time

from canary_tui.monitor.events import ProbeFinished, TunnelChanged
from canary_tui.monitor.lock import Lock
from canary_tui.monitor.watch import Watch
from canary_tui.paths import Paths

SAMPLE_SECONDS = 1.0


def main() -> None:
    """Watch until SIGTERM."""
    paths = Paths.of_user()
    lock = Lock(paths)
    if lock.acquire() is not None:
        raise SystemExit("another process monitors already")
    watch = Watch(paths, lock)
    signal.signal(signal.SIGTERM, lambda *_: watch.end())
    loops: list[asyncio.AbstractEventLoop] = []
    # The first event comes on the monitor's thread: that is where its loop is to be had.
    watch.monitor.listen(lambda _: None if loops else loops.append(asyncio.get_running_loop()))
    watch.start()
    threading.Thread(target=_sample, args=(watch, loops), daemon=True).start()
    for event in watch.events():
        if isinstance(event, ProbeFinished):
            result = event.result
            cause = result.failure.cause if result.failure else None
            _say(at=event.at, began=result.started_at, server=result.server, probe=cause or "passed")
        elif isinstance(event, TunnelChanged):
            _say(at=event.at, server=event.server, tunnel=event.state)
    watch.stop(10)


def _sample(watch: Watch, loops: list[asyncio.AbstractEventLoop]) -> None:
    while not watch.ending:
        if loops:
            # Told by the loop itself: from another thread the set may change while it is counted.
            loops[0].call_soon_threadsafe(_count)
        time.sleep(SAMPLE_SECONDS)


def _count() -> None:
    _say(at=time.time(), tasks=len(asyncio.all_tasks()), threads=threading.active_count())


def _say(**what: object) -> None:
    # One write a line: two threads speak.
    os.write(sys.stdout.fileno(), (json.dumps(what) + "\n").encode())


if __name__ == "__main__":
    main()
