"""Through a real terminal: keys that come at once end where the same keys lead when typed slowly."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Sequence

import pytest

from canary_tui.monitor.requests import SetEnabled
from tests.harness.ports import wait_for
from tests.typing.terminal import Driven

GAPS = (0.0, 0.001, 0.005, 0.015, 0.05)
QUICK = (0.0, 0.005)
PLACES: dict[str, tuple[str, ...]] = {
    "list": (),
    "filter": ("/",),
    "new server": ("a",),
    "form": ("j", "e"),
    "delete": ("D",),
    "password": ("P",),
    "host key": ("N", "h"),
    "key": ("p",),
    "log": ("L",),
    "palette": ("ctrl+p",),
}
LETTERS = [*string.ascii_lowercase.replace("q", "").replace("s", ""), *"DEPRXLNGCé0123"]
NAMED = [
    *("tab", "tab", "tab", "shift+tab", "backspace", "backspace", "escape", "escape", "enter", "enter"),
    *("up", "down", "down", "left", "right", "right", "home", "end", "pageup", "pagedown", "delete", "space"),
    *("/", "/", "?", "!", "ctrl+p", "ctrl+s", "ctrl+u", "D", "P", "f1", "paste:pasted text", "paste:host:22"),
]
LIST = {"screen": "ServerList", "path": [], "focus": "fleet", "#filter": "", "#fleet": 0}
CLIENT = "#!/bin/sh\necho begun >> runs\nread line\n"
"""What ``s`` runs here: it ends when a line was typed."""


def sequence(order: random.Random, place: str) -> list[str]:
    """Return keys that begin in a place: words and single keys, mixed; one in ten ends with quit."""
    keys: list[str] = [*PLACES[place]]
    while len(keys) < 14:
        letters = order.choices(LETTERS, k=order.randint(1, 4))
        keys += letters if order.random() < 0.4 else [order.choice(NAMED)]
    return keys + (["q", "e"] if order.random() < 0.1 else [])


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
    """A terminal with the application."""
    folder = tmp_path_factory.mktemp("typed")
    client = folder / "client"
    client.write_text(CLIENT)
    client.chmod(0o700)
    (folder / "cwd").mkdir()
    driven = Driven(folder / "cwd")
    yield driven
    driven.close()


def _wrong(terminal: Driven, place: str, number: int, gaps: Sequence[float]) -> list[str]:
    """Return in what the state after some keys differs, typed so fast, from that after typing them slowly."""
    order = random.Random(f"{place} {number}")  # noqa: S311 - the same keys in every run
    keys = sequence(order, place)
    slowly = terminal.result(keys, None)
    found = []
    for gap in gaps:
        state = terminal.result(keys, gap)
        if state != slowly:
            differs = {key: (slowly[key], state.get(key)) for key in slowly if slowly[key] != state.get(key)}
            found.append(f"{place} {number}, {gap} s apart, {keys}: slowly and so {differs}")
    return found


@pytest.mark.parametrize("place", PLACES)
def test_any_keys_end_as_if_typed_slowly(terminal: Driven, place: str) -> None:
    assert _wrong(terminal, place, 0, QUICK) == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("place", PLACES)
def test_a_thousand_sequences_end_as_if_typed_slowly(terminal: Driven, place: str) -> None:
    assert [wrong for number in range(100) for wrong in _wrong(terminal, place, number, GAPS)] == []


# What went wrong once


@pytest.mark.parametrize("gap", QUICK)
def test_the_filter_is_what_was_typed_after_the_slash(terminal: Driven, gap: float) -> None:
    state = terminal.result("/delivery", gap)
    assert state["screens"] == [{**LIST, "focus": "filter", "#filter": "delivery"}]
    assert state["asked"] == []


@pytest.mark.parametrize("gap", QUICK)
@pytest.mark.parametrize("password", ["daisy", "Dq?/jé !", "paste:d$i'sy"])
def test_the_password_is_what_was_typed_after_its_key(terminal: Driven, gap: float, password: str) -> None:
    keys = [password] if password.startswith("paste:") else password
    state = terminal.result(["P", *keys, "enter", "j", "D"], gap)
    assert state["passwords"] == [password.removeprefix("paste:")]
    assert [screen["screen"] for screen in state["screens"]] == ["ServerList", "Decision"]
    assert state["screens"][0]["#fleet"] == 1


@pytest.mark.parametrize("gap", QUICK)
def test_the_client_runs_once(terminal: Driven, gap: float) -> None:
    terminal.reset()
    terminal.type("ss", gap)
    wait_for((terminal.cwd / "runs").exists, 20)
    terminal.type(["enter"], 0.01)
    state = terminal.state(all_came=False)
    assert (terminal.cwd / "runs").read_text() == "begun\n"
    assert state["screens"] == [LIST]


@pytest.mark.parametrize("gap", QUICK)
def test_many_deletes_open_one_question(terminal: Driven, gap: float) -> None:
    state = terminal.result("DDDD", gap)
    assert [screen["screen"] for screen in state["screens"]] == ["ServerList", "Decision"]
    assert state["screens"][1]["focus"] == "cancel"
    assert state["rows"] == terminal.reset()["rows"]


@pytest.mark.parametrize("gap", QUICK)
@pytest.mark.parametrize("then", ["eDP", "oq", "sss?"])
def test_nothing_is_carried_out_after_quit(terminal: Driven, gap: float, then: str) -> None:
    rows = terminal.reset()["rows"]
    terminal.seen.clear()
    state = terminal.result(["q", *then], gap)
    assert state["gone"]
    assert state["rows"] == rows
    assert state["asked"] == []
    assert b"Traceback" not in terminal.seen


@pytest.mark.parametrize("gap", QUICK)
def test_a_click_hits_what_the_keys_before_it_brought_there(terminal: Driven, gap: float) -> None:
    keys = ["click:9:7", "p", "escape", *"/e", "click:9:8", "y"]
    state = terminal.result(keys, gap)
    assert (state["screens"][0]["focus"], state["screens"][0]["#filter"]) == ("fleet", "e")
    assert state["clipboard"] == "postgresql://canary_reader@10.0.3.12:5432/orders"
    keys = ["D", "click:1:1", "escape", "click:9:6", "o"]
    assert terminal.result(keys, gap)["asked"] == [repr(SetEnabled("reports", False))]


def _form(order: random.Random) -> tuple[list[str], dict[str, str]]:
    """Return keys that fill a form in, and what stands in its fields then."""

    def word(letters: int) -> str:
        return "".join(order.choices(string.ascii_lowercase + string.digits, k=letters))

    name, host, database, user, bastion, me = (word(order.randint(3, 6)) for _ in range(6))
    port, ssh_port = (str(order.randint(1024, 65535)) for _ in range(2))
    keys = ["a", *name, "tab", "tab", *host, "tab", *["backspace"] * 6, *port, "tab", *database, "tab", *user]
    keys += [*["tab"] * 5, *bastion, order.choice(["tab", "down", "enter"]), *["backspace"] * 3, *ssh_port]
    keys += ["tab", *me]
    fields = {"#name": name, "#db-host": host, "#db-port": port, "#db-name": database, "#db-user": user}
    return keys, {**fields, "#ssh-host": bastion, "#ssh-port": ssh_port, "#ssh-user": me}


def _lost(terminal: Driven, number: int, gap: float) -> str:
    keys, fields = _form(random.Random(number))  # noqa: S311 - the same keys in every run
    screen = terminal.result(keys, gap)["screens"][-1]
    found = {name: screen.get(name) for name in fields}
    return "" if found == fields else f"{number}, {gap} s apart: {fields} became {found}"


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.05])
def test_a_form_has_all_that_was_typed(terminal: Driven, gap: float) -> None:
    assert not any(_lost(terminal, number, gap) for number in range(1))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("gap", [0.0, 0.01, 0.05])
def test_a_form_has_all_that_was_typed_in_a_thousand_runs(terminal: Driven, gap: float, part: int) -> None:
    runs = range(part * 250, part * 250 + 250)
    assert [lost for number in runs if (lost := _lost(terminal, number, gap))] == []
