"""Sentences, and parts of them, that several causes share."""

from __future__ import annotations

from canary_tui.diagnosis.causes.row import mysql, postgresql

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
LOG_POSTGRESQL = postgresql(
    "See the reason in the database's log on {db_host}: `sudo journalctl -u 'postgresql*' -n 50`, or the "
    "files in `/var/log/postgresql`."
)
LOG_MYSQL = mysql(
    "See the reason in the database's log on {db_host}: `sudo journalctl -u mysql -n 50` (or `-u "
    "mariadb`), or the files in `/var/log/mysql`."
)
ACCOUNTS = "(ADDRESS: as `SELECT user, host FROM mysql.user;` shows it)"
