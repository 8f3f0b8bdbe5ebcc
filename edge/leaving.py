"""Leaving: how an edge that was told to end ends, so that no visitor notices.

Here lives the order of it and its times. Not here: the signals (edge/serving), what is told to whom (edge/standing,
edge/control), how a connection ends (edge/http/protocol).

    draining: health says 503, each answer is its connection's last and says so; connections are taken as before
    → the notice is over: no more connections; a moment later idle ones are closed, and what runs is finished
    → the deadline, or a second signal: what still runs is cut
    → goodbye, and nothing left

The notice is for whoever stands in front: a connection that arrives where nobody listens any more, and a request that
meets the close of an idle connection, are failures that no server can take back. So nobody closes anything until those
in front have had the time to look, and until then each client that asks is answered and sent elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from edge.node import Node
from edge.peers.states import State

SETTLE = 0.5  # s more, where there was a notice, for requests on their way over connections that are open
AT_ONCE = 0.1  # s that nodes' questions under way have where there is no time


async def leave(node: Node, hurry: asyncio.Event) -> None:
    """End this node; at once when `hurry` is set. On return nothing of it is left."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + node.config.drain_deadline
    if node.standing.state is State.READY:  # else nobody was ever sent here
        notice = node.config.notice
        node.drain()
        await _unless(hurry, asyncio.sleep(notice))
        await _turn()  # who has knocked by now is let in ...
        node.public.drain()
        await _turn()  # ... and what has arrived is answered, before anything idle is closed
        await _unless(hurry, node.public.emptied(SETTLE if notice else 0.0))
        if not await _unless(hurry, node.finish(max(0.0, deadline - loop.time()))):
            node.public.cut()
    await node.stop(AT_ONCE if hurry.is_set() else max(AT_ONCE, deadline - loop.time()))


async def _turn() -> None:
    """Let the loop look at its sockets, and do what follows from it."""
    for _ in range(3):
        await asyncio.sleep(0)


async def _unless(hurry: asyncio.Event, work: Awaitable[Any]) -> bool:
    """Wait for this work to end, which it is told to when there is no time for it. Whether it came to its end."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(hurry.wait())
    await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    done = working.done()
    working.cancel()
    waiting.cancel()
    await asyncio.gather(working, waiting, return_exceptions=True)
    return done
