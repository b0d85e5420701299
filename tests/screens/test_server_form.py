"""The settings form: filling in, checking, saving, leaving."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from canary_tui.servers.model import Engine, PasswordKeyring, Server
from canary_tui.servers.secrets import Secret
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.key_view import KeyView
from canary_tui.tui.screens.server_form import ServerForm
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor


@asynccontextmanager
async def form_of(
    app: CanaryApp, opened: Open, key: str = "a"
) -> AsyncIterator[tuple[Pilot[None], ServerForm]]:
    """Open the form of a new server (``a``) or of the first one (``e``)."""
    async with opened() as pilot:
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, ServerForm) and app.screen.ready)
        assert isinstance(app.screen, ServerForm)
        yield pilot, app.screen


def saved(monitor: FakeMonitor) -> Server:
    """Return what the form handed to the monitor."""
    ((server, *_),) = monitor.asked_for("save")
    assert isinstance(server, Server)
    return server


async def test_labels_are_those_of_the_users_text(app: CanaryApp, opened: Open) -> None:
    async with form_of(app, opened) as (pilot, _):
        text = screen_text(pilot)
    for label in ("SSH Hostname", "SSH Port", "SSH Username", "Enable SSH tunnel", "Password from"):
        assert label in text


async def test_a_server_is_added_by_keys_alone_and_its_key_shown(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with form_of(app, opened) as (pilot, _):
        await pilot.press(
            *"shop", "tab", "right", "tab", *"10.0.0.5", "tab", "tab", *"shop", "tab", *"reader"
        )
        await pilot.press("tab", "tab", "tab", "tab", "tab", *"jump", "tab", "tab", *"ana", "ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, KeyView))
    server = saved(monitor)
    assert server.engine is Engine.MYSQL
    assert (server.database.host, server.database.port) == ("10.0.0.5", 3306)
    assert (server.database.name, server.database.user) == ("shop", "reader")
    assert server.ssh is not None
    assert (server.ssh.host, server.ssh.port, server.ssh.user) == ("jump", 22, "ana")


async def test_default_port_follows_the_engine_until_one_is_typed(app: CanaryApp, opened: Open) -> None:
    async with form_of(app, opened) as (pilot, form):
        form.field("engine").value = "mysql"
        await pilot.pause()
        assert form.field("db_port").value == "3306"
        form.field("db_port").value = "6000"
        form.field("engine").value = "postgresql"
        await pilot.pause()
        assert form.field("db_port").value == "6000"


@pytest.mark.parametrize("typed", [False, True], ids=["pasted", "typed"])
async def test_a_url_in_the_first_field_fills_the_rest_and_its_password_is_never_shown(
    app: CanaryApp, monitor: FakeMonitor, opened: Open, typed: bool
) -> None:
    url = "postgresql://reader:hunter2@10.0.3.12:6432/orders?sslmode=require"
    async with form_of(app, opened) as (pilot, form):
        field = form.query_one("#name", Input)
        if typed:
            field.value = url
            await pilot.press("tab")
        else:
            field.post_message(events.Paste(url))
        await until(pilot, lambda: form.field("db_user").value == "reader")
        assert form.field("name").value == "orders"
        assert form.field("db_host").value == "10.0.3.12"
        assert form.field("db_port").value == "6432"
        assert form.field("tls").value == "require"
        await until(pilot, lambda: "kept in memory" in " ".join(screen_text(pilot).split()))
        assert "hunter2" not in screen_text(pilot)
        form.fill({"ssh_host": "jump", "ssh_user": "ana"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: monitor.asked_for("give_password"))
    assert monitor.asked_for("give_password") == [("orders", Secret("hunter2"))]
    assert "hunter2" not in repr(monitor.asked)


async def test_password_of_a_pasted_url_goes_to_the_keyring_when_that_is_chosen(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with form_of(app, opened) as (pilot, form):
        form.query_one("#name", Input).post_message(events.Paste("mysql://ana:hunter2@db/shop"))
        await until(pilot, lambda: form.field("db_host").value == "db")
        form.fill({"password_from": "keyring", "ssh_enabled": "off"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: monitor.asked_for("save"))
    ((server, _, secret),) = monitor.asked_for("save")
    assert isinstance(server, Server)
    assert isinstance(server.database.password, PasswordKeyring)
    assert secret == Secret("hunter2")
    assert monitor.asked_for("give_password") == []


async def test_user_at_host_and_port_is_split_into_its_fields(app: CanaryApp, opened: Open) -> None:
    async with form_of(app, opened) as (pilot, form):
        field = form.query_one("#ssh-host", Input)
        field.focus()
        field.value = "ana@jump.example.com:2222"
        await pilot.press("tab")
        await until(pilot, lambda: form.field("ssh_user").value == "ana")
        assert form.field("ssh_host").value == "jump.example.com"
        assert form.field("ssh_port").value == "2222"


async def test_a_field_is_checked_as_it_is_left(app: CanaryApp, opened: Open) -> None:
    async with form_of(app, opened) as (pilot, form):
        field = form.query_one("#db-port", Input)
        field.focus()
        field.value = "99999"
        await pilot.press("tab")
        await until(pilot, lambda: "99999 is not a port" in screen_text(pilot))


async def test_save_is_refused_while_a_field_is_wrong_and_goes_there(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with form_of(app, opened) as (pilot, form):
        form.fill({"name": "shop", "db_host": "bad host", "ssh_host": "jump", "ssh_user": "ana"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "has a space in it" in screen_text(pilot))
        assert app.focused is form.field("db_host").input
        assert form.field("db_host").value == "bad host"
    assert monitor.asked_for("save") == []


async def test_a_name_that_another_server_has_is_refused(app: CanaryApp, opened: Open) -> None:
    async with form_of(app, opened) as (pilot, form):
        form.fill({"name": "billing"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "is the name of another server" in screen_text(pilot))


async def test_what_the_disk_refuses_is_said_and_nothing_typed_is_lost(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.errors["save"] = OSError(28, "No space left on device", "/x/servers.yaml")
    async with form_of(app, opened, "e") as (pilot, form):
        form.fill({"db_user": "somebody"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "/x/servers.yaml: No space left on device" in screen_text(pilot))
        assert app.screen is form
        assert form.field("db_user").value == "somebody"
        del monitor.errors["save"]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.screen is app.home)


async def test_escape_asks_only_when_something_changed(app: CanaryApp, opened: Open) -> None:
    async with form_of(app, opened, "e") as (pilot, _):
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.home)


async def test_escape_after_a_change_asks_and_no_keeps_what_was_typed(app: CanaryApp, opened: Open) -> None:
    async with form_of(app, opened) as (pilot, form):
        await pilot.press(*"shop", "escape")
        await until(pilot, lambda: "Leave without saving?" in screen_text(pilot))
        await pilot.press("n")
        await until(pilot, lambda: app.screen is form)
        assert form.field("name").value == "shop"
        await pilot.press("escape")
        await until(pilot, lambda: "Leave without saving?" in screen_text(pilot))
        await pilot.press("y")
        await until(pilot, lambda: app.screen is app.home)


async def test_switching_the_tunnel_off_hides_its_fields_and_keeps_its_block(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with form_of(app, opened, "e") as (pilot, form):
        assert "SSH Hostname" in screen_text(pilot)
        form.query_one("#ssh-enabled").focus()
        await pilot.press("space")
        await until(pilot, lambda: "SSH Hostname" not in screen_text(pilot))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: monitor.asked_for("save"))
    server = saved(monitor)
    assert server.tunnel is None
    assert server.ssh is not None
    assert server.ssh.host == samples.server().through.split("@")[1]


SECRET = "hunter2"


@pytest.mark.parametrize("field", ["name", "db-host"])
@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://reader:{SECRET}@db.example/app\n",
        f"host=db.example user=reader password={SECRET} dbname=app",
        f"jdbc:mysql://db.example/app?user=reader&password={SECRET}",
        f"export DATABASE_URL='mysql+aiomysql://reader:{SECRET}@db.example/app?pool_recycle=9'",
    ],
)
async def test_each_kind_of_url_is_taken_in_both_fields_without_its_password_being_shown(
    app: CanaryApp, monitor: FakeMonitor, opened: Open, text: str, field: str
) -> None:
    async with form_of(app, opened) as (pilot, form):
        form.query_one(f"#{field}", Input).post_message(events.Paste(text))
        await until(pilot, lambda: form.field("db_user").value == "reader")
        assert (form.field("name").value, form.field("db_host").value) == ("app", "db.example")
        await until(pilot, lambda: "kept in memory" in " ".join(screen_text(pilot).split()))
        assert SECRET not in screen_text(pilot)
        assert "Left out: what is not known here." in screen_text(pilot) or "pool" not in text
        assert all(SECRET not in value for value in form.values.values())


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://reader:{SECRET}@x@db.example/app",
        f"postgresql://reader:{SECRET}/x@db.example/app",
        f"oracle://reader:{SECRET}@db.example/app",
        f"host=db.example password={SECRET} x",
        f"mysql://reader:{SECRET}@a,b/app",
    ],
)
async def test_a_url_that_is_refused_leaves_nothing_of_it_on_the_screen(
    app: CanaryApp, opened: Open, text: str
) -> None:
    async with form_of(app, opened) as (pilot, form):
        before = form.values
        form.query_one("#name", Input).post_message(events.Paste(text))
        await until(pilot, lambda: "is no connection URL that can be read" in screen_text(pilot))
        assert SECRET not in screen_text(pilot)
        assert form.values == before


async def test_a_url_that_is_typed_is_masked_while_it_stands_there(app: CanaryApp, opened: Open) -> None:
    async with form_of(app, opened) as (pilot, form):
        field = form.query_one("#name", Input)
        await pilot.press(*"postgresql", "colon", "slash", "slash", *f"reader:{SECRET}".replace(":", "x"))
        await until(pilot, lambda: field.password)
        assert SECRET not in screen_text(pilot)
        field.value = "orders"
        await until(pilot, lambda: not field.password)
        assert "orders" in screen_text(pilot)


async def test_a_name_that_was_typed_stays_when_a_url_is_pasted_below_it(
    app: CanaryApp, opened: Open
) -> None:
    async with form_of(app, opened) as (pilot, form):
        form.field("name").value = "mine"
        form.query_one("#db-host", Input).post_message(events.Paste("postgresql://db.example/app"))
        await until(pilot, lambda: form.field("db_host").value == "db.example")
        assert form.field("name").value == "mine"


# Engines without a login

OF_A_LOGIN = ["db_name", "db_user", "password_from", "tls", "query"]


def shown(form: ServerForm) -> list[str]:
    return [key for key in OF_A_LOGIN if not form.field(key).has_class("hidden")]


async def test_a_tcp_service_has_no_login_in_its_form_and_needs_a_port(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with form_of(app, opened) as (pilot, form):
        await pilot.press(*"cache", "tab", "right", "right", "tab", *"10.0.0.5", "tab")
        assert form.field("engine").value == "tcp"
        await until(pilot, lambda: not shown(form))
        form.fill({"ssh_host": "jump", "ssh_user": "ana", "query": "", "db_user": "typed before"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "a port (1–65535) is needed" in screen_text(pilot))
        assert monitor.asked_for("save") == []
        form.fill({"db_port": "6379"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: monitor.asked_for("save"))
    server = saved(monitor)
    assert (server.engine, server.database.host, server.database.port) == (Engine.TCP, "10.0.0.5", 6379)
    assert server == server.fitting()


async def test_the_login_comes_back_with_the_engine(app: CanaryApp, opened: Open) -> None:
    async with form_of(app, opened) as (pilot, form):
        form.fill({"db_user": "reader"})
        form.field("engine").value = "tcp"
        await until(pilot, lambda: not shown(form))
        assert form.field("db_port").value == ""
        form.field("engine").value = "mysql"
        await until(pilot, lambda: shown(form) == OF_A_LOGIN)
        assert (form.field("db_user").value, form.field("db_port").value) == ("reader", "3306")


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("tcp://cache.internal:7000", "7000"),
        ("redis://:hunter2@cache.internal/0", "6379"),
        ("mongodb://me:hunter2@cache.internal/d?authSource=admin", "27017"),
        ("jdbc:sqlserver://cache.internal;user=sa;password=hunter2", "1433"),
        ("clickhouse://me:hunter2@cache.internal:9440", "9440"),
    ],
)
async def test_a_url_of_another_service_gives_host_and_port_and_its_password_is_kept_nowhere(
    app: CanaryApp, monitor: FakeMonitor, opened: Open, url: str, port: str
) -> None:
    async with form_of(app, opened) as (pilot, form):
        form.query_one("#name", Input).post_message(events.Paste(url))
        await until(pilot, lambda: form.field("db_host").value == "cache.internal")
        assert (form.field("engine").value, form.field("db_port").value) == ("tcp", port)
        form.fill({"ssh_enabled": "off"})
        assert "hunter2" not in screen_text(pilot) + repr(form.values)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: monitor.asked_for("save"))
        assert "hunter2" not in screen_text(pilot)
    assert saved(monitor).name == "cache.internal"
    assert monitor.asked_for("give_password") == []
    assert "hunter2" not in repr(monitor.asked)
