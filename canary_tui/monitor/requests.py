"""What a front end asks of the monitor: a frozen record each, typed by its answer.

``Monitor.ask`` takes any of them. What a record does stands in its ``carry_out``, which runs on the
monitor's loop; a new one is a class here and its use. Errors keep their types: ``BadFile`` and ``OSError``
when the servers file cannot be edited, ``Failed`` when a key or a host key cannot be read, ``KeyError`` for
a server that is not listed, ``CannotRotate`` for a step that is not possible, ``HistoryUnreadable`` (an
OSError).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import HostKeyOffer
from canary_tui.keys.rotation import Rotation, Tried
from canary_tui.monitor.board import LogLine
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.request import Read, Request, Tell, TestState
from canary_tui.servers.model import Server
from canary_tui.servers.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.monitor.core import Core
    from canary_tui.monitor.history.reader import HistoryReader, LatencyPoint, Percentiles
    from canary_tui.monitor.incidents import Incident
    from canary_tui.monitor.uptime import Uptime
    from canary_tui.tunnels.audit import AuditReport


# Tunnels and probes


class Hold(Request[None], frozen=True):
    """Wait until a server's tunnel is closed by anybody, or switched off, or removed; several may wait.

    Cancelling this closes it, as ``Close`` does, but for ``LEFT``. Where nothing is open, it ends at once.
    """

    server: str
    reopen: bool = True
    """Whether it is opened first, though a person has closed it."""

    async def carry_out(self, core: Core, tell: Tell) -> None:
        await core.held.hold(self.server, reopen=self.reopen)


class Close(Request[None], frozen=True):
    """Close a server's tunnel; the answer comes when all of it is closed. Idempotent.

    It stays closed until ``Hold`` or ``RetryNow``, until it is switched off and on, or the monitor ends.
    """

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> None:
        await core.held.close(self.server)


class ProbeNow(Request[None], frozen=True):
    """Probe a server at once, without waiting for its turn."""

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> None:
        core.held.probe_now(self.server)


class RetryNow(Request[None], frozen=True):
    """Stop waiting and try a server's tunnel and probe at once, though a person has closed it."""

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> None:
        core.held.open(self.server)
        core.held.retry_now(self.server)


class RunTest(Request[TestState], frozen=True):
    """Test the whole way to a server over an SSH connection of the test's own."""

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> TestState:
        from canary_tui.monitor.connection_test import run

        return await run(core, core.known(self.server), tell)


# What a person decides


class Trust(Request[None], frozen=True):
    """Trust exactly the offered host key, instead of others of that host or beside them, and try again."""

    server: str
    offer: HostKeyOffer
    replace: bool = True

    async def carry_out(self, core: Core, tell: Tell) -> None:
        await asyncio.to_thread(core.tools.known_hosts.pin, self.offer, replace=self.replace)
        core.held.host_key_trusted(self.offer)


class GivePassword(Request[None], frozen=True):
    """Keep a database password for this run, in memory only, and probe at once."""

    server: str
    password: Secret

    async def carry_out(self, core: Core, tell: Tell) -> None:
        if (server := core.fleet.get(self.server)) is not None:
            core.tools.passwords.give(server, self.password)
            core.held.probe_now(self.server)


class Save(Request[Server], frozen=True):
    """Add a server (``replaces`` None) or change the one of that name; the answer is what was saved.

    Makes the key of a server with a tunnel and chooses its local port.
    """

    server: Server
    replaces: str | None = None
    keyring_password: Secret | None = None

    async def carry_out(self, core: Core, tell: Tell) -> Server:
        from canary_tui.monitor.edits import save

        return await core.edited(save, self.server, self.replaces, self.keyring_password)


class Remove(Request[None], frozen=True):
    """Take a server out of the file; its key is moved aside, not destroyed."""

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> None:
        from canary_tui.monitor.edits import remove

        await core.edited(remove, self.server)


class Restore(Request[None], frozen=True):
    """Undo ``Remove``: the entry and the key that was moved aside come back."""

    server: Server

    async def carry_out(self, core: Core, tell: Tell) -> None:
        from canary_tui.monitor.edits import restore

        await core.edited(restore, self.server)


class SetEnabled(Request[None], frozen=True):
    """Switch a server on or off; its entry stays."""

    server: str
    enabled: bool

    async def carry_out(self, core: Core, tell: Tell) -> None:
        from canary_tui.monitor.edits import set_enabled

        await core.edited(set_enabled, self.server, self.enabled)


# Keys, and a client


class ReadKey(Request["KeyInfo"], frozen=True):
    """Return a server's public key and how to install it; made if it has none yet."""

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> KeyInfo:
        return await core.tools.key_info(core.known(self.server))


class ReadRotation(Request[Rotation], frozen=True):
    """Return how far the change of a server's key is."""

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> Rotation:
        from canary_tui.monitor.rotation import state

        return await state(core.tools, self.server, core.fleet)


class RotateKey(Request[Rotation], frozen=True):
    """Make a new key beside the one in use."""

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> Rotation:
        from canary_tui.monitor.rotation import begin

        return await core.edited(begin, self.server)


class TryKeys(Request[Tried], frozen=True):
    """Try the new key, over a login of its own, and use it when it works; or the old one's refusal."""

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> Tried:
        from canary_tui.monitor.key_trial import attempt

        return await core.edited(attempt, core.known(self.server).name)


class GiveUpKey(Request["Path | None"], frozen=True):
    """Give a new key up that is not in use yet; the answer is where it is kept."""

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> Path | None:
        from canary_tui.monitor.rotation import give_up

        return await core.edited(give_up, self.server)


class AuditKey(Request["AuditReport"], frozen=True):
    """Prove what a server's key can and cannot do, over an SSH login of its own."""

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> AuditReport:
        from canary_tui.monitor.audit import audit

        return await audit(core.known(self.server), core.tools)


class StartClient(Request[tuple[list[str], dict[str, str]]], frozen=True):
    """Return the command line and the whole environment of the engine's own client.

    Raises Failed where nothing of ours is bound, before a password is looked for.
    """

    server: str

    async def carry_out(self, core: Core, tell: Tell) -> tuple[list[str], dict[str, str]]:
        from canary_tui.monitor.clients import client_environment

        return await client_environment(core, core.known(self.server))


# The past


class ReadLog(Read[list[LogLine]], frozen=True):
    """Return a page of the log from disk, oldest line first; ``seq`` is not the live log's."""

    query: LogQuery

    def read(self, history: HistoryReader) -> list[LogLine]:
        return history.lines(self.query)


class ReadUptimes(Read["dict[str, Uptime]"], frozen=True):
    """Return how long each server was up in the last ``span`` seconds; none for one never watched."""

    span: float

    def read(self, history: HistoryReader) -> dict[str, Uptime]:
        return history.uptimes(self.span)


class ReadPercentiles(Read["Percentiles | None"], frozen=True):
    """Return a server's latency percentiles over the last ``span`` seconds; None: no probe passed."""

    server: str
    span: float

    def read(self, history: HistoryReader) -> Percentiles | None:
        return history.percentiles(self.server, self.span)


class ReadLatency(Read["list[LatencyPoint]"], frozen=True):
    """Return a server's latency over the last ``span`` seconds, in at most ``points`` pieces."""

    server: str
    span: float
    points: int

    def read(self, history: HistoryReader) -> list[LatencyPoint]:
        return history.latency_series(self.server, self.span, self.points)


class ReadIncidents(Read["list[Incident]"], frozen=True):
    """Return the newest incidents, newest first; one that goes on has no end."""

    limit: int = 200

    def read(self, history: HistoryReader) -> list[Incident]:
        return history.incidents(self.limit)
