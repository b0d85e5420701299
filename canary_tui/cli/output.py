"""What the commands write, filtered: the one way to stdout and stderr for all that prints in this process."""

from __future__ import annotations

import io
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from canary_tui.diagnosis.printable import filtered
from canary_tui.signs import encode_for

if TYPE_CHECKING:
    from collections.abc import Iterator

_OUR_COLOURS = re.compile(r"(\x1b\[[0-9;]*m)")
"""What ``click.style`` writes; click takes it out where the output is no terminal."""


class FilteredStream(io.TextIOBase):
    """A text stream that passes on printable text, line ends and our colours, and nothing else.

    It has no ``buffer``: click and others would write their bytes past the filter.
    """

    def __init__(self, stream: TextIO, name: str = "") -> None:
        self._stream = stream
        self._name = name

    def write(self, text: str | bytes, /) -> int:
        """Write what may be shown of ``text``. Raises OSError as the stream does, with the stream's name."""
        if isinstance(text, bytes):
            if not text:  # click's way to ask whether this is a stream for bytes alone
                raise TypeError("text is written here")
            text = text.decode(errors="replace")  # a script for a shell's completion
        parts = _OUR_COLOURS.split(text)
        parts[::2] = map(filtered, parts[::2])
        with self._named():
            self._stream.write("".join(parts))
        return len(text)

    def flush(self) -> None:
        """Flush what stands behind. Raises OSError as ``write``."""
        with self._named():
            self._stream.flush()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = self._name or None
            raise

    def isatty(self) -> bool:
        """Whether a terminal stands behind."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of what stands behind."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Text can be written."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute
        """The encoding of what stands behind."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What becomes of characters that the encoding does not have."""
        return self._stream.errors


def install() -> None:
    """Put the filter before stdout and stderr. Textual writes to ``sys.__stderr__`` and has its own."""
    for name, words in (("stdout", "standard output"), ("stderr", "standard error")):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, FilteredStream):  # None: closed at the start
            encode_for(stream)
            setattr(sys, name, FilteredStream(stream, words))
