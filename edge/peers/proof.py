"""Proof: what may be believed of an answer to "give me this block", first by its head, then by its bytes.

Here live the size limit, the hash, and the name of what was wrong. Not here: the connection (edge/peers/client).

Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/ (`?format=raw`).
"""

from __future__ import annotations

import asyncio
from hashlib import sha256

import aiohttp

from content.block import Block
from content.cid import CID
from content.errors import BadCID, ContentError
from content.limits import BLOCK_ACCEPTED, KiB
from edge.peers import words
from edge.peers.budget import Budgets
from edge.peers.faults import BY_STATUS, Fault, PeerError

RAW_TYPE = "application/vnd.ipld.raw"
_HASHED_IN_THREAD = 128 * KiB  # sha-256 of this takes about 0.1 ms, as much as the hop to a thread and back


def refuse_by_head(response: aiohttp.ClientResponse, target: str) -> None:
    """Refuse what the head alone gives away, before a byte of body is read. Raises PeerError."""
    if response.status != 200:
        raise _refusal(response, target)
    coding = response.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() not in ("identity", ""):
        raise PeerError(Fault.ENCODED, target, coding)
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in (RAW_TYPE, "application/octet-stream"):
        raise PeerError(Fault.MEDIA_TYPE, target, media_type)
    if response.content_length is not None and response.content_length > BLOCK_ACCEPTED:
        raise PeerError(Fault.TOO_LONG, target, f"Content-Length {response.content_length}")


def _refusal(response: aiohttp.ClientResponse, target: str) -> PeerError:
    """What an answer without a block comes to."""
    fault = BY_STATUS.get(response.status, Fault.STATUS)
    reason = response.headers.get(words.REASON, "")
    if response.status == 410 and reason == "denied":
        fault = Fault.DENIED
    is_busy = fault is Fault.BUSY
    return PeerError(
        fault,
        target,
        str(response.status),
        rest=words.rest_of(response.headers) if is_busy else None,
        origin_busy=is_busy and reason == words.ORIGIN_BUSY,
        state=response.headers.get(words.STATE, ""),
    )


async def body_of(response: aiohttp.ClientResponse, target: str, budgets: Budgets) -> bytes:
    """The body, never more than 2 MiB of it, each piece within the stall budget. Raises PeerError."""
    pieces: list[bytes] = []
    length = 0
    try:
        while True:
            async with asyncio.timeout(budgets.stall):
                piece = await response.content.readany()
            if not piece:
                break
            length += len(piece)
            if length > BLOCK_ACCEPTED:
                raise PeerError(Fault.TOO_LONG, target)
            pieces.append(piece)
    except TimeoutError as error:
        raise PeerError(Fault.STALLED, target) from error
    except aiohttp.ClientPayloadError as error:
        fault = Fault.BROKEN if response.content_length is None else Fault.LENGTH
        raise PeerError(fault, target, f"{length} of {response.content_length} B") from error
    except (aiohttp.ClientError, OSError) as error:
        raise PeerError(Fault.BROKEN, target, repr(error)) from error
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def prove(cid: CID, data: bytes, etag: str, target: str) -> Block:
    """The block, whose bytes are what its name says. Raises PeerError; `etag` only helps to name the lie."""
    try:
        if len(data) < _HASHED_IN_THREAD:
            return Block(cid, data)
        return await asyncio.to_thread(Block, cid, data)
    except ContentError as error:
        raise PeerError(_kind_of_lie(cid, data, etag), target) from error


def _kind_of_lie(cid: CID, data: bytes, etag: str) -> Fault:
    """Which lie it was, for the count. The bytes have already been refused, whatever this finds."""
    if sha256(data[:-1]).digest() == cid.digest:
        return Fault.SURPLUS
    try:
        other = CID.parse(etag.strip().removeprefix("W/").strip('"').partition(".")[0])
    except BadCID:
        return Fault.WRONG_BYTES
    return Fault.OTHER_CID if sha256(data).digest() == other.digest != cid.digest else Fault.WRONG_BYTES
