"""Where a database password comes from."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed, Stage
from canary_tui.diagnosis.words import endpoint, shell_word
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

    from canary_tui.servers.allowed import AllowedCommands

T = TypeVar("T")

COMMAND_TIME_LIMIT = 30.0
"""Seconds that a password command may take."""
KEYRING_TIME_LIMIT = 60.0
"""Seconds for the system's keyring, which may ask a person to unlock it."""
KEYRING_SERVICE = "canary-tui"


class Secret:
    """A password that cannot print itself: ``repr`` and ``str`` are ``•••``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the password. Called once, where a driver is given it."""
        return self._value

    def __repr__(self) -> str:
        return "•••"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(("secret", self._value))

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


class KeyringUnavailable(Exception):
    """The system has no keyring that works; ``str`` says why and what to use instead."""


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
        with self._guard:
            return self._passed_over.get(server.name, "")

    def _from_environment(self, source: PasswordEnv) -> Secret:
        value = self._environ.get(source.env)
        if not value:
            state = "is empty" if value == "" else "is not set"
            raise _missing(f"the environment variable {source.env} {state}", variable=source.env)
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
            password = await _from_keyring(server)
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


def destination(server: Server) -> str:
    """Name the place that a password of a server is for: ``orders: reader@10.0.3.12:5432 behind bastion:22``.

    Another servers file may give the same name to another place, and must not get the password there.
    """
    database, ssh = server.database, server.tunnel
    behind = f" behind {endpoint(ssh.host.lower(), str(ssh.port))}" if ssh is not None else ""
    return f"{server.name}: {server.user}@{endpoint(database.host.lower(), str(database.port))}{behind}"


def keyring_set(server: Server, password: Secret) -> None:
    """Keep a server's password in the system's keyring. Blocks. Raises KeyringUnavailable."""
    name = destination(server)
    _with_keyring(lambda keyring: keyring.set_password(KEYRING_SERVICE, name, password.reveal()))
    if _keyring_get(name) is None:  # keyring's null backend takes everything
        raise KeyringUnavailable("the keyring that is set up keeps nothing; choose another one")
    _keyring_drop(server.name)


def keyring_has(server: Server) -> bool:
    """Tell whether the system's keyring has a server's password. Blocks. Raises KeyringUnavailable."""
    return _keyring_get(destination(server)) is not None


def keyring_forget(server: Server) -> bool:
    """Delete a server's password from the system's keyring; False when there was none.

    Blocks. Raises KeyringUnavailable.
    """
    gone = [_keyring_drop(name) for name in (destination(server), server.name)]
    return any(gone)


def _keyring_drop(name: str) -> bool:
    if _keyring_get(name) is None:
        return False
    _with_keyring(lambda keyring: keyring.delete_password(KEYRING_SERVICE, name))
    return True


def _keyring_get(name: str) -> Secret | None:
    found = _with_keyring(lambda keyring: keyring.get_password(KEYRING_SERVICE, name))
    return Secret(found) if found else None


def _with_keyring(call: Callable[[ModuleType], T]) -> T:
    from keyring.errors import KeyringError, NoKeyringError

    try:
        import keyring  # slow: it looks for its backends among all installed packages

        return call(keyring)
    except NoKeyringError:
        text = "this system has no keyring; use password: {env: …} or {command: […]} instead"
        raise KeyringUnavailable(text) from None
    except (KeyringError, RuntimeError, OSError, ValueError, ImportError, AttributeError, TypeError) as error:
        # The last three: a backend that is named in the environment or in a file, and is none.
        words = Source.KEYRING.text(str(error)) or type(error).__name__
        raise KeyringUnavailable(f"the keyring does not work: {words}") from None


async def _from_keyring(server: Server) -> Secret:
    """Look a password up in the keyring. Raises Failed (``password_missing``)."""
    where = destination(server)
    try:
        async with asyncio.timeout(KEYRING_TIME_LIMIT):
            found = await _in_thread(lambda: _keyring_get(where))
            unbound = found is None and await _in_thread(lambda: _keyring_get(server.name)) is not None
    except KeyringUnavailable as error:
        raise _missing(str(error)) from None
    except TimeoutError:
        raise _missing(f"the keyring did not answer within {KEYRING_TIME_LIMIT:g} s") from None
    if found is not None:
        return found
    again = f"set it with: canary password {server.name}"
    if unbound:  # kept by version 0.1, which did not say what host it is for
        raise _missing(f"the keyring has a password for {server.name}, but not for which host; {again}")
    raise _missing(f"the keyring has no password for {where}; {again}")


async def _in_thread(call: Callable[[], T]) -> T:
    """Run ``call`` in a daemon thread: a keyring that waits for a person must not hold up the exit."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(set_result: Callable[[], None]) -> None:
        if not done.done():
            set_result()

    def run() -> None:
        try:
            value = call()
        except KeyringUnavailable as error:
            answer: Callable[[], None] = functools.partial(done.set_exception, error)
        else:
            answer = functools.partial(done.set_result, value)
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, answer)

    threading.Thread(target=run, name="canary-keyring", daemon=True).start()
    return await done


def _missing(detail: str, **facts: str) -> Failed:
    return Failed(Cause.PASSWORD_MISSING, stage=Stage.SETTINGS, detail=detail, facts=facts)
