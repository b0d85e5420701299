"""Textual's driver for a terminal, made to stand what terminals do.

Textual's own reads the end of a terminal again and again, takes a byte that is no UTF-8 for a crash, writes
to standard error wherever that leads, and leaves its writer dead, and the application waiting for it, after
one failed write.
"""

from __future__ import annotations

import codecs
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Any

from textual.drivers.linux_driver import LinuxDriver

from canary_tui.signs import IN_CELLS
from canary_tui.tui.terminal_input import TerminalInput

if TYPE_CHECKING:
    from textual.app import App

READ_BYTES = 4096
LOOK_MS = 100
"""How long a lone escape waits for more before it is the escape key, in milliseconds; as Textual has it."""


class TerminalDriver(LinuxDriver):
    """Reads the terminal at standard input and writes to the one at standard output."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._file: Any = Screen()  # what the writer needs of a file

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except Exception as error:  # noqa: BLE001 - the edge of this thread
            self._app.call_later(_raise, error)

    def run_input_thread(self) -> None:
        """Hand on what is typed, until the application ends or the terminal does."""
        parser = TerminalInput(self._debug)
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        typed = select.poll()
        typed.register(self.fileno, select.POLLIN)
        while not self.exit_event.is_set():
            if typed.poll(LOOK_MS):
                data = self._read()
                if not data:
                    # As if the session had ended: that is what the end of its terminal means.
                    os.kill(os.getpid(), signal.SIGHUP)
                    return
                for event in parser.feed(decode(data)):
                    self.process_message(event)
            for event in parser.tick():
                self.process_message(event)

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, READ_BYTES)
        except OSError:  # EIO: it hung up, or we are in the background of a session without a shell
            return b""


def _raise(error: Exception) -> None:
    raise error


class Screen:
    """Where the driver's writer thread writes to: in the terminal's encoding, and never with an error.

    A terminal that is gone is seen by who reads it; here a failed write would end the thread, and the
    application would wait for it for ever.
    """

    def __init__(self) -> None:
        self._fd = sys.__stdout__.fileno() if sys.__stdout__ is not None else 1
        encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
        self._encode = codecs.getincrementalencoder(encoding)(IN_CELLS).encode

    def fileno(self) -> int:
        """Return the terminal's descriptor."""
        return self._fd

    def write(self, text: str) -> None:
        """Write all of ``text``, however long the terminal takes."""
        data = memoryview(self._encode(text))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            return

    def flush(self) -> None:
        """Everything is written at once."""
