"""Passwords in the system's keyring. Calls block: it may ask a person to unlock it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from typing import TYPE_CHECKING, TypeVar

from canary_tui.diagnosis.printable import Source
from canary_tui.servers.secrets import Secret, destination, missing

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from canary_tui.servers.model import Server

T = TypeVar("T")

KEYRING_TIME_LIMIT = 60.0
"""Seconds for the system's keyring, which may ask a person to unlock it."""
KEYRING_SERVICE = "canary-tui"


class KeyringUnavailable(Exception):
    """The system has no keyring that works; ``str`` says why and what to use instead."""


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


async def from_keyring(server: Server) -> Secret:
    """Look a password up in the keyring. Raises Failed (``password_missing``)."""
    where = destination(server)
    try:
        async with asyncio.timeout(KEYRING_TIME_LIMIT):
            found = await _in_thread(lambda: _keyring_get(where))
            unbound = found is None and await _in_thread(lambda: _keyring_get(server.name)) is not None
    except KeyringUnavailable as error:
        raise missing(str(error)) from None
    except TimeoutError:
        raise missing(f"the keyring did not answer within {KEYRING_TIME_LIMIT:g} s") from None
    if found is not None:
        return found
    again = f"set it with: canary password {server.name}"
    if unbound:  # kept by version 0.1, which did not say what host it is for
        raise missing(f"the keyring has a password for {server.name}, but not for which host; {again}")
    raise missing(f"the keyring has no password for {where}; {again}")


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
