"""Cars: the blocks of a path as one stream, to be proved by whoever gets them.

Here lives its streaming. Not here: its parameters (content/trustless), which blocks it holds, in what order
(content/carwalk), its bytes (content/car).
Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/#car-responses-application-vnd-ipld-car
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial

from content import car as form
from content import trustless
from content.carwalk import car as walk
from content.cid import CID
from content.limits import KiB
from content.trustless import Asked, Terms
from edge.gateway.ahead import Ahead
from edge.gateway.answered import Case
from edge.gateway.archives import archive
from edge.gateway.headers import saved_as
from edge.gateway.reader import Reader, end, send
from edge.gateway.wanted import Wanted
from edge.http.problem import Problem
from edge.replies import Reply

_PIECE = 64 * KiB  # gathered before it is sent
_SLICE = 64  # blocks between two breaths of the event loop


async def car(case: Case, root: CID, segments: Sequence[str]) -> Reply:
    """The CAR of a path that is there. Raises Problem."""
    asked = _asked(case.wanted)
    tag = asked.etag(root, case.cid, segments).removeprefix("W/").strip('"')
    name = saved_as(case.wanted, "attachment", asked.filename(root, case.cid, segments))
    begin = partial(_pieces, case.reader, case.cid, root, segments, asked.terms)
    return await archive(case, asked.media_type, tag, name, begin)


async def _pieces(
    reader: Reader, top: CID, root: CID, segments: Sequence[str], terms: Terms
) -> AsyncGenerator[bytes, None]:
    parts, size, asked = [form.header([top])], 0, 0
    wants = walk(root, segments, terms.scope, terms.bytes, terms.dups)
    ahead = Ahead(reader, top if terms.scope == "all" and terms.bytes is None else None)
    try:
        want, ended = next(wants, None), False
        while want is not None and not ended:
            block = await ahead.block(want.cid)
            asked += 1
            if asked % _SLICE == 0:
                await asyncio.sleep(0)
            if want.write:
                parts.append(form.section(want.cid, block.data))
                size += len(parts[-1])
                if size >= _PIECE:
                    yield b"".join(parts)
                    parts, size = [], 0
            ended, want = await send(wants, block)
        if parts:
            yield b"".join(parts)
    finally:
        ahead.close()
        end(wants)


def _asked(wanted: Wanted) -> Asked:
    """Raises Problem."""
    try:
        return trustless.read({**wanted.query, "format": "car"}, wanted.asked.accept, ("car",))
    except trustless.BadQuestion as error:
        raise Problem(400, f"{error}.") from error
    except trustless.NotSpoken as error:
        raise Problem(406, f"{error}.") from error
