"""``canary``: the application when called alone, else one command."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from canary_tui.cli import output
from canary_tui.defects import catch_what_escapes
from canary_tui.ending import ENDING_SIGNALS, Ending, leave_in_time
from canary_tui.paths import Paths
from canary_tui.surroundings import keep_private, put_right

COMMANDS = {
    "add": "Add a server, make its key and print the line to install.",
    "allow": "Allow what a servers file from elsewhere would run.",
    "audit": "Prove what a server's key can and cannot do.",
    "connect": "Open a server's tunnel, for a command or until Ctrl-C.",
    "demo": "Look around: a small fleet of real servers in every state.",
    "incidents": "List what broke, for how long, and what ended it.",
    "key": "Print a server's public key, or how to install it.",
    "list": "List the servers and how they are reached.",
    "log": "Print what happened to servers, from the history.",
    "password": "Keep a database password in the system's keyring.",
    "probe": "Probe servers once and say what is wrong.",
    "remove": "Remove a server; its key is moved aside.",
    "rotate": "Change a server's key, the old one staying in use until the new one works.",
    "trust": "Look at an SSH server's host key and decide.",
    "watch": "Hold the tunnels and probe without screens, for a service.",
}
EPILOG = """Exit status: 0 all well; 1 a probe, an audit, a tunnel or a change of key failed; 2 wrong usage,
or a file that cannot be read or written; 130 interrupted."""
BROKEN_PIPE = 141
"""128 + SIGPIPE: what a shell says of a program whose output nobody reads any more."""
UNWRITTEN = 2


class Commands(click.Group):
    """A group whose commands are imported when they are called: ``canary --help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"canary_tui.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. One whose output nobody reads any more ends as SIGPIPE would have ended it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise click.exceptions.Exit(BROKEN_PIPE) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(
    cls=Commands,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Another servers.yaml (or CANARY_CONFIG).",
)
@click.version_option(package_name="canary-tui", prog_name="canary")
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """Hold SSH tunnels to databases behind jumpboxes, probe them the whole way, and say which hop broke.

    Without a command the application opens.
    """
    if os.environ.get("NO_COLOR"):  # https://no-color.org: set and not empty
        context.color = False
    context.obj = Paths.of_user(config)
    if context.invoked_subcommand is None:
        from canary_tui.cli.application import open_application

        context.exit(open_application(context.obj))


def main() -> None:
    """Run the command line; ends the process with the contract's exit status."""
    put_right()
    keep_private()
    output.install()
    catch_what_escapes(_state())
    # Ctrl-C means something to prompts and to asyncio, and SIGTERM ends most commands at once: that is left.
    with Ending().on(ENDING_SIGNALS, handle=False):
        status = run(sys.argv[1:])
        status = status if _flushed() else status or UNWRITTEN
    leave_in_time(status)
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status, whatever happens in it."""
    try:
        outcome: Any = cli.main(arguments, prog_name="canary", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except SystemExit as ended:  # click ends so after completing a word
        return _status(ended.code)
    except (click.Abort, KeyboardInterrupt):
        return _said("interrupted", 130)
    except click.ClickException as error:
        return _said(error, error.exit_code)
    except BaseException as error:  # noqa: BLE001 - the one place where a command's errors become words
        from canary_tui.cli.errors import in_words  # it brings the file's reader along

        return _said(*in_words(error, _state()))
    return _status(outcome)


def _status(outcome: object) -> int:
    return outcome if isinstance(outcome, int) else 0


def _said(what: str | click.ClickException, status: int) -> int:
    """Say why the command ended, where anybody hears it, and return the status all the same."""
    with suppress(OSError):
        if isinstance(what, click.ClickException):
            what.show()
        else:
            click.echo(what, err=True)
    return status


def _flushed() -> bool:
    """Write out what is left; what cannot be written is not tried again at the interpreter's end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return False
    return True


def _state() -> Path | None:
    try:
        return Paths.of_user(None).state
    except OSError:
        return None
