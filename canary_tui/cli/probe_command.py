"""``canary probe``."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import click

from canary_tui.cli.common import ServerName, find_entry, load_fleet, open_tools, path_words
from canary_tui.cli.report import describe
from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.stages import Cause, Failed, ProbeResult, RouteKind, Stage, StageResult
from canary_tui.monitor.json_records import json_line, probe_json
from canary_tui.monitor.quiet import to_the_log
from canary_tui.servers.fleet import BrokenServer
from canary_tui.servers.model import Server
from canary_tui.servers.secrets import Secret
from canary_tui.tunnels.login_gates import WIDEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from canary_tui.monitor.tools import Tools
    from canary_tui.paths import Paths

AT_ONCE = 32
"""Probes at a time, of which no SSH server's may be more than log in there: one that hangs leaves room."""


@click.command("probe")
@click.argument("names", nargs=-1, metavar="[NAME]…", type=ServerName())
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line (docs/reference.md).")
@click.pass_obj
def command(paths: Paths, names: tuple[str, ...], as_json: bool) -> int:
    """Probe servers once, each over an SSH connection of its own: all that are enabled, or those named.

    Exit status 0 when every probe passed, 1 when one failed or an entry has mistakes.
    """
    if names:
        servers = [find_entry(paths, name) for name in dict.fromkeys(names)]
    else:
        servers = [entry for entry in load_fleet(paths).entries if _enabled(entry)]
        if not servers:
            click.echo(f"Nothing to probe: no enabled server in {path_words(paths.servers)}.", err=True)
    tools = open_tools(paths)
    results = asyncio.run(probe_all(servers, tools, as_json=as_json, asking=True))
    for number, server in enumerate(servers):
        if isinstance(server, BrokenServer) or not _may_be_asked(server, results[number]):
            continue
        if _ask(server, tools):
            (results[number],) = asyncio.run(probe_all([server], tools, as_json=as_json))
        else:
            _print(server, results[number], as_json=as_json)
    return 0 if all(result.ok for result in results) else 1


async def probe_all(
    servers: Sequence[Server | BrokenServer], tools: Tools, *, as_json: bool, asking: bool = False
) -> list[ProbeResult]:
    """Probe servers side by side; print the results, and return them, in the order of the servers.

    With ``asking`` those are not printed that lack a password which a person may type: the caller asks
    about them when all others are done, so that no result waits for somebody who looks for a password.
    """
    from canary_tui.monitor.probe import probe

    asyncio.get_running_loop().set_exception_handler(to_the_log)
    room = asyncio.Semaphore(AT_ONCE)
    rooms = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(WIDEST))

    async def one(server: Server | BrokenServer) -> ProbeResult:
        if isinstance(server, BrokenServer):
            return _not_probed(server)
        ssh = server.tunnel
        async with rooms[f"{ssh.host.lower()}:{ssh.port}" if ssh else server.name], room:
            return await probe(server, tools)

    tasks = [asyncio.create_task(one(server)) for server in servers]
    try:
        for server, task in zip(servers, tasks, strict=True):
            result = await task
            if not (asking and _may_be_asked(server, result)):
                _print(server, result, as_json=as_json)
        return [task.result() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _enabled(entry: Server | BrokenServer) -> bool:
    return (entry.read if isinstance(entry, BrokenServer) else entry).enabled


def _not_probed(entry: BrokenServer) -> ProbeResult:
    """Return how a probe of an entry with mistakes ends: in ``settings``, with the mistakes as its detail."""
    failed = Failed(Cause.SETTINGS_INVALID, stage=Stage.SETTINGS, detail=entry.mistakes)
    return ProbeResult(
        server=entry.name,
        ok=False,
        route=RouteKind.FRESH if entry.read.tunnel else RouteKind.DIRECT,
        started_at=time.time(),
        total_ms=0.0,
        stages=(StageResult(stage=Stage.SETTINGS, ok=False, ms=0.0),),
        failure=explain(failed, Stage.SETTINGS, {"server": entry.name}),
    )


def _print(server: Server | BrokenServer, result: ProbeResult, *, as_json: bool) -> None:
    click.echo(json_line(probe_json(result)) if as_json else describe(server, result))


def _ask(server: Server, tools: Tools) -> bool:
    """Ask for a server's password; False when none was given.

    Not on the event loop: Ctrl-C would have to wait for the answer.
    """
    question = f"Password of {server.words['db_user']} on {server.name}"
    text = click.prompt(question, default="", show_default=False, hide_input=True, err=True)
    if text:
        tools.passwords.give(server, Secret(text))
    return bool(text)


def _may_be_asked(server: Server | BrokenServer, result: ProbeResult) -> bool:
    """Whether a person is there to be asked for the password that no source has."""
    missing = result.failure is not None and result.failure.cause is Cause.PASSWORD_MISSING
    return missing and isinstance(server, Server) and server.database.password is None and sys.stdin.isatty()
