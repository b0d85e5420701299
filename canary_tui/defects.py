"""What nobody has thought of: said in one sentence, its details kept where only this user reads them.

Every edge (a command, the monitor's thread and its tasks, the application, a thread of its own) ends here:
no traceback on a terminal, for its lines may quote what is secret, and nothing silent either.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from canary_tui.diagnosis.printable import Source, filtered, one_line
from canary_tui.paths import create_file, private_folder
from canary_tui.surroundings import debugging

LONGEST = 300
KEPT = 10
"""How many files of details are kept; the oldest go."""
PACKAGE = Path(__file__).parent


def defect_words(error: BaseException) -> str:
    """Return an error nobody has thought of in one line: its type, its words, and where it was raised."""
    error = first_of(error)
    words = one_line(str(error), LONGEST)
    return f"{type(error).__name__}{': ' if words else ''}{words}{_place(error)}"


def first_of(error: BaseException) -> BaseException:
    """Return the first error of a group, or of a group in it; any other error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _place(error: BaseException) -> str:
    """Return `` (monitor/probe.py:63)``: the innermost line of ours; empty where there is none."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(PACKAGE):
            return f" ({file.relative_to(PACKAGE)}:{line})"
    return ""


def keep_details(error: BaseException, state: Path) -> Path | None:
    """Write an error's traceback into a file of the state folder, mode 0600; None where that is not possible.

    Without the values of variables: passwords are among them.
    """
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    name = f"crash-{stamp}-{os.getpid()}.txt"
    with suppress(OSError):
        folder = private_folder(state)
        create_file(folder / name, filtered(_details(error)).encode())
        for old in sorted(folder.glob("crash-*.txt"))[:-KEPT]:
            old.unlink(missing_ok=True)
        return folder / name
    return None


def _details(error: BaseException) -> str:
    about = f"canary-tui {_version()}, Python {platform.python_version()}, {platform.platform()}"
    lines = traceback.TracebackException.from_exception(error, capture_locals=False).format()
    return f"{about}\n\n{''.join(lines)}"


def _version() -> str:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version("canary-tui")
    return "(not installed)"


def told(error: BaseException, state: Path | None) -> str:
    """Return the sentence about a defect, its details kept in ``state`` (or in none)."""
    if debugging():
        return "".join(traceback.format_exception(error)).rstrip()
    kept = keep_details(error, state) if state is not None else None
    where = f"details are in {Source.PATH.text(str(kept))}" if kept else "CANARY_DEBUG=1 shows the details"
    return f"A defect of canary-tui: {defect_words(error)}; {where}."


def catch_what_escapes(state: Path | None) -> None:
    """Have errors of threads, of finalizers and of the interpreter's end told as all others are."""
    if debugging():
        return

    def of_thread(escaped: threading.ExceptHookArgs) -> None:
        if escaped.exc_value is not None and not isinstance(escaped.exc_value, SystemExit):
            _say(told(escaped.exc_value, state))

    def of_process(_type: type[BaseException], error: BaseException, _trace: object) -> None:
        _say("interrupted" if isinstance(error, KeyboardInterrupt) else told(error, state))

    threading.excepthook = of_thread
    sys.excepthook = of_process
    # A library's finalizer that fails has nobody to tell: what it was about has ended well or badly already.
    sys.unraisablehook = lambda _unraisable: None


def _say(words: str) -> None:
    with suppress(OSError, ValueError):  # standard error is closed, or full
        print(words, file=sys.stderr, flush=True)  # noqa: T201 - the last way to say anything
