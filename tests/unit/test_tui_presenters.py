"""What the screens say: pure functions, no screen needed."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from canary_tui.diagnosis.stages import Cause, Stage
from canary_tui.monitor.board import LogLine
from canary_tui.monitor.records import probe_json
from canary_tui.servers.model import Engine, PasswordCommand, PasswordEnv, PasswordKeyring, TlsMode
from canary_tui.tui.log_book import LogBook, LogFilter
from canary_tui.tui.presenters import fleet, form, probes, trail, urls
from canary_tui.tui.presenters.export import json_lines
from canary_tui.tui.presenters.lines import (
    Column,
    Tone,
    changed_cells,
    clip,
    clip_line,
    fill,
    fit,
    line,
    plain,
    width_of,
    wrap,
    wrap_commands,
)
from canary_tui.tui.presenters.words import ago, bytes_words, cause_words, ms_words, span_words
from tests.screens import samples

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
    said = {row.server.name: " ".join(map(plain, fleet.advice(row, samples.NOW))) for row in samples.fleet()}
    assert "p shows the key" in said["legacy"]
    assert "Next try in 48 s; r tries now." in said["legacy"]
    assert "h shows it" in said["new-jump"]
    assert "o opens it" in said["archive"]
    assert "psql -h 127.0.0.1 -p 15432 -U canary_reader orders" in said["orders-prod"]
    assert "mysql -h 127.0.0.1 -P 15433" in said["billing"]


def test_counts_leave_out_what_is_zero() -> None:
    assert plain(fleet.counts(samples.fleet()[:2])) == "2 servers  ● 2 up"
    assert plain(fleet.counts(())) == "0 servers"


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
    assert urls.connection_url(socket) == "postgresql://canary_reader@/orders?host=/run/canary/orders"
    direct = samples.fleet()[2]
    assert urls.connection_url(direct) == "postgresql://canary_reader@10.0.3.12:5432/orders"


def test_form_and_server_say_the_same() -> None:
    for one in (samples.server(), samples.server("direct", tunnel=False)):
        assert form.build(form.values_of(one), one) == one


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
        ("every", "0s", "is outside"),
        ("every", "soon", "is no duration"),
        ("timeout", "2m", "is outside"),
        ("query", " ", "is empty"),
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

    lines = [plain(spans) for spans in trail.trail(Test(), 60)]
    assert lines[0].startswith("✓ Settings")
    assert lines[2].startswith("◐ ")
    assert lines[-1] == "○ Query"


def test_report_has_no_secret_and_names_what_to_look_at() -> None:
    text = trail.report(samples.server(), samples.refused(), "SHA256:abc")
    for words in (
        "auth",
        "key_not_accepted",
        "192.0.2.7",
        "SHA256:abc",
        "authorized_keys",
        "10.0.3.12 port 5432",
    ):
        assert words in text


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
    book.refilter(LogFilter(server="a"))
    assert {entry.server for entry in book.shown} == {"a"}
    book.add(entries(2, 11))
    assert len(book.shown) == 6
    book.refilter(LogFilter(failures=True))
    assert book.shown == []
    book.refilter(LogFilter())
    assert len(book.shown) == 12
