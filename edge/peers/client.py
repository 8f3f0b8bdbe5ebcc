"""Client: asks another node for one block, in the language of the trustless gateway, and believes nothing.

Here lives the asking: one pool of connections, what a question says, the phases of an answer. Not here: whom to ask
(edge/cache/sources over edge/peers/ring), what of an answer is believed (edge/peers/proof), what silence means
(edge/peers/silence), or what a failure means for health (edge/peers/members).

Whoever drives this code without a network (bench/ring) overrides `exchange` and Pulses.beat: all else is as it is on
the wire.

Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/ (`?format=raw`), RFC 8586 (CDN-Loop).
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp

from content.block import Block
from content.cid import CID
from content.limits import BLOCK_ACCEPTED, KiB, MiB
from edge.peers import words
from edge.peers.budget import GATEWAY, ORIGIN, PEER, Budgets
from edge.peers.faults import LIES, TRUE_ANSWERS, Fault, PeerError
from edge.peers.proof import RAW_TYPE, body_of, prove, refuse_by_head
from edge.peers.pulse import Pulses
from edge.peers.room import Doors, Room
from edge.peers.silence import GRACES, LATE, Watch
from edge.peers.strain import Strain
from edge.peers.trips import Trips
from edge.peers.words import SOURCE as SOURCE_HEADER

__all__ = [
    "GATEWAY",
    "LIES",
    "ORIGIN",
    "PEER",
    "RAW_TYPE",
    "SOURCE_HEADER",
    "TRUE_ANSWERS",
    "Answer",
    "Budgets",
    "Fault",
    "PeerClient",
    "PeerError",
    "Question",
]

AT_ONCE = 128  # questions under way to one peer; past it the next in order is asked
ROOM = 64 * MiB  # of answers that are received at once, unless a node says otherwise
UNHEARD = 3.0  # s that what was sent may stay without the other kernel's word, before the connection is given up
_IDLE = 30.0  # s a pooled connection is kept; below the 75 s after which listeners close


@dataclass(frozen=True, slots=True)
class Answer:
    """A block, and what else its answer said. `source`: where the asked had it from, which only processes of one
    machine tell each other; `mirrors`: how many of the order may be asked to read it; `state`: Rim-State, "" for
    ready."""

    block: Block
    source: str = ""
    mirrors: int = 1
    state: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, as it goes over the wire to the node at `url`."""

    url: str
    cid: CID
    headers: Mapping[str, str]
    budgets: Budgets

    @property
    def target(self) -> str:
        return f"{self.url.rstrip('/')}/ipfs/{self.cid}?format=raw"


@dataclass(slots=True)
class ClientCounts:
    """What asking others came to, ever."""

    blocks: int = 0
    bytes: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    newer: int = 0  # answers in a later version of the nodes' language than ours


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
        self.node = node
        self._outside_headers = {"Accept": RAW_TYPE, "Accept-Encoding": "identity", "User-Agent": "rim"}
        self._node_headers = self._outside_headers | {words.WIRE: str(words.VERSION)}
        if token:
            self._node_headers["Authorization"] = f"Bearer {token}"
        self._ssl = ssl
        self._session: aiohttp.ClientSession | None = None
        self.strain = Strain()
        self.pulses = Pulses(ssl, self.strain)
        self.trips = Trips()
        self.room = Room(ROOM)
        self._doors = Doors()
        self._under_way: Counter[str] = Counter()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The pool itself: no cookies, no proxies from the environment, nothing decompressed, no limits of its own."""
        if self._session is None or self._session.closed:
            # The loader bounds what is under way, by tier; a second bound here that mixes the tiers could let two
            # nodes wait for each other's free connection.
            connector = aiohttp.TCPConnector(
                limit=0, keepalive_timeout=_IDLE, ttl_dns_cache=10, ssl=self._ssl, socket_factory=made
            )
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
        return (await self.fetch_told(url, cid, tier=tier, only_if_cached=only_if_cached, budgets=budgets)).block

    async def fetch_told(
        self,
        url: str,
        cid: CID,
        *,
        tier: int | None = None,
        only_if_cached: bool = False,
        budgets: Budgets = PEER,
        chain: tuple[str, ...] = (),
        mirror: bool = False,
        mirrors: int = 1,
        on_doubt: Callable[[], None] | None = None,
    ) -> Answer:
        """As `fetch`, with all that the answer told.

        `chain`: the nodes that the question which this one is asked for came through. `mirror`: the asked is a mirror
        of this; `mirrors`: how many of the order we read this from. `on_doubt` is called at most once, when the asked
        answers neither this nor for its health.
        """
        headers = dict(self._outside_headers if budgets is GATEWAY else self._node_headers)
        if budgets is not GATEWAY:
            headers["CDN-Loop"] = words.chain((*chain, self.node))
        if tier is not None:
            headers["Rim-Tier"] = str(tier)
        if only_if_cached:
            headers["Cache-Control"] = "only-if-cached"
        if mirror:
            headers[words.MIRROR] = "1"
        if mirrors > 1:
            headers[words.MIRRORS] = str(mirrors)
        question = Question(url, cid, headers, budgets)
        self._under_way[url] += 1
        try:
            async with asyncio.timeout(budgets.total):
                answer = await self._ask(question, on_doubt)
        except PeerError as error:
            self.counts.faults[error.fault] += 1
            if budgets is GATEWAY:  # what is outside has no word on the house
                error.origin_busy, error.state = False, ""
            raise
        except TimeoutError as error:
            self.counts.faults[Fault.OVERDUE] += 1
            raise PeerError(Fault.OVERDUE, url) from error
        finally:
            self._under_way[url] -= 1
            if not self._under_way[url]:
                del self._under_way[url]
        self.counts.blocks += 1
        self.counts.bytes += len(answer.block.data)
        return answer

    def is_full(self, url: str) -> bool:
        """Whether as many questions are under way there as may be. That its answers wait for each other's room here is
        no reason to ask another: who has it filled already would see it filled again."""
        return self._under_way[url] >= AT_ONCE

    async def _ask(self, question: Question, on_doubt: Callable[[], None] | None) -> Answer:
        budgets = question.budgets
        watch = Watch(budgets, lambda: self.pulses.of(question.url, budgets.trip), on_doubt, self.strain)
        try:
            async with watch:
                return await self.exchange(question, watch.heard)
        except TimeoutError as error:
            raise PeerError(Fault.SLOW, question.target) from error
        finally:
            if watch.waited is not None:
                self.trips.heard(question.url, watch.waited)

    async def exchange(self, question: Question, heard: Callable[[], None]) -> Answer:
        """Question and answer over the wire; `heard` is called when the answer's head has come. Raises PeerError."""
        response = await self._head(question)
        heard()
        target = question.target
        whole = False
        try:
            self._note(response, question.headers)
            refuse_by_head(response, target)
            size = BLOCK_ACCEPTED if response.content_length is None else response.content_length
            async with self._doors.enter(self.room, question.url, size):
                data = await body_of(response, target, question.budgets)
            whole = True
        except TimeoutError as error:
            raise PeerError(Fault.CROWDED, target) from error
        finally:
            # A connection whose answer was refused is not used again: what else is in it is not worth knowing.
            response.release() if whole else response.close()
        said = response.headers
        block = await prove(question.cid, data, said.get("ETag", ""), target)
        return Answer(block, said.get(words.SOURCE, ""), words.mirrors_of(said), said.get(words.STATE, ""))

    async def _head(self, question: Question) -> aiohttp.ClientResponse:
        """The answer's head. Where no connection came in time, but our own loop stood still meanwhile, it is tried
        again, a few times: nothing has been said yet, and the asked may have taken it long ago."""
        graces, loop = GRACES, asyncio.get_running_loop()
        while True:
            due = loop.time() + question.budgets.connect
            try:
                return await self._get(question)
            except PeerError as error:
                if error.fault is not Fault.UNREACHED or loop.time() - due <= LATE or not graces:
                    raise
                graces -= 1

    async def _get(self, question: Question) -> aiohttp.ClientResponse:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=question.budgets.connect)
        target = question.target
        try:
            return await self.session.get(target, headers=question.headers, timeout=timeout, allow_redirects=False)
        except aiohttp.ConnectionTimeoutError as error:
            raise PeerError(Fault.UNREACHED, target) from error
        except aiohttp.ClientConnectorError as error:
            raise PeerError(Fault.REFUSED, target, str(error)) from error
        except (aiohttp.ClientResponseError, ValueError) as error:
            raise PeerError(Fault.MALFORMED, target, repr(error)) from error
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise PeerError(Fault.BROKEN, target, repr(error)) from error

    def _note(self, response: aiohttp.ClientResponse, asked: Mapping[str, str]) -> None:
        """Pass on the answer's hint of a newer Head. A hint only: a lie costs one look at the origin."""
        if "CDN-Loop" not in asked:
            return
        self.counts.newer += words.wire_of(response.headers) > words.VERSION
        text = response.headers.get("Rim-Sequence", "")
        if self.on_sequence and text.isascii() and text.isdigit() and len(text) <= 19:
            self.on_sequence(int(text))

    async def close(self) -> None:
        """Close every connection."""
        await self.pulses.close()
        if self._session is not None:
            await self._session.close()


def made(address: tuple[int, int, int, str, object]) -> socket.socket:
    """A socket whose connection ends when the other side is gone without a word. The pool holds some that a router on
    the way has forgotten: their node answers for its health elsewhere, so it would be waited for."""
    family, kind, protocol, *_ = address
    sock = socket.socket(family, kind, protocol)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux, RFC 5482
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNHEARD * 1000))
    return sock
