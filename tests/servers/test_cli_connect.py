"""``canary connect`` over real servers."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from canary_tui.keys.authorized import restricted_line
from canary_tui.servers.model import PasswordEnv, TlsMode
from tests.servers.cli import COMMAND, LIMIT, Canary, environment, finish, start
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.certs import Authority
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd


def test_connect_runs_psql_through_the_tunnel_with_verify_full(
    world: World, sshd: Sshd, make_postgres: Callable[..., Postgres], authority: Authority, canary: Canary
) -> None:
    """The certificate is for ``localhost``; psql is led to 127.0.0.1, which it is not for."""
    database = make_postgres(tls=authority.issue(["localhost"]))
    server = world.server(
        database, sshd, host="localhost", tls=TlsMode.VERIFY_FULL, ca_file=str(authority.ca)
    )
    world.write(server)
    query = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
    outcome = canary("connect", "orders", "--", "psql", "-XAtc", query)
    assert (outcome.status, outcome.out) == (0, "t\n"), outcome.err
    world.tools.file.set_value("orders", ("database", "host"), "127.0.0.1")
    sshd.deauthorize()
    sshd.authorize(restricted_line(world.key("orders").line, "127.0.0.1", database.port))
    outcome = canary("connect", "orders", "--", "psql", "-XAtc", query)
    assert (outcome.status, outcome.out) == (2, "")
    assert 'does not match host name "127.0.0.1"' in outcome.err


def test_connect_runs_the_mysql_client_and_its_file_holds_no_password(
    world: World, sshd: Sshd, mariadb: MariaDB, canary: Canary
) -> None:
    world.write(world.server(mariadb, sshd, name="shop"))
    shell = 'mysql -Ne "select database()" && ls -l $MYSQL_HOME && cat $MYSQL_HOME/my.cnf'
    outcome = canary("connect", "shop", "--", "sh", "-c", shell)
    assert outcome.status == 0, outcome.err
    assert outcome.out.splitlines()[0] == mariadb.database
    assert "[client]" in outcome.out
    assert "-rw-------" in outcome.out
    assert mariadb.password not in outcome.out


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_connect_returns_the_commands_exit_status(
    world: World, postgres: Postgres, canary: Canary, script: str, status: int
) -> None:
    world.write(world.server(postgres))
    assert canary("connect", "orders", "--", "sh", "-c", script).status == status


def test_connect_gives_options_to_the_command_untouched(
    world: World, postgres: Postgres, canary: Canary
) -> None:
    world.write(world.server(postgres))
    assert canary("connect", "orders", "--", "echo", "--help", "-x", "--", "--json").out == (
        "--help -x -- --json\n"
    )


def no_login(world: World, sshd: Sshd, postgres: Postgres) -> None:
    world.write(world.server(postgres, sshd, install=False))


def no_password(world: World, sshd: Sshd, postgres: Postgres) -> None:
    world.write(world.server(postgres, sshd, password=PasswordEnv(env="CANARY_TEST_NOT_SET")))


OUR_FAILURES = [
    (no_login, ("--", "echo", "ran"), 125, "did not accept"),
    (no_login, (), 1, "did not accept"),
    (no_password, ("--", "echo", "ran"), 125, "NOT_SET"),
]


@pytest.mark.parametrize(("make", "command", "status", "words"), OUR_FAILURES)
def test_our_own_failure_is_125_with_a_command_and_1_without(
    world: World, sshd: Sshd, postgres: Postgres, canary: Canary,
    make: Callable[..., None], command: tuple[str, ...], status: int, words: str,
) -> None:  # fmt: skip
    make(world, sshd, postgres)
    outcome = canary("connect", "orders", *command)
    assert (outcome.status, outcome.out) == (status, "")
    assert words in outcome.err


def test_a_command_that_is_not_there_is_our_failure(world: World, postgres: Postgres, canary: Canary) -> None:
    world.write(world.server(postgres))
    outcome = canary("connect", "orders", "--", "no-such-program")
    assert outcome.status == 125
    assert outcome.err == "no-such-program: No such file or directory\n"


def test_connect_without_a_command_says_how_to_use_it_and_stays_until_ctrl_c(
    world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd))
    process = start(world, "connect", "orders")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert postgres.password not in line
    words = shlex.split(line)
    assert words[-1] == "psql"
    used = dict(word.split("=", 1) for word in words[:-1])
    done = subprocess.run(
        ["psql", "-XAtc", "select 6 * 7"],
        env=os.environ | used | {"PGPASSWORD": postgres.password},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.stdout == "42\n", done.stderr
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.status == 130
    assert f"orders is at 127.0.0.1:{used['PGPORT']}; Ctrl-C closes it." in outcome.err
    assert outcome.err.endswith("closed\n")


def test_connect_without_a_command_needs_no_password(world: World, sshd: Sshd, postgres: Postgres) -> None:
    """Whoever uses the tunnel has one of their own."""
    world.write(world.server(postgres, sshd, password=None))
    process = start(world, "connect", "orders")
    assert process.stdout is not None
    used = dict(word.split("=", 1) for word in shlex.split(process.stdout.readline())[:-1])
    assert "PGPASSWORD" not in used
    done = subprocess.run(
        ["psql", "-XAtc", "select 6 * 7"],
        env=os.environ | used | {"PGPASSWORD": postgres.password},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.stdout == "42\n", done.stderr
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert (outcome.status, outcome.out) == (130, "")
    assert outcome.err.endswith("closed\n")


def test_connect_works_while_another_process_holds_the_local_port(
    world: World, sshd: Sshd, postgres: Postgres, canary: Canary
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        world.write(with_ssh(world.server(postgres, sshd), local_port=other.getsockname()[1]))
        outcome = canary("connect", "orders", "--", "psql", "-XAtc", "select 1")
    assert (outcome.status, outcome.out) == (0, "1\n"), outcome.err


def test_ctrl_c_at_the_terminal_reaches_the_command_which_decides(world: World, postgres: Postgres) -> None:
    """A shell in the foreground gets SIGINT itself; canary waits for what it makes of it."""
    world.write(world.server(postgres))
    code = "import signal, sys; signal.signal(2, lambda *_: sys.exit(9)); "
    code += "print('ready', flush=True); signal.pause()"
    process = subprocess.Popen(
        [*COMMAND, "connect", "orders", "--", sys.executable, "-c", code],
        env=environment(world),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert finish(process).status == 9


def test_sigterm_is_passed_on_to_the_command(world: World, postgres: Postgres) -> None:
    world.write(world.server(postgres))
    process = start(world, "connect", "orders", "--", "sh", "-c", "echo ready; exec sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert finish(process).status == 128 + signal.SIGTERM
