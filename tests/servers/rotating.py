"""The steps of a change of key, and what stands on disk after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.monitor.key_trial import attempt
from canary_tui.monitor.rotation import begin
from tests.servers.world import World

if TYPE_CHECKING:
    from canary_tui.keys.rotation import Tried
    from canary_tui.servers.model import SshServer
    from tests.harness.sshd import Sshd


def entries(world: World, name: str = "orders") -> SshServer:
    """The server's SSH block, as it stands on disk."""
    found = world.tools.file.load().get(name)
    assert found is not None
    assert found.ssh is not None
    return found.ssh


async def make(world: World, sshd: Sshd | None = None) -> str:
    """Begin a change of key, install the new line where an sshd is given, and return the new entry."""
    made = await begin(world.tools, "orders")
    assert made.next is not None
    if sshd is not None:
        sshd.authorize(made.next.restricted)
    return entries(world).next_key


async def attempted(world: World, name: str = "orders") -> Tried:
    return await attempt(world.tools, name)


async def works(world: World, name: str = "orders") -> bool:
    """Whether the key in use leads to the database."""
    now = world.tools.file.load().get(name)
    assert now is not None
    return (await world.probe(now)).ok


def without(sshd: Sshd, line: str) -> None:
    """Take a key out of the account's file, as a person would."""
    kept = [one for one in sshd.authorized_keys.read_text().splitlines() if line not in one]
    sshd.authorized_keys.write_text("".join(f"{one}\n" for one in kept))
