"""The system's keyring keeps passwords, each for one place alone."""

from __future__ import annotations

from typing import Any

import keyring
import keyring.backend
import keyring.backends.null
import keyring.errors
import pytest
from msgspec.structs import replace

from canary_tui.diagnosis.stages import Cause, Failed
from canary_tui.servers import system_keyring
from canary_tui.servers.model import PasswordKeyring, SshServer
from canary_tui.servers.passwords import Passwords
from canary_tui.servers.secrets import Secret
from canary_tui.servers.system_keyring import KeyringUnavailable, keyring_forget, keyring_set
from tests.unit.password_sources import ELSEWHERE, failure, server


class Memory(keyring.backend.KeyringBackend):
    """A keyring for one test."""

    priority = 1

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.reads = 0
        self.error: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    backend = Memory()
    monkeypatch.setattr("keyring.core._keyring_backend", backend)
    return backend


async def test_the_keyring_keeps_gives_and_forgets(passwords: Passwords, memory: Memory) -> None:
    source = PasswordKeyring()
    assert "canary password a" in (await failure(passwords, source)).detail
    keyring_set(server(), Secret("kept"))
    assert memory.kept == {("canary-tui", "a: reader@db.example:5432"): "kept"}
    assert await passwords.find(server(source)) == Secret("kept")
    reads = memory.reads
    assert await passwords.find(server(source)) == Secret("kept")
    assert memory.reads == reads
    assert keyring_forget(server()) is True
    assert keyring_forget(server()) is False
    passwords.rejected(server())
    assert (await failure(passwords, source)).cause is Cause.PASSWORD_MISSING


BEHIND = SshServer(host="bastion", user="me")


@pytest.mark.parametrize("change", [*ELSEWHERE, {"ssh": BEHIND}])
async def test_a_password_is_for_one_place_and_not_for_another_of_the_same_name(
    passwords: Passwords, memory: Memory, change: dict[str, Any]
) -> None:
    keyring_set(server(), Secret("kept"))
    ours = server(PasswordKeyring())
    assert await passwords.find(ours) == Secret("kept")
    passwords.give(server(), Secret("typed"))
    database = {key: value for key, value in change.items() if key != "ssh"}
    for source in (PasswordKeyring(), None):
        theirs = replace(
            server(source),
            ssh=change.get("ssh"),
            database=replace(server(source).database, **database),
        )
        if source is None:
            assert await passwords.find(theirs) is None
            continue
        with pytest.raises(Failed, match="the keyring has no password for a: ") as caught:
            await passwords.find(theirs)
        assert caught.value.cause is Cause.PASSWORD_MISSING


async def test_what_an_older_version_kept_without_a_host_is_set_again_and_not_sent(
    passwords: Passwords, memory: Memory
) -> None:
    memory.kept["canary-tui", "a"] = "old"
    assert "but not for which host" in (await failure(passwords, PasswordKeyring())).detail
    keyring_set(server(), Secret("kept"))
    assert "old" not in memory.kept.values()
    memory.kept["canary-tui", "a"] = "old"
    assert keyring_forget(server())
    assert memory.kept == {}


def test_a_keyring_that_keeps_nothing_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keyring.core._keyring_backend", keyring.backends.null.Keyring())  # type: ignore[no-untyped-call]
    with pytest.raises(KeyringUnavailable, match="keeps nothing"):
        keyring_set(server(), Secret("kept"))


async def test_a_keyring_that_does_not_work_is_said(passwords: Passwords, memory: Memory) -> None:
    memory.error = keyring.errors.KeyringLocked("is locked")
    assert (await failure(passwords, PasswordKeyring())).detail == "the keyring does not work: is locked"
    memory.error = keyring.errors.NoKeyringError("long text")
    with pytest.raises(KeyringUnavailable, match="this system has no keyring; use password: "):
        keyring_forget(server())


async def test_a_keyring_that_waits_for_ever_is_given_up(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    release = threading.Event()

    def stuck(_: str) -> None:
        release.wait(30)

    monkeypatch.setattr(system_keyring, "_keyring_get", stuck)
    monkeypatch.setattr(system_keyring, "KEYRING_TIME_LIMIT", 0.05)
    assert "did not answer within" in (await failure(passwords, PasswordKeyring())).detail
    release.set()
