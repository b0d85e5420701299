"""Turns itself into a server of the demo: gives up root, dies with its parent, executes the program.

Run by path with ``python -I -S``: ``launch.py SIGNAL PARENT UID GID PROGRAM [ARGUMENT …]``. A program of
its own because code between fork and exec (``preexec_fn``) is unsafe in a process with threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the program; return only by raising OSError."""
    number, parent, uid, gid = map(int, arguments[:4])
    command = arguments[4:]
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    if sys.platform == "linux":
        # After setuid, which clears it: prctl(2). It stays over the exec.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent was gone before it could be watched
    os.execv(command[0], command)  # noqa: S606 - the demo's own commands, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
