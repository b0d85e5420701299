"""What a terminal sends, in any pieces, is the keys and pastes that were typed."""

from __future__ import annotations

import random
import string
from collections.abc import Iterable

import pytest
from textual import events

from canary_tui.tui import terminal_input
from canary_tui.tui.terminal_input import TerminalInput

SEQUENCES = {
    "up": "\x1b[A",
    "shift+tab": "\x1b[Z",
    "delete": "\x1b[3~",
    "f1": "\x1bOP",
    "ctrl+right": "\x1bf",
    "insert": "\x1b[2~",
    "enter": "\r",
    "tab": "\t",
    "backspace": "\x7f",
    "escape": "\x1b",
}


class Clock:
    """A clock that is set."""

    now = 1000.0

    def monotonic(self) -> float:
        """Return the time that was set."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the terminal's input."""
    found = Clock()
    monkeypatch.setattr(terminal_input, "time", found)
    return found


def names(messages: Iterable[object]) -> list[str]:
    """Return keys by name, pastes with their text."""
    found = []
    for message in messages:
        if isinstance(message, events.Key):
            found.append(message.key)
        elif isinstance(message, events.Paste):
            found.append(f"paste:{message.text}")
    return found


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("\x1bj", ["escape", "j"]),
        ("\x1bDDyd\r", ["escape", "D", "D", "y", "d", "enter"]),
        ("/ab\x1bj\x1b[B\x1bq", ["slash", "a", "b", "escape", "j", "down", "escape", "q"]),
        ("\x1b\x1b\x1bx", ["escape", "escape", "escape", "x"]),
        ("\x1b\t\x1b\r\x1b1", ["escape", "tab", "escape", "enter", "escape", "1"]),
        ("\x1b/\x1b?", ["escape", "slash", "escape", "question_mark"]),
        ("\x1bé", ["escape", "é"]),
        ("\x1b\x1b[A", ["escape", "up"]),
        ("\x1b[200~one\x1b[201~", ["paste:one"]),
        ("a\x1b\x1b[200~x\x1b[201~b", ["a", "escape", "paste:x", "b"]),
        # Pasted text is text: nothing of it runs.
        ("\x1b[200~a\x1bD\t\rq\x1b[A\x1b[qqD\x1b[201~z", ["paste:a\x1bD\t\rq\x1b[A\x1b[qqD", "z"]),
        ("\x1b[200~" + "\x1b[" + "D\t\r" * 40 + "\x1b[201~", ["paste:\x1b[" + "D\t\r" * 40]),
        ("\x1b[200~\x1b[200~\x1b[201~", ["paste:\x1b[200~"]),
        ("\x1b[200~\x00\x1b[201~", ["paste:"]),
        # By words, in a text field.
        ("\x1bb\x1bf\x1b\x7f", ["ctrl+left", "ctrl+right", "ctrl+w"]),
        ("\x1b[97;3u", ["alt+a"]),
    ],
)
def test_keys_are_those_that_were_typed(sent: str, meant: list[str]) -> None:
    assert names(TerminalInput().feed(sent)) == meant
    # In whatever pieces they are read.
    for at in range(1, len(sent)):
        both = TerminalInput()
        assert names([*both.feed(sent[:at]), *both.feed(sent[at:])]) == meant, sent[:at]
    one = TerminalInput()
    assert names(message for char in sent for message in one.feed(char)) == meant


def test_escape_alone_comes_when_nothing_follows(clock: Clock) -> None:
    parser = TerminalInput()
    assert names([*parser.feed("a\x1b"), *parser.tick()]) == ["a"]
    clock.now += 0.1
    assert names(parser.tick()) == ["escape"]
    assert names([*parser.tick(), *parser.feed("[A")]) == ["left_square_bracket", "A"]


def test_a_paste_without_an_end_takes_no_keys_for_ever(clock: Clock) -> None:
    parser = TerminalInput()
    assert names([*parser.feed("\x1b[200~half\x1b[2"), *parser.tick()]) == []
    clock.now += 1
    assert names(parser.tick()) == []
    clock.now += 2
    assert names([*parser.tick(), *parser.feed("q")]) == ["paste:half\x1b[2", "q"]


def test_any_keys_in_any_pieces() -> None:
    order = random.Random(7)  # noqa: S311 - the same keys in every run
    for _ in range(500):
        typed, sent = [], ""
        for _ in range(order.randint(1, 20)):
            if order.random() < 0.5:
                key = order.choice(string.ascii_letters.replace("O", "").replace("b", "").replace("f", ""))
                text = key
            elif order.random() < 0.2:
                text = "".join(order.choices("ab \x1b\r\t[D~", k=5))
                key, text = f"paste:{text}", f"\x1b[200~{text}\x1b[201~"
            else:
                key, text = order.choice(list(SEQUENCES.items()))
                if key == "backspace" and sent.endswith("\x1b"):
                    continue
            typed.append(key)
            sent += text
        parser, found = TerminalInput(), []
        while sent:
            piece = order.randint(1, 12)
            found += names(parser.feed(sent[:piece]))
            sent = sent[piece:]
        last = ["escape"] if parser._rest == "\x1b" else []
        assert found + last == typed
