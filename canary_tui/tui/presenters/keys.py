"""The key view's text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from canary_tui.tui.presenters.lines import Line, Tone, line
from canary_tui.tui.presenters.words import ago, day_words

if TYPE_CHECKING:
    from canary_tui.keys.authorized import KeyInfo


class Section(NamedTuple):
    """A piece of the page; ``kind`` is its style."""

    id: str
    kind: str
    lines: tuple[Line, ...]


def key_sections(info: KeyInfo, now: float) -> tuple[str, tuple[Section, ...]]:
    """Return the key's age and the page: fingerprint, line to install, steps, command, bare key."""
    age = f"made {day_words(info.created)}, {ago(info.created, now)}"
    steps = [_step(text) for text in info.steps]
    note = [line(("▲ ", Tone.WARN), info.limits_note)] if info.limits_note else []
    sections = (
        Section(
            "restricted-title", "section", (_title("Install this line", "c", "limited to this database"),)
        ),
        Section("restricted", "copyable", (line(info.restricted),)),
        Section("limits", "note", tuple(note)),
        Section("steps-title", "section", (_title("Step by step, on the SSH server", "", ""),)),
        Section("steps", "steps", tuple(steps)),
        Section("script-title", "section", (_title("Or all of it at once", "C", "safe to run twice"),)),
        Section("script", "copyable", tuple(line(text) for text in info.script.splitlines())),
        Section(
            "line-title", "section", (_title("The bare key", "l", "no limits; install it only if you must"),)
        ),
        Section("line", "copyable", (line(info.line),)),
        Section(
            "about",
            "section",
            (
                line(("Fingerprint  ", Tone.MUTED), info.fingerprint),
                line(("Private key  ", Tone.MUTED), info.path),
            ),
        ),
    )
    return age, tuple(section for section in sections if section.lines)


def _title(words: str, key: str, note: str) -> Line:
    return line(
        (words, Tone.STRONG),
        (f"   {key}", Tone.ACCENT) if key else "",
        (" copies" if key else "", Tone.MUTED),
        (f" · {note}" if note else "", Tone.MUTED),
    )


def _step(text: str) -> Line:
    """Set a step's number and its command, in backticks, off from the sentence; the command begins a line."""
    number, _, rest = text.partition(" ")
    sentence, _, command = rest.partition("`")
    return line(
        (f"{number} ", Tone.ACCENT),
        sentence.rstrip(),
        (f"\n   {command.rstrip('`')}" if command else "", Tone.ACCENT),
    )
