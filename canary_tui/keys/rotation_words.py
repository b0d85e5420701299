"""What is said of a change of key: the same sentences on the screens, in the commands and in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from canary_tui.keys.rotation import Step, account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from canary_tui.keys.rotation import OldKey, Tried
    from canary_tui.servers.fleet import Fleet
    from canary_tui.servers.model import Server

WHAT_HAPPENS = (
    "A new key is made; the one in use stays in use. Install the new line beside the old one. Each test "
    "tries the new key; once it works it is used, and you are told which line to remove."
)
OUTCOMES: dict[Step, str] = {
    Step.NOTHING: "No change of key{whose} is under way.",
    Step.FAILED: "The change of key{whose} got no further; nothing was changed.",
    Step.NOT_ACCEPTED: "The new key{which} does not reach the database yet; the old one stays in use.",
    Step.SWITCHED: "The new key{which} works and is in use from now on.",
    Step.STILL_ACCEPTED: "The old key{which} is still accepted.",
    Step.FINISHED: "The old key{which} is refused: the change of key is finished.",
}
NOT_SHOWN = (
    "The old key's line cannot be shown: neither its file nor the .pub beside it can be read. "
    "If the line is still installed, remove it."
)


def outcome(tried: Tried, *, named: bool = False) -> str:
    """Return what a try of the keys came to; ``named``: with the server and the key that was tried."""
    whose = f" of {tried.server}" if named else ""
    which = f"{whose} ({tried.fingerprint})" if named and tried.fingerprint else whose
    return OUTCOMES[tried.step].format(whose=whose, which=which)


def still_needed(old: OldKey) -> str:
    """Return why an old key's line is to stay; empty when it is to be removed."""
    others = ", ".join(old.needed_by)
    return f"The old key's line is still needed by {others}: leave it." if others else ""


def given_up(server: str = "", where: str = "the SSH server") -> tuple[str, str]:
    """Return that a new key is given up, and what is left to do ``where`` its line may be installed."""
    whose = f" of {server}" if server else ""
    return (
        f"The new key{whose} is given up; the old one stays in use.",
        f"If its line is installed already, remove it on {where}.",
    )


def changes_told(before: Fleet, after: Fleet) -> Iterator[tuple[str, str]]:
    """Yield each server whose key was changed between two readings of the file, and the log's words for it.

    So a change is told once, whichever program has made it.
    """
    for server in after.servers:
        was = before.get(server.name)
        if was is not None and was != server and (words := _told(was, server)):
            yield server.name, words


def _told(was: Server, now: Server) -> str:
    if was.ssh is not None and was.ssh.old_key and account(now) != account(was):
        port = "" if was.ssh.port == 22 else f":{was.ssh.port}"
        return (
            f"the SSH account was changed: remove the line of old key {was.ssh.old_key} from "
            f"{was.ssh.user}@{was.ssh.host}{port}, where nothing looks for it any more"
        )
    if was.ssh is None or now.ssh is None:
        return ""
    new, old = now.ssh.next_key, was.key_name
    if was.key_name != now.key_name:
        if now.ssh.old_key == old:
            return f"key {now.key_name} works and is in use now; remove the line of {old} from {now.through}"
        if now.key_name == was.ssh.next_key:
            return f"key {now.key_name} works and is in use now, instead of {old}"
    elif new and new != was.ssh.next_key:
        return f"new key {new} made: install its line beside the old one; it is tried at each test"
    elif was.ssh.next_key and not new:
        return f"new key {was.ssh.next_key} given up; {old} stays in use"
    if was.ssh.old_key and not now.ssh.old_key:
        # A refusal was seen, or a person took the entry out: the file is the same after both.
        return f"old key {was.ssh.old_key} is taken out of the settings: the change of key is over"
    return ""
