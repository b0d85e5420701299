"""How many files and connections this process may have open: raised at the start, named when used up.

A tunnel takes two descriptors and each client two more; the usual soft limit of 1024 is over at five
hundred tunnels (getrlimit(2): the soft limit may be raised up to the hard one by anybody).
"""

from __future__ import annotations

import contextlib
import errno
import resource

from canary_tui.defects import defect_words
from canary_tui.diagnosis.stages import Cause, Failed

USED_UP = frozenset({errno.EMFILE, errno.ENFILE})
NO_ROOM = USED_UP | {errno.ENOBUFS, errno.ENOMEM}
"""Why nothing more can be opened for the moment."""


def raise_limit() -> None:
    """Raise the soft limit to the hard one; where the system refuses, it stays what it is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS calls its limit infinite, and means 10240
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def unexpected(error: BaseException) -> Failed:
    """Return ``internal_error`` for an error that nobody has thought of, or for no descriptor left.

    The latter can hit whatever is opened, in any stage; the facts then have the limit.
    """
    failed = Failed(Cause.INTERNAL_ERROR, detail=defect_words(error))
    if isinstance(error, OSError) and error.errno in USED_UP:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        failed.facts["open_files"] = str(soft)
    return failed
