"""The host-key question as text: what is offered, what was trusted, how to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.diagnosis.words import host_key_file
from canary_tui.tui.presenters.lines import Line, Span, Tone, bullet, fill, line, wrap
from canary_tui.tui.presenters.words import iso_words

if TYPE_CHECKING:
    from canary_tui.diagnosis.stages import HostKeyOffer, KnownKey

LABEL = 13
COLUMN = 52
"""Cells of a fingerprint (``SHA256:`` and 43 characters) and the gap after it."""


def host_key_lines(offer: HostKeyOffer, width: int) -> list[Line]:
    """Return the whole question, in lines of ``width`` cells."""
    place = offer.host if offer.port == 22 else f"{offer.host} port {offer.port}"
    changed = bool(offer.known)
    if changed:
        said = (
            f"{place} shows ANOTHER host key than the one you trust. Somebody may stand between, "
            "or the server was set up anew. Ask its administrator before you go on."
        )
    else:
        said = f"{place} is not known yet. Is this really its key? Compare once; from then on it is checked."
    lines = [line((text, Tone.BAD if changed else Tone.PLAIN)) for text in wrap(said, width)]
    lines += [line(), *_keys(offer, width), line()]
    lines.append(line("To compare, on the SSH server itself:"))
    lines.append(line((f"  ssh-keygen -lf {host_key_file(offer.key_type)}", Tone.ACCENT)))
    lines += [line(), *_evidence(offer, width)]
    return lines


def _keys(offer: HostKeyOffer, width: int) -> list[Line]:
    """Put the trusted and the offered key side by side; on a narrow screen, one right below the other."""
    old = [(known.fingerprint, _trusted(known)) for known in offer.known]
    new = (offer.fingerprint, f"{offer.key_type}, shown now")
    if len(old) == 1 and width >= 2 * COLUMN:
        ((old_print, old_about),) = old
        return [
            line((fill("Trusted so far", COLUMN), Tone.MUTED), ("Offered now", Tone.MUTED)),
            line(fill(old_print, COLUMN), (new[0], Tone.STRONG)),
            line((fill(old_about, COLUMN), Tone.MUTED), (new[1], Tone.MUTED)),
        ]
    lines: list[Line] = []
    for fingerprint, about in old:
        lines += _one("Trusted", (fingerprint, Tone.PLAIN), about, width)
    return lines + _one("Offered now", (new[0], Tone.STRONG), offer.key_type, width)


def _one(label: str, fingerprint: Span, about: str, width: int) -> list[Line]:
    if width < LABEL + COLUMN - 2:
        return [line((label, Tone.MUTED), f"  {about}"), line(fingerprint)]
    return [
        line((fill(label, LABEL), Tone.MUTED), fingerprint),
        line(" " * LABEL, (about, Tone.MUTED)),
    ]


def _trusted(known: KnownKey) -> str:
    since = f"since {iso_words(known.since)}" if known.since else "the file does not say since when"
    return f"{known.key_type}, {since}"


def _evidence(offer: HostKeyOffer, width: int) -> list[Line]:
    """Return what other known-hosts files say: evidence to weigh, never a decision."""
    if not offer.evidence:
        said = "No other known-hosts file on this machine says anything about this host."
        return [line((text, Tone.MUTED)) for text in wrap(said, width)]
    lines = [line(("Evidence on this machine:", Tone.MUTED))]
    for evidence in offer.evidence:
        lines += bullet(evidence, width)
    return lines
