"""How many log in to one SSH server at a time."""

from __future__ import annotations

from canary_tui.monitor.gates import LOGINS_AT_ONCE, LoginGates
from canary_tui.servers.model import Database, Engine, Server, SshServer


def server(name: str, ssh: SshServer | None) -> Server:
    return Server(name=name, engine=Engine.MYSQL, database=Database(host="db", port=3306), ssh=ssh)


async def test_servers_behind_one_ssh_host_and_port_share_a_gate_whatever_the_user_or_spelling() -> None:
    gates = LoginGates()
    gate = gates.of(server("a", SshServer(host="bastion", user="one")))
    assert gates.of(server("b", SshServer(host="Bastion", user="two"))) is gate
    assert gates.of(server("c", SshServer(host="bastion", port=2222, user="one"))) is not gate
    for _ in range(LOGINS_AT_ONCE):
        assert not gate.locked()
        await gate.acquire()
    assert gate.locked()


async def test_a_direct_server_waits_for_no_other() -> None:
    gates = LoginGates()
    off = SshServer(enabled=False, host="bastion", user="one")
    assert len({id(gates.of(server(name, ssh))) for name, ssh in (("a", None), ("b", None), ("c", off))}) == 3
