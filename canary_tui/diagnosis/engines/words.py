"""What a failure is told with at one engine: its program, its files, its commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

import msgspec

from canary_tui.diagnosis.lines import Line, Slot
from canary_tui.diagnosis.stages import Cause


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine says of one cause. Empty: what the cause's row says is enough."""

    summary: tuple[Line, ...] = ()
    """Looked through before the row's."""
    remedies: tuple[Line, ...] = ()
    """They stand where the row has ``Slot.OWN``."""
    look_at: tuple[Line, ...] = ()
    """Looked through before the row's and the stage's."""


class EngineWords(msgspec.Struct, frozen=True, kw_only=True):
    """The sentences of one engine; a missing field is a type error."""

    label: str
    """Whom they are for, in the manual: ``MySQL and MariaDB``."""
    usual_ports: str
    """``PostgreSQL usually has 5432``; empty: there is no usual one."""
    example: Mapping[str, str]
    """The words of the manual's example server (``manual.EXAMPLE``) that are others for it."""
    log: tuple[Line, ...]
    """Where its log is."""
    certificate: tuple[Line, ...]
    """How to see its certificate; empty: TLS is not its own."""
    own: Mapping[Cause, Own]

    def of(self, cause: Cause) -> Own:
        """Return what it says of a cause itself."""
        return self.own.get(cause, Own())

    def at(self, slot: Slot, cause: Cause) -> tuple[Line, ...]:
        """Return what stands at a slot of a cause's remedies."""
        match slot:
            case Slot.OWN:
                return self.of(cause).remedies
            case Slot.LOG:
                return self.log
            case Slot.CERTIFICATE:
                return self.certificate
            case _:
                assert_never(slot)

    def lines(self) -> Iterator[Line]:
        """Every sentence of this engine."""
        yield from (*self.log, *self.certificate)
        for own in self.own.values():
            yield from (*own.summary, *own.remedies, *own.look_at)
