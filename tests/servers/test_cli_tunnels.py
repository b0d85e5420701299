"""``canary probe``, ``trust`` and ``connect`` over real servers."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from canary_tui.diagnosis.stages import HostKeyOffer
from canary_tui.keys.authorized import restricted_line
from canary_tui.servers.model import PasswordEnv, TlsMode
from tests.servers.cli import COMMAND, LIMIT, Canary, at_terminal, environment, finish, spawn, start
from tests.servers.world import World, with_ssh

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.certs import Authority
    from tests.harness.mariadb import MariaDB
    from tests.harness.postgres import Postgres
    from tests.harness.sshd import Sshd


def fingerprint(sshd: Sshd) -> str:
    line = f"host {sshd.host_public_keys[0]}\n"
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", "-"],
        input=line.partition(" ")[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[1]


# probe


def test_probe_prints_each_server_with_its_stages(
    canary: Canary, world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd), world.server(postgres, name="direct"))
    outcome = canary("probe")
    assert (outcome.status, outcome.err) == (0, "")
    first, stages, second, direct = outcome.out.splitlines()
    assert first.split()[:3] == ["●", "orders", f"{sshd.user}@{sshd.host}:{sshd.port}"]
    assert [word for word in stages.split() if word.isalpha()] == [
        "settings", "resolve", "connect", "handshake", "auth", "forward", "database", "login", "query",
    ]  # fmt: skip
    assert second.split()[1:3] == ["direct", "direct"]
    assert "forward" not in direct


def test_a_failing_probe_says_where_why_and_what_to_do(
    canary: Canary, world: World, sshd: Sshd, postgres: Postgres
) -> None:
    world.write(world.server(postgres, sshd, install=False), world.server(postgres, name="direct"))
    outcome = canary("probe", "orders", "direct")
    assert outcome.status == 1
    assert outcome.out.startswith("✕ orders")
    assert "SSH login: " in outcome.out
    assert "      - " in outcome.out
    assert "● direct" in outcome.out


def test_only_the_named_servers_are_probed_and_each_once(
    canary: Canary, world: World, postgres: Postgres
) -> None:
    for name in ("a", "b", "c"):
        world.write(world.server(postgres, name=name))
    seen = postgres.connections_seen()
    outcome = canary("probe", "c", "a", "c")
    assert [line.split()[1] for line in outcome.out.splitlines()[::2]] == ["c", "a"]
    assert postgres.connections_seen() == seen + 2


def test_a_server_that_is_off_is_probed_only_by_name(
    canary: Canary, world: World, postgres: Postgres
) -> None:
    world.write(msgspec.structs.replace(world.server(postgres), enabled=False))
    outcome = canary("probe")
    assert (outcome.status, outcome.out) == (0, "")
    assert "Nothing to probe" in outcome.err
    assert canary("probe", "orders").out.startswith("● orders")


def test_wrong_settings_have_their_json_and_exit_1(canary: Canary, world: World, postgres: Postgres) -> None:
    world.write(world.server(postgres, password=PasswordEnv(env="CANARY_TEST_NOT_SET")))
    outcome = canary("probe", "--json")
    record = msgspec.json.decode(outcome.out)
    assert outcome.status == 1
    assert (record["failure"]["stage"], record["failure"]["cause"]) == ("settings", "password_missing")
    assert "CANARY_TEST_NOT_SET" in record["failure"]["detail"]


@pytest.fixture
def unknown_password(world: World, sshd: Sshd, postgres: Postgres) -> World:
    """A user of whose first server nothing on this machine has the password; the second is well."""
    world.write(world.server(postgres, sshd, password=None), world.server(postgres, name="direct"))
    return world


@pytest.mark.parametrize(
    ("typed", "status", "words"),
    [
        ("{}\n", 0, "● orders"),
        ("not-{}\n", 1, "with this password"),
        ("\n", 1, "and there is none"),
    ],
)
def test_at_a_terminal_probe_asks_for_a_password_that_no_source_has(
    unknown_password: World, postgres: Postgres, typed: str, status: int, words: str
) -> None:
    question = f"Password of {postgres.user} on orders:"
    outcome = at_terminal(unknown_password, ["probe"], {question: typed.format(postgres.password)})
    assert outcome.status == status, outcome.out
    shown, asked, after = outcome.out.partition(question)
    assert asked
    assert "● direct" in shown, "the others' results do not wait for the answer"
    assert "orders" not in shown
    assert words in after
    assert postgres.password not in outcome.out


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_ctrl_c_at_the_question_ends_probe_with_130(
    unknown_password: World, postgres: Postgres, key: str
) -> None:
    outcome = at_terminal(unknown_password, ["probe"], {f"Password of {postgres.user} on orders:": key})
    assert outcome.status == 130, outcome.out
    assert "interrupted" in outcome.out
    assert "Traceback" not in outcome.out


def test_without_a_terminal_probe_asks_nobody(unknown_password: World) -> None:
    outcome = spawn(unknown_password, "probe", stdin="a line that is not for it\n")
    assert outcome.status == 1
    assert "Password of" not in outcome.out + outcome.err
    assert "✕ orders" in outcome.out


def test_colour_is_for_terminals_and_never_with_no_color(world: World, postgres: Postgres) -> None:
    world.write(world.server(postgres))
    assert "\x1b[" not in spawn(world, "probe").out
    assert "\x1b[3" in at_terminal(world, ["probe"], {}).out
    assert "\x1b[3" not in at_terminal(world, ["probe"], {}, NO_COLOR="1").out


def test_ctrl_c_while_probing_exits_with_130(world: World) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        database = f"{{host: 127.0.0.1, port: {port}}}"
        world.paths.servers.write_text(f"servers: [{{name: a, engine: mysql, database: {database}}}]")
        process = start(world, "probe")
        silent.settimeout(LIMIT)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            outcome = finish(process)
    assert (outcome.status, outcome.out) == (130, "")
    assert outcome.err.strip() == "interrupted"


# trust


@pytest.fixture
def stranger(world: World, sshd: Sshd, postgres: Postgres) -> World:
    """A user who has never seen the sshd."""
    world.write(world.server(postgres, sshd))
    world.paths.known_hosts.unlink()
    return world


def test_without_a_terminal_trust_needs_the_fingerprint(canary: Canary, stranger: World, sshd: Sshd) -> None:
    outcome = canary("trust", "orders")
    assert outcome.status == 2
    assert "--fingerprint" in outcome.err
    assert fingerprint(sshd) in outcome.out
    assert not stranger.paths.known_hosts.exists()


def test_trust_pins_the_key_with_that_fingerprint_only(canary: Canary, stranger: World, sshd: Sshd) -> None:
    outcome = canary("trust", "orders", "--fingerprint", "SHA256:" + "x" * 43)
    assert outcome.status == 1
    assert "Not trusted" in outcome.err
    assert not stranger.paths.known_hosts.exists()
    assert canary("probe").status == 1
    assert canary("trust", "orders", "--fingerprint", fingerprint(sshd)).status == 0
    assert canary("probe").status == 0
    assert "trusted already" in canary("trust", "orders").err


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1)])
def test_at_a_terminal_trust_asks(stranger: World, sshd: Sshd, answer: str, status: int) -> None:
    outcome = at_terminal(stranger, ["trust", "orders"], {"Trust this key? [y/N]:": f"{answer}\n"})
    assert outcome.status == status, outcome.out
    assert fingerprint(sshd) in outcome.out
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in outcome.out
    assert stranger.paths.known_hosts.exists() is (status == 0)


def test_a_changed_key_needs_replace_and_both_are_shown(canary: Canary, stranger: World, sshd: Sshd) -> None:
    old = stranger.key("another")
    line = " ".join(old.line.split()[:2])
    stranger.paths.known_hosts.write_text(f"[{sshd.host}]:{sshd.port} {line}\nelsewhere {line}\n")
    before = stranger.paths.known_hosts.read_bytes()
    outcome = canary("trust", "orders", "--fingerprint", fingerprint(sshd))
    assert outcome.status == 2
    assert "--replace" in outcome.err
    assert old.fingerprint in outcome.err
    assert stranger.paths.known_hosts.read_bytes() == before
    assert canary("trust", "orders", "--fingerprint", fingerprint(sshd), "--replace").status == 0
    assert f"\nelsewhere {line}\n" in stranger.paths.known_hosts.read_text()
    assert canary("probe").status == 0


def test_a_revoked_key_cannot_be_trusted(canary: Canary, stranger: World, sshd: Sshd) -> None:
    stranger.paths.known_hosts.write_text(f"@revoked * {sshd.host_public_keys[0]}\n")
    before = stranger.paths.known_hosts.read_bytes()
    outcome = canary("trust", "orders", "--fingerprint", fingerprint(sshd), "--replace")
    assert (outcome.status, outcome.out) == (1, "")
    assert "revoked" in outcome.err
    assert stranger.paths.known_hosts.read_bytes() == before


def test_a_host_key_is_asked_about_even_when_the_login_fails(
    canary: Canary, stranger: World, sshd: Sshd
) -> None:
    sshd.deauthorize()
    assert canary("trust", "orders", "--fingerprint", fingerprint(sshd)).status == 0
    assert canary("trust", "orders").status == 0


def test_trust_needs_no_client_key_and_makes_none(canary: Canary, stranger: World, sshd: Sshd) -> None:
    shutil.rmtree(stranger.paths.keys)
    for _ in range(2):
        outcome = canary("trust", "orders", "--fingerprint", fingerprint(sshd))
        assert outcome.status == 0, outcome.err
    assert "trusted already" in outcome.err
    assert not stranger.paths.keys.exists()


def test_trust_names_the_file_of_the_host_keys_type(
    canary: Canary, stranger: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = HostKeyOffer(
        host="old", port=22, key_type="ssh-dss", fingerprint="SHA256:x", public_line="ssh-dss AAAA"
    )

    async def look(*_: object) -> HostKeyOffer:
        return offer

    monkeypatch.setattr("canary_tui.cli.trust_command.look", look)
    outcome = canary("trust", "orders", "--fingerprint", "SHA256:y")
    assert "  ssh-keygen -lf /etc/ssh/ssh_host_dsa_key.pub\n" in outcome.err


def test_trust_of_what_cannot_be_reached_fails_in_words(canary: Canary, world: World, sshd: Sshd,
                                                        postgres: Postgres) -> None:  # fmt: skip
    world.write(with_ssh(world.server(postgres, sshd), port=1), world.server(postgres, name="direct"))
    outcome = canary("trust", "orders")
    assert (outcome.status, outcome.out) == (1, "")
    assert "refused" in outcome.err
    assert canary("trust", "direct").status == 2


# connect


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
