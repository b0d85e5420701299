"""Probes attackers one after the other, and a good server meanwhile: run as a program by test_floods.

Arguments: a servers file's folder, and how many attackers it has, named ``attacker-0`` and on; the good
server is ``good``. Prints a JSON object for each attacker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from canary_tui.monitor.loop import new_loop
from canary_tui.monitor.probe import probe
from canary_tui.monitor.tools import Tools
from canary_tui.paths import Paths


def memory(name: str) -> int:
    """A number of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def memory_now() -> int:
    """The memory in use, in bytes; from here on the kernel notes the most that is (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory("VmRSS")


async def main(folder: Path, attackers: int) -> None:
    """Probe each attacker."""
    tools = Tools(Paths.below(folder))
    fleet = tools.file.load()
    servers = {server.name: server for server in fleet.servers}
    good: list[bool] = []

    async def probe_the_good_one() -> None:
        while True:
            good.append((await probe(servers["good"], tools)).ok)
            await asyncio.sleep(0.02)

    for number in range(-1, attackers):  # the first one makes what is made once: drivers, TLS
        good.clear()
        before = memory_now()
        meanwhile = asyncio.create_task(probe_the_good_one())
        result = await probe(servers[f"attacker-{max(number, 0)}"], tools)
        while not good:
            await asyncio.sleep(0.01)
        grown = memory("VmHWM") - before
        meanwhile.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await meanwhile
        if number >= 0:
            stage, cause = (result.failure.stage, result.failure.cause) if result.failure else ("", "")
            said = {"stage": stage, "cause": cause, "ms": result.total_ms, "grown": grown, "good": good}
            sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main(Path(sys.argv[1]), int(sys.argv[2])))
