"""What holds for the files of the package, its tests and its benchmarks, and no other tool looks at."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import canary_tui

PACKAGE = Path(canary_tui.__file__).parent
FILES = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}


def called(text: str) -> set[str]:
    """What a file calls: ``dial``, ``asyncssh.connect``. A module's ``dial`` counts too."""
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)}
    return calls | {"dial" for call in calls if call.endswith(".dial")}


@pytest.mark.parametrize(
    ("call", "homes"),
    [
        ("dial", {"tunnels/ssh_logins.py"}),
        ("asyncssh.connect", {"tunnels/dial.py"}),
        ("asyncssh.connect_reverse", set()),
        ("asyncssh.create_connection", set()),
        ("asyncssh.get_server_host_key", set()),
        ("asyncssh.run_client", set()),
    ],
)
def test_ssh_connections_are_opened_in_one_place(call: str, homes: set[str]) -> None:
    """Whoever went past it would go past the gate that protects the jumpbox."""
    assert {file for file, text in FILES.items() if call in called(text)} == homes


LINES_OF_A_FILE = 300
LINES_OF_A_FUNCTION = 50
ROOT = Path(__file__).parents[2]
OURS = [path for folder in ("canary_tui", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
EVERYWHERE = {path.relative_to(ROOT).as_posix(): path.read_text() for path in OURS}
"""The files of the package, of its tests and of its benchmarks."""


def test_no_file_is_too_long_to_read_at_once() -> None:
    lengths = {file: len(text.splitlines()) for file, text in EVERYWHERE.items()}
    assert not {file: length for file, length in lengths.items() if length > LINES_OF_A_FILE}


def test_no_function_is_too_long_to_read_at_once() -> None:
    functions = {
        f"{file}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for file, text in EVERYWHERE.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: length for name, length in functions.items() if length > LINES_OF_A_FUNCTION}


def test_nobody_reaches_into_the_inside_of_another() -> None:
    """What begins with ``_`` is another's own. Only the gate has to know when Textual is at rest."""
    assert [file for file, text in FILES.items() if "SLF001" in text] == ["tui/key_gate.py"]


def sets_of_causes(text: str) -> list[str]:
    """The sets in a file that have two causes or more: ``{Cause.TLS_FAILED, C.TLS_TIMED_OUT}``."""
    sets = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Set)]
    written = [[ast.unparse(member) for member in node.elts] for node in sets]
    return [", ".join(names) for names in written if sum(n.startswith(("Cause.", "C.")) for n in names) > 1]


def test_what_causes_have_in_common_stands_in_their_rows() -> None:
    """A second list of causes is one that a new cause is forgotten in."""
    found = {file for file, text in FILES.items() if sets_of_causes(text)}
    # Which refusals PostgreSQL sends before it has answered about TLS is its protocol's, not the cause's.
    assert found == {"databases/postgresql/wire.py"}
