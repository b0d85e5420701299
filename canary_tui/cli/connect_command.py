"""``canary connect``."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from canary_tui.cli.common import ServerName, find_server, open_tools
from canary_tui.cli.errors import in_words
from canary_tui.ending import Ending
from canary_tui.paths import private_folder
from canary_tui.surroundings import in_front, wanted_signals, when_terminal_goes

if TYPE_CHECKING:
    from collections.abc import Callable

    from canary_tui.databases.ways import Way
    from canary_tui.diagnosis.stages import Failure
    from canary_tui.monitor.events import AnyEvent
    from canary_tui.monitor.supervisor import Supervisor
    from canary_tui.monitor.tools import Tools
    from canary_tui.paths import Paths
    from canary_tui.servers.model import Server

INTERRUPTED = 130
OUR_FAILURE = 125
"""Exit status when the command was not run, as ``env`` and ``docker run`` have it."""


@dataclass(frozen=True)
class _Ends:
    """What ends a tunnel that stands, besides its command: a defect, or that nobody is there any more.

    ``listening`` holds what listens to signals, until the very end.
    """

    running: asyncio.Task[None]
    deserted: asyncio.Event
    listening: ExitStack


@click.command("connect", context_settings={"ignore_unknown_options": True})
@click.argument("name", type=ServerName())
@click.argument("command_line", nargs=-1, metavar="[-- COMMAND …]", type=click.UNPROCESSED)
@click.pass_obj
def command(paths: Paths, name: str, command_line: tuple[str, ...]) -> int:
    """Open a server's tunnel, print how to use it, and stay until Ctrl-C.

    With COMMAND: run it with the engine's environment (PGHOST, MYSQL_HOST, CANARY_HOST …), close, and
    return its exit status; 125 when the tunnel could not be opened.
    """
    server = find_server(paths, name)
    with ExitStack() as listening:  # also while asyncio waits for the threads of its pool
        return asyncio.run(_connect(paths, server, list(command_line), listening))


async def _connect(paths: Paths, server: Server, argv: list[str], listening: ExitStack) -> int:
    from canary_tui.monitor.breakdowns import ENDING
    from canary_tui.monitor.supervisor import Supervisor

    failing = asyncio.Event()
    tools = open_tools(paths)
    supervisor = Supervisor(server, tools, _teller(failing), chance=random.random, any_port=True)
    running = asyncio.create_task(supervisor.run())
    over, loop, deserted = threading.Event(), asyncio.get_running_loop(), asyncio.Event()
    if in_front():  # its end is noticed from now on, for later it is no terminal any more
        when_terminal_goes(lambda: loop.call_soon_threadsafe(deserted.set), over)
    try:
        failure = await _up_or_failure(supervisor, failing, running)
        if failure is not None:
            _tell(server, failure)
            return OUR_FAILURE if argv else 1
        return await _use(server, supervisor, tools, argv, _Ends(running, deserted, listening))
    except ENDING:
        raise
    except BaseException as error:  # noqa: BLE001 - no password for the command, or a defect
        words, status = in_words(error, paths.state)
        click.echo(words, err=True)
        return OUR_FAILURE if argv else status
    finally:
        over.set()
        running.cancel()
        await asyncio.wait({running})


def _tell(server: Server, failure: Failure) -> None:
    detail = f" ({failure.detail})" if failure.detail else ""
    click.echo(f"{server.name}: {failure.summary}{detail}", err=True)
    for remedy in failure.remedies:
        click.echo(f"  - {remedy}", err=True)


def _teller(failing: asyncio.Event) -> Callable[[AnyEvent], None]:
    from canary_tui.monitor.events import ClientRefused, LocalEndChanged, TunnelChanged, TunnelState

    def tell(event: AnyEvent) -> None:
        if isinstance(event, ClientRefused):
            click.echo(f"client refused: {event.reason}", err=True)
        elif isinstance(event, LocalEndChanged):
            click.echo(event.words, err=True)
        elif isinstance(event, TunnelChanged):
            if event.state in {TunnelState.WAITING, TunnelState.STOPPED}:
                failing.set()
            if event.state is TunnelState.LOST:
                click.echo(f"tunnel lost ({event.reason}); reopening", err=True)

    return tell


async def _up_or_failure(
    supervisor: Supervisor, failing: asyncio.Event, running: asyncio.Task[None]
) -> Failure | None:
    """Return why the tunnel does not stand, None when it does. Raises what ended the supervisor."""
    up = asyncio.ensure_future(supervisor.until_up())
    failed = asyncio.ensure_future(failing.wait())
    await asyncio.wait({up, failed, running}, return_when=asyncio.FIRST_COMPLETED)
    for waiting in (up, failed):
        waiting.cancel()
    if running.done():
        running.result()
    return supervisor.failure


async def _use(server: Server, supervisor: Supervisor, tools: Tools, argv: list[str], ends: _Ends) -> int:
    from canary_tui.diagnosis.stages import Cause, Failed
    from canary_tui.monitor.clients import ClientStart
    from canary_tui.monitor.ways import way_at

    async def way() -> Way:
        why = Failed(Cause.TUNNEL_LOST, detail=f"the tunnel of {server.name} is closed")
        return await way_at(server, supervisor.local, why)

    servers = (await asyncio.to_thread(tools.file.load)).named
    # Not in /tmp, which may be mounted so that nothing in it can be run.
    clients = private_folder(tools.paths.state / "clients")
    with tempfile.TemporaryDirectory(prefix=f"{server.name}-", dir=clients) as folder:
        start = ClientStart(way=way, servers=servers, known_tls=tools.known_tls, folder=Path(folder))
        if argv:
            await _probe_first(server, supervisor, tools)
            ends.running.add_done_callback(_say_why_closed)
            call = await start.call(server, tools.passwords.find, argv)
            return await _run(*call, ends.listening)
        client = await start.client(server)
        at = f"is at {supervisor.local}" if supervisor.local else "is reached directly (no tunnel)"
        click.echo(f"{server.name} {at}; Ctrl-C closes it.", err=True)
        click.echo(client.shell_line())
        await _interrupted(ends)
        with suppress(OSError):  # the terminal may be what ended
            click.echo("closed", err=True)
        return INTERRUPTED


async def _probe_first(server: Server, supervisor: Supervisor, tools: Tools) -> None:
    """Raise Failed where it is not safe to log in and the client could not be told so (``check_safe``)."""
    from canary_tui.monitor.probe import probe
    from canary_tui.monitor.ways import check_safe
    from canary_tui.servers.model import TlsMode

    facts, database = server.engine.facts, server.database
    tls = database.tls
    wanted = tls.required or (tls is TlsMode.PREFER and tools.known_tls.seen(server))
    # The local end of a tunnel cuts a client off that is asked for its password in clear; here is none.
    open_to_all = server.tunnel is None and not (tls.verifies or database.allow_cleartext)
    if facts.has_login and (open_to_all or (facts.client_may_skip_tls and wanted)):
        check_safe((await probe(server, tools, route=supervisor.route())).failure)


async def _interrupted(ends: _Ends) -> None:
    """Wait for Ctrl-C, a signal or the end of the terminal. Raises what ended the supervisor."""
    loop = asyncio.get_running_loop()
    ending = Ending(lambda _: loop.call_soon_threadsafe(ends.deserted.set), status=lambda _: INTERRUPTED)
    numbers = (signal.SIGTERM, *wanted_signals(signal.SIGINT, signal.SIGHUP))
    ends.listening.enter_context(ending.on(numbers))
    stopped = asyncio.ensure_future(ends.deserted.wait())
    await asyncio.wait({stopped, ends.running}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if ends.running.done():
        ends.running.result()


def _say_why_closed(running: asyncio.Task[None]) -> None:
    """Say why the tunnel was closed under the command, which may go on without it."""
    if not running.cancelled() and (error := running.exception()) is not None:
        click.echo(in_words(error)[0], err=True)


async def _run(argv: list[str], environment: dict[str, str], listening: ExitStack) -> int:
    """Run a command in the foreground; it gets the terminal's signals itself, SIGTERM is passed on.

    One that does not end by it in time is left alone, without its tunnel.
    """
    sys.stdout.flush()
    begun: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int) -> None:
        for child in begun:
            child.send_signal(number)

    def status(number: int) -> int:
        codes = [child.poll() for child in begun]
        return next((_status(code) for code in codes if code is not None), 128 + number)

    def say() -> None:
        for child in begun:
            if child.poll() is None:
                click.echo(f"{argv[0]} goes on (process {child.pid}); its tunnel is closed.", err=True)

    # Before the command begins: a signal that came in between would end us and not the command.
    ending = Ending(pass_on, last=say, status=status)
    listening.enter_context(ending.on((signal.SIGTERM, *wanted_signals(signal.SIGHUP))))
    listening.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, lambda *_: None))
    try:
        child = _begun(argv, environment)
    except OSError as error:
        click.echo(f"{argv[0]}: {error.strerror}", err=True)
        return OUR_FAILURE
    begun.append(child)
    if ending.signal:  # it came while the command began
        child.send_signal(ending.signal)
    return _status(await asyncio.to_thread(child.wait))


def _begun(argv: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # Not asyncio's own: what it knows of a child it knows by the event loop, which may hang.
    return subprocess.Popen(argv, env=environment)  # noqa: S603 - the user's own command


def _status(code: int) -> int:
    return 128 - code if code < 0 else code
