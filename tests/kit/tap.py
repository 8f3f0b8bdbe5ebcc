"""A tap on loopback: passes TCP on to one address, untouched, and counts the bytes each way: heads, bodies, all.

Here lives the counting of a wire, in a thread of its own. Not here: who asks what (tests/kit/accesslog), or hops that
know HTTP (tests/kit/liar, tests/kit/proxy).
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from tests.kit.threaded import Threaded

_PIECE = 1 << 18


class Tap(Threaded):
    """Listens at `port` until the block ends. `up`, `down`: bytes from the clients, and to them."""

    def __init__(self, upstream: str) -> None:
        super().__init__()
        parts = urlsplit(upstream)
        self._host, self._upstream = str(parts.hostname), int(parts.port or 80)
        self.port = self.up = self.down = 0

    async def _serve(self) -> None:
        links: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            links.add(task)
            try:
                await self._link(reader, writer)
            finally:
                links.discard(task)
                writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in links:
            task.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_edge, to_edge = await asyncio.open_connection(self._host, self._upstream)

        async def climb() -> None:
            while piece := await reader.read(_PIECE):
                self.up += len(piece)
                to_edge.write(piece)
                await to_edge.drain()
            to_edge.write_eof()

        async def fall() -> None:
            while piece := await from_edge.read(_PIECE):
                self.down += len(piece)
                writer.write(piece)
                await writer.drain()
            writer.write_eof()

        try:
            await asyncio.gather(climb(), fall())
        except OSError:
            pass  # either side is gone: so is the link
        finally:
            to_edge.close()
