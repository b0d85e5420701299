"""Memory that was freed goes back to the system, and where that cannot be asked for nothing breaks."""

from __future__ import annotations

import asyncio
import sys

import pytest

from canary_tui.monitor import memory


async def test_free_memory_is_given_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    given: asyncio.Queue[int] = asyncio.Queue()

    def trim(keep: int) -> int:
        given.put_nowait(keep)
        return 1

    monkeypatch.setattr(memory, "GIVE_BACK_SECONDS", 0.0)
    monkeypatch.setattr(memory, "_malloc_trim", lambda: trim)
    work = asyncio.create_task(memory.keep_lean())
    assert [await asyncio.wait_for(given.get(), 5) for _ in range(3)] == [0, 0, 0]
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_a_system_without_such_a_call_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_malloc_trim", lambda: None)
    await asyncio.wait_for(memory.keep_lean(), 5)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own call")
def test_the_c_librarys_own_call_is_found_and_works() -> None:
    trim = memory._malloc_trim()
    if trim is None:
        pytest.skip("not the GNU C library")
    assert trim(0) in {0, 1}
