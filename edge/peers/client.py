"""Client: asks another node for one block, in the language of the trustless gateway, and believes nothing.

Here lives the asking: budgets per phase, the size limit, the proof of the bytes, and a name for every way it can fail.
Not here: whom to ask (edge/cache/loader over edge/peers/ring) or what a failure means for health (edge/peers/members).

Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/ (`?format=raw`), RFC 8586 (CDN-Loop).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from urllib.parse import urljoin

import aiohttp

from content.block import Block
from content.cid import CID
from content.errors import BadCID, ContentError
from content.limits import BLOCK_ACCEPTED, KiB

RAW_TYPE = "application/vnd.ipld.raw"
SOURCE_HEADER = "Rim-Source"  # of answers between processes of one machine
_HASHED_IN_THREAD = 128 * KiB  # sha-256 of this takes about 0.1 ms, as much as the hop to a thread and back
_IDLE = 30.0  # s a pooled connection is kept; below the 75 s after which listeners close


class Fault(StrEnum):
    """Every way a question can end without a block. The value is the metric's label."""

    # True answers, and no blame on the one who gave them.
    NOT_FOUND = "not_found"  # 404, 410 without a word of denial: no such block
    DENIED = "denied"  # 410, 451: it is denied there
    NOT_HELD = "not_held"  # 504: not at hand (only-if-cached), or nobody above could be asked
    # Trouble.
    REFUSED = "refused"  # no connection
    SLOW = "slow"  # connected, but no answer's head in time
    STALLED = "stalled"  # the body stopped coming
    OVERDUE = "overdue"  # the whole took too long
    BROKEN = "broken"  # the connection or its HTTP broke
    BUSY = "busy"  # 429, 503
    FORBIDDEN = "forbidden"  # 401, 403: our token is not good there
    STATUS = "status"  # any other status that is not 200, redirects included
    LOOP = "loop"  # 508, it had been asked by us on behalf of itself
    # Lies: wrong on purpose or by decay, in either case not to be asked again soon.
    WRONG_BYTES = "wrong_bytes"  # 200, and bytes that are not this block's
    SURPLUS = "surplus"  # this block, and more after it
    OTHER_CID = "other_cid"  # an honest block, but another one
    LENGTH = "length"  # fewer bytes than Content-Length said
    TOO_LONG = "too_long"  # past 2 MiB, said or sent
    MEDIA_TYPE = "media_type"  # an HTML page with 200: a captive portal, a default vhost, a parked domain
    ENCODED = "encoded"  # a Content-Encoding that nobody asked for
    MALFORMED = "malformed"  # not HTTP; often the rest of a body that was longer than its Content-Length


LIES = frozenset(
    {
        Fault.WRONG_BYTES,
        Fault.SURPLUS,
        Fault.OTHER_CID,
        Fault.LENGTH,
        Fault.TOO_LONG,
        Fault.MEDIA_TYPE,
        Fault.ENCODED,
        Fault.MALFORMED,
    }
)


TRUE_ANSWERS = frozenset({Fault.NOT_FOUND, Fault.DENIED, Fault.NOT_HELD, Fault.LOOP})


class PeerError(Exception):
    """No block came of it. `fault` says how, `url` who was asked."""

    def __init__(self, fault: Fault, url: str, detail: str = "") -> None:
        super().__init__(f"{url}: {fault}{f' ({detail})' if detail else ''}")
        self.fault = fault
        self.url = url

    @property
    def is_lie(self) -> bool:
        return self.fault in LIES


@dataclass(frozen=True, slots=True)
class Budgets:
    """Seconds per phase, on the loop's monotonic clock."""

    connect: float = 0.3
    headers: float = 1.0  # from the question to the answer's head ...
    patience: float = 0.0  # ... and to there when the asked is alive, and only waits for somebody itself
    stall: float = 2.0  # between two pieces of body
    total: float = 30.0


PEER = Budgets(patience=6.0)  # an owner may itself have to wait for the origin: its 5 s, and the way back
ORIGIN = Budgets(connect=1.0, headers=5.0)
GATEWAY = Budgets(connect=2.0, headers=15.0)  # a public gateway may have to find providers first


@dataclass(slots=True)
class ClientCounts:
    """What asking others came to, ever."""

    blocks: int = 0
    bytes: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)


class PeerClient:
    """One pool of keep-alive connections for all nodes. Make it inside the running loop; close it there."""

    def __init__(
        self,
        node: str,
        token: str | None = None,
        on_sequence: Callable[[int], None] | None = None,
        ssl: aiohttp.Fingerprint | bool = True,
    ) -> None:
        self.counts = ClientCounts()
        self.on_sequence = on_sequence
        self._outside_headers = {"Accept": RAW_TYPE, "Accept-Encoding": "identity", "User-Agent": "rim"}
        self._node_headers = self._outside_headers | {"CDN-Loop": f'rim; node="{node}"'}
        if token:
            self._node_headers["Authorization"] = f"Bearer {token}"
        self._ssl = ssl
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The pool itself: no cookies, no proxies from the environment, nothing decompressed, no limits of its own."""
        if self._session is None or self._session.closed:
            # The loader bounds what is under way, by tier; a second bound here that mixes the tiers could let two
            # nodes wait for each other's free connection.
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE, ttl_dns_cache=10, ssl=self._ssl)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=256 * KiB,
            )
        return self._session

    async def fetch(
        self,
        url: str,
        cid: CID,
        *,
        tier: int | None = None,
        only_if_cached: bool = False,
        budgets: Budgets = PEER,
    ) -> Block:
        """Ask the node at `url` for a block. Raises PeerError; whatever returns is verified.

        `tier` is the rung this question climbs to (1: owner in a region, 2: home owner; None: the origin). With
        budgets=GATEWAY the question goes outside: no token, no name, no tier leave the house.
        """
        return (await self.fetch_told(url, cid, tier=tier, only_if_cached=only_if_cached, budgets=budgets))[0]

    async def fetch_told(
        self,
        url: str,
        cid: CID,
        *,
        tier: int | None = None,
        only_if_cached: bool = False,
        budgets: Budgets = PEER,
    ) -> tuple[Block, str]:
        """As `fetch`, and where the asked had the block from, which only processes of one machine tell each other."""
        target = f"{url.rstrip('/')}/ipfs/{cid}?format=raw"
        headers = dict(self._outside_headers if budgets is GATEWAY else self._node_headers)
        if tier is not None:
            headers["Rim-Tier"] = str(tier)
        if only_if_cached:
            headers["Cache-Control"] = "only-if-cached"
        try:
            async with asyncio.timeout(budgets.total):
                block, source = await self._ask(target, cid, headers, budgets)
        except PeerError as error:
            self.counts.faults[error.fault] += 1
            raise
        except TimeoutError as error:
            self.counts.faults[Fault.OVERDUE] += 1
            raise PeerError(Fault.OVERDUE, url) from error
        self.counts.blocks += 1
        self.counts.bytes += len(block.data)
        return block, source

    async def _ask(self, target: str, cid: CID, headers: Mapping[str, str], budgets: Budgets) -> tuple[Block, str]:
        response = await self._head(target, headers, budgets)
        whole = False
        try:
            self._note_sequence(response, headers)
            _refuse_by_head(response, target)
            data = await _body(response, target, budgets)
            whole = True
        finally:
            # A connection whose answer was refused is not used again: what else is in it is not worth knowing.
            response.release() if whole else response.close()
        return await _prove(cid, data, response, target), response.headers.get(SOURCE_HEADER, "")

    async def _head(self, target: str, headers: Mapping[str, str], budgets: Budgets) -> aiohttp.ClientResponse:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=budgets.connect)
        try:
            async with asyncio.timeout(budgets.headers) as deadline:
                with self._patience(target, headers, budgets, deadline):
                    return await self.session.get(target, headers=headers, timeout=timeout, allow_redirects=False)
        except aiohttp.ConnectionTimeoutError as error:
            raise PeerError(Fault.REFUSED, target, "no connection in time") from error
        except TimeoutError as error:
            raise PeerError(Fault.SLOW, target) from error
        except aiohttp.ClientConnectorError as error:
            raise PeerError(Fault.REFUSED, target, str(error)) from error
        except (aiohttp.ClientResponseError, ValueError) as error:
            raise PeerError(Fault.MALFORMED, target, repr(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise PeerError(Fault.BROKEN, target, repr(error)) from error

    @contextlib.contextmanager
    def _patience(
        self, target: str, headers: Mapping[str, str], budgets: Budgets, deadline: asyncio.Timeout
    ) -> Iterator[None]:
        """Halfway to the deadline ask the silent one for its health; move the deadline if it answers.

        Without this a slow origin looks like a ring of dead owners: every edge would give up on them at once, eject
        them, and go to that origin itself.
        """
        loop = asyncio.get_running_loop()
        asking: list[asyncio.Task[None]] = []
        until = loop.time() + budgets.patience

        def ask() -> None:
            asking.append(loop.create_task(self._move_if_alive(urljoin(target, "/healthz"), headers, deadline, until)))

        timer = loop.call_later(budgets.headers / 2, ask) if budgets.patience else None
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
            for task in asking:
                task.cancel()

    async def _move_if_alive(
        self, health: str, headers: Mapping[str, str], deadline: asyncio.Timeout, until: float
    ) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError, RuntimeError):  # too late to move it: RuntimeError
            async with self.session.get(health, headers=headers, allow_redirects=False):
                deadline.reschedule(until)

    def _note_sequence(self, response: aiohttp.ClientResponse, headers: Mapping[str, str]) -> None:
        """Pass on the answer's hint of a newer Head. A hint only: a lie costs one look at the origin."""
        text = response.headers.get("Rim-Sequence", "")
        if self.on_sequence and "CDN-Loop" in headers and text.isascii() and text.isdigit() and len(text) <= 19:
            self.on_sequence(int(text))

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


_BY_STATUS = {
    401: Fault.FORBIDDEN,
    403: Fault.FORBIDDEN,
    404: Fault.NOT_FOUND,
    410: Fault.NOT_FOUND,
    429: Fault.BUSY,
    451: Fault.DENIED,
    503: Fault.BUSY,
    504: Fault.NOT_HELD,  # RFC 9111 §5.2.1.7 only-if-cached; and a gateway that found no provider
    508: Fault.LOOP,
}


def _refuse_by_head(response: aiohttp.ClientResponse, target: str) -> None:
    """Refuse what the head alone gives away, before a byte of body is read."""
    if response.status == 410 and response.headers.get("Rim-Reason") == "denied":
        raise PeerError(Fault.DENIED, target, "410")
    if response.status != 200:
        raise PeerError(_BY_STATUS.get(response.status, Fault.STATUS), target, str(response.status))
    coding = response.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() not in ("identity", ""):
        raise PeerError(Fault.ENCODED, target, coding)
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type not in (RAW_TYPE, "application/octet-stream"):
        raise PeerError(Fault.MEDIA_TYPE, target, media_type)
    if response.content_length is not None and response.content_length > BLOCK_ACCEPTED:
        raise PeerError(Fault.TOO_LONG, target, f"Content-Length {response.content_length}")


async def _body(response: aiohttp.ClientResponse, target: str, budgets: Budgets) -> bytes:
    """The body, never more than 2 MiB of it, each piece within the stall budget."""
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


async def _prove(cid: CID, data: bytes, response: aiohttp.ClientResponse, target: str) -> Block:
    try:
        if len(data) < _HASHED_IN_THREAD:
            return Block(cid, data)
        return await asyncio.to_thread(Block, cid, data)
    except ContentError as error:
        raise PeerError(_kind_of_lie(cid, data, response.headers.get("ETag", "")), target) from error


def _kind_of_lie(cid: CID, data: bytes, etag: str) -> Fault:
    """Which lie it was, for the count. The bytes have already been refused, whatever this finds."""
    if sha256(data[:-1]).digest() == cid.digest:
        return Fault.SURPLUS
    try:
        other = CID.parse(etag.strip().removeprefix("W/").strip('"').partition(".")[0])
    except BadCID:
        return Fault.WRONG_BYTES
    return Fault.OTHER_CID if sha256(data).digest() == other.digest != cid.digest else Fault.WRONG_BYTES
