"""A pasted URL of a service that is reached by host and port alone: those two, and nothing made up."""

from __future__ import annotations

import pytest

from canary_tui.servers.model import Engine
from canary_tui.tui.presenters import urls
from canary_tui.tui.presenters.urls import is_url, parse_url
from tests.unit.pasted import refusal


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("clickhouse+http://h/d", ""),
        ("jdbc:clickhouse://h/d", ""),
        ("jdbc:clickhouse:http://h/d", ""),
        ("jdbc:clickhouse://h:8443/d", "8443"),
        ("clickhouse+native://h/d", "9000"),
        ("redis://h", "6379"),
        ("jdbc:sqlserver://h;user=sa", "1433"),
        ("jdbc:sqlserver://h;portNumber=1500", ""),
        ("jdbc:sqlserver://h:1500;portNumber=1600", "1500"),
        ("jdbc:sqlserver://h\\INST:1500", "1500"),
        ("jdbc:sqlserver://h:1500;instanceName=INST", "1500"),
    ],
)
def test_a_port_that_the_protocol_does_not_have_is_not_made_up(url: str, port: str) -> None:
    parts = parse_url(url)
    assert (parts.host, parts.port) == ("h", port)


@pytest.mark.parametrize("scheme", [s for s, engine in urls.SCHEMES.items() if engine is Engine.TCP])
@pytest.mark.parametrize("key", ["host", "hostaddr", "HOST", "port", "Port", "server"])
def test_no_parameter_leads_another_service_elsewhere(scheme: str, key: str) -> None:
    for mark in "?;":
        parts = parse_url(f"{scheme}://h:7{mark}{key}=9")
        assert (parts.host, parts.port, parts.left_out) == ("h", "7", ("the parameters",))


@pytest.mark.parametrize(
    "url",
    [
        "redis:///x.sock",
        "redis:///var/run/redis.sock",
        "redis://:secret@/var/run/redis.sock?db=1",
        "redis://%2Ftmp%2Fx.sock",
        "redis+unix:///x",
        "rediss+unix:///x",
        "redis+socket:///tmp/x",
        "redis-socket:///tmp/x",
        "valkey+unix://:secret@/x",
        "unix://:secret@/tmp/x.sock?db=1",
        "REDIS_URL=unix:///tmp/x.sock",
        "redis://h?unix_socket=/x",
        "mongodb://%2Ftmp%2Fmongodb-27017.sock",
        "mongodb://u:secret@%2Ftmp%2Fmongodb-27017.sock/db?x=1",
        "mysql+unix:///x",
    ],
)
def test_a_url_of_a_socket_is_told_as_one(url: str) -> None:
    assert is_url(url)
    said = refusal(url)
    assert urls.SOCKET in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "url", ["redis://", "redis:///0", "tcp://:80", "mongodb:///d", "jdbc:sqlserver://;serverName=h"]
)
def test_another_service_without_a_host_is_told(url: str) -> None:
    assert urls.NO_HOST in refusal(url)


@pytest.mark.parametrize(
    "url",
    [
        "jdbc:sqlserver://h\\INST",
        "sqlserver://h%5CINST",
        "mssql://h\\INST",
        "jdbc:sqlserver://h;instanceName=I;user=sa",
    ],
)
def test_a_named_instance_of_sql_server_needs_its_port(url: str) -> None:
    assert urls.INSTANCE in refusal(url)
