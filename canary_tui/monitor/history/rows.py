"""Records as rows, small: a probe is some fifty bytes, and its failure stands once for all alike."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

import msgspec

from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import (
    Failure,
    HostKeyOffer,
    ProbeResult,
    RouteKind,
    Stage,
    StageResult,
)
from canary_tui.monitor.events import TunnelChanged, TunnelState
from canary_tui.monitor.incidents import Incident

T = TypeVar("T")

STAGES = {
    Stage.SETTINGS: 0,
    Stage.RESOLVE: 1,
    Stage.CONNECT: 2,
    Stage.HANDSHAKE: 3,
    Stage.HOST_KEY: 4,
    Stage.AUTH: 5,
    Stage.FORWARD: 6,
    Stage.DATABASE: 7,
    Stage.TLS: 8,
    Stage.LOGIN: 9,
    Stage.QUERY: 10,
}
"""The numbers in the files of people. Only ever add."""
STAGE_OF = {number: stage for stage, number in STAGES.items()}
ROUTES = {RouteKind.FRESH: 0, RouteKind.REUSED: 1, RouteKind.DIRECT: 2}
ROUTE_OF = {number: route for route, number in ROUTES.items()}

MICRO = 1_000_000


def encode_stages(stages: tuple[StageResult, ...]) -> bytes:
    """Return stages as MessagePack: ``[number, microseconds, note]`` each, an empty note left out.

    A stage that failed has the complement of its number (``~number``).
    """
    rows: list[tuple[Any, ...]] = []
    for stage in stages:
        code = STAGES[stage.stage] if stage.ok else ~STAGES[stage.stage]
        took = round(stage.ms * 1000)
        rows.append((code, took, stage.note) if stage.note else (code, took))
    return msgspec.msgpack.encode(rows)


def decode_stages(data: bytes) -> tuple[StageResult, ...]:
    """Read what ``encode_stages`` wrote."""
    return tuple(
        StageResult(
            stage=STAGE_OF[code if code >= 0 else ~code],
            ok=code >= 0,
            ms=took / 1000,
            note=Source.HISTORY.text(rest[0]) if rest else "",
        )
        for code, took, *rest in msgspec.msgpack.decode(data)
    )


def encode_failure(failure: Failure) -> str:
    """Return a failure as the text by which equal ones are found."""
    return msgspec.json.encode(failure).decode()


@functools.lru_cache(1024)  # many probes fail alike
def decode_failure(content: str) -> Failure:
    """Read what ``encode_failure`` wrote."""
    return _converted(msgspec.json.decode(content), Failure)


def _converted(value: Any, kind: type[T]) -> T:
    """Return what was read as what it should be, with its texts made printable, whoever wrote them."""
    return msgspec.convert(_printable(value), kind)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return Source.HISTORY.text(value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return {key: _printable(item) for key, item in value.items()} if isinstance(value, dict) else value


def encode_probe(result: ProbeResult, key: int) -> tuple[int, int, int, bytes]:
    """Return what a probe's row has beside its key, server and failure: route, start, total, stages.

    The start is told as microseconds before the key.
    """
    began = key - round(result.started_at * MICRO)
    return ROUTES[result.route], began, round(result.total_ms * 1000), encode_stages(result.stages)


def decode_probe(
    server: str, key: int, row: tuple[int, int, int, bytes], failure: Failure | None
) -> ProbeResult:
    """Read what ``encode_probe`` wrote."""
    route, began, total, stages = row
    return ProbeResult(
        server=server,
        ok=failure is None,
        route=ROUTE_OF[route],
        started_at=(key - began) / MICRO,
        total_ms=total / 1000,
        stages=decode_stages(stages),
        failure=failure,
    )


def encode_incident(incident: Incident) -> tuple[Any, ...]:
    """Return an incident as a row of the table ``incidents``."""
    return (
        incident.id,
        incident.started,
        incident.ended,
        incident.stage.value,
        incident.cause.value,
        incident.place,
        msgspec.json.encode(incident.servers).decode(),
        incident.summary,
        incident.ended_by,
    )


def decode_incident(row: tuple[Any, ...]) -> Incident:
    """Read what ``encode_incident`` wrote."""
    values = dict(zip(Incident.__struct_fields__, row, strict=True))
    return _converted(values | {"servers": msgspec.json.decode(values["servers"])}, Incident)


def encode_tunnel(event: TunnelChanged) -> tuple[Any, ...]:
    """Return where a tunnel stands, as a row of the table ``tunnels`` without server and signature."""
    return (
        event.at,
        event.state.value,
        event.reason,
        event.retry_at,
        event.local,
        None if event.failure is None else encode_failure(event.failure),
        None if event.host_key is None else msgspec.json.encode(event.host_key).decode(),
    )


def decode_tunnel(server: str, row: tuple[Any, ...]) -> TunnelChanged:
    """Read what ``encode_tunnel`` wrote."""
    at, state, reason, retry_at, local, failure, host_key = row
    return TunnelChanged(
        at=at,
        server=server,
        state=TunnelState(state),
        reason=Source.HISTORY.text(reason),
        retry_at=retry_at,
        local=Source.HISTORY.text(local),
        failure=None if failure is None else decode_failure(failure),
        host_key=None if host_key is None else _converted(msgspec.json.decode(host_key), HostKeyOffer),
    )
