#!/bin/sh
# Sees that the real servers for the tests are here; installs the missing ones through apt, as root.
# What may not be installed is said again by the tests, which skip what needs it.
set -eu
PATH="$PATH:/usr/sbin:/usr/local/sbin"

has_postgres() { command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }

missing=""
command -v sshd >/dev/null || missing="$missing openssh-server"
{ command -v ssh && command -v ssh-keygen; } >/dev/null || missing="$missing openssh-client"
command -v pgbouncer >/dev/null || missing="$missing pgbouncer"
command -v dropbear >/dev/null || missing="$missing dropbear-bin"
has_postgres || missing="$missing postgresql"
{ command -v mariadbd || command -v mysqld; } >/dev/null || missing="$missing mariadb-server"
{ command -v mariadb || command -v mysql; } >/dev/null || missing="$missing mariadb-client"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing:$missing. The tests that need them will be skipped (as root, make test installs them)."
    exit 0
fi

echo "Installing for the tests:$missing (apt is kept from starting them)"
policy=/usr/sbin/policy-rc.d
ours=""
if [ ! -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
trap '[ -z "$ours" ] || rm -f "$policy"' EXIT
trap 'exit 130' INT TERM
export DEBIAN_FRONTEND=noninteractive
# Debian's package makes and starts a cluster of its own; only the programs are wanted.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
log=$(mktemp)
# shellcheck disable=SC2086 - a list of packages
if apt-get update -q >"$log" 2>&1 && apt-get install -y -q --no-install-recommends $missing >>"$log" 2>&1; then
    rm -f "$log"
else
    tail -n 15 "$log"
    echo "They could not be installed; the tests that need them will be skipped."
fi
