"""When a failure is retried, by a tunnel and by a probe: one policy for each kind of cause.

Jumpboxes ban clients that log in every few seconds, and databases block hosts that fail too often: so
network trouble is retried with back-off, a refused login after a long wait, and what only a person can fix
not at all. ``monitor/backoff.py`` computes the waits.
"""

from __future__ import annotations

from enum import Enum

import msgspec


class Retry(Enum):
    """How the wait for the next attempt grows."""

    NETWORK = "network"
    """Backs off from half a second to half a minute, forever."""
    REFUSED = "refused"
    """Refused by the server: once a minute at first, later once every 15 minutes."""
    BROKEN_OFF = "broken_off"
    """Our time limit broke off a handshake. If the database counts those, less and less often; otherwise when
    the next probe is due."""
    PERSON = "person"
    """Not retried until a person acts or the settings change."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a tunnel and a probe, which both retry by themselves, do so after a cause."""

    tunnel: Retry
    """When a tunnel that could not be opened is retried."""
    probe: Retry | None
    """When the next probe runs; None: at its interval. A probe that only reports why the tunnel is not open
    costs the SSH server nothing, so it is never delayed for that."""
    words: str
    """The same, in words for the manual."""


NETWORK = RetryPolicy(
    tunnel=Retry.NETWORK,
    probe=None,
    words="by itself: a tunnel within 30 s, a probe after its interval",
)
"""Trouble in the network, or on the other side, that may pass at any time."""
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
"""The database, or a proxy in front of it, said no. Some lock an account after several tries."""
DATABASE_FOR_PERSON = RetryPolicy(
    tunnel=Retry.NETWORK,
    probe=Retry.PERSON,
    words="when the server's settings were changed, a password was given, or a person asks",
)
"""Each attempt is a refused login or a dropped handshake, and servers count those: MySQL ends up blocking
the whole jumpbox."""
BREAKS_OFF = RetryPolicy(
    tunnel=Retry.NETWORK,
    probe=Retry.BROKEN_OFF,
    words="after the probe's interval; with MySQL, which counts handshakes that are broken off, ever more "
    "seldom, up to 15 minutes",
)
"""Our own limit ended a handshake that the database had begun."""
