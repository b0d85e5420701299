"""What happened, as small frozen records. The board folds them; the history and ``watch`` keep them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from canary_tui.diagnosis.printable import one_line
from canary_tui.diagnosis.stages import Failure, HostKeyOffer, ProbeResult
from canary_tui.monitor.incidents import Change, Incident
from canary_tui.servers.fleet import Fleet


class TunnelState(StrEnum):
    """Where a server's tunnel stands. A direct server's is ``up`` or ``closed``."""

    CLOSED = "closed"
    """Not wanted: the server is switched off, or the application ends."""
    OPENING = "opening"
    """The SSH connection is being made."""
    UP = "up"
    LOST = "lost"
    """It was up and broke; the next attempt follows at once."""
    WAITING = "waiting"
    """The last attempt failed; the next one is at ``retry_at``."""
    STOPPED = "stopped"
    """Not tried again until a person acts or the settings change."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Something that happened. ``at`` is Unix time in seconds."""

    at: float


class FleetLoaded(Event, frozen=True, kw_only=True, tag="fleet_loaded"):
    """``servers.yaml`` was read and is good."""

    fleet: Fleet


class FileRejected(Event, frozen=True, kw_only=True, tag="file_rejected"):
    """``servers.yaml`` is wrong; the last good list stays."""

    problems: tuple[str, ...]


class TunnelChanged(Event, frozen=True, kw_only=True, tag="tunnel_changed"):
    """A tunnel went from one state to another, and why."""

    server: str
    state: TunnelState
    reason: str = ""
    failure: Failure | None = None
    host_key: HostKeyOffer | None = None
    """A host key that waits for a person."""
    retry_at: float | None = None
    """Unix time of the next attempt, while waiting."""
    local: str = ""
    """``127.0.0.1:15432`` or the path of the socket; empty when nothing is bound."""

    @property
    def words(self) -> str:
        """What the log says of it."""
        words = f"tunnel {self.state}"
        if self.state is TunnelState.UP:
            return f"{words} at {self.local}"
        return f"{words}: {self.reason}" if self.reason else words


class ProbeStarted(Event, frozen=True, kw_only=True, tag="probe_started"):
    """A probe of a server began."""

    server: str


class ProbeFinished(Event, frozen=True, kw_only=True, tag="probe_finished"):
    """A probe of a server ended."""

    result: ProbeResult


class ClientsChanged(Event, frozen=True, kw_only=True, tag="clients_changed"):
    """A client came in through the local port, or left."""

    server: str
    clients: int
    bytes_up: int
    bytes_down: int


class ClientRefused(Event, frozen=True, kw_only=True, tag="client_refused"):
    """A client of the local port could not be served."""

    server: str
    reason: str

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "reason", one_line(self.reason))


class LocalEndChanged(Event, frozen=True, kw_only=True, tag="local_end_changed"):
    """Something is wrong with a local port that is open all the same, or not any more."""

    server: str
    trouble: str
    """What is wrong, for a person; empty when nothing is."""

    @property
    def words(self) -> str:
        """What the log says of it."""
        return self.trouble or "nobody else has a part of the local port any more"


class Noted(Event, frozen=True, kw_only=True, tag="noted"):
    """Something that a person should read in the log; errors and names of files stand in it."""

    server: str
    text: str

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "text", one_line(self.text))


class PasswordWanted(Event, frozen=True, kw_only=True, tag="password_wanted"):
    """No source has the database password; a person has to be asked."""

    server: str


class Slept(Event, frozen=True, kw_only=True, tag="slept"):
    """The machine woke up after having slept for ``seconds``."""

    seconds: float


class IncidentChanged(Event, frozen=True, kw_only=True, tag="incident_changed"):
    """An incident began, spread, shrank or ended; ``incident`` is how it stands now."""

    change: Change
    incident: Incident


AnyEvent = (
    FleetLoaded
    | FileRejected
    | TunnelChanged
    | ProbeStarted
    | ProbeFinished
    | ClientsChanged
    | ClientRefused
    | LocalEndChanged
    | Noted
    | PasswordWanted
    | Slept
    | IncidentChanged
)
