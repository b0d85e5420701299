"""A key of ``servers.yaml`` that is no setting is said, with our word for it, and never dropped silently."""

from __future__ import annotations

import time

import msgspec
import pytest

from canary_tui.servers.editing import changed
from canary_tui.servers.file import BadFile
from canary_tui.servers.model import TlsMode
from canary_tui.servers.reading import parse
from canary_tui.servers.unknown import MAX_WARNINGS
from canary_tui.servers.vocabulary import KEYS, OTHERS, foreign, ours

HEAD = "servers:\n- name: a\n  engine: postgresql\n"
HOSTED = f"{HEAD}  database: {{host: h}}\n"


def warnings(text: str) -> list[str]:
    """Return what is said about a file whose servers are all used."""
    fleet = parse(text, "servers.yaml").fleet
    assert not fleet.broken
    return [str(warning) for warning in fleet.warnings]


def in_database(field: str) -> str:
    return f"{HEAD}  database:\n    host: h\n    {field}\n"


def in_ssh(field: str) -> str:
    return f"{HEAD}  database: {{host: h}}\n  ssh:\n    host: j\n    user: u\n    {field}\n"


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        *((key, "tls") for key in ("sslmode", "ssl", "ssl_mode", "ssl-mode", "SSLMODE", "tsl", "tls_")),
        *((key, "ca_file") for key in ("sslrootcert", "ssl_ca", "ssl-ca", "ca", "ca_cert", "cafile")),
        *((key, "name") for key in ("dbname", "database", "db")),
        *((key, "password") for key in ("passwd", "pass", "pwd", "Password")),
        ("prot", "port"),
        ("PORT", "port"),
    ],
)
def test_a_word_of_another_tool_is_said_with_ours(key: str, ours: str) -> None:
    (said,) = warnings(in_database(f"{key}: verify-full"))
    start = f"servers.yaml:6: servers[0].database.{key}: has no effect; our word is {ours}"
    assert said.removesuffix(" (the connection is made with tls: prefer)") == start


def test_what_a_misspelt_tls_leaves_is_said() -> None:
    (said,) = warnings(in_database("sslmode: verify-full"))
    assert said.endswith("our word is tls (the connection is made with tls: prefer)")
    (said,) = warnings(in_database("sslmode: disable\n    tls: verify-ca"))
    assert said.endswith("(the connection is made with tls: verify-ca)")


@pytest.mark.parametrize("key", ["proxy_jump", "ProxyJump", "proxyjump", "jump", "bastion", "via"])
def test_a_jump_host_that_is_not_supported_is_not_passed_over(key: str) -> None:
    (said,) = warnings(in_ssh(f"{key}: a@b"))
    assert said.startswith(f"servers.yaml:8: servers[0].ssh.{key}: has no effect")
    assert ("our word is via" in said) == (key != "via")
    assert said.endswith("this version has no jump hosts yet; it connects to the SSH server directly")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (in_ssh("ProxyCommand: nc"), "has no effect; our word is proxy; this version has no"),
        (in_ssh("IdentityFile: x"), "ssh.IdentityFile: has no effect; our word is key"),
        (in_ssh("password: x"), "ssh.password: has no effect: canary-tui logs in over SSH with a key only"),
        (in_database("url: 'postgresql://u:p@h'"), "database.url: has no effect: an entry has no URL"),
        (HOSTED + "  dsn: x\n", "servers[0].dsn: has no effect: an entry has no URL"),
        (in_ssh("Local-Port: 1"), "ssh.Local-Port: has no effect; our word is local_port"),
        (in_ssh("sslmode: require"), "ssh.sslmode: has no effect here; it would be database.tls"),
        (in_ssh("StrictHostKeyChecking: no"), "has no effect: it is no setting of canary-tui"),
        (HOSTED + "  probe: {ssl_mode: x}\n", "probe.ssl_mode: has no effect here; it would be database.tls"),
        (HOSTED + "tls: require\n", "servers.yaml:5: tls: has no effect here; it would be database.tls"),
        ("servers: []\ndefaults: {sslmode: x}\n", "no effect here; it would be database.tls"),
        ("servers: []\ndefaults: {ProxyJump: x}\n", "no effect here; it would be ssh.via; this version"),
        (HOSTED + "  tls: require\n", "[0].tls: has no effect here; it would be database.tls"),
        (HOSTED + "  proxy_jump: x\n", "no effect here; it would be ssh.via"),
        (HOSTED + "  host: x\n", "no effect here; it would be database.host or ssh.host"),
        (HOSTED + "  type: mysql\n", "[0].type: has no effect; our word is engine"),
        (HOSTED + "  enabld: no\n", "[0].enabld: has no effect; our word is enabled"),
        (HOSTED + "  probe: {interval: 9s}\n", "probe.interval: has no effect; our word is every"),
        ("servers: []\ndefaults: {interval: 9s}\n", "no effect here; it would be probe.every"),
        ("servers: []\nhistory: {size: 2GB}\n", "history.size: has no effect; our word is max_size"),
        ("servers: []\ndefualts: {}\n", "defualts: has no effect; our word is defaults"),
        ("servers: []\nafter_terminal: 5m\n", "has no effect; this version ends with its last window"),
        (in_database("password: {env: X, valid_for: 5m}"), "valid_for: has no effect; this version keeps"),
        (in_database("owner: me"), "database.owner: has no effect: it is no setting of canary-tui"),
        (in_database("? |\n      a\n      b\n    : 1"), "database.'a\\nb\\n': has no effect"),
        (in_database('"\\e]0;x\\a": 1'), "database.'\\x1b]0;x\\x07': has no effect"),
        (in_database('"a\\u202eb": 1'), "database.'a\\u202eb': has no effect"),
    ],
)  # fmt: skip
def test_each_block_says_what_it_does_not_know(text: str, said: str) -> None:
    (warning,) = warnings(text)
    assert said in warning


@pytest.mark.parametrize("key", ["x-team", "x_team", "X-Note"])
def test_what_begins_with_x_is_somebody_elses(key: str) -> None:
    assert warnings(in_database(f"{key}: 1") + f"{key}: {{a: b}}\n") == []


def test_what_holds_anchors_is_there_for_that() -> None:
    text = "base: &b {host: h}\nservers:\n- {name: a, engine: mysql, database: *b}\n"
    assert warnings(text) == []
    assert warnings(text.replace("&b ", "").replace("*b", "{host: h}"))


def test_what_is_merged_into_many_servers_is_said_once() -> None:
    text = "x-b: &b\n  host: h\n  sslmode: require\nservers:\n" + "".join(
        f"- {{name: {name}, engine: mysql, database: {{<<: *b, port: 1}}}}\n" for name in "abc"
    )
    (said,) = warnings(text)
    assert said.startswith("servers.yaml:3: servers[0].database.sslmode: ")


@pytest.mark.parametrize("key", ["hunter2", "enw", "environmemt"])
def test_what_stands_beside_a_passwords_source_may_be_a_password(key: str) -> None:
    (said,) = warnings(in_database(f"password: {{env: X, {key}: y}}"))
    assert said.startswith("servers.yaml:6: servers[0].database.password: has a key beside it")
    assert key not in said


def test_a_value_is_never_repeated() -> None:
    assert "hunter2" not in "".join(warnings(in_database("passwd: hunter2")))


def test_a_setting_that_is_missing_under_its_own_name_is_named() -> None:
    (broken,) = parse(HEAD + "  database: {hostname: h}\n", "servers.yaml").fleet.broken
    assert broken.mistakes == (
        "servers.yaml:4: servers[0].database.host: is missing (hostname is not its name)"
    )


@pytest.mark.parametrize("key", ["server", "Servers", "hosts", "databases", "serves"])
def test_a_list_under_another_name_is_a_mistake(key: str) -> None:
    """It would be an empty list, and every tunnel would be closed."""
    with pytest.raises(BadFile, match=f"servers: is missing; {key} is not its name"):
        parse(f"{key}:\n- name: a\n", "servers.yaml")
    assert warnings(f"servers: []\n{key}: []\n")


def test_a_newer_version_is_read_as_far_as_it_is_understood_with_one_warning() -> None:
    text = "version: 2\n" + in_database("a: x\n    b: 1\n    c: 1") + "  d: 1\n  e: 1\n  f: 1\ng: {}\n"
    (said,) = warnings(text)
    assert said == (
        "servers.yaml:1: version: 2 is newer than 1, the one known here; "
        "what is not understood has no effect: "
        "servers[0].database.a, servers[0].database.b, servers[0].database.c, servers[0].d, servers[0].e "
        "and 2 more"
    )
    assert warnings("version: 3\n" + in_database("port: 1"))[0].endswith("; all of it is understood")
    assert warnings("version: '1.2'\n" + in_database("port: 1")) == []
    (server,) = parse(text, "f").fleet.servers
    assert server.database.host == "h"


def test_a_newer_version_that_cannot_be_read_says_so() -> None:
    with pytest.raises(BadFile) as bad:
        parse("version: 2\nservers: {a: {}}\n", "servers.yaml")
    assert "2 is newer than 1" in str(bad.value)


def test_an_edit_leaves_what_is_unknown_byte_for_byte() -> None:
    text = "version: 2\nfuture: {a: 'b'}\n" + in_database(
        "sslmode:   verify-full   # mine\n    passwd: *x"
    ).replace("host: h", "host: &x h")
    (server,) = parse(text, "f").fleet.servers

    wanted = msgspec.structs.replace(
        server, database=msgspec.structs.replace(server.database, tls=TlsMode.VERIFY_FULL)
    )
    new, _ = changed(text, "f", "a", wanted)
    lines = new.splitlines()
    lines.remove("    tls: verify-full")
    assert "\n".join(lines) + "\n" == text


def test_each_word_of_others_means_one_of_our_settings() -> None:
    for kind, words in OTHERS.items():
        for setting, others in words.items():
            for word in others.split():
                assert ours(kind, word) == setting or word in KEYS[kind]
                assert not foreign(word)


def test_a_file_full_of_unknown_keys_is_read_quickly_and_said_in_a_few_lines() -> None:
    text = in_database("") + "".join(f"    {'k' * 30}{number}: 1\n" for number in range(20_000))
    began = time.monotonic()
    said = warnings(text)
    assert len(said) == MAX_WARNINGS + 1
    assert said[-1] == f"servers.yaml: {20_000 - MAX_WARNINGS} more keys have no effect"
    assert time.monotonic() - began < 60  # comparing each with our words would take minutes
    (said_of_one,) = warnings(in_database(f"? {'y' * 1_000_000}\n    : 1"))
    assert len(said_of_one) < 200


# Settings that an engine has no use for

TCP = """\
servers:
- name: a
  engine: tcp
  database:
    host: h
    port: 6379
    user: me
    password: hunter2
    tls: bogus
  probe: {query: select 2, every: 5s}
"""


def test_what_a_tcp_service_has_not_is_said_and_not_read() -> None:
    fleet = parse(TCP, "f").fleet
    (server,) = fleet.servers
    assert server == server.fitting()
    assert server.probe.every == 5
    effect = "has no effect: engine: tcp has no login and no query"
    assert [str(warning) for warning in fleet.warnings] == [
        f"f:7: servers[0].database.user: {effect}",
        f"f:8: servers[0].database.password: {effect}",
        f"f:9: servers[0].database.tls: {effect}",
        f"f:10: servers[0].probe.query: {effect}",
    ]


def test_what_stands_on_one_line_is_said_in_the_order_of_the_file() -> None:
    keys = ["tls", "name", "user", "ca_file", "allow_cleartext"]
    block = ", ".join(f"{key}: {'true' if key == 'allow_cleartext' else 'x'}" for key in keys)
    text = f"servers:\n- {{name: a, engine: tcp, database: {{host: h, port: 1, {block}}}}}\n"
    said = [str(warning).split(":")[2].strip() for warning in parse(text, "f").fleet.warnings]
    assert said == [f"servers[0].database.{key}" for key in keys]


def test_nothing_of_it_is_lost_when_something_else_is_changed() -> None:
    (server,) = parse(TCP, "f").fleet.servers
    moved = msgspec.structs.replace(server, database=msgspec.structs.replace(server.database, port=7000))
    assert changed(TCP, "f", "a", moved)[0] == TCP.replace("6379", "7000")


def test_what_many_servers_share_is_not_said_of_each() -> None:
    shared = "x-common: &common {user: me, tls: require}\n"
    text = TCP[: TCP.index("    user")].replace("    host: h", "    <<: *common\n    host: h")
    assert warnings(shared + text) == []


def test_a_tcp_service_needs_its_port() -> None:
    (broken,) = parse(TCP.replace("    port: 6379\n", ""), "f").fleet.broken
    assert [str(problem) for problem in broken.problems] == [
        "f:5: servers[0].database.port: is missing; engine: tcp has no usual one"
    ]
