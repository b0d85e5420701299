"""The matrix of failures and the contract's list of causes cannot drift apart."""

from __future__ import annotations

import asyncio
import importlib
import socket
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from canary_tui.diagnosis.stages import Cause
from tests.harness.ports import eventually
from tests.servers import leftovers
from tests.servers.failure_case import Case

if TYPE_CHECKING:
    from tests.harness.sshd import Sshd

FEWEST = 70
"""Cases that the matrix must hold at least."""


def all_cases() -> list[Case]:
    """Return the cases of every file of the matrix."""
    files = sorted(Path(__file__).parent.glob("test_failures_*.py"))
    modules = [importlib.import_module(f"tests.servers.{file.stem}") for file in files]
    return [case for module in modules for case in getattr(module, "CASES", ())]


def test_every_cause_of_the_contract_has_a_case() -> None:
    assert {case.cause for case in all_cases()} == set(Cause)


def test_the_matrix_holds_enough_cases_and_each_has_a_name_of_its_own() -> None:
    names = Counter(case.name for case in all_cases())
    assert names.total() >= FEWEST
    assert [name for name, count in names.items() if count > 1] == []


@pytest.fixture
def quick_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up waiting for what is left behind at once."""
    monkeypatch.setattr(leftovers, "LIMIT", 0.1)


@pytest.mark.usefixtures("quick_count")
async def test_a_socket_left_behind_is_noticed() -> None:
    with ExitStack() as later, pytest.raises(AssertionError, match="sockets left behind"):
        async with leftovers.nothing_left():
            later.enter_context(socket.socket())


@pytest.mark.usefixtures("quick_count")
async def test_a_task_left_behind_is_noticed() -> None:
    with pytest.raises(AssertionError, match="tasks left behind"):
        async with leftovers.nothing_left():
            task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()


@pytest.mark.usefixtures("quick_count")
async def test_a_thread_left_behind_is_noticed() -> None:
    done = threading.Event()
    with pytest.raises(AssertionError, match="threads left behind"):
        async with leftovers.nothing_left():
            threading.Thread(target=done.wait).start()
    done.set()


@pytest.mark.usefixtures("quick_count")
async def test_an_ssh_session_left_behind_is_noticed(sshd: Sshd) -> None:
    async def leave_one(connection: socket.socket) -> None:
        async with leftovers.nothing_left([sshd]):
            connection.connect((sshd.host, sshd.port))
            await eventually(sshd.sessions)

    with socket.socket() as connection, pytest.raises(AssertionError, match="SSH sessions left behind"):
        await leave_one(connection)
