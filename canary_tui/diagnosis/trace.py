"""The stages of one probe as they happen: which one is under way, and how long each took."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from canary_tui.diagnosis.causes import ROWS, TIMEOUT_CAUSES
from canary_tui.diagnosis.printable import one_line
from canary_tui.diagnosis.stages import Failed, Stage, StageResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


NOTE_LIMIT = 500
"""Characters: a host may have many addresses."""


class Trace:
    """Records the stages of one probe. A probe is in exactly one stage at any moment.

    ``clock`` gives seconds and never steps back (``time.perf_counter``). ``watch`` is called with
    the stage that begins and the results so far, each time one begins or ends.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        watch: Callable[[Stage | None, tuple[StageResult, ...]], None] | None = None,
    ) -> None:
        self._clock = clock
        self._watch = watch
        self._results: list[StageResult] = []
        self._stage: Stage | None = None
        self._tentative = False
        self._began = 0.0
        self._note = ""
        self._expected: Failed | None = None
        self.settled = False
        """Whether the stage under way has passed, and only listens on."""
        self.waited = 0.0
        """Seconds that belong to no stage."""

    @property
    def stage(self) -> Stage:
        """The stage under way; before the first one and after the last, ``settings``."""
        return self._stage or Stage.SETTINGS

    @property
    def results(self) -> tuple[StageResult, ...]:
        """The stages that ended, in their order."""
        return tuple(self._results)

    def enter(self, stage: Stage, *, tentative: bool = False) -> None:
        """End the stage under way as passed and begin ``stage``.

        A *tentative* stage is a guess at what comes next, made when the one before ended (a first
        byte came from the database: TLS or login?). Entering another stage renames it: it keeps
        the time at which it began. Entering the stage that is under way confirms it.
        """
        if self._stage is stage:
            self._tentative = self._tentative and tentative
            return
        if self._tentative:
            self._rename(stage)
        else:
            now = self._clock()  # read once: no time is lost between two stages
            self._end(now, ok=True)
            self._stage, self._began = stage, now
        self._tentative = tentative
        self._tell()

    def note(self, text: str) -> None:
        """Say something about the stage under way, such as the address a name stands for."""
        self._note = one_line(text, NOTE_LIMIT)

    def expect(self, failed: Failed | None) -> None:
        """Say what it amounts to when the time runs out in the stage under way; None: silence."""
        self._expected = failed

    def settle(self) -> None:
        """Say that the stage under way has passed: when the time runs out in it, that is no failure."""
        self.settled = True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Have time pass that is not the probe's: a turn is waited for."""
        began = self._clock()
        try:
            yield
        finally:
            waited = self._clock() - began
            self._began += waited
            self.waited += waited

    def finish(self) -> None:
        """End the last stage as passed."""
        self._end(self._clock(), ok=True)
        self._tell()

    def fail(self, failed: Failed) -> Stage:
        """End the stage under way as failed and return the stage to blame.

        It is the one under way. Only a tentative one gives way to the stage that the error names:
        a first byte that is a refusal belongs to the stage that waited for it.
        """
        named = failed.stage or ROWS[failed.cause].stage
        if self._tentative and named is not None and named is not self._stage:
            self._rename(named)
        now = self._clock()
        if self._stage is None:
            self._stage, self._began = named or Stage.SETTINGS, now
        stage = self.stage
        self._end(now, ok=False)
        self._tell()
        return stage

    def timed_out(self) -> Failed:
        """Return the failure that the end of the time in the stage under way amounts to."""
        return self._expected or Failed(TIMEOUT_CAUSES[self.stage])

    def _rename(self, stage: Stage) -> None:
        """Turn a guess into ``stage``; into the stage before it where that is the one."""
        self._stage = stage
        if self._results and self._results[-1].stage is stage:
            last = self._results.pop()
            self._began -= last.ms / 1000
            self._note = self._note or last.note

    def _end(self, now: float, *, ok: bool) -> None:
        if self._stage is None:
            return
        ms = round((now - self._began) * 1000, 3)
        self._results.append(StageResult(stage=self._stage, ok=ok, ms=ms, note=self._note))
        self._stage, self._tentative, self._note, self._expected = None, False, "", None
        self.settled = False

    def _tell(self) -> None:
        if self._watch is not None:
            self._watch(self._stage, self.results)
