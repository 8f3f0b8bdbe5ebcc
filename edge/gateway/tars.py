"""Tars: a file or folder as a TAR archive.

Here lives its streaming. Not here: what is in it (content/tar).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from content.cid import CID
from content.limits import KiB
from content.tar import Chunk
from content.tar import tar as walk
from edge.gateway.ahead import Ahead
from edge.gateway.answered import Case
from edge.gateway.archives import archive
from edge.gateway.formats import MEDIA_TYPES, Form
from edge.gateway.headers import saved_as
from edge.gateway.reader import Reader, end, send
from edge.replies import Reply

_PIECE = 64 * KiB  # gathered before it is sent
_SLICE = 64  # steps between two breaths of the event loop


async def tar(case: Case) -> Reply:
    """The archive of a UnixFS file or folder."""
    name = saved_as(case.wanted, "attachment", f"{case.cid}.tar")
    return await archive(case, MEDIA_TYPES[Form.TAR], f"{case.cid}.x-tar", name, lambda: _pieces(case.reader, case.cid))


async def _pieces(reader: Reader, cid: CID) -> AsyncGenerator[bytes, None]:
    parts: list[bytes] = []
    size = steps = 0
    walking = walk(cid)
    ahead = Ahead(reader, cid)
    try:
        step, ended = next(walking, None), False
        while step is not None and not ended:
            steps += 1
            if steps % _SLICE == 0:
                await asyncio.sleep(0)
            if isinstance(step, Chunk):
                parts.append(step.data)
                size += len(step.data)
                if size >= _PIECE:
                    yield b"".join(parts)
                    parts, size = [], 0
                step = next(walking, None)
            else:
                ended, step = await send(walking, await ahead.block(step))
        if parts:
            yield b"".join(parts)
    finally:
        ahead.close()
        end(walking)
