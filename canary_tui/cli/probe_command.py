"""``canary probe``."""

from __future__ import annotations

import asyncio
import getpass
import sys
from typing import TYPE_CHECKING

import click
import msgspec

from canary_tui.cli.common import ServerName, find_server, load_fleet, open_tools
from canary_tui.cli.report import describe
from canary_tui.diagnosis.stages import Cause
from canary_tui.monitor.quiet import to_the_log
from canary_tui.monitor.records import probe_json
from canary_tui.servers.secrets import Secret

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import ProbeResult
    from canary_tui.paths import Paths
    from canary_tui.servers.model import Server

AT_ONCE = 16
LOGINS_AT_ONCE = 2


@click.command("probe")
@click.argument("names", nargs=-1, metavar="[NAME]…", type=ServerName())
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line (docs/reference.md).")
@click.pass_obj
def command(paths: Paths, names: tuple[str, ...], as_json: bool) -> int:
    """Probe servers once, each over an SSH connection of its own: all that are enabled, or those named.

    Exit status 0 when every probe passed, 1 when one failed.
    """
    if names:
        servers = [find_server(paths, name) for name in dict.fromkeys(names)]
    else:
        servers = [server for server in load_fleet(paths).servers if server.enabled]
        if not servers:
            click.echo(f"Nothing to probe: no enabled server in {paths.servers}.", err=True)
    results = asyncio.run(probe_all(paths, servers, as_json=as_json))
    return 0 if all(result.ok for result in results) else 1


async def probe_all(paths: Paths, servers: list[Server], *, as_json: bool) -> list[ProbeResult]:
    """Probe servers side by side and print each result as it comes, in the order of the file."""
    from canary_tui.monitor.probe import probe

    asyncio.get_running_loop().set_exception_handler(to_the_log)
    tools = open_tools(paths)
    room = asyncio.Semaphore(AT_ONCE)
    gates: dict[str, asyncio.Semaphore] = {}

    async def one(server: Server) -> ProbeResult:
        gate = gates.setdefault(
            server.through if server.tunnel else server.name, asyncio.Semaphore(LOGINS_AT_ONCE)
        )
        async with room, gate:
            return await probe(server, tools)

    tasks = [asyncio.create_task(one(server)) for server in servers]
    results: list[ProbeResult] = []
    try:
        for server, task in zip(servers, tasks, strict=True):
            result = await task
            if _asks(server, result):
                question = f"Password of {server.words['db_user']} on {server.name}: "
                text = await asyncio.to_thread(getpass.getpass, question)
                tools.passwords.give(server.name, Secret(text))
                result = await one(server)
            results.append(result)
            if as_json:
                click.echo(msgspec.json.encode(probe_json(result)))
            else:
                click.echo(describe(server, result))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return results


def _asks(server: Server, result: ProbeResult) -> bool:
    """Whether a person is there to be asked for the password that no source has."""
    missing = result.failure is not None and result.failure.cause is Cause.PASSWORD_MISSING
    return missing and server.database.password is None and sys.stdin.isatty()
