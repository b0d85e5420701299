"""Memory that was freed goes back to the system, and where that cannot be asked for nothing breaks."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref

import pytest

from canary_tui.monitor import memory


async def test_free_memory_is_given_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    given: asyncio.Queue[int] = asyncio.Queue()

    def trim(keep: int) -> int:
        given.put_nowait(keep)
        return 1

    monkeypatch.setattr(memory, "GIVE_BACK_SECONDS", 0.0)
    monkeypatch.setattr(memory, "_malloc_trim", lambda: trim)
    work = asyncio.create_task(memory.keep_lean(lambda: False))
    assert [await asyncio.wait_for(given.get(), 5) for _ in range(3)] == [0, 0, 0]
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


class Loop:
    """Garbage that refers to itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.mark.parametrize("littered", [True, False])
async def test_what_lost_connections_leave_behind_is_collected_where_some_were_lost(
    monkeypatch: pytest.MonkeyPatch, littered: bool
) -> None:
    asked: asyncio.Queue[None] = asyncio.Queue()

    def said() -> bool:
        asked.put_nowait(None)
        return littered

    monkeypatch.setattr(memory, "GIVE_BACK_SECONDS", 0.0)
    monkeypatch.setattr(memory, "_malloc_trim", lambda: None)  # nor does it need the C library's call
    gc.disable()
    try:
        left = weakref.ref(Loop())
        work = asyncio.create_task(memory.keep_lean(said))
        for _ in range(2):  # asked a second time, it has done what the first answer asked for
            await asyncio.wait_for(asked.get(), 5)
        work.cancel()
        await asyncio.wait({work})
        assert (left() is None) is littered
    finally:
        gc.enable()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own call")
def test_the_c_librarys_own_call_is_found_and_works() -> None:
    trim = memory._malloc_trim()
    if trim is None:
        pytest.skip("not the GNU C library")
    assert trim(0) in {0, 1}
