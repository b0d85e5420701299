"""Events, and the board that they are folded into."""

from __future__ import annotations

import msgspec

from canary_tui.diagnosis.stages import Failure, ProbeResult, RouteKind
from canary_tui.monitor.board import Board, Row
from canary_tui.monitor.events import FleetLoaded, TunnelChanged, TunnelState
from canary_tui.servers.fleet import Fleet
from canary_tui.servers.model import Database, Engine, Server, SshServer

SSH = SshServer(host="bastion", user="ssh_user")


def server(name: str = "orders", *, enabled: bool = True, ssh: SshServer | None = SSH) -> Server:
    database = Database(host="10.0.3.12", port=5432)
    return Server(name=name, enabled=enabled, engine=Engine.POSTGRESQL, database=database, ssh=ssh)


def result(
    name: str = "orders", *, ms: float = 3.0, wrong: Failure | None = None, **more: object
) -> ProbeResult:
    return msgspec.structs.replace(
        ProbeResult(
            server=name,
            ok=wrong is None,
            route=RouteKind.REUSED,
            started_at=1.0,
            total_ms=ms,
            stages=(),
            failure=wrong,
        ),
        **more,
    )  # fmt: skip


def tunnel(state: TunnelState, at: float = 2.0, name: str = "orders", **more: object) -> TunnelChanged:
    return msgspec.structs.replace(TunnelChanged(at=at, server=name, state=state), **more)


def board_of(*servers: Server) -> Board:
    board = Board()
    board.apply(FleetLoaded(at=1.0, fleet=Fleet(servers=servers or (server(),))))
    return board


def row_of(board: Board, name: str = "orders") -> Row:
    row = board.publish().row(name)
    assert row is not None
    return row


def texts(board: Board) -> list[str]:
    return [line.text for line in board.log_after(0, 100)]
