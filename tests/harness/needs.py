"""What a test needs installed: skipped with a reason without it, or failed where CI must have it."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from tests.harness.process import find_binary

PROGRAMS: dict[str, tuple[str, ...]] = {
    "sshd": ("sshd", "ssh-keygen"),
    "ssh": ("ssh",),
    "dropbear": ("dropbear", "dropbearkey"),
    "postgres": ("postgres", "initdb", "psql"),
    "psql": ("psql",),
    "pgbouncer": ("pgbouncer",),
    "mariadb": ("mariadbd", "mariadb-install-db", "mariadb"),
}
"""What can be needed, and the programs that it consists of."""

_AS_ROOT = {"sshd": ("useradd", "userdel"), "dropbear": ("useradd", "userdel")}
_REASON = "needs "

needs_sshd = pytest.mark.needs("sshd")
needs_dropbear = pytest.mark.needs("dropbear")
needs_ssh = pytest.mark.needs("ssh")
needs_postgres = pytest.mark.needs("postgres")
needs_psql = pytest.mark.needs("psql")
needs_mariadb = pytest.mark.needs("mariadb")


def missing(*what: str) -> list[str]:
    """Which of ``what`` (keys of :data:`PROGRAMS`) is not wholly installed."""
    return [name for name in what if not all(map(find_binary, _programs(name)))]


def require(*what: str) -> None:
    """Skip the running test (``needs sshd``) when something is missing; with CI=true fail it."""
    absent = missing(*what)
    if absent:
        give_up(_REASON + ", ".join(absent))


def give_up(reason: str) -> NoReturn:
    """Skip the running test for ``reason``; with CI=true fail it."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason}, and CI must have it", pytrace=False)
    pytest.skip(reason)


def not_run(reasons: list[str]) -> list[str]:
    """One line for each thing that was missing, from the reasons of all skipped tests."""
    found = [reason.removeprefix("Skipped: ") for reason in reasons]
    needed = [reason.removeprefix(_REASON) for reason in found if reason.startswith(_REASON)]
    return [f"NOT RUN: {needed.count(what)} tests that need {what}" for what in sorted(set(needed))]


def _programs(name: str) -> tuple[str, ...]:
    return PROGRAMS[name] + (_AS_ROOT.get(name, ()) if os.geteuid() == 0 else ())
