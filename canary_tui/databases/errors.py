"""What both engines say about an error, before their own numbers come in."""

from __future__ import annotations

import re
import ssl
import struct
from typing import TYPE_CHECKING

from canary_tui.databases.tls import cause_of
from canary_tui.diagnosis.causes import CLOSED_CAUSES
from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.diagnosis.trace import Trace
    from canary_tui.servers.secrets import Secret

STUMBLES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What a driver raises when a server says something that makes no sense to it."""

SHORT = 8
"""Characters below which a password may be a part of any word."""


def redacted(text: str, password: Secret | None = None) -> str:
    """Return a database's words on one printable line, the password taken out where it was repeated."""
    if password is not None and (secret := password.reveal()):
        # A short one only as a whole word, or the password "e" would leave no sentence readable.
        edges = ("", "") if len(secret) >= SHORT else (r"(?<!\w)", r"(?!\w)")
        text = re.sub(edges[0] + re.escape(secret) + edges[1], str(password), text)
    return Source.DATABASE_ERROR.text(text)


def lost(trace: Trace, detail: str) -> Failed:
    """Return what the end of the connection amounts to in the stage under way."""
    # The stage is named, or a tentative login would be taken for a refusal in the first byte.
    cause = CLOSED_CAUSES.get(trace.stage, Cause.DATABASE_CLOSED_EARLY)
    return Failed(cause, detail=detail, stage=trace.stage)


def broken(error: BaseException, trace: Trace) -> Failed:
    """Return the failure behind a connection that broke: what TLS says about it, or just lost."""
    for reason in chain(error):
        if isinstance(reason, ssl.SSLError) and (cause := cause_of(reason)) is not None:
            return Failed(cause, detail=redacted(str(reason)))
    words = [str(reason) for reason in chain(error) if isinstance(reason, OSError) and str(reason)]
    return lost(trace, redacted(words[-1] if words else str(error)))


def stumbled(error: BaseException, password: Secret | None) -> Failed:
    """Return ``internal_error`` with the library's words: nothing is known about this one."""
    return Failed(Cause.INTERNAL_ERROR, detail=redacted(f"{type(error).__name__}: {error}", password))


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors that it was raised from."""
    reason: BaseException | None = error
    while reason is not None:
        yield reason
        reason = reason.__cause__
