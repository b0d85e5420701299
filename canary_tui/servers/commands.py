"""Runs the command that prints a password."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

from canary_tui.diagnosis.printable import Source
from canary_tui.diagnosis.stages import Cause, Failed, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT = 65_536
"""Bytes of a command's output that are looked at; the rest is read and dropped."""


async def first_line(command: tuple[str, ...], *, limit: float, environ: Mapping[str, str]) -> str:
    """Return the first line that ``command`` prints. It runs without a shell and without input.

    It is given ``limit`` seconds to end and to close its output; then, or when the caller is
    cancelled, it is killed with all that it started. Raises Failed (``password_command_failed``).
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=dict(environ),
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be run"
        raise _failed(f"{command[0]}: {reason}") from None
    assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - both are PIPE
    try:
        async with asyncio.timeout(limit):
            output, errors, status = await asyncio.gather(
                _kept(process.stdout), _kept(process.stderr), process.wait()
            )
    except TimeoutError:
        raise _failed(f"{command[0]} did not end within {limit:g} s") from None
    finally:
        if process.returncode is None or not process.stdout.at_eof() or not process.stderr.at_eof():
            await _kill(process)
    text = output.decode(errors="replace")
    if status != 0:
        what = f"exit status {status}" if status > 0 else f"killed by signal {-status}"
        said = _redacted(errors.decode(errors="replace"), text)
        raise _failed(f"{command[0]}: {what}{': ' if said else ''}{said}")
    line = text.split("\n", 1)[0].removesuffix("\r")
    if not line:
        raise _failed(f"{command[0]} printed nothing")
    if "\ufffd" in line or "\0" in line:
        raise _failed(f"{command[0]} printed something that is no UTF-8 text")
    return line


def _failed(detail: str) -> Failed:
    return Failed(Cause.PASSWORD_COMMAND_FAILED, stage=Stage.SETTINGS, detail=detail)


async def _kept(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, so that the command never blocks; return the first KEPT bytes."""
    kept = b""
    while chunk := await stream.read(KEPT):
        kept += chunk[: KEPT - len(kept)]
    return kept


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # its group: start_new_session made one
    await process.wait()


def _redacted(errors: str, output: str) -> str:
    """Return the last line of what a command complained about, without anything that it printed."""
    last = next((line for line in reversed(errors.splitlines()) if Source.COMMAND_ERRORS.text(line)), "")
    for printed in filter(None, map(str.strip, output.splitlines())):
        last = last.replace(printed, "•••")
    return Source.COMMAND_ERRORS.text(last)
