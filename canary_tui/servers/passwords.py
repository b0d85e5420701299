"""Where each server's database password comes from."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.words import shell_word
from canary_tui.paths import NoHome, expanded
from canary_tui.servers.child_environment import without_other_passwords
from canary_tui.servers.commands import first_line
from canary_tui.servers.engine_facts import PasswordFile
from canary_tui.servers.model import (
    PasswordCommand,
    PasswordEnv,
    PasswordKeyring,
    PasswordSource,
    Server,
)
from canary_tui.servers.passfiles import Ignored, my_cnf, pgpass
from canary_tui.servers.secrets import Secret, destination, missing
from canary_tui.servers.system_keyring import from_keyring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from canary_tui.servers.allowed import AllowedCommands

COMMAND_TIME_LIMIT = 30.0
"""Seconds that a password command may take."""


class Passwords:
    """Finds each server's password. One for the application.

    ``find`` runs on one event loop; ``give`` and ``rejected`` may be called from any thread.
    ``command_limit`` is in seconds; ``allowed`` says which commands may be run, None: every one; ``listed``
    gives all servers, whose passwords a command does not get. It may read files.
    """

    def __init__(
        self,
        home: Path | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        command_limit: float = COMMAND_TIME_LIMIT,
        allowed: AllowedCommands | None = None,
        listed: Callable[[], Iterable[Server]] = tuple,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._home = home
        self._command_limit = command_limit
        self._allowed = allowed
        self._listed = listed
        self._guard = threading.Lock()
        # By destination: a password that was given for one place is not sent to another of the same name.
        self._given: dict[str, Secret] = {}
        self._fetched: dict[str, tuple[PasswordSource, Secret]] = {}
        self._fetching: dict[str, asyncio.Lock] = {}
        self._passed_over: dict[str, str] = {}

    async def find(self, server: Server) -> Secret | None:
        """Return a server's password, or None when nothing on this machine has one.

        The order: the ``password:`` entry, which must then work; ``~/.pgpass`` or ``~/.my.cnf``;
        what a person gave in this run. Raises Failed (``password_missing``,
        ``password_command_failed``).
        """
        if not server.engine.facts.has_login:
            return None
        source = server.database.password
        if isinstance(source, PasswordEnv):
            return self._from_environment(source)
        if source is not None:
            if isinstance(source, PasswordCommand):
                self._check_allowed(server, source)
            lock = self._fetching.setdefault(server.name, asyncio.Lock())
            async with lock:  # the second of two that want the same password finds it fetched
                return await self._fetch(server, source)
        found = self._from_file(server)
        with self._guard:
            return found or self._given.get(destination(server))

    def give(self, server: Server, password: Secret) -> None:
        """Keep what a person answered, in memory only."""
        with self._guard:
            self._given[destination(server)] = password

    def rejected(self, server: Server) -> None:
        """Note that the database refused it: a command, or the keyring, is asked once more.

        What a person gave stays until they give another: a password that is gone would be called missing.
        """
        with self._guard:
            self._fetched.pop(destination(server), None)

    def passed_over(self, server: Server) -> str:
        """Say why a password file was not used at the last ``find``; empty when none was passed over."""
        if server.database.password is not None:
            return ""  # no file was looked at
        with self._guard:
            return self._passed_over.get(server.name, "")

    def _from_environment(self, source: PasswordEnv) -> Secret:
        value = self._environ.get(source.env)
        if not value:
            state = "is empty" if value == "" else "is not set"
            raise missing(f"the environment variable {source.env} {state}", variable=source.env)
        return Secret(value)

    def _check_allowed(self, server: Server, source: PasswordCommand) -> None:
        """Raise Failed unless the servers file may run the command."""
        if self._allowed is None or self._allowed.permits(server):
            return
        file = str(self._allowed.file)
        command = " ".join(map(shell_word, source.command))
        detail = f"{file} is not in your configuration folder, and would run: {command}"
        raise Failed(
            Cause.PASSWORD_COMMAND_FAILED, stage=Stage.SETTINGS, detail=detail, facts={"foreign_file": file}
        )

    async def _fetch(self, server: Server, source: PasswordCommand | PasswordKeyring) -> Secret:
        key = destination(server)
        with self._guard:
            kept = self._fetched.get(key)
        if kept is not None and kept[0] == source:
            return kept[1]
        if isinstance(source, PasswordCommand):
            environ = without_other_passwords(self._environ, server, await asyncio.to_thread(self._listed))
            line = await first_line(source.command, limit=self._command_limit, environ=environ)
            password = Secret(line)
        else:
            password = await from_keyring(server)
        with self._guard:
            self._fetched[key] = (source, password)
        return password

    def _at_home(self, name: str) -> Path:
        try:
            return (self._home or expanded("~/")) / name
        except NoHome:
            raise Ignored(f"~/{name} is not used: this user has no home folder") from None

    def _from_file(self, server: Server) -> Secret | None:
        database, note, found = server.database, "", None
        user = server.user
        try:
            match server.engine.facts.password_file:
                case PasswordFile.PGPASS:
                    path = Path(self._environ.get("PGPASSFILE") or self._at_home(".pgpass"))
                    found = pgpass(path, database.host, database.port, database.name or user, user)
                case PasswordFile.MY_CNF:
                    found = my_cnf(self._at_home(".my.cnf"), database.host, database.port, user)
                case None:
                    pass
        except Ignored as reason:
            note = str(reason)
        with self._guard:
            self._passed_over[server.name] = note
        return Secret(found) if found else None
