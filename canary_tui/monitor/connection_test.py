"""A connection test under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

    from canary_tui.diagnosis.stages import ProbeResult, Stage, StageResult
    from canary_tui.keys.rotation import Tried
    from canary_tui.servers.model import Server


class Test:
    """A connection test under way. Its attributes are replaced, never changed: read them from any thread."""

    __test__ = False  # not one of pytest's

    def __init__(self, server: Server) -> None:
        self.server = server
        self.stage: Stage | None = None
        self.stages: tuple[StageResult, ...] = ()
        self.result: ProbeResult | None = None
        self.trying_keys = False
        """Whether the new or the old key of a change of key is tried, after the test of the key in use."""
        self.tried: Tried | None = None
        """What that came to; None where no change of key is under way."""
        self.cancelled = False
        self.future: Future[None] | None = None

    def cancel(self) -> None:
        """Stop the test; what it opened is closed."""
        self.cancelled = True
        if self.future is not None:
            self.future.cancel()

    def progress(self, stage: Stage | None, stages: tuple[StageResult, ...]) -> None:
        """Take over what the trace reports."""
        self.stage, self.stages = stage, stages
