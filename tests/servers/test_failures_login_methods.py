"""The matrix: the SSH server wants something else than the key, or something in addition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause, Stage
from tests.servers.failure_case import Case
from tests.servers.test_failures_login import configured

if TYPE_CHECKING:
    from tests.servers.failure_case import FailureCase


async def passwords_only(case: FailureCase) -> None:
    lines = ("PubkeyAuthentication no", "PasswordAuthentication yes")
    await configured(case, *lines, mended=("PubkeyAuthentication yes",))
    assert case.advice("PubkeyAuthentication")


async def methods_without_a_key(case: FailureCase) -> None:
    lines = ("PasswordAuthentication yes", "AuthenticationMethods password")
    await configured(case, *lines, mended=("AuthenticationMethods publickey",))
    assert case.advice("AuthenticationMethods publickey")


async def password_as_well(case: FailureCase) -> None:
    ssh = case.own_sshd("PasswordAuthentication yes", "AuthenticationMethods publickey,password")
    server = case.server(ssh=ssh)
    await case.fails(server)
    ssh.options = [
        *ssh.options,
        case.advice("Match User"),
        case.advice("AuthenticationMethods publickey"),
    ]
    ssh.restart()
    await case.works(server)


async def code_as_well(case: FailureCase) -> None:
    lines = ("KbdInteractiveAuthentication yes", "AuthenticationMethods publickey,keyboard-interactive")
    await configured(case, *lines, mended=("AuthenticationMethods publickey",))


async def second_key_as_well(case: FailureCase) -> None:
    """Another key is wanted, and neither a password nor a code."""
    lines = ("AuthenticationMethods publickey,publickey",)
    failure = await configured(case, *lines, mended=("AuthenticationMethods publickey",))
    assert failure.detail == "took the key and then lets only these methods go on: publickey"


async def code_before_the_key(case: FailureCase) -> None:
    """Whether a key is wanted after the code, no server says."""
    lines = ("KbdInteractiveAuthentication yes", "AuthenticationMethods keyboard-interactive,publickey")
    failure = await configured(case, *lines, mended=("AuthenticationMethods publickey",))
    assert failure.detail == "at first lets only these methods go on: keyboard-interactive"


CASES = tuple(
    Case(run.__name__, cause, Stage.AUTH, run)
    for cause, runs in {
        Cause.KEY_LOGIN_NOT_OFFERED: (passwords_only, methods_without_a_key, code_before_the_key),
        Cause.MORE_AUTHENTICATION_REQUIRED: (password_as_well, code_as_well, second_key_as_well),
    }.items()
    for run in runs
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_login_without_enough_methods_is_named(case: Case, failure_case: FailureCase) -> None:
    await failure_case.run(case)
