"""The key view's text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from canary_tui.diagnosis.stages import Cause
from canary_tui.keys import rotation_words as words
from canary_tui.keys.rotation import Step
from canary_tui.tui.presenters.lines import Line, Tone, line
from canary_tui.tui.presenters.words import ago, day_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.diagnosis.stages import Failure
    from canary_tui.keys.authorized import KeyInfo
    from canary_tui.keys.rotation import OldKey, Rotation, Tried


class Section(NamedTuple):
    """A piece of the page; ``kind`` is its style."""

    id: str
    kind: str
    lines: tuple[Line, ...]


def key_sections(info: KeyInfo | None, rotation: Rotation, now: float) -> tuple[str, tuple[Section, ...]]:
    """Return the key's age, and the page from top to bottom.

    While a new key is tried, the line to install, the steps and the command are the new key's. ``info``
    is None where the key in use cannot be shown.
    """
    new = rotation.next
    parts = [*_new_key(rotation), *_old_key(rotation)]
    if new is not None:
        parts += [*_install(new), *_in_use(info)]
    elif info is not None:
        parts += [*_install(info), Section("about", "section", _about(info))]
    shown = new or info
    age = f"made {day_words(shown.created)}, {ago(shown.created, now)}" if shown else ""
    return age, tuple(section for section in parts if section.lines)


def _install(info: KeyInfo) -> Iterator[Section]:
    """The line to install, the steps, one command, the bare key."""
    yield Section(
        "restricted-title", "section", (_title("Install this line", "c", "limited to this database"),)
    )
    yield Section("restricted", "copyable", (line(info.restricted),))
    note = [line(("▲ ", Tone.WARN), info.limits_note)] if info.limits_note else []
    yield Section("limits", "note", tuple(note))
    yield Section("steps-title", "section", (_title("Step by step, on the SSH server", "", ""),))
    yield Section("steps", "steps", tuple(_step(text) for text in info.steps))
    yield Section("script-title", "section", (_title("Or all of it at once", "C", "safe to run twice"),))
    yield Section("script", "copyable", tuple(line(text) for text in info.script.splitlines()))
    bare = _title("The bare key", "l", "no limits; install it only if you must")
    yield Section("line-title", "section", (bare,))
    yield Section("line", "copyable", (line(info.line),))


def _new_key(rotation: Rotation) -> Iterator[Section]:
    """What a new key is there for; why it, or the old one, cannot be shown."""
    if rotation.trouble:
        whose = "new" if rotation.pending else "old"
        yield Section("key-trouble", "note", (line((f"✕ The {whose} key: {rotation.trouble}", Tone.BAD)),))
    if rotation.next is None:
        return
    yield Section("next-title", "section", (line(("New key: not in use yet", Tone.WARN)),))
    note = line(
        "Install its line beside the old one, which stays in use. Each test tries it, and ",
        ("R", Tone.ACCENT),
        " tries it now: once it works it is used. ",
        ("X", Tone.ACCENT),
        " gives it up. Until then c, C, l and w are for the new key.",
    )
    yield Section("next-note", "note", (note,))
    yield Section("next-about", "steps", _about(rotation.next))


def _in_use(info: KeyInfo | None) -> Iterator[Section]:
    """The key that still does the work while another is tried."""
    if info is not None:
        yield Section("about-title", "section", (line(("The key in use until then", Tone.STRONG)),))
        yield Section("about", "steps", _about(info))


def _old_key(rotation: Rotation) -> Iterator[Section]:
    """The line that is to be removed after a change of key."""
    old = rotation.old
    if old is None:
        return
    if kept := words.still_needed(old):
        yield Section("old-title", "section", (line(("Old key", Tone.WARN)),))
        yield Section("old-note", "note", (line(kept),))
        return
    yield Section("old-title", "section", (line(("Old key: remove this line", Tone.WARN)),))
    note = line(
        f"It stands in ~/.ssh/authorized_keys of {old.account}, with options before it. ",
        ("R", Tone.ACCENT),
        " checks whether the old key is refused; so does each test.",
    )
    yield Section("old-note", "note", (note,))
    yield Section("old-line", "copyable", (line(old.line),))
    script = _title("Or remove it by this command, there", "o", "safe to run twice")
    yield Section("old-script-title", "section", (script,))
    yield Section("old-script", "copyable", (line(old.script),))
    yield Section("old-about", "steps", _about(old))


def _about(key: KeyInfo | OldKey) -> tuple[Line, ...]:
    return (
        line(("Fingerprint  ", Tone.MUTED), key.fingerprint),
        line(("Private key  ", Tone.MUTED), key.path),
    )


def tried_lines(tried: Tried) -> list[Line]:
    """Return what a try of the new or the old key has shown, and what is to be done now."""
    said = words.outcome(tried)
    match tried.step:
        case Step.NOTHING:
            return [line((said, Tone.MUTED))]
        case Step.SWITCHED:
            return [_good(said), line(_what_goes(tried.old))]
        case Step.FINISHED:
            return [_good(said)]
        case Step.STILL_ACCEPTED:
            return [_bad(said), line(_what_goes(tried.old))]
        case Step.NOT_ACCEPTED:
            why = [line("Install its line beside the old one's.")]
            if tried.failure is not None and tried.failure.cause is Cause.FORWARDING_NOT_PERMITTED:
                why = [line(tried.failure.summary)]
            return [_bad(said), *why]
        case Step.FAILED:
            return [_bad(said), *_why(tried.failure)]


def _what_goes(old: OldKey | None) -> str:
    if old is None:
        return words.NOT_SHOWN
    if kept := words.still_needed(old):
        return kept
    if old.lost:
        return f"Now remove the old key's line from {old.account}; it is not shown again: {old.line}"
    return f"Now remove the old key's line from {old.account}: the key view shows it."


def _good(said: str) -> Line:
    return line(("✓ ", Tone.GOOD), (said, Tone.GOOD))


def _bad(said: str) -> Line:
    return line(("▲ ", Tone.WARN), (said, Tone.WARN))


def _why(failure: Failure | None) -> list[Line]:
    if failure is None:
        return []
    detail = line(failure.summary, (f" ({failure.detail})" if failure.detail else "", Tone.MUTED))
    return [detail, *(line(("- ", Tone.ACCENT), remedy) for remedy in failure.remedies)]


def _title(text: str, key: str, note: str) -> Line:
    return line(
        (text, Tone.STRONG),
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
