"""What the parts of a pasted URL hold."""

from __future__ import annotations

from canary_tui.tui.presenters.urls import UrlParts


def password(parts: UrlParts) -> str:
    return parts.password.reveal() if parts.password else ""
