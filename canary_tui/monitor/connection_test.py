"""A connection test: the whole way over an SSH connection of its own, told stage by stage."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from canary_tui.monitor.events import ProbeFinished
from canary_tui.monitor.request import TestState

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import Stage, StageResult
    from canary_tui.monitor.core import Core
    from canary_tui.monitor.request import Tell
    from canary_tui.servers.model import Server


async def run(core: Core, server: Server, tell: Tell) -> TestState:
    """Test a server; then try the keys of a change of key that is under way. ``tell`` hears every stage."""
    from canary_tui.monitor.key_trial import attempt
    from canary_tui.monitor.probe import probe

    def progress(stage: Stage | None, stages: tuple[StageResult, ...]) -> None:
        tell(TestState(stage=stage, stages=stages))

    result = await probe(server, core.tools, watch=progress)
    state = TestState(stages=result.stages, result=result)
    core.emit(ProbeFinished(at=time.time(), result=result))
    if result.ok:
        core.held.retry_now(server.name)
    if server.tunnel is not None and (server.tunnel.next_key or server.tunnel.old_key):
        tell(msgspec.structs.replace(state, trying_keys=True))
        state = msgspec.structs.replace(state, tried=await core.edited(attempt, server.name, result))
    return state
