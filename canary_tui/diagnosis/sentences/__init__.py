"""The catalogue's sentences, a file for each part of the way."""

from __future__ import annotations

from canary_tui.diagnosis.sentences import database, here, session, ssh

ENTRIES = (
    here.SETTINGS
    | here.RESOLVE
    | here.CONNECT
    | ssh.HANDSHAKE
    | ssh.HOST_KEY
    | ssh.AUTH
    | database.FORWARD
    | database.DATABASE
    | session.TLS
    | session.LOGIN
    | session.QUERY
    | session.ANYWHERE
)
"""Every cause of the contract."""
