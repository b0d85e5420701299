"""The key view's steps, followed to the letter on an account that has never seen SSH."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from canary_tui.keys.authorized import step_commands
from canary_tui.monitor.audit import audit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.accounts import Account
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd
    from tests.servers.world import World


def by_steps(line: str, _script: str) -> str:
    """The numbered steps, one after the other, as typed into one shell."""
    return "\n".join(step_commands(line))


def by_script(_line: str, script: str) -> str:
    """The one command that does them all, twice: it is safe to."""
    return f"{script}\n{script}"


def run_as(account: Account, commands: str) -> None:
    """Run commands as the account, with the careless umask that many systems give."""
    root = os.geteuid() == 0
    subprocess.run(
        ["/bin/sh", "-e"],
        input=commands,
        text=True,
        check=True,
        cwd=account.home,
        env={"HOME": str(account.home), "PATH": "/usr/bin:/bin"},
        umask=0o002,
        user=account.uid if root else None,
        group=account.gid if root else None,
    )


@pytest.mark.parametrize("way", [by_steps, by_script])
async def test_following_the_key_view_on_a_fresh_account_ends_with_a_green_test(
    world: World, make_sshd: Callable[..., Sshd], postgres: Postgres, way: Callable[[str, str], str]
) -> None:
    sshd = make_sshd(["AuthorizedKeysFile .ssh/authorized_keys"], strict_modes=True)
    account = sshd.account
    shutil.rmtree(account.home / ".ssh", ignore_errors=True)
    try:
        server = world.server(postgres, sshd, install=False)
        before = await world.probe(server)
        assert before.failure is not None
        assert before.failure.cause.value == "key_not_accepted"

        info = await world.tools.key_info(server)
        run_as(account, way(info.restricted, info.script))
        assert (account.home / ".ssh" / "authorized_keys").read_text().count(info.line) == 1

        after = await world.probe(server)
        assert after.ok, after.failure
        report = await audit(server, world.tools)
        assert report.ok, [check for check in report.checks if not check.ok]
    finally:
        shutil.rmtree(account.home / ".ssh", ignore_errors=True)
