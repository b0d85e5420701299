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
from tests.servers.failure_case import QUICK, Case, do
from tests.servers.probing import at
from tests.servers.world import with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from canary_tui.diagnosis.stages import Failure
    from canary_tui.servers.model import Server
    from tests.harness.sshd import Sshd
    from tests.servers.failure_case import FailureCase

HOME_FILE = "AuthorizedKeysFile .ssh/authorized_keys"


def as_the_account(line: str) -> str:
    """Run a remedy's command as the SSH user, in their home."""
    account = login_account()
    owner = account.owner if os.geteuid() == 0 else None
    return do(line, owner=owner, home=account.home)


def in_a_home(case: FailureCase) -> tuple[Server, Path]:
    """Return a server whose sshd reads the account's own ``~/.ssh``, strictly, and that home."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the home would be your own")
    ssh = case.own_sshd(HOME_FILE, strict_modes=True)
    home = ssh.account.home
    home.chmod(0o700)
    case.undo(lambda: shutil.rmtree(home / ".ssh", ignore_errors=True))
    case.undo(lambda: home.chmod(0o700))
    return case.server(ssh=ssh, install=False), home


def install(case: FailureCase, server: Server) -> None:
    """Follow the first remedy: what ``canary key NAME --format script`` prints, run as the SSH user."""
    as_the_account(script(case.world.line(server)))


async def not_installed(case: FailureCase) -> None:
    server, _ = in_a_home(case)
    await case.fails(server)
    install(case, server)
    await case.works(server)


async def in_another_users_file(case: FailureCase) -> None:
    server = case.server(install=False)
    (case.sshd.authorized_keys.with_name("nobody")).write_text(case.world.line(server) + "\n")
    case.undo(case.sshd.authorized_keys.with_name("nobody").unlink)
    await case.fails(server)
    case.sshd.authorize(case.world.line(server))
    await case.works(server)


async def line_broken_in_two(case: FailureCase) -> None:
    server = case.server(install=False)
    line = case.world.line(server)
    case.sshd.authorize(line[:120] + "\n" + line[120:])
    await case.fails(server)
    case.sshd.deauthorize()
    case.sshd.authorize(line)
    await case.works(server)


def loosened(name: str, loosen: Callable[[Path], None]) -> Case:
    """A case of StrictModes, whose remedy is the command of the remedies run as the SSH user."""

    async def run(case: FailureCase) -> None:
        server, home = in_a_home(case)
        install(case, server)
        await case.works(server)
        loosen(home)
        await case.fails(server)
        as_the_account(case.advice("chmod go-w"))
        await case.works(server)

    return Case(name, Cause.KEY_NOT_ACCEPTED, Stage.AUTH, run)


async def _limited(case: FailureCase, option: str) -> None:
    """The key's line has a limit that does not let us in; the remedy names it."""
    server = case.server(install=False)
    line = case.world.line(server)
    case.sshd.authorize(f"{option},{line}")
    await case.fails(server)
    assert case.advice(option.partition("=")[0] + "=")
    case.sshd.deauthorize()
    case.sshd.authorize(line)
    await case.works(server)


async def from_another_address(case: FailureCase) -> None:
    await _limited(case, 'from="192.0.2.1"')


async def expired_line(case: FailureCase) -> None:
    await _limited(case, 'expiry-time="20200101"')


def the_account(case: FailureCase, *arguments: str) -> Server:
    """Return a server that works, after its SSH account was changed with usermod(8)."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the account would be your own")
    name = login_account().name
    case.undo(lambda: do(f"usermod -p '*' -e '' {name}"))
    do(f"usermod {' '.join(arguments)} {name}")
    return case.server()


async def locked_account(case: FailureCase) -> None:
    await case.fails(server := the_account(case, "-p '!'"))
    do(case.advice("usermod"))
    await case.works(server)


async def expired_account(case: FailureCase) -> None:
    await case.fails(server := the_account(case, "-e 2020-01-01"))
    do(case.advice("chage"))
    await case.works(server)


async def unknown_user(case: FailureCase) -> None:
    server = case.server()
    await case.fails(with_ssh(server, user="nobody-of-that-name"))
    assert case.advice("ssh.user")
    await case.works(server)


async def configured(case: FailureCase, *lines: str, mended: tuple[str, ...] = ()) -> Failure:
    """An sshd whose settings refuse us; with the ``mended`` ones, read anew, it lets us in."""
    ssh = case.own_sshd(*lines)
    server = case.server(ssh=ssh)
    failure = await case.fails(server)
    ssh.options = list(mended)
    ssh.restart()
    await case.works(server)
    return failure


def user_of(ssh: Sshd) -> str:
    return ssh.user


async def denied_user(case: FailureCase) -> None:
    await configured(case, f"DenyUsers {user_of(case.sshd)}")
    assert case.advice("DenyUsers")


async def not_among_the_allowed(case: FailureCase) -> None:
    await configured(case, "AllowUsers somebody-else")
    assert case.advice("AllowUsers")


async def key_type_not_taken(case: FailureCase) -> None:
    await configured(case, "PubkeyAcceptedAlgorithms ssh-ed25519")
    assert case.advice("PubkeyAcceptedAlgorithms")


async def one_attempt_allowed(case: FailureCase) -> None:
    ssh = case.own_sshd("MaxAuthTries 1")
    server = case.server(ssh=ssh, install=False)
    await case.fails(server)
    ssh.authorize(case.world.line(server))
    await case.works(server)


async def suspended_at_the_login(case: FailureCase) -> None:
    ssh = case.own_sshd()
    server = case.server(ssh=ssh, timeout=QUICK)
    try:
        await case.fails(server, at(Stage.AUTH, ssh.suspend))
    finally:
        ssh.resume()
    await case.works(server)


async def wire_dead_at_the_login(case: FailureCase) -> None:
    """A proxy lets nothing pass from the login on."""
    proxy = case.open(Proxy((case.sshd.host, case.sshd.port)))
    server = case.moved(case.server(timeout=QUICK), proxy.port)
    await case.fails(server, at(Stage.AUTH, proxy.drop))
    proxy.resume()
    await case.works(server)


async def session_killed_at_the_login(case: FailureCase) -> None:
    ssh = case.own_sshd()
    server = case.server(ssh=ssh)
    await case.fails(server, at(Stage.AUTH, ssh.kill_sessions))
    await case.works(server)


async def wire_cut_at_the_login(case: FailureCase) -> None:
    """A proxy resets both sides when the login begins."""
    proxy = case.open(Proxy((case.sshd.host, case.sshd.port)))
    server = case.moved(case.server(), proxy.port)
    await case.fails(server, at(Stage.AUTH, proxy.cut))
    await case.works(server)


async def barred_by_pam(case: FailureCase) -> None:
    """The key is right; PAM says afterwards that the account has expired."""
    the_account(case, "-e 2020-01-01")
    ssh = case.own_sshd("UsePAM yes")
    server = case.server(ssh=ssh)
    await case.fails(server)
    do(case.advice("chage"))
    await case.works(server)


async def locked_in_nowhere(case: FailureCase) -> None:
    """The login succeeds, and then sshd cannot begin the session."""
    if os.geteuid() != 0:
        pytest.skip("needs root: sshd changes its root for no other")
    failure = await configured(case, "ChrootDirectory /nonexistent")
    assert failure.detail.startswith("let the user in and ended the connection at once: ")


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
            Cause.TOO_MANY_ATTEMPTS: (one_attempt_allowed,),
            Cause.AUTH_TIMED_OUT: (suspended_at_the_login, wire_dead_at_the_login),
            Cause.SSH_CLOSED_AT_LOGIN: (
                session_killed_at_the_login,
                wire_cut_at_the_login,
                barred_by_pam,
                locked_in_nowhere,
            ),
        }.items()
        for run in runs
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_login_that_fails_is_named(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)
