"""Commands that we print are pasted: whatever stands in them is one word, and nothing of it is run."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary_tui.databases.ways import Direct
from canary_tui.diagnosis.catalogue import look_at
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.causes.stage_words import LOOK_AT
from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.diagnosis.words import (
    PLACEHOLDER,
    STAND_INS,
    complete,
    fill,
    host_key_file,
    shell_word,
)
from canary_tui.monitor.board import Row
from canary_tui.monitor.clients import DatabaseClient
from canary_tui.servers.model import Database, Engine, Server, SshServer
from canary_tui.servers.passfiles import pgpass
from canary_tui.tui.presenters.urls import how_to_use
from tests.unit.catalogue_samples import every_line

PACKAGE = Path(__file__).parents[2] / "canary_tui"
COMMANDS = sorted(
    {
        command
        for line in every_line()
        for command in re.findall(r"`([^`]*)`", line.text)
        if PLACEHOLDER.search(command)
    }
)
IN_A_SHELL = [
    command
    for command in COMMANDS
    if re.match(r"(?:sudo|read|ps|ls|mv|chmod|canary|nc|getent|time|openssl|ssh-keygen|ping)\b", command)
]
PROGRAMS = (
    "sudo",
    "ps",
    "ls",
    "mv",
    "chmod",
    "canary",
    "nc",
    "getent",
    "openssl",
    "ssh-keygen",
    "ping",
    "grep",
    "id",
)
"""Played by a program that does nothing: what is looked for is what else the line does."""
ATTACKS = (
    "PW; {touch} #",
    "$({touch})",
    "`{touch}`",
    "x' ; {touch} ; '",
    'x"; {touch}; "',
    "x\n{touch}\n",
    "x\r{touch}\r",
    "a && {touch}",
    "a | {touch}",
    "x > {file}",
    "\\'; {touch}; \\'",
    "-oProxyCommand={touch}",
    "--checkpoint-action=exec={touch}",
    "~/$({touch})",
    "~/x;{touch}",
    "x\u2028{touch}\x1b]52;c;\x07`{touch}`",
    "$'\\';{touch};'",
    "!{touch}",
    "${{IFS}}x;{touch}",
    "\x85{touch}\x9b",
)
TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from("'\"\\$`\n\r;~- \x1b!"),
    max_size=12,
)


def attacks(file: Path) -> list[str]:
    return [attack.format(touch=f"/usr/bin/touch {file}", file=file) for attack in ATTACKS]


def run(shell: str, lines: list[str], folder: Path) -> bytes:
    """Have a shell carry lines out, with programs that do nothing; return what it printed."""
    stubs = folder / "bin"
    if not stubs.exists():
        stubs.mkdir()
        for program in PROGRAMS:
            (stubs / program).symlink_to(shutil.which("true") or "")
    done = subprocess.run(
        [shutil.which(shell) or shell, "-c", "\n".join(lines)],
        env={"PATH": str(stubs), "HOME": str(folder)},
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    return done.stdout


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=40))
def test_a_word_for_a_shell_is_one_printable_line_and_means_itself(words: list[str]) -> None:
    line = " ".join(map(shell_word, words))
    assert line.isprintable()
    out = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    assert out.decode("utf-8").split("\0")[:-1] == words


def test_names_that_are_no_utf_8_come_back_byte_for_byte() -> None:
    name = os.fsdecode(b"caf\xe9\x1b")
    out = subprocess.run(
        ["bash", "-c", f"printf %s {shell_word(name)}"], capture_output=True, check=True
    ).stdout
    assert out == os.fsencode(name)


@pytest.mark.parametrize("shell", [shell for shell in ("sh", "bash", "zsh", "ksh") if shutil.which(shell)])
def test_no_remedy_carries_out_what_stands_in_it(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "PWNED"
    for attack in attacks(file):
        words = complete(dict.fromkeys(STAND_INS, attack))
        lines = [fill(command, words) for command in IN_A_SHELL]
        assert all(line.isprintable() for line in lines)
        run(shell, lines, tmp_path)
        assert not file.exists(), attack


def test_this_test_can_fail(tmp_path: Path) -> None:
    file = tmp_path / "PWNED"
    run("sh", [f"ls {attacks(file)[0]}"], tmp_path)
    assert file.exists()


def test_the_shells_commands_are_all_among_those_that_were_tried() -> None:
    assert len(IN_A_SHELL) > 25
    assert not [command for command in COMMANDS if "!sh" in command and command not in IN_A_SHELL]


@given(st.dictionaries(st.sampled_from(sorted(STAND_INS)), TEXT), st.sampled_from(["postgresql", "mysql"]))
def test_names_in_sql_and_in_files_end_where_they_should(words: dict[str, str], engine: str) -> None:
    """Outside of quotes there is nothing but what the catalogue wrote, and plain names."""
    known = complete({**words, "engine": engine})
    plain = dict.fromkeys(STAND_INS, "x") | {"engine": engine}
    quoted = re.compile(r"'(?:[^'\\]|''|\\.)*'" if engine == "mysql" else r"'(?:[^']|'')*'")
    names = re.compile(r'"(?:[^"]|"")*"|`(?:[^`]|``)*`')
    for command in COMMANDS:
        if re.search(r"!(?:sql|text|hba)\}", command):
            filled = [names.sub("N", quoted.sub("T", fill(command, each))) for each in (known, plain)]
            left, wanted = (
                re.sub(r"\bN\b|\bT\b|\b[A-Z_]+\b|\b[a-z_][a-z0-9_]*\b", "w", text) for text in filled
            )
            assert left == wanted


@given(host=TEXT, user=TEXT)
def test_a_line_of_pgpass_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, host: str, user: str
) -> None:
    template = next(command for command in COMMANDS if "!pgpass" in command)
    words = complete({"db_host": host, "db_port": "5432", "db_user": user, "db_name": "orders"})
    line = fill(template, words)
    assert line.isprintable()
    file = tmp_path_factory.getbasetemp() / "pgpass"
    file.touch(0o600)
    file.write_text(line + "\n", "utf-8")
    if host.isprintable() and user.isprintable() and host and user and not host.startswith("#"):
        assert pgpass(file, host, 5432, "orders", user) == "PASSWORD"


def server(engine: Engine, text: str) -> Server:
    return Server(
        name="orders",
        engine=engine,
        database=Database(host="127.0.0.1", port=5432, name=text, user=text, ca_file=text),
        ssh=SshServer(host="127.0.0.1", user=text, local_port=15432),
    )


@pytest.mark.parametrize("engine", list(Engine))
def test_how_a_database_is_reached_carries_nothing_out(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "PWNED"
    folder = tmp_path / "x'; touch PWNED\n"
    folder.mkdir()
    lines = []
    for number, attack in enumerate(attacks(file)):
        one = server(engine, attack)
        ends = ("127.0.0.1:15432", f"/run/{attack}/.s.PGSQL.5432")
        lines += [how_to_use(Row(server=one, local=local)) for local in ends]
        direct = msgspec.structs.replace(one, ssh=None)
        own = folder / str(number)
        environ = {"PATH": "/usr/bin:/bin", f"PG{attack}": attack, "PGSERVICE": attack}
        client = DatabaseClient(direct, Direct(), servers=[direct], environ=environ, folder=own)
        lines.append(client.shell_line())
        lines.append(look_at(Cause.DATABASE_TIMED_OUT, Stage.FORWARD, one.words).partition(": ")[2])
    assert all(line.isprintable() for line in lines)
    for shell in ("sh", "bash"):
        run(shell, lines, tmp_path)
        assert not file.exists()


def test_the_report_quotes_what_stands_in_its_commands() -> None:
    lines = [line for row in ROWS.values() for line in row.look_at]
    lines += [line for said in LOOK_AT.values() for line in said]
    for line in lines:
        for command in re.findall(r"(?:nc -vz|getent hosts|ssh-keygen -lf|GRANT) .*", line.text):
            assert all(how for _, how in PLACEHOLDER.findall(command)), command


def test_a_host_keys_file_is_named_by_its_type_and_nothing_else() -> None:
    assert host_key_file("ssh-ed25519") == "/etc/ssh/ssh_host_ed25519_key.pub"
    for attack in attacks(Path("/x")):
        assert len(shlex.split(host_key_file(attack))) == 1
        assert host_key_file(attack).isprintable()


def test_every_source_of_text_is_one_that_the_code_cleans() -> None:
    used = {
        node.attr
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Source"
    }
    assert used == {source.name for source in Source}


def test_no_widget_takes_words_for_markup() -> None:
    """Everything that Textual would read as markup is a constant of ours, or says that it is none."""
    for file in (PACKAGE / "tui").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            texts = [argument for argument in node.args if not isinstance(argument, ast.Constant)]
            if name in {"notify", "Static", "Label"} and texts and file.name != "form_field.py":
                markup = [word for word in node.keywords if word.arg == "markup"]
                constant = [
                    text for text in texts if re.fullmatch(r"[\w.]*\b[A-Z_]+(\[.*\])?", ast.unparse(text))
                ]
                assert markup or constant, f"{file.name}:{node.lineno}"
