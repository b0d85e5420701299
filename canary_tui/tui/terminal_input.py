"""What the terminal sends, taken apart: Escape is a key, and what is pasted is text whatever is in it.

Textual takes Escape and a letter that are read together for Alt+letter, and the Escape is lost. After a
stalled link, or while the program is busy, everything is read together. And a pasted text with an escape
character in it runs as keys from there on. Here nothing is Alt+letter but what moves by words in a field.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from textual import constants, events
from textual._xterm_parser import XTermParser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.message import Message

ESCAPE = "\x1b"
LONE = re.compile(r"\x1b(?![\[O\]_^bf\x7f])")
"""An escape character that is a key of its own: no control sequence, nor Alt+b, Alt+f, Alt+backspace."""
PASTE, PASTE_END = "\x1b[200~", "\x1b[201~"
PASTE_SECONDS = 2.0
"""Silence after which a paste is over whose end never came: the keyboard is not lost with it."""


class TerminalInput(XTermParser):
    """Textual's parser, which gets neither the escape characters that are keys nor any pasted text."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._rest = ""
        """The end of what was read, where a mark of a paste may begin: an escape character, for one."""
        self._pasted: list[str] | None = None
        self._read_at = 0.0

    def feed(self, data: str) -> Iterable[Message]:
        """Yield what ``data`` means. Empty is the end of the input."""
        if not data:
            yield from super().feed(data)
            return
        self._read_at = time.monotonic()
        data, self._rest = self._rest + data, ""
        while data:
            mark = PASTE if self._pasted is None else PASTE_END
            text, found, data = data.partition(mark)
            if not found:
                text, self._rest = _apart(text, mark)
            if self._pasted is None:
                yield from self._keys(text)
                self._pasted = [] if found else None
            else:
                self._pasted.append(text)
                if found:
                    yield self._paste()

    def tick(self) -> Iterable[Message]:
        """Yield what is clear now that nothing more came."""
        silent = time.monotonic() - self._read_at
        if self._pasted is not None and silent > PASTE_SECONDS:
            self._pasted.append(self._rest)
            self._rest = ""
            yield self._paste()
        # The driver looks each 0.1 s: half of the delay, so that the first look is late enough.
        if self._pasted is None and self._rest and silent > constants.ESCAPE_DELAY / 2:
            rest, self._rest = self._rest, ""
            yield from [_escape()] if rest == ESCAPE else super().feed(rest)
        yield from super().tick()

    def _paste(self) -> events.Paste:
        text = "".join(self._pasted or ())
        self._pasted = None
        return events.Paste(text.replace("\x00", ""))

    def _keys(self, text: str) -> Iterable[Message]:
        first, *others = LONE.split(text)
        yield from super().feed(first) if first else ()
        for part in others:
            yield _escape()
            yield from super().feed(part) if part else ()


def _escape() -> events.Key:
    return events.Key("escape", ESCAPE)


def _apart(text: str, mark: str) -> tuple[str, str]:
    """Part what ``text`` ends with, if that may be the begin of ``mark``."""
    length = next((n for n in range(len(mark) - 1, 0, -1) if text.endswith(mark[:n])), 0)
    return text[: len(text) - length], text[len(text) - length :]
