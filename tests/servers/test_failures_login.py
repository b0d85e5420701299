"""The matrix: the SSH server is the right one, and does not let the key in."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.keys.authorized import script
from tests.harness.accounts import login_account
from tests.harness.proxy import Proxy
from tests.servers.matrix import Case
from tests.servers.stand import QUICK, at, command, do
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from canary_tui.diagnosis.stages import Failure
    from canary_tui.servers.model import Server
    from tests.harness.sshd import Sshd
    from tests.servers.stand import Stand

HOME_FILE = "AuthorizedKeysFile .ssh/authorized_keys"


def as_the_account(line: str) -> str:
    """Run a remedy's command as the SSH user, in their home."""
    account = login_account()
    owner = account.owner if os.geteuid() == 0 else None
    return do(line, owner=owner, home=account.home)


def in_a_home(stand: Stand) -> tuple[Server, Path]:
    """Return a server whose sshd reads the account's own ``~/.ssh``, strictly, and that home."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the home would be your own")
    ssh = stand.own_sshd(HOME_FILE, strict_modes=True)
    home = ssh.account.home
    home.chmod(0o700)
    stand.finally_(lambda: shutil.rmtree(home / ".ssh", ignore_errors=True))
    stand.finally_(lambda: home.chmod(0o700))
    return stand.server(ssh, install=False), home


def install(stand: Stand, server: Server) -> None:
    """Follow the first remedy: what ``canary key NAME --format script`` prints, run as the SSH user."""
    as_the_account(script(stand.line(server)))


async def not_installed(stand: Stand) -> None:
    server, _ = in_a_home(stand)
    await stand.fails(server)
    install(stand, server)
    await stand.works(server)


async def in_another_users_file(stand: Stand) -> None:
    server = stand.server(install=False)
    (stand.sshd.authorized_keys.with_name("nobody")).write_text(stand.line(server) + "\n")
    stand.finally_(stand.sshd.authorized_keys.with_name("nobody").unlink)
    await stand.fails(server)
    stand.sshd.authorize(stand.line(server))
    await stand.works(server)


async def line_broken_in_two(stand: Stand) -> None:
    server = stand.server(install=False)
    line = stand.line(server)
    stand.sshd.authorize(line[:120] + "\n" + line[120:])
    await stand.fails(server)
    stand.sshd.deauthorize()
    stand.sshd.authorize(line)
    await stand.works(server)


def loosened(name: str, loosen: Callable[[Path], None]) -> Case:
    """A case of StrictModes, whose remedy is the command of the remedies run as the SSH user."""

    async def run(stand: Stand) -> None:
        server, home = in_a_home(stand)
        install(stand, server)
        await stand.works(server)
        loosen(home)
        failure = await stand.fails(server)
        as_the_account(command(failure, "chmod go-w"))
        await stand.works(server)

    return Case(name, Cause.KEY_NOT_ACCEPTED, Stage.AUTH, run)


async def _limited(stand: Stand, option: str) -> None:
    """The key's line has a limit that does not let us in; the remedy names it."""
    server = stand.server(install=False)
    line = stand.line(server)
    stand.sshd.authorize(f"{option},{line}")
    failure = await stand.fails(server)
    assert command(failure, option.partition("=")[0] + "=")
    stand.sshd.deauthorize()
    stand.sshd.authorize(line)
    await stand.works(server)


async def from_another_address(stand: Stand) -> None:
    await _limited(stand, 'from="192.0.2.1"')


async def expired_line(stand: Stand) -> None:
    await _limited(stand, 'expiry-time="20200101"')


def the_account(stand: Stand, *arguments: str) -> Server:
    """Return a server that works, after its SSH account was changed with usermod(8)."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the account would be your own")
    name = login_account().name
    stand.finally_(lambda: do(f"usermod -p '*' -e '' {name}"))
    do(f"usermod {' '.join(arguments)} {name}")
    return stand.server()


async def locked_account(stand: Stand) -> None:
    failure = await stand.fails(server := the_account(stand, "-p '!'"))
    do(command(failure, "usermod"))
    await stand.works(server)


async def expired_account(stand: Stand) -> None:
    failure = await stand.fails(server := the_account(stand, "-e 2020-01-01"))
    do(command(failure, "chage"))
    await stand.works(server)


async def unknown_user(stand: Stand) -> None:
    server = stand.server()
    failure = await stand.fails(with_ssh(server, user="nobody-of-that-name"))
    assert command(failure, "ssh.user")
    await stand.works(server)


async def _configured(stand: Stand, *lines: str, mended: tuple[str, ...] = ()) -> Failure:
    """An sshd whose settings refuse us; with the ``mended`` ones, read anew, it lets us in."""
    ssh = stand.own_sshd(*lines)
    server = stand.server(ssh)
    failure = await stand.fails(server)
    ssh.options = list(mended)
    ssh.restart()
    await stand.works(server)
    return failure


def user_of(ssh: Sshd) -> str:
    return ssh.user


async def denied_user(stand: Stand) -> None:
    failure = await _configured(stand, f"DenyUsers {user_of(stand.sshd)}")
    assert command(failure, "DenyUsers")


async def not_among_the_allowed(stand: Stand) -> None:
    failure = await _configured(stand, "AllowUsers somebody-else")
    assert command(failure, "AllowUsers")


async def key_type_not_taken(stand: Stand) -> None:
    failure = await _configured(stand, "PubkeyAcceptedAlgorithms ssh-ed25519")
    assert command(failure, "PubkeyAcceptedAlgorithms")


async def passwords_only(stand: Stand) -> None:
    lines = ("PubkeyAuthentication no", "PasswordAuthentication yes")
    failure = await _configured(stand, *lines, mended=("PubkeyAuthentication yes",))
    assert command(failure, "PubkeyAuthentication")


async def methods_without_a_key(stand: Stand) -> None:
    lines = ("PasswordAuthentication yes", "AuthenticationMethods password")
    failure = await _configured(stand, *lines, mended=("AuthenticationMethods publickey",))
    assert command(failure, "AuthenticationMethods publickey")


async def password_as_well(stand: Stand) -> None:
    ssh = stand.own_sshd("PasswordAuthentication yes", "AuthenticationMethods publickey,password")
    server = stand.server(ssh)
    failure = await stand.fails(server)
    ssh.options = [
        *ssh.options,
        command(failure, "Match User"),
        command(failure, "AuthenticationMethods publickey"),
    ]
    ssh.restart()
    await stand.works(server)


async def code_as_well(stand: Stand) -> None:
    lines = ("KbdInteractiveAuthentication yes", "AuthenticationMethods publickey,keyboard-interactive")
    await _configured(stand, *lines, mended=("AuthenticationMethods publickey",))


async def one_attempt_allowed(stand: Stand) -> None:
    ssh = stand.own_sshd("MaxAuthTries 1")
    server = stand.server(ssh, install=False)
    await stand.fails(server)
    ssh.authorize(stand.line(server))
    await stand.works(server)


async def suspended_at_the_login(stand: Stand) -> None:
    ssh = stand.own_sshd()
    server = stand.server(ssh, timeout=QUICK)
    try:
        await stand.fails(server, at(Stage.AUTH, ssh.suspend))
    finally:
        ssh.resume()
    await stand.works(server)


async def wire_dead_at_the_login(stand: Stand) -> None:
    """A proxy lets nothing pass from the login on."""
    proxy = stand.open(Proxy((stand.sshd.host, stand.sshd.port)))
    server = stand.moved(stand.server(timeout=QUICK), proxy.port)
    await stand.fails(server, at(Stage.AUTH, proxy.drop))
    proxy.resume()
    await stand.works(server)


async def session_killed_at_the_login(stand: Stand) -> None:
    ssh = stand.own_sshd()
    server = stand.server(ssh)
    await stand.fails(server, at(Stage.AUTH, ssh.kill_sessions))
    await stand.works(server)


async def wire_cut_at_the_login(stand: Stand) -> None:
    """A proxy resets both sides when the login begins."""
    proxy = stand.open(Proxy((stand.sshd.host, stand.sshd.port)))
    server = stand.moved(stand.server(), proxy.port)
    await stand.fails(server, at(Stage.AUTH, proxy.cut))
    await stand.works(server)


async def barred_by_pam(stand: Stand) -> None:
    """The key is right; PAM says afterwards that the account has expired."""
    the_account(stand, "-e 2020-01-01")
    ssh = stand.own_sshd("UsePAM yes")
    server = stand.server(ssh)
    failure = await stand.fails(server)
    do(command(failure, "chage"))
    await stand.works(server)


CASES = (
    loosened("home_writable_by_others", lambda home: home.chmod(0o777)),
    loosened("folder_writable_by_others", lambda home: (home / ".ssh").chmod(0o777)),
    loosened("file_writable_by_others", lambda home: (home / ".ssh" / "authorized_keys").chmod(0o666)),
    *(
        Case(run.__name__, cause, Stage.AUTH, run)
        for cause, runs in {
            Cause.KEY_NOT_ACCEPTED: (
                not_installed,
                in_another_users_file,
                line_broken_in_two,
                from_another_address,
                expired_line,
                locked_account,
                expired_account,
                unknown_user,
                denied_user,
                not_among_the_allowed,
                key_type_not_taken,
            ),
            Cause.KEY_LOGIN_NOT_OFFERED: (passwords_only, methods_without_a_key),
            Cause.MORE_AUTHENTICATION_REQUIRED: (password_as_well, code_as_well),
            Cause.TOO_MANY_ATTEMPTS: (one_attempt_allowed,),
            Cause.AUTH_TIMED_OUT: (suspended_at_the_login, wire_dead_at_the_login),
            Cause.SSH_CLOSED_AT_LOGIN: (session_killed_at_the_login, wire_cut_at_the_login, barred_by_pam),
        }.items()
        for run in runs
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_login_that_fails_is_named(case: Case, stand: Stand) -> None:
    async with stand.of(case):
        await case.run(stand)
