"""A real sshd with a configuration, host keys and authorized keys of its own."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.accounts import Account, login_account
from tests.harness.daemon import STOP_LIMIT, Daemon
from tests.harness.folders import make_for
from tests.harness.ports import wait_for
from tests.harness.process import binary, descendants_of, freeze, is_running, is_stopped, run, send

# Where sshd, started as root, locks its pre-login child in; the package makes it when its service starts.
_PRIVILEGE_SEPARATION = Path("/run/sshd")

Options = Mapping[str, str] | Sequence[str]


class Sshd(Daemon):
    """An OpenSSH server on 127.0.0.1 for one login account.

    ``options`` are more lines of sshd_config(5), as a mapping or as lines; they win over the defaults, and
    lines from the first ``Match`` on come last. Change ``options`` and :meth:`restart` to use others; a
    LogLevel below INFO is not supported, since logins are counted from the log. ``user`` is who may log in:
    by default a throw-away account (root) or the current user. Attributes: ``host``, ``port``, ``user``,
    ``authorized_keys`` (that user's file), ``options``, ``host_key_types``, ``strict_modes``.
    """

    def __init__(
        self,
        folder: Path,
        options: Options = (),
        host_key_types: Sequence[str] = ("ed25519",),
        port: int | None = None,
        user: str | None = None,
        *,
        strict_modes: bool = False,
    ) -> None:
        super().__init__(folder, "sshd.log", port)
        self.account: Account = login_account()
        self.user = user if user is not None else self.account.name
        self.options = options
        self.host_key_types = tuple(host_key_types)
        self.strict_modes = strict_modes
        self._left: list[int] = []  # sessions that outlive their listener
        make_for(None, self.folder, 0o711)
        keys = make_for(None, self.folder / "authorized_keys", 0o711)
        self.authorized_keys = keys / self.user
        self.deauthorize()
        self._make_host_keys()

    @property
    def host_public_keys(self) -> list[str]:
        """The host keys as ``type base64``, in the order of ``host_key_types``."""
        files = [self.folder / f"host_{kind}.pub" for kind in self.host_key_types]
        return [" ".join(file.read_text().split()[:2]) for file in files]

    def authorize(self, line: str) -> None:
        """Add a line, with or without options, to the user's authorized keys."""
        with self.authorized_keys.open("a") as file:
            file.write(line.rstrip("\n") + "\n")

    def deauthorize(self) -> None:
        """Empty the user's authorized keys."""
        self.authorized_keys.write_text("")
        self.authorized_keys.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(self.authorized_keys, self.user)

    def replace_host_keys(self, types: Sequence[str] | None = None) -> None:
        """Make new host keys, of ``types`` or of the same types; a running server is restarted with them."""
        for kind in self.host_key_types:
            (self.folder / f"host_{kind}").unlink()
            (self.folder / f"host_{kind}.pub").unlink()
        self.host_key_types = tuple(types) if types is not None else self.host_key_types
        self._make_host_keys()
        if self.running:
            self.restart()

    def logins(self) -> int:
        """How many logins with a key were accepted so far."""
        return self.log_text().count("Accepted publickey for")

    def refused_logins(self) -> int:
        """How many offered keys were refused so far, as sshd logs them at LogLevel VERBOSE and above."""
        return self.log_text().count("Failed publickey for")

    def forwards(self) -> int:
        """How many channels to a host and port (direct-tcpip) were asked for, at LogLevel DEBUG1."""
        return self.log_text().count("server_request_direct_tcpip: originator")

    def sessions(self) -> list[int]:
        """The process ids of the connections, one each, logged in or not."""
        return self.children() + [pid for pid in self._left if is_running(pid)]

    def kill_sessions(self) -> None:
        """SIGKILL all connections; the listener goes on."""
        pids = freeze(self.sessions())
        send(pids, signal.SIGKILL)
        wait_for(lambda: not any(map(is_running, pids)), STOP_LIMIT, "the sessions are gone")
        self._left.clear()

    def kill(self) -> None:
        """SIGKILL the listener and all connections."""
        self._left = self.sessions()
        super().kill()
        self.kill_sessions()

    def stop(self, *, keep_sessions: bool = False) -> None:
        """Stop the listener, and the connections too unless ``keep_sessions`` (as a service restart does)."""
        if self.running:
            os.kill(self.pid, signal.SIGSTOP)  # no session may begin after they were counted
            wait_for(lambda: is_stopped(self.pid), STOP_LIMIT, "the listener stands still")
        self._left = self.sessions()
        super().stop()
        if not keep_sessions:
            self.kill_sessions()

    def suspend(self) -> None:
        """SIGSTOP the listener and all connections."""
        super().suspend()
        freeze(self._left)

    def resume(self) -> None:
        """SIGCONT: undo :meth:`suspend`."""
        super().resume()
        send([pid for left in self._left for pid in (left, *descendants_of(left))], signal.SIGCONT)

    def _is_ready(self, log: str) -> bool:
        return f"Server listening on {self.host} port {self.port}" in log

    def _prepare(self) -> list[str]:
        if os.geteuid() == 0:
            _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        config = self.folder / "sshd_config"
        config.write_text("\n".join(self._config()) + "\n")
        # An absolute path each: sshd starts itself again for each connection, from "/".
        return [binary("sshd"), "-D", "-f", str(config), "-E", str(self.log)]

    def _config(self) -> list[str]:
        given = self.options
        extra = [f"{k} {v}" for k, v in given.items()] if isinstance(given, Mapping) else list(given)
        match = next((i for i, line in enumerate(extra) if line.lower().startswith("match ")), len(extra))
        ours = [
            f"ListenAddress {self.host}:{self.port}",
            "LogLevel DEBUG1",
            "PidFile none",
            "UsePAM no",
            f"StrictModes {'yes' if self.strict_modes else 'no'}",
            f"AuthorizedKeysFile {self.folder}/authorized_keys/%u",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "MaxStartups 200",
            "MaxSessions 1000",
            *(f"HostKey {self.folder}/host_{kind}" for kind in self.host_key_types),
        ]
        # sshd takes the first value that it finds, but of MaxStartups the last.
        if any(line.lower().startswith("maxstartups") for line in extra[:match]):
            ours = [line for line in ours if not line.startswith("MaxStartups")]
        return extra[:match] + ours + extra[match:]

    def _make_host_keys(self) -> None:
        for kind in self.host_key_types:
            file = self.folder / f"host_{kind}"
            if not file.exists():
                run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "canary-test", "-f", str(file)])
