"""Sentences, and parts of them, that several causes share."""

from __future__ import annotations

RELOAD = "`sudo systemctl reload ssh` (on some systems `sshd`)"
LOG = "`sudo journalctl -u ssh -n 50` (on some systems `-u sshd`)"
LOG_DROPBEAR = "`sudo journalctl -t dropbear -n 50` (OpenWrt: `logread -e dropbear`)"
OPTIONS_DROPBEAR = (
    "(Debian: `DROPBEAR_EXTRA_ARGS` in `/etc/default/dropbear`, then `sudo systemctl restart dropbear`; "
    "OpenWrt: `/etc/config/dropbear`, then `service dropbear restart`)"
)
FLOODED = "The SSH server {ssh_at} sent more than any SSH server does, and canary-tui cut it off."
WHO_FLOODS = (
    "Make sure that {ssh_at} is the server that you mean, and unchanged: compare its host key, and ask its "
    "administrator what runs there."
)
