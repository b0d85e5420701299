"""What the screens say: pure functions, no screen needed."""

from __future__ import annotations

import itertools
import json
import shlex

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from canary_tui.diagnosis.catalogue import look_at
from canary_tui.diagnosis.causes import ROWS
from canary_tui.diagnosis.stages import Cause, Failed, KnownKey, Stage
from canary_tui.keys.ssh_software import Family
from canary_tui.monitor.board import Health, LogLine, Row
from canary_tui.monitor.history.query import LogQuery
from canary_tui.monitor.incidents import IncidentTracker
from canary_tui.monitor.json_records import probe_json
from canary_tui.monitor.uptime import Uptime
from canary_tui.servers.model import Engine, PasswordCommand, PasswordEnv, PasswordKeyring, TlsMode
from canary_tui.tui.log_book import LogBook, shows
from canary_tui.tui.presenters import advice, audit, fleet, form, incidents, probes, trail, urls
from canary_tui.tui.presenters.export import json_lines
from canary_tui.tui.presenters.host_key import host_key_lines
from canary_tui.tui.presenters.lines import (
    Column,
    Tone,
    changed_cells,
    clip,
    clip_line,
    fill,
    fit,
    limited,
    line,
    plain,
    width_of,
    wrap,
    wrap_commands,
    wrap_line,
)
from canary_tui.tui.presenters.report import report
from canary_tui.tui.presenters.words import (
    ago,
    bytes_words,
    cause_words,
    iso_words,
    ms_words,
    span_words,
    uptime_words,
)
from canary_tui.tui.screens.page import error_words
from tests.screens import samples
from tests.screens.fake_monitor import FakeTest

TEXT = st.text(alphabet=st.characters(blacklist_categories=("Cc", "Cs", "Mn", "Me", "Cf")), max_size=40)


@given(TEXT, st.integers(0, 60))
def test_clipped_text_never_takes_more_room_than_it_has(text: str, width: int) -> None:
    assert cell_len(clip(text, width)) <= width


@given(TEXT, st.integers(1, 60))
def test_filled_text_takes_exactly_its_room(text: str, width: int) -> None:
    assert cell_len(fill(text, width)) == width


@given(st.lists(st.tuples(TEXT, st.sampled_from(Tone))), st.integers(0, 80))
def test_clipped_line_fits(spans: list[tuple[str, Tone]], width: int) -> None:
    assert width_of(clip_line(line(*spans), width)) <= width


def test_wrapped_text_loses_no_word() -> None:
    text = "one two three four five six seven"
    lines = wrap(text, 12)
    assert " ".join(lines) == text
    assert all(len(part) <= 12 for part in lines)


def test_a_command_keeps_its_tone_over_a_line_break() -> None:
    first, second, third = wrap_commands("run `chmod 600 file` now", 12)
    assert ("chmod", Tone.ACCENT) in first
    assert second[0] == ("600 file", Tone.ACCENT)
    assert third == (("now", Tone.PLAIN),)
    assert " ".join(map(plain, (first, second, third))) == "run `chmod 600 file` now"


def test_only_differing_cells_are_named() -> None:
    old, new = line("name  ", ("3.2 ms", Tone.PLAIN)), line("name  ", ("3.9 ms", Tone.PLAIN))
    assert changed_cells(old, new) == (8, 9)
    assert changed_cells(old, old) is None
    assert changed_cells(line("up"), line(("up", Tone.BAD))) == (0, 2)


def test_columns_go_from_the_right_and_those_that_stay_go_last() -> None:
    columns = [Column("a", "A", 10, stays=True), Column("b", "B", 10), Column("c", "C", 10, stays=True)]
    assert [key for key, _ in fit(columns, {}, 40)] == ["a", "b", "c"]
    assert [key for key, _ in fit(columns, {}, 25)] == ["a", "c"]
    narrow = fit(columns, {}, 14)
    assert [key for key, _ in narrow] == ["a", "c"]
    assert sum(width for _, width in narrow) + 2 <= 14


def test_times_and_sizes_have_the_digits_that_matter() -> None:
    assert [ms_words(ms) for ms in (3.21, 412.4, 1240, 12_400)] == ["3.2 ms", "412 ms", "1.24 s", "12 s"]
    assert [span_words(s) for s in (12.9, 125, 7_300, 200_000)] == ["12 s", "2 m", "2 h", "2 d"]
    assert ago(100, 100.5) == "just now"
    assert ago(100, 90) == "just now"
    assert [bytes_words(n) for n in (812, 3_400, 12_000_000)] == ["812 B", "3.4 kB", "12 MB"]


def test_sparkline_marks_failed_probes_and_is_as_wide_as_asked() -> None:
    spans = probes.spark((1.0, None, 250.0, 400.0), 250, 6)
    assert plain(spans) == "▁✕██  "
    assert ("✕", Tone.BAD) in spans
    assert ("█", Tone.WARN) in spans
    assert plain(probes.spark((1.0, 2.0, None), 250, 2)) == "▁✕"


@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
def test_every_row_is_as_wide_as_the_heading_says(width: int) -> None:
    rows = samples.fleet()
    chosen = fleet.layout(rows, width)
    for row in rows:
        assert width_of(fleet.fleet_line(row, chosen, samples.NOW)) <= width - 2
    assert width_of(fleet.heading(chosen)) <= width


def test_each_trouble_names_the_key_to_press() -> None:
    said = {row.server.name: " ".join(map(plain, advice.advice(row, samples.NOW))) for row in samples.fleet()}
    assert "p shows the key" in said["legacy"]
    assert "Next try in 48 s; r tries now." in said["legacy"]
    assert "h shows it" in said["new-jump"]
    assert "o opens it" in said["archive"]
    assert "psql -h 127.0.0.1 -p 15432 -U canary_reader orders" in said["orders-prod"]
    assert "mysql -h 127.0.0.1 -P 15433" in said["billing"]


def test_trouble_with_the_local_port_stands_beside_how_to_use_it() -> None:
    row = msgspec.structs.replace(samples.fleet()[0], local_trouble="[::1]:15432 belongs to another program")
    first, second = map(plain, advice.advice(row, samples.NOW))
    assert "[::1]:15432 belongs to another program" in first
    assert "127.0.0.1" in second


def test_counts_leave_out_what_is_zero() -> None:
    assert plain(fleet.counts(samples.fleet()[:2], 60)) == "2 servers  ● 2 up"
    assert plain(fleet.counts((), 60)) == "0 servers"


def test_every_cause_has_words_without_underscores() -> None:
    assert not [cause for cause in Cause if "_" in cause_words(cause) or not cause_words(cause)]


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("postgres://u@h/d", (Engine.POSTGRESQL, "h", "", "d", "u", None)),
        ("postgresql+asyncpg://h:6000", (Engine.POSTGRESQL, "h", "6000", "", "", None)),
        ("mysql://u%40x@[::1]:3307/d%2Fe", (Engine.MYSQL, "::1", "3307", "d/e", "u@x", None)),
        ("mariadb://h/d?ssl-mode=VERIFY_IDENTITY", (Engine.MYSQL, "h", "", "d", "", TlsMode.VERIFY_FULL)),
        (
            "postgresql:///d?host=db&port=1&user=me&sslmode=require",
            (Engine.POSTGRESQL, "db", "1", "d", "me", TlsMode.REQUIRE),
        ),
    ],
)
def test_urls_are_read(url: str, parts: tuple[object, ...]) -> None:
    read = urls.parse_url(url)
    assert (read.engine, read.host, read.port, read.name, read.user, read.tls) == parts


@pytest.mark.parametrize(
    "url", ["postgresql://h:99999/x", "postgresql://[::1/x", "postgres://u:secret@h:port/"]
)
def test_a_wrong_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="is no connection URL") as refused:
        urls.parse_url(url)
    assert "secret" not in str(refused.value)


def test_password_of_a_url_cannot_print_itself() -> None:
    parts = urls.parse_url("postgresql://u:hun%20ter2@h/d")
    assert "hun" not in repr(parts)
    assert parts.password is not None
    assert parts.password.reveal() == "hun ter2"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("jump", ("", "jump", "")),
        ("ana@jump", ("ana", "jump", "")),
        ("ana@jump:2222", ("ana", "jump", "2222")),
        ("ssh://ana@jump:2222/", ("ana", "jump", "2222")),
        ("ana@[::1]:22", ("ana", "::1", "22")),
        ("fe80::1", ("", "fe80::1", "")),
    ],
)
def test_ssh_destinations_are_split(text: str, parts: tuple[str, str, str]) -> None:
    assert urls.split_destination(text) == parts


def test_connection_url_goes_through_the_local_end_without_a_password() -> None:
    row = samples.fleet()[0]
    assert urls.connection_url(row) == "postgresql://canary_reader@127.0.0.1:15432/orders"
    socket = msgspec.structs.replace(row, local="/run/canary/orders/.s.PGSQL.5432")
    assert (
        urls.connection_url(socket) == "postgresql://canary_reader@/orders?host=/run/canary/orders&port=5432"
    )
    direct = samples.fleet()[2]
    assert urls.connection_url(direct) == "postgresql://canary_reader@10.0.3.12:5432/orders"


def test_there_is_no_url_and_no_command_for_a_local_end_that_nobody_of_ours_has_bound() -> None:
    row = msgspec.structs.replace(samples.fleet()[0], local="")
    assert urls.connection_url(row) == ""
    assert urls.how_to_use(row) == urls.NOT_BOUND


STRANGE_NAMES = {
    "orders": ("orders", "orders"),
    "--command=\\! touch x": (r"dbname='--command=\\! touch x'", "--database=--command=\\! touch x"),
    "host=evil": ("dbname='host=evil'", "--database=host=evil"),
    "postgresql://evil/": ("dbname='postgresql://evil/'", "--database=postgresql://evil/"),
    "it's; $(touch x)": (r"dbname='it\'s; $(touch x)'", "--database=it's; $(touch x)"),
}


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_the_command_for_a_shell_is_quoted_and_a_name_stays_a_name(name: str) -> None:
    row = samples.fleet()[0]
    for engine, expected in zip((Engine.POSTGRESQL, Engine.MYSQL), STRANGE_NAMES[name], strict=True):
        database = msgspec.structs.replace(row.server.database, name=name, user="$(id)")
        server = msgspec.structs.replace(row.server, engine=engine, database=database)
        words = shlex.split(urls.how_to_use(msgspec.structs.replace(row, server=server)))
        port = "-p" if engine is Engine.POSTGRESQL else "-P"
        user = "-U" if engine is Engine.POSTGRESQL else "-u"
        client = "psql" if engine is Engine.POSTGRESQL else "mysql"
        assert words == [client, "-h", "127.0.0.1", port, "15432", user, "$(id)", expected]


def test_form_and_server_say_the_same() -> None:
    for one in (samples.server(), samples.server("direct", tunnel=False)):
        assert form.build(form.values_of(one), one) == one
        open_one = msgspec.structs.replace(
            one, database=msgspec.structs.replace(one.database, allow_cleartext=True)
        )
        assert form.build(form.values_of(open_one), open_one) == open_one


@pytest.mark.parametrize(
    ("values", "source"),
    [
        ({"password_from": "variable", "password_env": "PW"}, PasswordEnv(env="PW")),
        (
            {"password_from": "command", "password_command": "op read 'a b'"},
            PasswordCommand(command=("op", "read", "a b")),
        ),
        ({"password_from": "keyring"}, PasswordKeyring()),
        ({"password_from": "ask", "password_env": "left over"}, None),
    ],
)
def test_password_sources_survive_the_form(values: dict[str, str], source: object) -> None:
    built = form.build(form.values_of(samples.server()) | values)
    assert built.database.password == source
    assert form.build(form.values_of(built), built) == built


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("name", "", "is empty"),
        ("name", "a/b", "is no server name"),
        ("name", "x" * 300, "is no server name"),
        ("name", "taken", "is the name of another server"),
        ("db_port", "0", "0 is not a port"),
        ("db_port", "65536", "65536 is not a port"),
        ("ssh_port", "22x", "22x is not a port"),
        ("local_port", "-1", "-1 is not a port"),
        ("db_host", "a b", "has a space"),
        ("ssh_host", "user@host:22", "has a user in it"),
        ("ssh_host", "[::1]", "has brackets"),
        ("ssh_user", "", "is empty"),
        ("every", "0s", "is out of range"),
        ("every", "soon", "is no duration"),
        ("timeout", "2m", "is out of range"),
        ("query", " ", "is empty"),
        ("db_user", "a\tb", "has a line break or a control character"),
    ],
)
def test_wrong_fields_are_named(field: str, text: str, said: str) -> None:
    values = form.values_of(samples.server()) | {field: text}
    assert said in form.problem(field, values, {"taken"})
    assert list(form.problems(values, {"taken"})) == [field]


def test_fields_that_are_hidden_are_not_checked() -> None:
    values = form.blank() | {"name": "x", "db_host": "h", "ssh_enabled": "off", "ssh_host": "not a host"}
    assert form.problems(values) == {}
    assert form.build(values).ssh is None


def test_surrounding_spaces_are_not_part_of_a_value() -> None:
    values = form.values_of(samples.server()) | {"ssh_port": "22 ", "name": " shop "}
    assert form.problems(values) == {}
    assert form.build(values).name == "shop"


def test_trail_shows_what_is_done_under_way_and_to_come() -> None:
    class Test:
        server = samples.server()
        stage = Stage.CONNECT
        stages = samples.refused().stages[:2]
        result = None
        trying_keys = False
        tried = None

    lines = [plain(spans) for spans in trail.trail(Test(), 60)]
    assert lines[0].startswith("✓ Settings")
    assert lines[2].startswith("◐ ")
    assert lines[-1] == "○ Query"


def direct_words() -> dict[str, str]:
    """Return what each presenter says of a server without a tunnel whose database refuses connections."""
    direct, result = samples.server("reports", tunnel=False), samples.unreached()
    assert result.failure is not None
    (_, incident), *_ = IncidentTracker().probed(samples.NOW, direct, result)
    under_way, over = FakeTest(direct), FakeTest(direct)
    under_way.stage = Stage.CONNECT
    over.end(result)
    row = Row(server=direct, health=Health.DOWN, failure=result.failure, last=result)
    entry = LogLine(seq=1, at=samples.NOW, server="reports", result=result)
    said = {
        "a test under way": trail.trail(under_way, 100),
        "a test that ended": trail.trail(over, 100),
        "its verdict": trail.verdict(over, 100),
        "the server list": advice.advice(row, samples.NOW),
        "a line of the log": [probes.log_line(entry, 10, 250.0)],
        "the stages of that line": probes.waterfall(result, 100),
        "an incident": [incidents.incident_line(incident, samples.NOW)],
    }
    lines = {name: " ".join(plain(spans) for spans in lines) for name, lines in said.items()}
    return lines | {"the report": report(direct, result)}


@pytest.mark.parametrize(("place", "said"), direct_words().items(), ids=direct_words())
def test_a_direct_server_s_stages_have_their_own_names(place: str, said: str) -> None:
    assert "Database connect" in said, place
    assert "SSH connect" not in said, place


def test_report_has_no_secret_and_names_what_to_look_at() -> None:
    text = report(samples.server(), samples.refused(), samples.key())
    for words in (
        "auth",
        "key_not_accepted",
        "ssh_user@bastion-1 port 22 (192.0.2.7)",
        samples.key().fingerprint,
        "~ssh_user/.ssh/authorized_keys",
        "10.0.3.12 port 5432",
        "canary_reader on orders",
        f"Line:      {samples.key().restricted}",
        "2026-09-21 14:13:20 UTC",
    ):
        assert words in text
    assert samples.key().path not in text


def test_the_report_for_who_runs_dropbear_names_nothing_of_openssh_s() -> None:
    key = msgspec.structs.replace(samples.key(), ssh_family=Family.DROPBEAR)
    text = report(samples.server(), samples.refused(), key)
    assert "the options -w, -G and -T of dropbear" in text
    assert "sshd" not in text


def test_report_about_a_host_key_has_both_and_the_file_to_compare() -> None:
    offer = samples.offer(changed=True)
    text = report(samples.server(), samples.refused(offer=offer))
    assert offer.fingerprint in text
    assert offer.known[0].fingerprint in text
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in text


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("tunnel", [True, False])
@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_setting_to_look_at_with_its_names_filled_in(
    cause: Cause, tunnel: bool, engine: Engine
) -> None:
    stage = ROWS[cause].stage or Stage.QUERY
    said = look_at(cause, stage, samples.server(engine=engine, tunnel=tunnel).words)
    assert bool(said) is (stage is not Stage.SETTINGS)
    assert "{" not in said
    if not tunnel and stage in {Stage.RESOLVE, Stage.CONNECT}:
        assert "sshd" not in said
        assert "SSH server" not in said


@pytest.mark.parametrize(
    ("key_type", "file"),
    [
        ("ssh-ed25519", "ed25519"),
        ("ssh-rsa", "rsa"),
        ("rsa-sha2-512", "rsa"),
        ("ssh-dss", "dsa"),
        ("ecdsa-sha2-nistp256", "ecdsa"),
        ("ecdsa-sha2-nistp521", "ecdsa"),
        ("ssh-ed25519-cert-v01@openssh.com", "ed25519"),
    ],
)
def test_a_host_key_is_compared_with_the_file_of_its_type(key_type: str, file: str) -> None:
    offered = msgspec.structs.replace(samples.offer(), key_type=key_type)
    text = "\n".join(map(plain, host_key_lines(offered, 72)))
    assert f"ssh-keygen -lf /etc/ssh/ssh_host_{file}_key.pub" in text


def test_a_changed_key_stands_beside_the_trusted_one_and_since_when() -> None:
    offer = samples.offer(changed=True)
    wide = [plain(spans) for spans in host_key_lines(offer, 106)]
    (both,) = [text for text in wide if offer.fingerprint in text]
    assert offer.known[0].fingerprint in both
    narrow = [plain(spans) for spans in host_key_lines(offer, 70)]
    (old,) = [text.index("SHA256:0ld") for text in narrow if "SHA256:0ld" in text]
    (new,) = [text.index("SHA256:n3w") for text in narrow if "SHA256:n3w" in text]
    assert old == new
    for lines in (wide, narrow):
        assert "since 2026-03-01 09:00 UTC" in "\n".join(lines)


@given(st.integers(20, 120), st.integers(0, 3), st.booleans())
def test_the_host_key_question_shows_whole_fingerprints_and_fits(
    width: int, known: int, evidence: bool
) -> None:
    old = KnownKey(key_type="ssh-rsa", fingerprint="SHA256:" + "x" * 43, since="")
    offer = msgspec.structs.replace(
        samples.offer(), known=(old,) * known, evidence=("~/.ssh/known_hosts has another key",) * evidence
    )
    lines = host_key_lines(offer, width)
    assert sum(plain(spans).count(old.fingerprint) for spans in lines) == known
    assert any(offer.fingerprint in plain(spans) for spans in lines)
    whole = {old.fingerprint, offer.fingerprint}
    for spans in lines:
        commands = any(tone is Tone.ACCENT for _, tone in spans)
        assert commands or whole & {text for text, _ in spans} or width_of(spans) <= max(width, 56)


def test_a_note_without_room_beside_the_time_stands_whole_below_it() -> None:
    long = f"ecdsa-sha2-nistp256 {samples.offer().fingerprint}"
    result = samples.refused()
    stages = tuple(
        msgspec.structs.replace(stage, note=long) if stage.stage is Stage.HOST_KEY else stage
        for stage in result.stages
    )
    view = FakeTest(samples.server())
    view.end(msgspec.structs.replace(result, stages=stages))
    narrow = [plain(spans) for spans in trail.trail(view, 72)]
    assert narrow[narrow.index(f"  {long}") - 1].startswith("✓ Host key")
    assert any("Host key" in plain(spans) and long in plain(spans) for spans in trail.trail(view, 110))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            Failed(Cause.KEY_PERMISSIONS, detail="mode 0644"),
            f"{cause_words(Cause.KEY_PERMISSIONS)}: mode 0644",
        ),
        (Failed(Cause.KEY_MISSING), cause_words(Cause.KEY_MISSING)),
        (KeyError("orders-prod"), "There is no server orders-prod any more."),
        (OSError(2, "No such file or directory", "keys/x"), "keys/x: No such file or directory"),
        (OSError(24, "Too many open files"), "Too many open files"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_an_error_is_said_in_words(error: Exception, words: str) -> None:
    assert error_words(error) == words


def test_what_is_no_moment_is_shown_as_it_is_written() -> None:
    assert iso_words("2026-03-01T10:00:00+01:00") == "2026-03-01 09:00 UTC"
    assert iso_words("last spring") == "last spring"


def test_an_audit_says_of_each_check_what_was_found() -> None:
    lines = [plain(spans) for spans in audit.checks(samples.audit_report("shell"), 100)]
    assert "✓ allowed  the database 10.0.3.12:5432  a whole probe in 3.2 ms" in lines
    assert "✓ refused  another host" in lines
    assert "✕ allowed  a shell  a word came back" in lines


def test_a_long_detail_of_an_audit_stands_below_its_check() -> None:
    lines = [plain(spans) for spans in audit.checks(samples.audit_report("shell"), 30)]
    assert "✕ allowed  a shell" in lines
    assert "           a word came back" in lines


def test_a_limited_key_has_nothing_to_install() -> None:
    report = samples.audit_report()
    assert ["".join(plain(s) for s in audit.findings(report, 80))] == [
        "✓ The key reaches its database and nothing else."
    ]
    assert audit.remedy(report, 80) == []


def test_findings_are_said_in_words_with_the_line_to_install() -> None:
    report = samples.audit_report("shell", "other_port")
    text = "\n".join(map(plain, audit.findings(report, 100)))
    assert "2 findings" in text
    assert "opens a shell" in text
    assert "other ports" in text
    assert "Install this line" in plain(audit.remedy(report, 100)[0])


def test_no_line_is_promised_to_mend_a_root_login() -> None:
    said = plain(audit.remedy(samples.audit_report("root_login", "reverse_forward_port_1"), 200)[0])
    assert "account without privileges" in said


def test_a_login_that_fails_is_no_audit_but_a_failure_with_remedies() -> None:
    failed = Failed(Cause.KEY_NOT_ACCEPTED, detail="Permission denied")
    text = "\n".join(map(plain, audit.not_audited(failed, samples.server(), 80)))
    assert "SSH login: key not accepted" in text
    assert "1. " in text
    assert "t tests" in text


@given(st.lists(st.tuples(TEXT, st.sampled_from(Tone)), max_size=5), st.integers(2, 60))
def test_a_wrapped_line_fits(spans: list[tuple[str, Tone]], width: int) -> None:
    assert all(width_of(part) <= width for part in wrap_line(line(*spans), width))


def test_a_wrapped_line_loses_no_word_and_no_tone() -> None:
    spans = line(("name", Tone.STRONG), (" · SSH login: ", Tone.BAD), "the key is not known")
    assert wrap_line(spans, 14) == [
        (("name", Tone.STRONG), (" · SSH", Tone.BAD)),
        (("login: ", Tone.BAD), ("the key", Tone.PLAIN)),
        (("is not known", Tone.PLAIN),),
    ]


@given(st.integers(0, 8), st.integers(0, 8), st.integers(6, 12))
def test_lines_left_out_leave_one_ellipsis_within_the_width(count: int, room: int, width: int) -> None:
    lines = [line("line", (f" {number}", Tone.BAD)) for number in range(count)]
    kept = limited(lines, room, width)
    assert len(kept) == min(count, room)
    if 0 < room < count:
        assert plain(kept[-1]).endswith("…")
        assert not plain(kept[-1]).endswith("……")
        assert width_of(kept[-1]) <= width
    else:
        assert kept == lines[:room]


def test_servers_that_are_down_are_counted_on_the_narrowest_screen() -> None:
    rows = samples.fleet()
    assert plain(fleet.counts(rows, 70)).startswith("7 servers  ● 2 up")
    assert plain(fleet.counts(rows, 30)).startswith("✕ 2 down  ▲ 1 slow")


@pytest.mark.parametrize("height", [2, 3, 5])
def test_advice_always_keeps_room_for_the_next_step(height: int) -> None:
    row = samples.fleet()[3]
    said = advice.fitted(advice.advice(row, samples.NOW), 60, height)
    assert len(said) <= height
    assert any("p shows the key" in plain(spans) for spans in said)


def test_the_first_remedy_is_whole_where_there_is_room() -> None:
    row = samples.fleet()[3]
    text = " ".join(plain(spans) for spans in advice.fitted(advice.advice(row, samples.NOW), 94, 5))
    assert row.failure is not None
    assert row.failure.remedies[0] in text


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("cause", Cause)
def test_no_state_is_cut_from_80_cells_on(cause: Cause, width: int) -> None:
    row = msgspec.structs.replace(samples.fleet()[3], failure=samples.failure(Stage.AUTH, cause))
    chosen = fleet.layout((row,), width - 1)
    assert cause_words(cause) in plain(fleet.fleet_line(row, chosen, samples.NOW))
    assert width_of(fleet.fleet_line(row, chosen, samples.NOW)) <= width - 3


def test_exported_line_is_the_contracts_object() -> None:
    result = samples.refused(at=1_795_344_127.123)
    record = json.loads(json_lines([result]))
    assert list(record) == [
        "schema",
        "server",
        "ok",
        "route",
        "started_at",
        "total_ms",
        "stages",
        "failure",
    ]
    assert record["started_at"] == "2026-11-22T10:42:07.123Z"
    assert record["stages"][1] == {"stage": "resolve", "ok": True, "ms": 0.4, "note": "192.0.2.7"}
    assert list(record["failure"]) == ["stage", "cause", "summary", "remedies", "detail"]
    assert probe_json(samples.passed())["failure"] is None


def entries(count: int, start: int = 1) -> list[LogLine]:
    """Return log lines, every second one of another server."""
    return [
        LogLine(seq=seq, at=float(seq), server="ab"[seq % 2], result=samples.passed("ab"[seq % 2]))
        for seq in range(start, start + count)
    ]


def test_log_book_keeps_the_newest_and_says_how_far_the_top_moved() -> None:
    book = LogBook(limit=1_000)
    assert book.add(entries(2_000)) == 0
    gone = book.add(entries(1, 2_001))
    assert gone == 1_001
    assert [entry.seq for entry in book.shown] == list(range(1_002, 2_002))
    assert book.newest == 2_001


def test_log_book_shows_what_passes_the_filter_and_everything_again() -> None:
    book = LogBook()
    book.add(entries(10))
    book.refilter(LogQuery(server="a"))
    assert {entry.server for entry in book.shown} == {"a"}
    book.add(entries(2, 11))
    assert len(book.shown) == 6
    book.refilter(LogQuery(failures=True))
    assert book.shown == []
    book.refilter(LogQuery())
    assert len(book.shown) == 12


@pytest.mark.parametrize(
    ("uptime", "said"),
    [
        (None, "–"),
        (Uptime(unknown=3600), "–"),
        (Uptime(asleep=3600), "–"),
        (Uptime(up=3600), "100.00 %"),
        (Uptime(up=9998, down=2), "99.98 %"),
        (Uptime(up=86_399, down=1), "99.99 %"),
        (Uptime(up=86_399.9, down=0.1), "99.99 %"),
        (Uptime(down=10), "0.00 %"),
    ],
)
def test_uptime_is_of_the_known_time_and_never_rounds_an_outage_away(
    uptime: Uptime | None, said: str
) -> None:
    assert uptime_words(uptime) == said


def test_the_uptimes_are_the_first_columns_to_go_the_longest_span_before_the_others() -> None:
    rows = samples.fleet()
    wide = [key for key, _ in fleet.layout(rows, 140)]
    assert wide[-3:] == ["day", "week", "month"]
    for width in range(140, 20, -1):
        chosen = fleet.layout(rows, width)
        keys = [key for key, _ in chosen]
        assert keys == wide[: len(keys)] or not {"recent", *fleet.UPTIMES} & set(keys)
        if "week" in keys:
            assert dict(chosen)["through"] == len("ssh_user@bastion-1"), "nothing is cut for it"


def test_each_uptime_stands_in_the_column_of_its_span_and_unknown_is_a_dash() -> None:
    row = samples.fleet()[0]
    uptimes = (Uptime(up=9998, down=2), Uptime(asleep=600, unknown=90), Uptime(up=900, down=100))
    said = plain(fleet.fleet_line(row, fleet.layout([row], 140), samples.NOW, uptimes))
    assert said.split()[-5:] == ["99.98", "%", "–", "90.00", "%"]
    assert plain(fleet.fleet_line(row, fleet.layout([row], 140), samples.NOW)).split()[-3:] == ["–"] * 3


def _lines(first: int, count: int) -> list[LogLine]:
    return [
        LogLine(seq=seq, at=float(seq), server="a" if seq % 2 else "b") for seq in range(first, first + count)
    ]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 1500)), max_size=12), st.sampled_from(["", "a"]))
def test_the_log_has_no_gap_and_a_limit_however_it_is_scrolled(
    steps: list[tuple[bool, int]], server: str
) -> None:
    book = LogBook(limit=500, most=2000)
    book.refilter(LogQuery(server=server))
    newest = first = 100_000
    for back, count in steps:
        if not back:
            book.add(_lines(newest, count))
            newest += count
        elif book.takes_older:
            before = first if book.oldest is None else round(book.oldest)
            page = [entry for entry in _lines(before - count, count) if shows(book.filter, entry)]
            book.add_older(page)
        shown = [round(entry.at) for entry in book.shown]
        apart = 2 if server else 1
        assert all(later - sooner == apart for sooner, later in itertools.pairwise(shown))
        assert len(shown) <= 2000 + 1500 + 1000


@given(
    st.integers(1, 900),
    st.integers(1, 300),
    st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=12),
)
def test_looking_on_from_the_past_meets_the_live_lines_without_gap_or_double(
    start: int, page: int, steps: list[tuple[bool, int]]
) -> None:
    """The history has lines 1–1000 and, as it is written, the live ones after them."""
    book, newest = LogBook(limit=500, most=2000), 1001
    book.add(_lines(newest, 1))
    book.look_back(_lines(start, page), last=False)
    for on, count in steps:
        if on and not book.live:
            after = round(book.shown[-1].at) + 1
            book.add_newer(_lines(after, min(page, newest - after + 1)), last=False)
        else:
            book.add(_lines(newest + 1, count))
            newest += count
        shown = [round(entry.at) for entry in book.shown]
        assert all(later - sooner == 1 for sooner, later in itertools.pairwise(shown))
        if book.live:
            assert shown[-1] == newest
        else:
            assert shown[0] == start
