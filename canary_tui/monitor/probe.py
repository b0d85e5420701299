"""One probe of one server, through all its stages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from canary_tui.databases.registry import client_for
from canary_tui.databases.tls import check_authorities
from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Cause, Failed, ProbeResult, RouteKind, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.monitor.breakdowns import ENDING
from canary_tui.servers.model import TlsMode
from canary_tui.tunnels.link import ProbeLink
from canary_tui.tunnels.open_files import unexpected
from canary_tui.tunnels.route import DirectRoute, SshRoute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from canary_tui.databases.link import DatabaseClient
    from canary_tui.diagnosis.stages import StageResult
    from canary_tui.keys.store import StoredKey
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.model import Server
    from canary_tui.servers.secrets import Secret
    from canary_tui.tunnels.route import Route

    Watch = Callable[[Stage | None, tuple[StageResult, ...]], None]

log = logging.getLogger(__name__)


async def probe(
    server: Server,
    tools: Tools,
    *,
    route: Route | None = None,
    watch: Watch | None = None,
    seconds: float | None = None,
) -> ProbeResult:
    """Probe a server once and return the result; a failure is a result too.

    Over ``route`` where a tunnel stands already, else over an SSH connection (or a direct one) of the
    probe's own. Opens exactly one connection to the database and completes it: on MySQL, ones that are
    dropped count against everybody behind the jumpbox. ``seconds``, or else the server's ``timeout``,
    limits the stages from ``resolve`` (or ``forward``) to ``query``; what gives the password has a limit
    of its own, and waiting for a turn to log in counts nowhere.
    """
    trace = Trace(time.perf_counter, watch)
    kind = route.kind if route else RouteKind.FRESH if server.tunnel else RouteKind.DIRECT
    started_at, began = time.time(), time.perf_counter()
    failed: Failed | None = None
    try:
        await _all_stages(server, tools, trace, route, seconds or server.probe.timeout)
        trace.finish()
    except Failed as error:
        failed = error
    except ENDING:
        raise
    except BaseException as error:
        log.debug("probe of %s", server.name, exc_info=True)
        failed = unexpected(error)
    failure = None
    if failed is not None:
        failure = explain(failed, trace.fail(failed), tools.words(server))
    if any(stage.stage is Stage.TLS and stage.ok for stage in trace.results):
        await _remember_tls(server, tools)
    return ProbeResult(
        server=server.name,
        ok=failure is None,
        route=kind,
        started_at=started_at,
        total_ms=round((time.perf_counter() - began - trace.waited) * 1000, 3),
        stages=trace.results,
        failure=failure,
        host_key=failed.host_key if failed else None,
    )


async def _all_stages(
    server: Server, tools: Tools, trace: Trace, route: Route | None, seconds: float
) -> None:
    trace.enter(Stage.SETTINGS)
    client = client_for(server.engine)
    # Before anything is dialled: MySQL counts a connection that is given up in its handshake.
    check_authorities(server.database)
    had_tls = server.database.tls is TlsMode.PREFER and bool(tools.known_tls.seen(server))
    password = await tools.passwords.find(server)
    key = await tools.key_of(server) if server.tunnel and route is None else None
    limit = asyncio.timeout(None)

    def begin() -> None:
        limit.reschedule(asyncio.get_running_loop().time() + seconds)

    try:
        async with limit, _way(server, tools, trace, route, key, begin=begin) as way:
            with way.awaited(seconds):
                await _query(client, server, way, trace, password, had_tls=had_tls)
    except TimeoutError:
        if not limit.expired():
            raise
        silent = _tunnel_is_silent(route)
        if silent or not trace.settled:
            raise silent or trace.timed_out() from None
    except Failed as failed:
        if failed.cause is Cause.PASSWORD_REJECTED:
            tools.passwords.rejected(server)
        if failed.cause is Cause.PASSWORD_MISSING and (why := tools.passwords.passed_over(server)):
            detail = f"{why}; {failed.detail}" if failed.detail else why
            raise Failed(failed.cause, stage=failed.stage, detail=detail, facts=failed.facts) from None
        raise


async def _query(
    client: DatabaseClient,
    server: Server,
    way: Route,
    trace: Trace,
    password: Secret | None,
    *,
    had_tls: bool,
) -> None:
    async with await ProbeLink.through(way, trace) as link:
        try:
            async with client.session(link, server, password, trace, had_tls=had_tls) as session:
                await session.query(server.probe.query)
        except Failed as failed:
            told = link.cut_off or _lost_on_the_way(failed, way)
            raise told or await _settled(client, failed, server, way) from None


async def _settled(client: DatabaseClient, failed: Failed, server: Server, way: Route) -> Failed:
    """Return a failure, looked at once more over a second connection where it may have another cause."""
    if client.unsure(failed, server):
        with contextlib.suppress(Failed):
            async with await ProbeLink.through(way, Trace(time.perf_counter)) as link:
                return await client.settle(link, failed)
    return failed


async def _remember_tls(server: Server, tools: Tools) -> None:
    """Write down that the database has TLS, where that is not known yet."""
    try:
        if not tools.known_tls.seen(server):
            await asyncio.to_thread(tools.known_tls.add, server)
    except (Failed, OSError):
        log.debug("known_tls", exc_info=True)  # the probe's own result stands


def _lost_on_the_way(failed: Failed, way: Route) -> Failed | None:
    """Return ``tunnel_lost`` where a connection ended because the SSH connection under it did."""
    reason = way.lost() if ROWS[failed.cause].closed else ""
    return Failed(Cause.TUNNEL_LOST, detail=reason) if reason else None


def _tunnel_is_silent(route: Route | None) -> Failed | None:
    """Return ``tunnel_lost`` where the silence is the SSH server's, and not the database's."""
    reason = route.lost() if route else ""
    return Failed(Cause.TUNNEL_LOST, detail=reason) if reason else None


@asynccontextmanager
async def _way(
    server: Server,
    tools: Tools,
    trace: Trace,
    route: Route | None,
    key: StoredKey | None,
    *,
    begin: Callable[[], None],
) -> AsyncIterator[Route]:
    """Give the way to the database; ``begin`` is called when the time of the probe begins."""
    database = server.database
    if route is not None:
        begin()
        yield route
    elif server.tunnel is None or key is None:
        begin()
        yield DirectRoute(database.host, database.port)
    else:
        async with tools.logins.connection(server.tunnel, key, trace, seconds=None, on_turn=begin) as ssh:
            yield SshRoute(ssh, database.host, database.port, kind=RouteKind.FRESH)
