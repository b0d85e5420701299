"""Random documents, random edits: the result reads back as wanted and every other line stays."""

from __future__ import annotations

import difflib

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from canary_tui.servers.editing import added, changed, removed
from canary_tui.servers.model import (
    Database,
    Engine,
    Listen,
    PasswordCommand,
    PasswordEnv,
    PasswordKeyring,
    ProbePlan,
    Server,
    SshServer,
    TlsMode,
)
from canary_tui.servers.reading import parse

words = st.text(st.sampled_from("abcxyz019_ .:#-'\"\\{}[],&*!|>%@`é€😀~/=no"), max_size=12).map(str.strip)
some_words = words.filter(bool)
hosts = st.sampled_from(["db.example.com", "10.0.3.12", "fe80::1", "::1", "büro.example", "localhost"])
ports = st.integers(1, 65535)
seconds = st.sampled_from([1.0, 5.0, 12.345, 59.999, 60.0])
passwords = st.one_of(
    st.none(),
    st.builds(PasswordEnv, some_words.filter(lambda text: not {"=", " "} & set(text))),
    st.builds(PasswordCommand, st.lists(some_words, min_size=1, max_size=3).map(tuple)),
    st.just(PasswordKeyring()),
)
databases = st.builds(
    Database, host=hosts, port=ports, name=words, user=words, password=passwords,
    tls=st.sampled_from(TlsMode), ca_file=words,
)  # fmt: skip
tunnels = st.builds(
    SshServer, enabled=st.booleans(), host=hosts, port=ports, user=some_words, key=words,
    next_key=words, old_key=words,
    local_port=st.none() | st.integers(20_000, 65535), listen=st.sampled_from(Listen), connect_wait=seconds,
    allow_users=st.sampled_from([(), ("root",), ("root", "nobody")]),
).filter(lambda ssh: ssh.listen is Listen.PORT or not ssh.allow_users)  # fmt: skip
plans = st.builds(
    ProbePlan, every=seconds, timeout=seconds, slow_after=st.sampled_from([0.25, 0.001, 1.5]),
    query=some_words | st.just("select 1\nfrom t\n"),
)  # fmt: skip
servers = st.builds(
    Server, name=st.just("wanted"), enabled=st.booleans(), tags=st.lists(some_words, max_size=3).map(tuple),
    engine=st.sampled_from(Engine), database=databases, ssh=st.none() | tunnels, probe=plans,
).map(Server.fitting)  # fmt: skip

comments = st.sampled_from(["", "  # why", "   # a: b - c"])
lines_between = st.sampled_from(
    ["", "\n", "# alone\n", "\n# before the next\n", "      # deep\n", "  # - name: old\n"]
)
INDENTS = ("", "  ", "    ")


@st.composite
def entries(draw: st.DrawFn, name: str, dash: str, local_port: int) -> str:
    """Write one entry as some person might, as a block or on one line."""
    port = draw(st.sampled_from(["", "5432", "'6000'"]))
    if draw(st.integers(0, 4)) == 0:
        return draw(entries_on_one_line(name, dash, local_port))
    inside = dash + "  "
    step = draw(st.sampled_from([" ", "  ", "    "]))
    engines = ["engine: postgresql\n", 'engine: "mysql"\n', *(["engine: tcp\n"] if port else [])]
    tags = ["", "tags: [a, 'b c']\n", f"tags:\n{inside}- a\n{inside}- b  # two\n", "enabled: no\n"]
    probes = ["", "probe: {every: 30s}\n", "probe:\n", f"probe:\n{inside}{step}timeout: 3s\n"]
    parts = [
        f"name: {name}{draw(comments)}\n",
        draw(st.sampled_from(engines)),
        draw(st.sampled_from(tags)),
        draw(database_blocks(inside, step, port)),
        draw(ssh_blocks(inside, step, local_port)),
        draw(st.sampled_from(probes)),
    ]
    first, *rest = [part for part in parts if part]
    return (
        dash
        + "- "
        + first
        + "".join(draw(st.sampled_from(["", inside + "# said\n"])) + inside + part for part in rest)
    )


@st.composite
def entries_on_one_line(draw: st.DrawFn, name: str, dash: str, local_port: int) -> str:
    tunnel = f", ssh: {{host: j, user: u, local_port: {local_port}}}"
    ssh = draw(st.sampled_from(["", tunnel, ", ssh: {host: j, user: 'u' }"]))
    extra = draw(st.sampled_from(["", ", x-team: [a, {b: c}]", ", tags: [a]", ", probe: {}"]))
    return f"{dash}- {{name: {name}, engine: mysql, database: {{host: h}}{ssh}{extra}}}{draw(comments)}\n"


@st.composite
def database_blocks(draw: st.DrawFn, inside: str, step: str, port: str) -> str:
    password = draw(
        st.sampled_from(["", "password: {env: X}\n", f"password:\n{inside}{step} env: X\n", "password: ~\n"])
    )
    values = [
        "host: db.example.com\n",
        f"port: {port}{draw(comments)}\n" if port else "",
        password,
        "x-note: |\n" + inside + step + "   two\n\n" if draw(st.booleans()) else "",
    ]
    return "database:" + draw(comments) + "\n" + "".join(inside + step + value for value in values if value)


@st.composite
def ssh_blocks(draw: st.DrawFn, inside: str, step: str, local_port: int) -> str:
    """Write a tunnel as a block or in braces, or none."""
    kind = draw(st.integers(0, 2))
    if kind == 1:
        values = [
            "host: jump\n",
            "# the login\n",
            "user: >-\n" + inside + step + "  me\n",
            f"local_port: {local_port}{draw(comments)}\n",
        ]
        return "ssh:\n" + "".join(inside + step + value for value in values)
    if kind == 2:
        key = draw(st.sampled_from(["", ", key: k", ",\n" + inside + "   key: k # c\n" + inside]))
        return "ssh: {host: jump, user: u" + key + "}\n"
    return ""


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Write a whole file with three servers."""
    dash = draw(st.sampled_from(INDENTS))
    text = draw(st.sampled_from(["", "version: 1\n", "# head\n---\nversion: 1  # one\nx-other: {a: [b]}\n"]))
    text += "servers:" + draw(comments) + "\n"
    for index, name in enumerate(["first", "middle", "last"]):
        text += draw(lines_between) + draw(entries(name, dash, 15000 + index))
    text += draw(
        st.sampled_from(
            ["", "# end\n", "\n# end\ndefaults: {probe: {every: 20s}}\n", "history:\n  raw: 3d # days\n"]
        )
    )
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def differing(old: str, new: str) -> tuple[list[int], list[str]]:
    """Return the numbers of the lines that went and the lines that came."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    went: list[int] = []
    came: list[str] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            went += range(i, j)
            came += after[k:m]
    return went, came


def span_of(text: str, index: int) -> range:
    """Return the lines (from 0) from an entry's first to the one before the next entry."""
    items = parse(text, "f").document.root.pairs  # type: ignore[union-attr]
    listed = next(value for key, value in items if key.text == "servers").items  # type: ignore[union-attr]
    end = listed[index + 1].line - 1 if index + 1 < len(listed) else len(text.splitlines())
    return range(listed[index].line - 1, end)


thorough = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@thorough
@given(documents(), st.integers(0, 2), servers)
def test_a_changed_entry_reads_back_and_other_lines_stay(text: str, index: int, wanted: Server) -> None:
    before = parse(text, "f").fleet
    name = before.servers[index].name
    new, _ = changed(text, "f", name, wanted)
    after = parse(new, "f").fleet
    assert after.servers[index] == wanted
    assert [s for i, s in enumerate(after.servers) if i != index] == [
        s for i, s in enumerate(before.servers) if i != index
    ]
    lines, span = text.splitlines(keepends=True), span_of(text, index)
    assert new.startswith("".join(lines[: span.start]))
    assert new.endswith("".join(lines[span.stop :]))


@thorough
@given(documents(), st.permutations(range(3)), servers)
def test_so_does_one_beside_an_entry_that_is_wrong(text: str, order: list[int], wanted: Server) -> None:
    index, wrong, _ = order
    where = span_of(text, wrong)
    lines = text.splitlines(keepends=True)
    entry = "".join(lines[where.start : where.stop]).replace("engine: ", "engine: oracle # ", 1)
    if "{name:" in entry:  # on one line: nothing may follow a comment there
        entry = entry.replace("engine: oracle # mysql", "engine: oracle", 1)
    text = "".join([*lines[: where.start], entry, *lines[where.stop :]])
    before = parse(text, "f").fleet
    assert [broken.index for broken in before.broken] == [wrong]
    name = before.named[index].name
    new, after = changed(text, "f", name, wanted)
    lines, span = text.splitlines(keepends=True), span_of(text, index)
    assert new.startswith("".join(lines[: span.start]))
    assert new.endswith("".join(lines[span.stop :]))
    assert after.get(wanted.name) == wanted
    new, after = removed(text, "f", before.broken[0].name)
    assert (after.servers, after.broken) == (before.servers, ())
    assert new.startswith("".join(lines[: span_of(text, wrong).start]))


@thorough
@given(
    documents(),
    st.integers(0, 2),
    st.sampled_from(["enabled", "tls", "timeout", "local_port", "key", "port"]),
)
def test_one_changed_value_touches_one_line(text: str, index: int, what: str) -> None:
    server = parse(text, "f").fleet.servers[index]
    replace = msgspec.structs.replace
    if what == "enabled":
        wanted = replace(server, enabled=not server.enabled)
    elif what in {"tls", "port"}:
        value: object = TlsMode.REQUIRE if what == "tls" else 7777
        wanted = replace(server, database=replace(server.database, **{what: value}))
    elif what == "timeout":
        wanted = replace(server, probe=replace(server.probe, timeout=7.5))
    elif server.ssh is not None:
        value = 20_000 if what == "local_port" else "other"
        wanted = replace(server, ssh=replace(server.ssh, **{what: value}))
    else:
        return
    wanted = wanted.fitting()  # an engine without a login has no use for tls
    new, _ = changed(text, "f", server.name, wanted)
    assert parse(new, "f").fleet.servers[index] == wanted.fitting()
    went, came = differing(text, new)
    assert len(went) <= 1
    assert len(came) <= 2  # a section that was not there is two lines


@thorough
@given(documents(), servers)
def test_an_added_entry_reads_back_and_no_line_goes(text: str, wanted: Server) -> None:
    before = parse(text, "f").fleet
    new, _ = added(text, "f", wanted)
    assert parse(new, "f").fleet.servers == (*before.servers, wanted)
    went, _came = differing(text, new)
    assert all(text.splitlines()[line] == text.splitlines()[-1] for line in went)  # it had no line break


@thorough
@given(documents(), st.integers(0, 2))
def test_a_removed_entry_takes_only_its_own_lines(text: str, index: int) -> None:
    before = parse(text, "f").fleet
    new, _ = removed(text, "f", before.servers[index].name)
    assert parse(new, "f").fleet.servers == tuple(s for i, s in enumerate(before.servers) if i != index)
    lines, span = text.splitlines(keepends=True), span_of(text, index)
    assert new.startswith("".join(lines[: span.start]))
    assert new.endswith("".join(lines[span.stop :]))
    assert len(new.splitlines()) < len(lines)


def test_changing_to_what_it_says_changes_nothing() -> None:
    text = "servers:\n- {name: a, engine: mysql, database: {host: h}}\n"
    assert changed(text, "f", "a", parse(text, "f").fleet.servers[0])[0] == text
