"""The signal that waiting requests wait on."""

from __future__ import annotations

import asyncio

from origin.waiting import Signal


def test_what_happens_before_the_first_await_is_not_missed() -> None:
    """From the call of `wait` on; else a Head that comes in that moment would be seen a minute later."""

    async def play() -> None:
        signal = Signal()
        waiting = signal.wait(3600)
        signal.notify()
        await asyncio.wait_for(asyncio.ensure_future(waiting), 5)
        assert repr(signal) == "<Signal 0 waiting>"

    asyncio.run(play())


def test_a_wait_ends_by_itself_and_leaves_nothing() -> None:
    """After its time, and when it is cancelled; waiters of one moment are all woken."""

    async def play() -> None:
        signal = Signal()
        await signal.wait(0)
        waits = [signal.wait(3600) for _ in range(100)]
        waits[0].cancel()
        signal.notify()
        await asyncio.gather(*waits, return_exceptions=True)
        late = signal.wait(3600)
        assert repr(signal) == "<Signal 1 waiting>"
        late.cancel()
        await asyncio.sleep(0)
        assert repr(signal) == "<Signal 0 waiting>"

    asyncio.run(play())
