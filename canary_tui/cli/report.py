"""A probe's result for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from canary_tui.diagnosis.catalogue import stage_title
from canary_tui.servers.model import Server

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import ProbeResult, StageResult
    from canary_tui.servers.fleet import BrokenServer

SIGNS = {"up": ("●", "green"), "slow": ("▲", "yellow"), "down": ("✕", "red")}


def describe(server: Server | BrokenServer, result: ProbeResult) -> str:
    """Return a probe as text: one line for the server, one for its stages, the failure if there is one."""
    slow = isinstance(server, Server) and result.total_ms > server.probe.slow_after * 1000
    state = "down" if not result.ok else "slow" if slow else "up"
    sign, colour = SIGNS[state]
    head = f"{sign} {server.name:<16} {server.through}  {state}  {result.total_ms:.1f} ms"
    lines = [click.style(head, fg=colour), "    " + "  ".join(_stage(s) for s in result.stages)]
    failure = result.failure
    if failure is not None:
        lines.append(f"    {stage_title(failure.stage, direct=result.direct)}: {failure.summary}")
        lines += [f"      - {remedy}" for remedy in failure.remedies]
        if failure.detail:
            lines.append(f"      ({failure.detail})")
    return "\n".join(lines)


def _stage(stage: StageResult) -> str:
    return f"{stage.stage} {stage.ms:.1f}" if stage.ok else click.style(f"{stage.stage} ✕", fg="red")
