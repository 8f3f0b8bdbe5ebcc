"""Cars: the blocks of a path as one stream, to be proved by whoever gets them.

Here live the parameters of a CAR, and its streaming. Not here: which blocks it holds, in what order (content/carwalk),
its bytes (content/car).
Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/#car-responses-application-vnd-ipld-car
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import get_args

from content import car as form
from content.carwalk import Bytes, Scope
from content.carwalk import car as walk
from content.cid import CID
from content.limits import KiB
from edge.gateway.answered import Case
from edge.gateway.archives import archive
from edge.gateway.formats import MEDIA_TYPES, Form
from edge.gateway.headers import saved_as
from edge.gateway.reader import Reader
from edge.gateway.wanted import Wanted
from edge.http.problem import Problem
from edge.replies import Reply

_PIECE = 64 * KiB  # gathered before it is sent
_SLICE = 64  # blocks between two breaths of the event loop
_BYTES = re.compile(r"(-?[0-9]{1,18}):(\*|-?[0-9]{1,18})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a request wants of a CAR."""

    scope: Scope = "all"
    bytes: Bytes | None = None
    dups: bool = False

    @property
    def media_type(self) -> str:
        return f"{MEDIA_TYPES[Form.CAR]}; version=1; order=dfs; dups={'y' if self.dups else 'n'}"


async def car(case: Case, root: CID, segments: Sequence[str]) -> Reply:
    """The CAR of a path that is there. Raises Problem."""
    terms = _terms(case.wanted)
    name = saved_as(case.wanted, "attachment", f"{case.cid}.car")
    return await archive(
        case,
        terms.media_type,
        _tag(root, segments, terms),
        name,
        lambda: _pieces(case.reader, case.cid, root, segments, terms),
    )


async def _pieces(
    reader: Reader, top: CID, root: CID, segments: Sequence[str], terms: Terms
) -> AsyncGenerator[bytes, None]:
    parts, size, asked = [form.header([top])], 0, 0
    wants = walk(root, segments, terms.scope, terms.bytes, terms.dups)
    try:
        want = next(wants)
        while True:
            block = await reader.block(want.cid)
            asked += 1
            if asked % _SLICE == 0:
                await asyncio.sleep(0)
            if want.write:
                parts.append(form.section(want.cid, block.data))
                size += len(parts[-1])
                if size >= _PIECE:
                    yield b"".join(parts)
                    parts, size = [], 0
            want = wants.send(block)
    except StopIteration:
        if parts:
            yield b"".join(parts)
    finally:
        wants.close()


def _terms(wanted: Wanted) -> Terms:
    """The parameters: of the query, else of Accept (IPIP-523). Raises Problem."""
    query, accepted = wanted.query, wanted.asked.parameters
    _one_of("version", query.get("car-version", accepted.get("version", "1")), ("1",))
    _one_of("order", query.get("car-order", accepted.get("order", "dfs")), ("dfs", "unk"))
    dups = _one_of("dups", query.get("car-dups", accepted.get("dups", "n")), ("y", "n"))
    scope: Scope = query.get("dag-scope", "all")  # type: ignore[assignment]
    _one_of("dag-scope", scope, get_args(Scope))
    return Terms(scope, _bytes(query.get("entity-bytes")), dups == "y")


def _one_of(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise Problem(400, f"{name} {value[:40]!r} of a CAR is not known here: {', '.join(known)}.")
    return value


def _bytes(text: str | None) -> Bytes | None:
    if text is None:
        return None
    found = _BYTES.match(text)
    if found is None:
        raise Problem(400, "entity-bytes is FROM:TO, two whole numbers, the second perhaps *.")
    first, last = int(found[1]), None if found[2] == "*" else int(found[2])
    if last is not None and (first < 0) == (last < 0) and first > last:
        raise Problem(400, "entity-bytes: the range ends before it begins.")
    return first, last


def _tag(root: CID, segments: Sequence[str], terms: Terms) -> str:
    said = f"{root}/{'/'.join(segments)} {terms}".encode("utf-8", "surrogateescape")
    return f"{root}.car.{sha256(said).hexdigest()[:16]}"
