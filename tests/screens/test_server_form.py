"""The settings form: filling in, checking, saving, leaving."""

from __future__ import annotations

from textual.widgets import Input

from canary_tui.monitor.requests import Save
from canary_tui.servers.model import Engine
from canary_tui.tui.app import CanaryApp
from canary_tui.tui.screens.key_view import KeyView
from canary_tui.tui.screens.server_form import ServerForm
from tests.screens import samples
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor
from tests.screens.forms import form_of, saved


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
    assert monitor.asked_for(Save) == []


async def test_a_name_that_another_server_has_is_refused(app: CanaryApp, opened: Open) -> None:
    async with form_of(app, opened) as (pilot, form):
        form.fill({"name": "billing"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "is the name of another server" in screen_text(pilot))


async def test_what_the_disk_refuses_is_said_and_nothing_typed_is_lost(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    monitor.errors[Save] = OSError(28, "No space left on device", "/x/servers.yaml")
    async with form_of(app, opened, "e") as (pilot, form):
        form.fill({"db_user": "somebody"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "/x/servers.yaml: No space left on device" in screen_text(pilot))
        assert app.screen is form
        assert form.field("db_user").value == "somebody"
        del monitor.errors[Save]
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
        await until(pilot, lambda: monitor.asked_for(Save))
    server = saved(monitor)
    assert server.tunnel is None
    assert server.ssh is not None
    assert server.ssh.host == samples.server().through.split("@")[1]


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
        assert monitor.asked_for(Save) == []
        form.fill({"db_port": "6379"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: monitor.asked_for(Save))
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
