"""Servers, probes and keys in the states that screens have to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.catalogue import explain
from canary_tui.diagnosis.stages import (
    Cause,
    Failed,
    Failure,
    HostKeyOffer,
    KnownKey,
    ProbeResult,
    RouteKind,
    Stage,
    StageResult,
)
from canary_tui.keys.authorized import KeyInfo, key_info, removal
from canary_tui.keys.rotation import OldKey, Rotation, Step, Tried
from canary_tui.monitor.board import Health, Row
from canary_tui.monitor.events import TunnelState
from canary_tui.monitor.incidents import Incident
from canary_tui.servers.model import Database, Engine, Server, SshServer

if TYPE_CHECKING:
    from canary_tui.tunnels.audit import AuditReport

NOW = 1_790_000_000.0
LINE = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5"
    "YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg= querycanary.com"
)


def server(name: str = "orders-prod", *, engine: Engine = Engine.POSTGRESQL, tunnel: bool = True) -> Server:
    """Return a server, behind a jumpbox unless ``tunnel`` is False."""
    ssh = SshServer(host="bastion-1", user="ssh_user", key=name, local_port=15432) if tunnel else None
    database = Database(
        host="10.0.3.12", port=engine.facts.default_port or 6379, name="orders", user="canary_reader"
    )
    return Server(name=name, engine=engine, database=database, ssh=ssh)


def passed(name: str = "orders-prod", *, at: float = NOW, ms: float = 3.2) -> ProbeResult:
    """Return a probe that went the whole way."""
    stages = (
        StageResult(stage=Stage.FORWARD, ok=True, ms=ms * 0.3),
        StageResult(stage=Stage.DATABASE, ok=True, ms=ms * 0.2),
        StageResult(stage=Stage.LOGIN, ok=True, ms=ms * 0.4),
        StageResult(stage=Stage.QUERY, ok=True, ms=ms * 0.1),
    )
    return ProbeResult(
        server=name, ok=True, route=RouteKind.REUSED, started_at=at, total_ms=ms, stages=stages
    )


def failure(stage: Stage = Stage.AUTH, cause: Cause = Cause.KEY_NOT_ACCEPTED) -> Failure:
    """Return a failure in the catalogue's words."""
    detail = "Permission denied for user ssh_user on host bastion-1"
    return explain(Failed(cause, detail=detail), stage, server().words)


def refused(name: str = "orders-prod", *, at: float = NOW, offer: HostKeyOffer | None = None) -> ProbeResult:
    """Return a fresh probe whose key was not accepted, or whose host key waits for a person."""
    if offer is not None:
        cause = Cause.HOST_KEY_CHANGED if offer.known else Cause.HOST_KEY_UNKNOWN
        why = failure(Stage.HOST_KEY, cause)
    else:
        why = failure()
    stages = [
        StageResult(stage=Stage.SETTINGS, ok=True, ms=0.2),
        StageResult(stage=Stage.RESOLVE, ok=True, ms=0.4, note="192.0.2.7"),
        StageResult(stage=Stage.CONNECT, ok=True, ms=1.1),
        StageResult(stage=Stage.HANDSHAKE, ok=True, ms=8.0, note="OpenSSH_9.2p1"),
        StageResult(stage=Stage.HOST_KEY, ok=offer is None, ms=0.3),
    ]
    if offer is None:
        stages.append(StageResult(stage=Stage.AUTH, ok=False, ms=21.0))
    return ProbeResult(
        server=name,
        ok=False,
        route=RouteKind.FRESH,
        started_at=at,
        total_ms=sum(stage.ms for stage in stages),
        stages=tuple(stages),
        failure=why,
        host_key=offer,
    )


def unreached(name: str = "reports", *, at: float = NOW) -> ProbeResult:
    """Return a probe of a server without a tunnel whose database refused the connection."""
    why = explain(Failed(Cause.CONNECTION_REFUSED), Stage.CONNECT, server(name, tunnel=False).words)
    stages = (
        StageResult(stage=Stage.RESOLVE, ok=True, ms=0.4, note="10.0.3.12"),
        StageResult(stage=Stage.CONNECT, ok=False, ms=1.1),
    )
    return ProbeResult(
        server=name, ok=False, route=RouteKind.DIRECT, started_at=at, total_ms=1.5, stages=stages, failure=why
    )


def offer(*, changed: bool = False) -> HostKeyOffer:
    """Return a host key that nobody trusts yet."""
    old = KnownKey(
        key_type="ssh-ed25519",
        fingerprint="SHA256:0ldK3yqwu2jd0vX0X1mYf6b7Zc8Qe9Wr1Ty2Ui3Op4A",
        since="2026-03-01T09:00:00Z",
    )
    return HostKeyOffer(
        host="bastion-1",
        port=22,
        key_type="ssh-ed25519",
        fingerprint="SHA256:n3wK3yAAu2jd0vX0X1mYf6b7Zc8Qe9Wr1Ty2Ui3Op4B",
        public_line="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE",
        known=(old,) if changed else (),
        evidence=("~/.ssh/known_hosts has exactly this key for bastion-1.",),
    )


def key(of: Server | None = None) -> KeyInfo:
    """Return what the key view shows."""
    return key_info(
        line=LINE,
        fingerprint="SHA256:mVPwvezndPv/ARoIadVY98vAC0g+P/5633yTC4d/wXE",
        created=NOW - 3 * 86_400,
        path="/home/ana/.local/share/canary-tui/keys/orders-prod",
        server=of or server(),
    )


NEW_LINE = LINE.replace("BBBEmKSE", "BBBNewKe")


def new_key() -> Rotation:
    """Return a change of key whose new key is tried."""
    info = key_info(
        line=NEW_LINE,
        fingerprint="SHA256:NewezndPv/ARoIadVY98vAC0g+P/5633yTC4d/wXE12",
        created=NOW - 60,
        path="/home/ana/.local/share/canary-tui/keys/orders-prod.20261123",
        server=server(),
    )
    return Rotation(server="orders-prod", next=info, pending=True)


def old_key(*needed_by: str) -> Rotation:
    """Return a change of key whose old line is to be removed, unless others need it."""
    shown = OldKey(
        line=LINE,
        fingerprint="SHA256:mVPwvezndPv/ARoIadVY98vAC0g+P/5633yTC4d/wXE",
        path="/home/ana/.local/share/canary-tui/keys/orders-prod",
        account="ssh_user@bastion-1",
        script=removal(LINE),
        needed_by=needed_by,
    )
    return Rotation(server="orders-prod", old=shown, leaving=True)


def tried(step: Step, cause: Cause | None = None) -> Tried:
    """Return what a try of the keys came to."""
    why = failure(cause=cause) if cause is not None else None
    old = old_key().old if step in {Step.SWITCHED, Step.STILL_ACCEPTED} else None
    return Tried(server="orders-prod", step=step, failure=why, old=old, fingerprint="SHA256:x")


def incident(*servers: str, began: float = NOW - 125, ended: float | None = None) -> Incident:
    """Return an incident that began two minutes ago and took ``ended`` seconds; None: it goes on."""
    why = failure()
    return Incident(
        id=round(began * 1_000_000) - (ended is not None),
        started=began,
        ended=None if ended is None else began + ended,
        stage=why.stage,
        cause=why.cause,
        place="legacy",
        servers=servers or ("legacy",),
        summary=why.summary,
        ended_by="" if ended is None else "legacy answered again",
    )


def audit_report(*findings: str) -> AuditReport:
    """Return an audit with these findings."""
    # Not at the top: it brings the SSH library, which the first screen is painted before.
    from canary_tui.tunnels.audit import AuditCheck, AuditReport, Found

    titles = {
        "database": ("the database 10.0.3.12:5432", "a whole probe in 3.2 ms"),
        "other_port": ("another port of 10.0.3.12 (1)", "Connection refused"),
        "other_host": ("another host", ""),
        "shell": ("a shell", "a word came back"),
        "reverse_forward_port_1": ("a reverse forward of port 1", "port 1 of the SSH server"),
        "root_login": ("a login as root", "the login is root: an account of its own limits more"),
    }
    checks = []
    for check, (title, detail) in titles.items():
        wanted = Found.ALLOWED if check == "database" else Found.REFUSED
        other = Found.REFUSED if check == "database" else Found.ALLOWED
        found = other if check in findings else wanted
        said = detail if check in findings or check == "database" else ""
        checks.append(AuditCheck(check=check, title=title, wanted=wanted, found=found, detail=said))
    return AuditReport(server="orders-prod", checks=tuple(checks), line=key().restricted)


def fleet(now: float = NOW) -> tuple[Row, ...]:
    """Return one row in each state."""
    return (
        *_answering(now),
        *_in_trouble(now),
        Row(server=server("opening"), health=Health.OPENING, tunnel=TunnelState.OPENING),
        Row(server=_off(server("archive")), health=Health.OFF),
    )


def _answering(now: float) -> tuple[Row, ...]:
    wave = tuple(2.0 + (index * 7 % 11) * 12 for index in range(40))
    return (
        Row(
            server=server(),
            health=Health.UP,
            since=now - 7_200,
            tunnel=TunnelState.UP,
            local="127.0.0.1:15432",
            last=passed(at=now - 3),
            recent=tuple(ms if index != 12 else None for index, ms in enumerate(wave)),
            clients=2,
            bytes_up=4_800,
            bytes_down=3_400_000,
        ),
        Row(
            server=server("billing", engine=Engine.MYSQL),
            health=Health.UP,
            since=now - 90,
            tunnel=TunnelState.UP,
            local="127.0.0.1:15433",
            last=passed("billing", at=now - 3, ms=4.0),
            recent=wave[:20],
        ),
        Row(
            server=server("reports", tunnel=False),
            health=Health.SLOW,
            since=now - 600,
            tunnel=TunnelState.UP,
            last=passed("reports", at=now - 2, ms=412.0),
            recent=tuple(250 + (index % 5) * 60.0 for index in range(30)),
        ),
    )


def _in_trouble(now: float) -> tuple[Row, ...]:
    return (
        Row(
            server=server("legacy"),
            health=Health.DOWN,
            since=now - 125,
            tunnel=TunnelState.WAITING,
            retry_at=now + 48,
            local="127.0.0.1:15440",
            failure=failure(),
            last=refused("legacy", at=now - 5),
            recent=(3.1, 3.3, None, None, None),
        ),
        Row(
            server=server("new-jump"),
            health=Health.DOWN,
            since=now - 20,
            tunnel=TunnelState.STOPPED,
            failure=failure(Stage.HOST_KEY, Cause.HOST_KEY_UNKNOWN),
            host_key=offer(),
            recent=(None,),
        ),
    )


def _off(one: Server) -> Server:
    return Server(name=one.name, enabled=False, engine=one.engine, database=one.database, ssh=one.ssh)
