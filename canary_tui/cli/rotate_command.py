"""``canary rotate``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from canary_tui.cli.common import ServerName, find_server, open_tools, path_words
from canary_tui.diagnosis.catalogue import stage_title
from canary_tui.keys import rotation_words as words
from canary_tui.keys.rotation import Step
from canary_tui.servers.file import NotListed

if TYPE_CHECKING:
    from canary_tui.keys.rotation import OldKey, Rotation, Tried
    from canary_tui.paths import Paths
    from canary_tui.servers.model import Server


@click.command("rotate")
@click.argument("name", type=ServerName())
@click.option(
    "--check",
    is_flag=True,
    help="Try the new key, and use it once it works; then see whether the old one is refused.",
)
@click.option("--cancel", is_flag=True, help="Give up a new key that is not in use yet; it is moved aside.")
@click.pass_obj
def command(paths: Paths, name: str, check: bool, cancel: bool) -> int:
    """Change a server's key while the old one stays in use: make a new key and print the line to install.

    Install the line beside the old one, then --check: once the new key has been seen to work it is used,
    and the old key's line is printed, to be removed. --check again checks that the old key is refused. Each
    connection test tries the keys too. --cancel gives a new key up that is not in use yet. Exit status 1
    when the new key is not accepted yet, or the old one still is.
    """
    from canary_tui.monitor.rotation import CannotRotate

    if check and cancel:
        raise click.UsageError("give one of --check and --cancel")
    server = find_server(paths, name)
    if server.tunnel is None:
        raise click.UsageError(f"{name} is reached directly; it has no SSH key")
    try:
        if check:
            return asyncio.run(_check(paths, server))
        return asyncio.run(_cancel(paths, server) if cancel else _begin(paths, server))
    except CannotRotate as error:
        raise click.ClickException(str(error)) from None
    except (KeyError, NotListed):
        raise click.ClickException(f"{name} has just been taken out of {path_words(paths.servers)}") from None


async def _begin(paths: Paths, server: Server) -> int:
    from canary_tui.monitor.key_trial import learn_version
    from canary_tui.monitor.quiet import to_the_log
    from canary_tui.monitor.rotation import begin

    asyncio.get_running_loop().set_exception_handler(to_the_log)
    tools = open_tools(paths)
    # An sshd ignores a line with an option that it does not know: this process has seen no version yet.
    await learn_version(tools, server)
    found = await begin(tools, server.name)
    if found.next is None:
        _say(f"The new key of {server.name} cannot be shown: {found.trouble}.")
        _say(f"canary rotate {server.name} --cancel gives it up; then begin again.")
        return 1
    click.echo(found.next.restricted)
    _say(_made(server, found))
    if found.next.limits_note:
        _say(found.next.limits_note)
    _say(f"Install this line on {server.through}, beside the old one, which stays in use. Then:")
    _say(f"  canary rotate {server.name} --check")
    return 0


def _made(server: Server, found: Rotation) -> str:
    key = found.next.fingerprint if found.next else ""
    if found.made:
        return f"A new key of {server.name} is made: {key}."
    return f"A new key of {server.name} is waiting already to be seen working: {key}."


async def _cancel(paths: Paths, server: Server) -> int:
    from canary_tui.monitor.rotation import give_up

    aside = await give_up(open_tools(paths), server.name)
    given_up, left_to_do = words.given_up(server.name, server.through)
    _say(given_up)
    if aside is not None:
        _say(f"It is kept at {path_words(aside)}.")
    _say(left_to_do)
    return 0


async def _check(paths: Paths, server: Server) -> int:
    from canary_tui.monitor.key_trial import attempt
    from canary_tui.monitor.quiet import to_the_log

    asyncio.get_running_loop().set_exception_handler(to_the_log)
    tried = await attempt(open_tools(paths), server.name)
    _report(server, tried)
    return 0 if tried.good else 1


def _report(server: Server, tried: Tried) -> None:
    """Say what was seen. The line to remove, where there is one, is all that goes to stdout."""
    name = server.name
    _say(words.outcome(tried, named=True))
    match tried.step:
        case Step.NOTHING:
            _say(f"canary rotate {name} begins one.")
        case Step.NOT_ACCEPTED:
            _say_failure(tried)
            _say(f"canary rotate {name} prints the line to install on {server.through}.")
        case Step.FAILED:
            _say_failure(tried)
            for remedy in tried.failure.remedies if tried.failure else ():
                _say(f"  - {remedy}")
        case Step.SWITCHED | Step.STILL_ACCEPTED:
            _say_what_goes(tried.old)
        case Step.FINISHED if tried.aside:
            _say(f"The old key is kept at {path_words(tried.aside)}.")


def _say_what_goes(old: OldKey | None) -> None:
    if old is None:
        _say(words.NOT_SHOWN)
    elif kept := words.still_needed(old):
        _say(kept)
    else:
        click.echo(old.line)
        _say(f"Remove this line, whatever stands before it, from ~/.ssh/authorized_keys of {old.account}.")
        _say(f"Its fingerprint is {old.fingerprint}. Or run this command there:")
        _say(f"  {old.script}")
        if old.lost:
            _say("Its private key is gone, so nothing checks that it is refused.")


def _say_failure(tried: Tried) -> None:
    failure = tried.failure
    if failure is not None:
        _say(f"{stage_title(failure.stage, direct=False)}: {failure.summary}")
        if failure.detail:
            _say(f"({failure.detail})")


def _say(text: str) -> None:
    click.echo(text, err=True)
