"""The demo's servers: what each is, what is to be seen of it, and the servers.yaml that lists them."""

from __future__ import annotations

import msgspec

from canary_tui.demo.postgresql import READER

HOST = "127.0.0.1"
"""Where everything of the demo listens."""
USER = "canary"
"""Who logs in to the SSH server."""
SLOW = 0.3
"""Seconds that the SSH server holds back the first bytes of a connection to ``reports``."""


class DemoServer(msgspec.Struct, frozen=True):
    """One server of the demo and the state that it is in."""

    name: str
    expected: str
    """``ok``, or the cause that a probe names."""
    about: str
    """One sentence for people."""


class Target(msgspec.Struct, frozen=True):
    """Where a name that only the SSH server knows leads: a loopback port, and a delay in seconds."""

    port: int
    delay: float = 0.0


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's loopback ports."""

    postgresql: int
    closed: int
    mariadb: int | None


ORDERS = DemoServer("orders", "ok", "Healthy, through the SSH server.")
INVENTORY = DemoServer("inventory", "ok", "Healthy, reached directly, without SSH.")
REPORTS = DemoServer("reports", "ok", "Up but slow: the SSH server takes its time with every new connection.")
LEGACY = DemoServer(
    "legacy",
    "key_not_accepted",
    "Its key is not installed: add its line to the demo's authorized_keys and it comes up.",
)
ARCHIVE = DemoServer("archive", "database_refused", "Nothing listens on the database's port.")
PAYROLL = DemoServer("payroll", "password_rejected", "The password is a wrong one.")
SHOP = DemoServer("shop", "ok", "Healthy, a MariaDB through the SSH server.")


def demo_servers(ports: Ports) -> tuple[DemoServer, ...]:
    """Return the servers of a demo, in the order of the file; ``shop`` only where there is a MariaDB."""
    servers = (ORDERS, INVENTORY, REPORTS, LEGACY, ARCHIVE, PAYROLL)
    return servers if ports.mariadb is None else (*servers, SHOP)


def targets(ports: Ports) -> dict[str, tuple[str, int, Target]]:
    """Return for each server with a tunnel: host and port as the SSH server knows them, where they lead."""
    postgresql = Target(ports.postgresql)
    found = {
        ORDERS.name: ("orders-db.birdshop.internal", 5432, postgresql),
        REPORTS.name: ("reports-db.birdshop.internal", 5432, Target(ports.postgresql, SLOW)),
        LEGACY.name: ("old-warehouse-db.birdshop.internal", 5432, postgresql),
        ARCHIVE.name: ("archive-db.birdshop.internal", 5432, Target(ports.closed)),
        PAYROLL.name: ("payroll-db.birdshop.internal", 5432, postgresql),
    }
    if ports.mariadb is not None:
        found[SHOP.name] = ("shop-db.birdshop.internal", 3306, Target(ports.mariadb))
    return found


_HEAD = """\
# The servers of `canary demo`: a bird shop's databases, all on this machine, gone when the demo ends.
# Change what you like: the application reads this file again as soon as it is saved.
#
# The SSH server is the demo's own ({ssh_host}, port {ssh_port}). The names below .birdshop.internal are known
# to it alone, as a real jumpbox knows names that your machine does not: `database.host` is what the SSH
# server sees. Who may log in to it is in the file authorized_keys beside this one.
version: 1
defaults:
  probe: {{every: 2s, timeout: 5s}}

servers:
"""

_DATABASE = """\
  # {about}
  - name: {name}
    tags: [{tags}]
    engine: {engine}
    database:
      host: {host}
      port: {port}
      name: {database}
      user: {reader}
      password: {{env: {variable}}}
"""

_SSH = """\
    ssh:
      host: {ssh_host}
      port: {ssh_port}
      user: {ssh_user}
      key: {name}
"""

_DETAILS = {
    ORDERS: ("eu, shop", "orders"),
    INVENTORY: ("eu, warehouse", "inventory"),
    REPORTS: ("eu, analytics", "orders"),
    LEGACY: ("us, warehouse", "inventory"),
    ARCHIVE: ("us, archive", "orders_2019"),
    PAYROLL: ("eu, finance", "payroll"),
    SHOP: ("eu, shop", "shop"),
}


def servers_yaml(ports: Ports, ssh_port: int, variable: str, wrong_variable: str) -> str:
    """Return the text of servers.yaml; the variables are the environment's, with the passwords in them."""
    known = targets(ports)
    entries = []
    for server in demo_servers(ports):
        tags, database = _DETAILS[server]
        tunnel = known.get(server.name)
        host, port = tunnel[:2] if tunnel is not None else (HOST, ports.postgresql)
        entry = _DATABASE + (_SSH if tunnel is not None else "")
        if server is REPORTS:
            entry += "    probe:\n      slow_after: 250ms\n"
        words = {"name": server.name, "about": server.about, "tags": tags, "database": database}
        words |= {"host": host, "port": str(port), "reader": READER}
        words |= {"engine": "mysql" if server is SHOP else "postgresql"}
        words |= {"variable": wrong_variable if server is PAYROLL else variable}
        words |= {"ssh_host": HOST, "ssh_port": str(ssh_port), "ssh_user": USER}
        entries.append(entry.format(**words))
    return _HEAD.format(ssh_host=HOST, ssh_port=ssh_port) + "\n".join(entries)
