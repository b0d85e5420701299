"""A pasted URL is read as libpq reads it, or refused with a hint; nothing of a password is ever repeated."""

from __future__ import annotations

import pytest

from canary_tui.servers.fields import masked
from canary_tui.servers.model import Engine, TlsMode, host_problem
from canary_tui.servers.reading import parse
from canary_tui.tui.presenters import urls
from canary_tui.tui.presenters.urls import UNKNOWN, UrlParts, is_url, parse_url
from tests.unit.pasted import password, refusal

HINT = "@ is written %40, / %2F, : %3A, ? %3F, # %23, % %25"


# What is understood


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("12#ab", "12#ab"),
        ("a?b", "a?b"),
        ("a:b", "a:b"),
        ("a b", "a b"),
        ("a,b", "a,b"),
        ("a=b&c", "a=b&c"),
        ("[x]", "[x]"),
        ("a+b", "a+b"),
        ("%40%2f%3a%25", "@/:%"),
        ("p%C3%A9", "pé"),
        ("é€", "é€"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "mysql", "postgresql+asyncpg", "mysql+pymysql"])
def test_a_password_is_what_libpq_makes_of_it(scheme: str, written: str, meant: str) -> None:
    parts = parse_url(f"{scheme}://reader:{written}@db.example:99/app")
    assert (parts.host, parts.port, parts.name, parts.user) == ("db.example", "99", "app", "reader")
    assert password(parts) == meant


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://h", {"host": "h"}),
        ("postgresql://", {}),
        ("postgresql:///app", {"name": "app"}),
        ("postgresql://me@/app", {"user": "me", "name": "app"}),
        ("postgresql://h?user=me", {"host": "h", "user": "me"}),
        ("postgresql://[2001:db8::7]:5/d", {"host": "2001:db8::7", "port": "5", "name": "d"}),
        ("postgresql://[fe80::1%25eth0]/d", {"host": "fe80::1%eth0", "name": "d"}),
        ("postgresql://me@h/d?user=you&host=i", {"user": "you", "host": "i", "name": "d"}),
        ("postgresql://h:6/d?port=7", {"port": "7", "host": "h", "name": "d"}),
        ("postgresql://h/d?dbname=e", {"host": "h", "name": "e"}),
        ("postgresql://h/d?user=me@corp", {"host": "h", "name": "d", "user": "me@corp"}),
        ("postgresql://me%40corp@h/d", {"host": "h", "name": "d", "user": "me@corp"}),
        ("postgresql://h/d%2Fe#f", {"host": "h", "name": "d/e#f"}),
        ("postgresql://h/d?hostaddr=10.0.0.1", {"host": "h", "name": "d", "left_out": ("hostaddr",)}),
        ("postgresql:///d?hostaddr=10.0.0.1", {"host": "10.0.0.1", "name": "d"}),
        ("POSTGRESQL://h/d", {"host": "h", "name": "d"}),
        ("host=h port=5433 dbname=d user=me", {"host": "h", "port": "5433", "name": "d", "user": "me"}),
        ("user = me  host='h' ", {"host": "h", "user": "me"}),
        (r"host=h user='o\'neil' dbname=a\ b", {"host": "h", "user": "o'neil", "name": "a b"}),
        ("jdbc:postgresql://h:1/d?user=me", {"host": "h", "port": "1", "name": "d", "user": "me"}),
    ],
)  # fmt: skip
def test_each_form_of_postgresql(url: str, said: dict[str, object]) -> None:
    assert is_url(url)
    assert parse_url(url) == UrlParts(engine=Engine.POSTGRESQL, **said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "scheme",
    [
        "mysql",
        "mariadb",
        "mysql2",
        "mysql+aiomysql",
        "mariadb+mariadbconnector",
        "jdbc:mysql",
        "jdbc:mariadb",
    ],
)
def test_each_form_of_mysql(scheme: str) -> None:
    parts = parse_url(f"{scheme}://me@h:3307/d")
    assert parts == UrlParts(engine=Engine.MYSQL, host="h", port="3307", name="d", user="me")


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://h?sslmode=verify-full", TlsMode.VERIFY_FULL),
        ("postgresql://h?sslmode=allow", TlsMode.PREFER),
        ("postgresql://h?sslmode=", None),
        ("postgresql://h?ssl=true", TlsMode.REQUIRE),
        ("postgresql://h?sslrootcert=system", TlsMode.VERIFY_FULL),
        ("postgresql+asyncpg://h?ssl=verify-ca", TlsMode.VERIFY_CA),
        ("jdbc:postgresql://h/d?ssl=true", TlsMode.VERIFY_FULL),
        ("jdbc:postgresql://h/d?ssl=true&sslmode=require", TlsMode.REQUIRE),
        ("mysql://h?ssl-mode=VERIFY_CA", TlsMode.VERIFY_CA),
        ("mysql://h?ssl_mode=disabled", TlsMode.DISABLE),
        ("jdbc:mysql://h/d?sslMode=VERIFY_IDENTITY", TlsMode.VERIFY_FULL),
        ("jdbc:mysql://h/d?useSSL=true&requireSSL=true&verifyServerCertificate=false", TlsMode.REQUIRE),
        ("jdbc:mysql://h/d?useSSL=true&verifyServerCertificate=true", TlsMode.VERIFY_CA),
        ("jdbc:mysql://h/d?useSSL=false", TlsMode.DISABLE),
        ("jdbc:mariadb://h/d?sslMode=trust", TlsMode.REQUIRE),
        ("mysql+pymysql://h/d?ssl_ca=/ca.pem&ssl_verify_identity=true", TlsMode.VERIFY_FULL),
        ("mysql://h/d?tls=skip-verify", TlsMode.REQUIRE),
        ("mysql://h/d", None),
    ],
)
def test_how_tls_is_asked_for(url: str, mode: TlsMode | None) -> None:
    assert parse_url(url).tls is mode


@pytest.mark.parametrize("key", ["sslrootcert", "ssl_ca", "ssl-ca"])
def test_the_authorities_come_along(key: str) -> None:
    assert parse_url(f"mysql://h/d?{key}=%2Fetc%2Fca.pem").ca_file == "/etc/ca.pem"
    assert parse_url("postgresql://h?sslrootcert=system").ca_file == ""


@pytest.mark.parametrize(
    "around",
    [
        "{}\n", "  {}\r\n", '"{}"', "'{}'", "<{}>", "`{}`", "\ufeff{}\u200b", "DATABASE_URL={}",
        'export DB="{}"', "database_url: {}", 'psql "{}"', "psql {}", '"{}";', "\u2060{}\u00ad",
    ],
)  # fmt: skip
def test_what_is_copied_along_with_it_is_no_part_of_it(around: str) -> None:
    text = around.format("postgresql://me:pw@h:1/d")
    assert is_url(text)
    assert parse_url(text) == parse_url("postgresql://me:pw@h:1/d")


def test_parameters_without_a_setting_are_named_where_they_are_known_ones() -> None:
    parts = parse_url("postgresql://h/d?application_name=x&connect_timeout=3&schema=public&hunter2=1&b=2")
    assert parts.left_out == ("application_name", "connect_timeout", "schema", UNKNOWN)


@pytest.mark.parametrize("scheme", ["jdbc:postgresql", "mysql", "postgresql+psycopg"])
def test_drivers_read_parameters_as_forms_are(scheme: str) -> None:
    parts = parse_url(f"{scheme}://h/d?user=a+b&password=c%2Bd==")
    assert (parts.user, password(parts)) == ("a b", "c+d==")
    assert password(parse_url("postgresql://h/d?password=c+d")) == "c+d"


# What is refused


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:sec@ret@h/d",
        "postgresql://u:sec/ret@h/d",
        "postgresql://u:sec/re?t@h/d",
        "postgresql://u:12/sec?ret=x@h/d",
        "postgresql://u:sec#re/t@h/d",
        "postgresql://u@server:sec@h/d",
        "postgresql://h?user=u&password=sec@ret",
        "postgresql://h:5432?user=u&password=sec@ret",
        "postgresql://h:5432/d?x=1&y=sec@ret",
        "postgresql://h:5432/sec@ret",
        "mysql://u:sec@ret@h/d",
        "mysql+pymysql://u:sec/ret@h/d",
        "jdbc:mysql://u:sec/ret@h/d",
        "postgresql://u:secret",
        "postgresql://u:sec/ret",
        "postgresql://h:0/d",
        "postgresql://h:99999/d",
        "postgresql://h:5432x/d",
    ],
)
def test_what_leads_elsewhere_is_refused_with_the_hint(url: str) -> None:
    said = refusal(url)
    assert HINT in said
    assert not any(piece in said for piece in ("sec", "ret", "5432"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:%zzsecret@h/d", "the character % is written %25"),
        ("postgresql://u:100%@h/d", "the character % is written %25"),
        ("postgresql://u:%00@h/d", "%00 cannot be in it"),
        ("postgresql://u:%ff@h/d", "are no UTF-8"),
        ("postgresql://h1,h2/d", "several hosts"),
        ("postgresql://h1:1,h2:2/d", "several hosts"),
        ("postgresql://h/d?host=a,b", "several hosts"),
        ("host=a,b", "several hosts"),
        ("jdbc:mysql:replication://a,b/d", "several hosts"),
        ("postgresql://2001:db8::7/d", "IPv6 is written [::1]"),
        ("postgresql://::1/d", "IPv6 is written [::1]"),
        ("postgresql://[::1/d", "an IPv6 address is written in brackets"),
        ("postgresql://[::1]x/d", "an IPv6 address is written in brackets"),
        ("postgresql://[]/d", "no IPv6 address in its brackets"),
        ("postgresql:///d?host=/run/postgresql", "leads to a unix socket"),
        ("postgresql://%2Frun%2Fpostgresql/d", "leads to a unix socket"),
        ("postgresql:///d?host=@abstract", "leads to a unix socket"),
        ("mysql://h/d?unix_socket=/run/mysqld.sock", "leads to a unix socket"),
        ("mysql://h/d?socket=/run/mysqld.sock", "leads to a unix socket"),
        ("postgresql://h/d?sslmode=maybe", "its sslmode is none of disable, prefer, require"),
        ("postgresql://h/d?user", "its parameters are not key=value"),
        ("postgresql://h/d?password=se=cret", "= in a value is %3D"),
        ("postgresql://h/d?=secret", "one of its parameters has no name"),
        ("postgresql://u:se\ncret@h/d", "a line break or an invisible character"),
        ("postgresql://u:se\u200bcret@h/d", "a line break or an invisible character"),
        ("postgresql://u:se\x1b]0;cret@h/d", "a line break or an invisible character"),
        ("postgresql://u:se\u202ecret@h/d", "a line break or an invisible character"),
        ("postgresql://h/a%1b", "a line break or an invisible character"),
        ("mysql://a%0a@h", "a line break or an invisible character"),
        ("postgresql://h/" + "d" * 9000, "longer than 8000 characters"),
        ("host=h password=se cret", "its parts are not key=value"),
        ("host=h password=my secret=1", "it has a key that libpq has not"),
        ("host=h password='se", "its parts are not key=value"),
        ("oracle://u:secret@h/d", "it begins with none of postgresql://, mysql://, tcp:// and their like"),
        ("https://u:secret@h/d", "it begins with none of"),
        ("", "it begins with none of"),
    ],
)
def test_each_refusal_says_what_is_wrong_and_repeats_nothing(url: str, words: str) -> None:
    said = refusal(url)
    assert words in said
    assert "cret" not in said


# Elsewhere


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:hunter2@h/d", "postgresql://u:•••@h/d"),
        ("u:hun@ter2@h", "u:•••@h"),
        ("redis://:hunter2@h:6379/0", "redis://:•••@h:6379/0"),
        ("redis://:/hunter2@h", "redis://:•••@h"),
        ("postgresql://h/d?user=u&password=hunter2&a=b", "postgresql://h/d?user=u&password=•••&a=b"),
        ("host=h password=hunter2", "host=h password=•••"),
        ("fe80::1", "fe80::1"),
        ("u@h:22", "u@h:22"),
    ],
)
def test_a_value_is_repeated_without_its_password(text: str, shown: str) -> None:
    assert masked(text) == shown
    entry = f"servers:\n- name: a\n  engine: mysql\n  database: {{host: '{text}'}}\n"
    for broken in parse(entry, "servers.yaml").fleet.broken:
        assert "ter2" not in broken.mistakes
    assert "ter2" not in host_problem(text)


@pytest.mark.parametrize("text", ["ana:hunter2@jump:22", "ssh://ana:hunter2@jump:22"])
def test_an_ssh_url_is_split_without_its_password(text: str) -> None:
    assert urls.split_destination(text) == ("ana", "jump", "22")
