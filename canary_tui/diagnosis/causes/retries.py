"""When a failure is tried again: what a tunnel and a probe do about it, a policy for each kind of cause.

Jumpboxes ban clients that log in every few seconds, and databases block hosts that fail too often: so
network trouble backs off, a refused login waits long, and what only a person can fix is not tried again.
How long each wait is stands in ``monitor/backoff.py``.
"""

from __future__ import annotations

from enum import Enum

import msgspec


class Retry(Enum):
    """How the wait for the next attempt grows."""

    NETWORK = "network"
    """Backs off from half a second to half a minute, for ever."""
    REFUSED = "refused"
    """Was answered with no: once a minute at first, once a quarter of an hour later."""
    BROKEN_OFF = "broken_off"
    """Our limit broke off a handshake. Where the database counts those, ever more seldom; else when it is "
    "due."""
    PERSON = "person"
    """Not tried again until a person acted or the settings changed."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What is done about a cause, by the two that try again by themselves."""

    tunnel: Retry
    """When a tunnel that could not be opened is tried again."""
    probe: Retry | None
    """When the next probe comes; None: when it is due. One that only reports why the tunnel is not open costs
    the SSH server nothing, so it is never put off for that."""
    words: str
    """The same for the manual."""


NETWORK = RetryPolicy(
    tunnel=Retry.NETWORK,
    probe=None,
    words="by itself: a tunnel within 30 s, a probe after its interval",
)
"""Trouble on the way, or on the other side, that may be over at any time."""
SSH_REFUSED = RetryPolicy(
    tunnel=Retry.REFUSED, probe=None, words="after a minute, later every 15 minutes, and when a person asks"
)
"""The SSH server said no to the login."""
SSH_FOR_PERSON = RetryPolicy(
    tunnel=Retry.PERSON,
    probe=None,
    words="when the file or the setting was changed, the host key was trusted, or a person asks",
)
"""No login is tried with a host key that nobody trusts, or with settings or a key that cannot be used."""
DATABASE_REFUSED = RetryPolicy(
    tunnel=Retry.NETWORK,
    probe=Retry.REFUSED,
    words="after a minute, later every 15 minutes, and when a person asks",
)
"""The database, or what stands before it, said no. Some lock an account for it."""
DATABASE_FOR_PERSON = RetryPolicy(
    tunnel=Retry.NETWORK,
    probe=Retry.PERSON,
    words="when the server's settings were changed, a password was given, or a person asks",
)
"""Each try is a login that is refused or a handshake that is dropped, and servers count those: MySQL blocks
the whole jumpbox in the end."""
BREAKS_OFF = RetryPolicy(
    tunnel=Retry.NETWORK,
    probe=Retry.BROKEN_OFF,
    words="after the probe's interval; with MySQL, which counts handshakes that are broken off, ever more "
    "seldom, up to 15 minutes",
)
"""Our own limit ended a handshake that the database had begun."""
