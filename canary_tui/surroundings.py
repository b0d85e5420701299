"""What this process was started in, put right where it would do harm, and what it keeps from others.

Whoever starts a program hands it descriptors, signals that are ignored, a umask and an environment; services,
``nohup``, ``su`` and containers hand on odd ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import pwd
import resource
import select
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NO_HOME = "/nonexistent"
"""What stands for the home folder of a user who has none, as in Debian's list of accounts."""
NO_NAME = "unknown"
"""The login name of a user without an account (``getpass.getuser`` raises there, and libraries call it)."""
PR_SET_DUMPABLE = 4
LOOK_AGAIN_MS = 500
"""How often a terminal is looked at that hangs up without telling, in milliseconds."""


def debugging() -> bool:
    """Whether tracebacks, warnings and cores are wanted: ``CANARY_DEBUG=1``."""
    return os.environ.get("CANARY_DEBUG", "") not in {"", "0"}


def put_right() -> None:
    """Put right what this process was started in. Called once, on the main thread, before anything else."""
    _open_standard_streams()
    _have_a_user()
    # Its own files it can always read: with a umask of 0777 it could not, once they are closed.
    os.umask(os.umask(0o077) & 0o077)
    # An ignored SIGCHLD takes the exit status of every child away (wait(2), NOTES).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD})
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and in_front():
        # Ignored by inheritance, from `nohup make` or `trap "" INT`; at a terminal Ctrl-C is meant for us.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not debugging():
        # What libraries complain about would stand between our own lines; what matters is raised.
        warnings.simplefilter("ignore")
        logging.getLogger().addHandler(logging.NullHandler())


def keep_private() -> None:
    """Leave no core dump, and let no other process of this user look into the memory: passwords are in it.

    Lowers the soft limit only, so that whoever debugs what we start may raise it there (setrlimit(2)). A
    kernel that hands cores to a program ignores that limit; being not dumpable (prctl(2)) holds there too.
    A program that we start is dumpable again by itself.
    """
    if debugging():
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError, AttributeError):  # other systems have no prctl
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _open_standard_streams() -> None:
    """Open what was closed (``canary list >&-``) on /dev/null, or the next file would get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            stream = os.fdopen(number, mode, encoding="utf-8", closefd=False)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _have_a_user() -> None:
    """Give this process a home and a name where it has none, for libraries ask for both and then fail."""
    try:
        account = pwd.getpwuid(os.getuid())
        home, name = account.pw_dir, account.pw_name
    except KeyError:
        home, name = "", NO_NAME
    if not Path(os.environ.get("HOME", "")).is_absolute():
        os.environ["HOME"] = home if Path(home).is_absolute() else NO_HOME
    if not any(os.environ.get(variable) for variable in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        os.environ["LOGNAME"] = name


def in_front() -> bool:
    """Whether standard input is a terminal and we are what Ctrl-C is typed at."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def wanted_signals(*numbers: signal.Signals) -> list[signal.Signals]:
    """Return those of the signals that are not ignored: whoever started us so (``nohup``) meant it."""
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def when_terminal_goes(call: Callable[[], object], over: threading.Event) -> None:
    """Call ``call`` on another thread when the terminal at standard input hangs up; not after ``over``.

    A window that is killed sends SIGHUP to the session's leader only; what ``su -c`` starts, or where the
    signal is ignored, hears nothing. Nothing is called where standard input is no terminal.
    """

    def look() -> None:
        terminal = select.poll()
        terminal.register(0, 0)  # hanging up is told unasked (poll(2))
        while not over.is_set():
            if terminal.poll(LOOK_AGAIN_MS):
                if not over.is_set():
                    call()
                return

    if os.isatty(0):
        threading.Thread(target=look, name="terminal", daemon=True).start()
