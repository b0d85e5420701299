"""URLs in the settings form: taken apart, and no password of one shown."""

from __future__ import annotations

import pytest
from textual import events
from textual.widgets import Input

from canary_tui.monitor.requests import GivePassword, Save
from canary_tui.servers.model import PasswordKeyring
from canary_tui.servers.secrets import Secret
from canary_tui.tui.app import CanaryApp
from tests.screens.conftest import Open, screen_text, until
from tests.screens.fake_monitor import FakeMonitor
from tests.screens.forms import form_of, saved


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
        await until(pilot, lambda: monitor.asked_for(GivePassword))
    assert monitor.asked_for(GivePassword) == [GivePassword("orders", Secret("hunter2"))]
    assert "hunter2" not in repr(monitor.asked)


async def test_password_of_a_pasted_url_goes_to_the_keyring_when_that_is_chosen(
    app: CanaryApp, monitor: FakeMonitor, opened: Open
) -> None:
    async with form_of(app, opened) as (pilot, form):
        form.query_one("#name", Input).post_message(events.Paste("mysql://ana:hunter2@db/shop"))
        await until(pilot, lambda: form.field("db_host").value == "db")
        form.fill({"password_from": "keyring", "ssh_enabled": "off"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: monitor.asked_for(Save))
    (save,) = monitor.asked_for(Save)
    assert isinstance(save.server.database.password, PasswordKeyring)
    assert save.keyring_password == Secret("hunter2")
    assert monitor.asked_for(GivePassword) == []


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
        await until(pilot, lambda: monitor.asked_for(Save))
        assert "hunter2" not in screen_text(pilot)
    assert saved(monitor).name == "cache.internal"
    assert monitor.asked_for(GivePassword) == []
    assert "hunter2" not in repr(monitor.asked)
