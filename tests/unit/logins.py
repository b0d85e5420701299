"""What both sides of a client's login say, and a guard that stands between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from canary_tui.databases.registry import login_guard_for
from canary_tui.servers.model import Database

if TYPE_CHECKING:
    from canary_tui.databases.login_guard import LoginGuard
    from canary_tui.servers.model import Engine

CLIENT, SERVER = "client", "server"
Said = tuple[str, bytes]


def client(data: bytes) -> Said:
    return CLIENT, data


def server(data: bytes) -> Said:
    return SERVER, data


@dataclass
class Heard:
    """What came out at each side."""

    guard: LoginGuard
    by: dict[str, bytes] = field(default_factory=lambda: {CLIENT: b"", SERVER: b""})

    def play(self, said: list[Said], step: int = 0) -> Heard:
        """Let both sides talk, ``step`` bytes at a time (0: each in one piece), as the relay does."""
        for who, data in said:
            for at in range(0, len(data), step or len(data)):
                piece = data[at : at + (step or len(data))]
                if self.guard.refused:
                    return self
                if who == CLIENT:
                    self.by[SERVER] += piece if self.guard.over else self.guard.from_client(piece)
                else:
                    self.by[CLIENT] += piece if self.guard.over else self.guard.from_server(piece)
                if self.guard.over:
                    self._take_rest()
        return self

    def _take_rest(self) -> None:
        up, down = self.guard.held_back()
        self.by[SERVER] += up
        self.by[CLIENT] += down


def guard_of(engine: Engine) -> LoginGuard:
    guard = login_guard_for(engine, Database(host="10.0.0.1", port=1))
    assert guard is not None
    return guard


def sent_by(who: str, said: list[Said]) -> bytes:
    return b"".join(data for speaker, data in said if speaker == who)


STEPS = [0, 1, 2, 3, 5, 7, 9, 11]
