"""The matrix of failures and the contract's list of causes cannot drift apart."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

from canary_tui.diagnosis.stages import Cause
from tests.servers.matrix import Case

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
