"""An edit changes what it must and leaves every other byte as it is."""

from __future__ import annotations

import msgspec
import pytest

from canary_tui.servers.editing import NotListed, added, changed, removed
from canary_tui.servers.model import (
    Database,
    Engine,
    PasswordCommand,
    PasswordKeyring,
    ProbePlan,
    Server,
    SshServer,
    TlsMode,
)
from canary_tui.servers.problems import BadFile
from canary_tui.servers.reading import parse

NEW = Server(name="new", engine=Engine.MYSQL, database=Database(host="db", port=3306))
NEW_LINES = "  - name: new\n    engine: mysql\n    database:\n      host: db\n"

FILE = """\
# ours
servers:
    -   name: 'a'   # the first
        engine: postgresql
        # where it is
        database:
            host: h     # inside
            password:
                env: X  # secret
        tags:
        - one
        - two
        owner: me

    # about b
    - {name: b, engine: mysql, database: {host: h}, ssh: {host: j, user: u}}  # flow
# the end
"""


def edit(text: str, name: str, /, **values: object) -> str:
    """Change values of a server, ``database__port=1`` for one inside."""
    server = parse(text, "f").fleet.get(name)
    assert server is not None
    for path, value in values.items():
        section, _, field = path.rpartition("__")
        if section:
            inner = msgspec.structs.replace(getattr(server, section), **{field: value})
            server = msgspec.structs.replace(server, **{section: inner})
        else:
            server = msgspec.structs.replace(server, **{path: value})
    new, _ = changed(text, "f", name, server)
    assert parse(new, "f").fleet.get(server.name) == server
    return new


def test_a_value_is_replaced_where_it_stands() -> None:
    assert edit(FILE, "a", name="z", database__host="h2") == FILE.replace("'a'   #", "z   #").replace(
        "h     #", "h2     #"
    )


def test_a_new_value_stands_where_it_belongs() -> None:
    new = edit(FILE, "a", database__port=6000, enabled=False, probe=ProbePlan(every=60.0))
    assert "name: 'a'   # the first\n        enabled: false\n        engine" in new
    assert "host: h     # inside\n            port: 6000\n            password:" in new
    assert "                env: X  # secret\n        probe:\n            every: 1m\n" in new


def test_lists_and_password_sources_are_replaced_in_their_own_style() -> None:
    assert edit(FILE, "a", tags=("x", "no", "1")) == FILE.replace(
        "- one\n        - two", '- x\n        - "no"\n        - "1"'
    )
    new = edit(FILE, "a", database__password=PasswordCommand(("op", "a b")))
    assert new == FILE.replace("env: X ", "{command: [op, a b]} ")
    assert edit(FILE, "b", database__password=PasswordKeyring()) == FILE.replace(
        "database: {host: h}, ssh", "database: {host: h, password: {keyring: true}}, ssh"
    )


def test_what_is_unset_is_taken_out() -> None:
    assert edit(FILE, "a", tags=(), database__password=None) == FILE.replace(
        "        tags:\n        - one\n        - two\n", ""
    ).replace("            password:\n                env: X  # secret\n", "")
    assert edit(FILE, "b", ssh=None) == FILE.replace(", ssh: {host: j, user: u}", "")


def test_an_engine_brings_its_port_unless_one_is_wanted() -> None:
    assert edit(FILE, "a", engine=Engine.MYSQL, database__port=3306) == FILE.replace("postgresql", "mysql")
    assert "host: h     # inside\n            port: 5432\n" in edit(FILE, "a", engine=Engine.MYSQL)


def test_crlf_stays() -> None:
    text = FILE.replace("\n", "\r\n")
    new = edit(text, "a", database__port=6000)
    assert new == text.replace("# inside\r\n", "# inside\r\n            port: 6000\r\n")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", "version: 1\nservers:\n" + NEW_LINES),
        ("# mine\n", "# mine\nservers:\n" + NEW_LINES),
        ("# mine", "# mine\nservers:\n" + NEW_LINES.rstrip("\n")),
        ("servers:\n", "servers:\n" + NEW_LINES),
        ("servers: # list\nhistory: {}\n", "servers: # list\n" + NEW_LINES + "history: {}\n"),
        ("servers: []  # none\n", "servers:  # none\n" + NEW_LINES),
        ("servers: ~", "servers:\n" + NEW_LINES.rstrip("\n")),
        ("history: {}\n# end\n", "history: {}\nservers:\n" + NEW_LINES + "# end\n"),
        ("{}", "{servers: [{name: new, engine: mysql, database: {host: db}}]}"),
        ("{servers: }", "{servers: [{name: new, engine: mysql, database: {host: db}}]}"),
    ],
)
def test_the_first_server_finds_its_place(text: str, result: str) -> None:
    assert added(text, "f", NEW)[0] == result


def test_an_added_server_is_written_with_all_that_is_not_usual() -> None:
    ssh = SshServer(host="j", user="u", local_port=15432, allow_users=("root",))
    database = Database(host="::1", port=1, password=PasswordKeyring(), tls=TlsMode.REQUIRE)
    new, fleet = added(
        FILE, "f", msgspec.structs.replace(NEW, ssh=ssh, database=database, probe=ProbePlan(every=1))
    )
    assert new.startswith(FILE.removesuffix("# the end\n"))
    assert new.endswith("# the end\n")
    assert "    - name: new\n      engine: mysql\n      database:\n" in new
    assert parse(new, "f").fleet == fleet


def test_removing_keeps_the_comments_around() -> None:
    assert removed(FILE, "f", "a")[0] == "# ours\nservers:\n\n" + FILE[FILE.index("    # about b") :]
    assert removed(FILE, "f", "b")[0] == FILE.replace(
        FILE[FILE.index("    - {name: b") : FILE.index("# the end")], ""
    )


def test_the_last_server_can_go_and_one_come_again() -> None:
    text = "servers:\n- name: a\n  engine: mysql\n  database: {host: h}\n  # inside\n# end\n"
    gone = removed(text, "f", "a")[0]
    assert gone == "servers:\n# end\n"
    assert added(gone, "f", NEW)[0] == "servers:\n" + NEW_LINES + "# end\n"
    assert removed("servers: [{name: a, engine: mysql, database: {host: h}}]", "f", "a")[0] == "servers: []"


ANCHORED = """\
servers:
- {name: a, engine: mysql, database: &db {host: h}, ssh: &jump {host: j, user: 'no'}}
- {name: b, engine: mysql, database: *db, ssh: *jump}
- name: c
  engine: mysql
  database: {<<: *db, name: x}
  ssh:
    <<: *jump
    key: k
"""


def test_editing_through_an_alias_frees_that_server_only() -> None:
    new = edit(ANCHORED, "b", ssh__local_port=15001)
    assert new == ANCHORED.replace("ssh: *jump}", 'ssh: {host: j, user: "no", local_port: 15001}}')


def test_editing_an_anchor_leaves_those_that_use_it_as_they_were() -> None:
    before = parse(ANCHORED, "f").fleet
    new = edit(ANCHORED, "a", ssh__local_port=15001, database__host="h2")
    assert parse(new, "f").fleet.servers[1:] == before.servers[1:]
    assert parse(removed(ANCHORED, "f", "a")[0], "f").fleet.servers == before.servers[1:]


def test_a_merged_value_is_set_and_unset_in_the_entry_itself() -> None:
    assert edit(ANCHORED, "c", ssh__user="me") == ANCHORED.replace(
        "    key: k\n", "    user: me\n    key: k\n"
    ).replace("    <<: *jump\n    user: me\n    key: k\n", "    <<: *jump\n    key: k\n    user: me\n")
    text = ANCHORED.replace("user: 'no'", "user: u, key: shared").replace("    key: k\n", "")
    assert edit(text, "c", ssh__key="").endswith("    <<: *jump\n    key: null\n")


@pytest.mark.parametrize(
    "text",
    [
        "x: &s [{name: a, engine: mysql, database: {host: h}}]\nservers: *s\n",
        "x: &s {name: a, engine: mysql, database: {host: h}}\nservers: [*s]\n",
        "x: &s {name: a, engine: mysql, database: {host: h}}\nservers:\n- *s\n",
    ],
)
def test_an_aliased_list_and_an_aliased_entry_are_edited(text: str) -> None:
    assert edit(text, "a", enabled=False).startswith(text.splitlines()[0] + "\nservers:")
    assert parse(added(text, "f", NEW)[0], "f").fleet.get("new") == NEW
    assert not parse(removed(text, "f", "a")[0], "f").fleet.servers


def test_what_the_file_could_not_say_is_refused() -> None:
    with pytest.raises(BadFile, match=r"servers\[2\].name: a is the name of another server"):
        added(FILE, "f", msgspec.structs.replace(NEW, name="a"))
    with pytest.raises(BadFile, match="is out of range"):
        added(FILE, "f", msgspec.structs.replace(NEW, probe=ProbePlan(every=0.5)))
    text = (
        "x: &s {ssh: {host: j, user: u}}\nservers:\n- {<<: *s, name: a, engine: mysql, database: {host: h}}"
    )
    direct = msgspec.structs.replace(parse(text, "f").fleet.servers[0], ssh=None)
    with pytest.raises(BadFile, match="by hand"):  # a tunnel that a merge brings cannot be left out
        changed(text, "f", "a", direct)


def test_an_unknown_server_is_named() -> None:
    with pytest.raises(NotListed, match="no server is called x in f"):
        removed(FILE, "f", "x")


def test_a_flow_list_in_a_flow_file_grows_and_shrinks() -> None:
    entry = "{name: a, engine: mysql, database: {host: h}}"
    text = "{servers: [" + entry + "], version: 1}"
    more = added(text, "f", NEW)[0]
    assert more == text.replace(entry, entry + ", {name: new, engine: mysql, database: {host: db}}")
    assert removed(more, "f", "new")[0] == text
    assert (
        added("{servers: []}", "f", NEW)[0] == "{servers: [{name: new, engine: mysql, database: {host: db}}]}"
    )


def test_the_first_key_of_an_entry_and_of_a_block_can_go() -> None:
    text = "servers:\n- tags: [x]\n  name: a\n  engine: mysql\n  database: {user: u, host: h}\n"
    assert edit(text, "a", tags=(), database__user="") == (
        "servers:\n- name: a\n  engine: mysql\n  database: {host: h}\n"
    )


def test_a_lone_or_an_empty_setting_is_written_over() -> None:
    text = "servers:\n- name: a\n  engine: mysql\n  database: {host: h}\n  probe: {}\n  tags:   # none\n"
    new = edit(text, "a", tags=("x",), probe=ProbePlan(timeout=2.0))
    assert new == text.replace("{}", "{timeout: 2s}").replace("tags:   #", "tags: [x]   #")


def test_a_multi_line_value_is_replaced_as_a_whole() -> None:
    text = "servers:\n- name: a\n  engine: mysql\n  database: {host: h}\n  probe:\n"
    text += "    query: |\n      select\n      2\n    every: 9s\n"
    new = edit(text, "a", probe__query="select 3")
    assert new == text.replace("|\n      select\n      2\n", "select 3\n")
    assert r'query: "select\n3"' in edit(text, "a", probe__query="select\n3")


# An engine that has no use for some of the settings


WITH_LOGIN = """\
servers:
- name: a
  engine: postgresql
  database:
    host: h  # here
    user: me
    password:
      env: X
    allow_cleartext: false
  probe: {every: 5s, query: select 2}
"""


def as_tcp(text: str, **database: object) -> str:
    (server,) = parse(text, "f").fleet.servers
    place = msgspec.structs.replace(server.database, **database)
    wanted = msgspec.structs.replace(server, engine=Engine.TCP, database=place)
    new, fleet = changed(text, "f", "a", wanted)
    assert fleet.servers == (wanted.fitting(),)
    assert fleet.warnings == ()
    return new


def test_what_the_new_engine_has_not_goes_with_the_old_one() -> None:
    head = "servers:\n- name: a\n  engine: tcp\n  database:\n    host: h  # here\n"
    assert as_tcp(WITH_LOGIN, port=6379) == f"{head}    port: 6379\n  probe: {{every: 5s}}\n"


def test_the_port_that_was_the_usual_one_is_written_down() -> None:
    assert "    port: 5432\n" in as_tcp(WITH_LOGIN)


def test_and_back_again() -> None:
    text = as_tcp(WITH_LOGIN, port=6379)
    back = edit(text, "a", engine=Engine.POSTGRESQL, database__port=5432, probe__query="select 1")
    assert "    port: 5432\n" in back
