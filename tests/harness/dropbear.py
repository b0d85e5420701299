"""A real dropbear: the SSH server of routers and small systems, whose authorized_keys has other options."""

from __future__ import annotations

import os
from pathlib import Path

from tests.harness.accounts import Account, login_account
from tests.harness.daemon import Daemon
from tests.harness.folders import make_for
from tests.harness.process import binary, run


class Dropbear(Daemon):
    """A dropbear on 127.0.0.1 for the login account, whose home has the authorized keys.

    ``options`` are more of its arguments (dropbear(8)). Attributes: ``host``, ``port``, ``user``.
    """

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        super().__init__(folder, "dropbear.log", port)
        self.options = options
        self.account: Account = login_account()
        self.user = self.account.name
        make_for(None, self.folder, 0o711)
        self._host_key = self.folder / "host_key"
        self.authorized_keys = self.account.home / ".ssh" / "authorized_keys"

    @property
    def host_public_keys(self) -> list[str]:
        """The host key as ``type base64``."""
        said = run([binary("dropbearkey"), "-y", "-f", str(self._host_key)])
        return [" ".join(line.split()[:2]) for line in said.splitlines() if line.startswith("ssh-")]

    def authorize(self, line: str) -> None:
        """Add a line to the account's authorized keys."""
        folder = self.authorized_keys.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        with self.authorized_keys.open("a") as file:
            file.write(line.rstrip("\n") + "\n")
        self.authorized_keys.chmod(0o600)
        for path in (folder, self.authorized_keys):
            os.chown(path, *self.account.owner)

    def close(self) -> None:
        """Stop it, and take the keys back."""
        super().close()
        self.authorized_keys.unlink(missing_ok=True)

    def _prepare(self) -> list[str]:
        if not self._host_key.exists():
            run([binary("dropbearkey"), "-t", "ed25519", "-f", str(self._host_key)])
        # No logins with a password, but where it wants one besides the key.
        keys_only = () if "-t" in self.options else ("-s",)
        return [
            *(binary("dropbear"), "-F", "-E", *keys_only, "-r", str(self._host_key)),
            *("-p", f"{self.host}:{self.port}", "-P", str(self.folder / "pid"), *self.options),
        ]

    def _is_ready(self, log: str) -> bool:
        return "Not backgrounding" in log
