"""One audit: the database must be reached over the key's own login, and nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.trace import Trace
from canary_tui.monitor.probe import probe
from canary_tui.servers.model import TlsMode
from canary_tui.tunnels.audit import NO_SOCKET, AuditCheck, AuditReport, Found, beyond_the_database
from canary_tui.tunnels.route import SshRoute

if TYPE_CHECKING:
    from canary_tui.monitor.tools import Tools
    from canary_tui.servers.model import Server


async def audit(server: Server, tools: Tools) -> AuditReport:
    """Try what a server's key can do, over an SSH login of its own.

    Raises Failed when the login fails or the connection ends meanwhile: there is nothing to audit then.
    """
    if server.tunnel is None:
        raise Failed(Cause.SETTINGS_INVALID, stage=Stage.SETTINGS, detail=f"{server.name} has no SSH tunnel")
    key = await tools.key_of(server)
    trace = Trace(time.perf_counter)
    host, port = server.database.host, server.database.port
    async with tools.logins.connection(server.tunnel, key, trace, offered_agent=NO_SOCKET) as ssh:
        result = await probe(server, tools, route=SshRoute(ssh, host, port))
        if result.failure is not None and result.failure.stage is Stage.SETTINGS:
            # No password, no authorities: what the key may do shows all the same, by a login that is refused.
            result = await probe(without_secrets(server), tools, route=SshRoute(ssh, host, port))
        if not ssh.open:
            raise ssh.loss()
        failure = result.failure
        # Any other failure to connect is the SSH server's own try, which the key was allowed to ask for.
        reached = failure is None or failure.cause is not Cause.FORWARDING_NOT_PERMITTED
        database = AuditCheck(
            check="database",
            title=f"the database {host}:{port}",
            wanted=Found.ALLOWED,
            found=Found.ALLOWED if reached else Found.REFUSED,
            detail=failure.summary if failure else f"a whole probe in {result.total_ms:.1f} ms",
        )
        rest = await beyond_the_database(ssh, server.tunnel.user, host, port)
    info = await tools.key_info(server)
    software = tools.logins.software(server.tunnel)
    return AuditReport(
        server=server.name,
        checks=(database, *rest),
        line=info.restricted,
        software=software.name,
        beyond=tuple(sorted(software.beyond)),
    )


def without_secrets(server: Server) -> Server:
    """Return the server as it is tried where its password, or a file of authorities, is not at hand."""
    database = msgspec.structs.replace(server.database, password=None, tls=TlsMode.PREFER, ca_file="")
    return msgspec.structs.replace(server, database=database)
