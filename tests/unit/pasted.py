"""What the parts of a pasted URL hold."""

from __future__ import annotations

import pytest

from canary_tui.tui.presenters.urls import UrlParts, parse_url


def password(parts: UrlParts) -> str:
    return parts.password.reveal() if parts.password else ""


def refusal(text: str) -> str:
    """Return why a URL is refused."""
    with pytest.raises(ValueError, match="is no connection URL that can be read: ") as refused:
        parse_url(text)
    return str(refused.value)
