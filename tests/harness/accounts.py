"""The unix accounts that servers run as and that SSH logins use."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.harness.process import run

_PREFIX = "canarytest"
_COMMENT = "canary-tui test run"


@dataclass(frozen=True)
class Account:
    """A unix account; ``owner`` is what chown and subprocess take."""

    name: str
    uid: int
    gid: int
    home: Path

    @property
    def owner(self) -> tuple[int, int]:
        """The account's (uid, gid)."""
        return self.uid, self.gid


_login: Account | None = None


def server_account(*names: str) -> Account | None:
    """The first of ``names`` (or nobody) that exists, for servers that refuse to run as root.

    None when this process is not root: the server then runs as the current user.
    """
    if os.geteuid() != 0:
        return None
    for name in (*names, "nobody"):
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise LookupError(f"no unprivileged account: {', '.join(names)}, nobody")


def login_account() -> Account:
    """The account that SSH logins use.

    For root a throw-away one, made once a process and removed at its end by :func:`remove_login_account`;
    otherwise the current user, the only one that an unprivileged sshd can log in.
    """
    global _login  # noqa: PLW0603 - one account a process
    if _login is None:
        if os.geteuid() == 0:
            _sweep()
            _login = _make_login_account()
            atexit.register(remove_login_account)
        else:
            _login = _account(pwd.getpwuid(os.geteuid()))
    return _login


def remove_login_account() -> None:
    """Remove the throw-away account and its home; nothing to do when there is none."""
    global _login  # noqa: PLW0603 - one account a process
    if _login is not None and os.geteuid() == 0:
        run(["userdel", "--force", _login.name])
        shutil.rmtree(_login.home, ignore_errors=True)
    _login = None


def as_user(name: str) -> list[str]:
    """The beginning of a command line that makes a command run as another user. For root only.

    The user may read every file (capabilities(7)), and so this interpreter and its packages wherever they
    stand, but may write and own only what is theirs.
    """
    entry = pwd.getpwnam(name)
    user = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    return [*user, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def process_alive(pid: int) -> bool:
    """Whether a process with this id exists."""
    return Path(f"/proc/{pid}").exists()


def _make_login_account() -> Account:
    name = f"{_PREFIX}{os.getpid()}"
    home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-"))
    arguments = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/sh"]
    # "*" is no password that matches, and yet no locked account: sshd refuses "!" even with a key.
    arguments += ["--password", "*", "--comment", _COMMENT, "--home-dir", str(home), name]
    run(arguments)
    account = _account(pwd.getpwnam(name))
    os.chown(home, *account.owner)
    return account


def _sweep() -> None:
    """Remove the accounts of test runs that were killed."""
    for entry in pwd.getpwall():
        pid = entry.pw_name.removeprefix(_PREFIX)
        if entry.pw_gecos == _COMMENT and pid.isdigit() and not process_alive(int(pid)):
            run(["userdel", "--force", entry.pw_name])
            shutil.rmtree(entry.pw_dir, ignore_errors=True)


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))
