"""Asking: those who may have an IPNS record, over HTTP.

Here lives one question and its bounds, in the two languages there are: the trustless gateway's
(`/ipns/NAME?format=ipns-record`) of the origin, of peers, of a Kubo or any gateway, and delegated routing's
(`/routing/v1/ipns/NAME`). Not here: whether what comes is to be believed (edge/names/records), or whom to ask
(edge/assembly).

Specs: https://specs.ipfs.tech/http-gateways/trustless-gateway/, https://specs.ipfs.tech/routing/http-routing-v1/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import aiohttp

from content.limits import IPNS_RECORD
from edge.names.limits import SOURCE_SECONDS
from edge.names.records import Oversized, Source, SourceTrouble

RECORD_TYPE = "application/vnd.ipfs.ipns-record"
CONNECT = 2.0  # s
_HEADERS = {"Accept": RECORD_TYPE, "Accept-Encoding": "identity", "User-Agent": "rim"}
_TIMEOUT = aiohttp.ClientTimeout(total=SOURCE_SECONDS, sock_connect=CONNECT)
_ABSENT = (404, 410)
_NOT_HELD = 504  # RFC 9111, only-if-cached


class Asker:
    """Makes sources out of addresses. The session is asked for at each question: a pool is made inside its loop."""

    def __init__(self, session: Callable[[], aiohttp.ClientSession]) -> None:
        self._session = session

    def gateway(self, kind: str, url: str, headers: Mapping[str, str] | None = None, *, knows: bool = True) -> Source:
        """A trustless gateway. `knows` False: one that answers with what it holds, and asks nobody."""

        async def ask(name: str) -> bytes | None:
            return await self._get(f"{url.rstrip('/')}/ipns/{name}?format=ipns-record", headers or {})

        return Source(kind, ask, knows)

    def router(self, url: str) -> Source:
        """A delegated router."""

        async def ask(name: str) -> bytes | None:
            return await self._get(f"{url.rstrip('/')}/routing/v1/ipns/{name}", {})

        return Source("router", ask)

    async def _get(self, url: str, headers: Mapping[str, str]) -> bytes | None:
        sent = {**_HEADERS, **headers}
        try:
            # A redirect would send our question, and a node's token with it, to whom nobody has named
            async with self._session().get(url, headers=sent, timeout=_TIMEOUT, allow_redirects=False) as response:
                if response.status in _ABSENT or (response.status == _NOT_HELD and "Cache-Control" in headers):
                    return None
                if response.status != 200:
                    raise SourceTrouble(f"{url}: {response.status}")
                return await _body(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise SourceTrouble(f"{url}: {error or type(error).__name__}") from error


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, and never more of it than a record may have."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > IPNS_RECORD:
            response.close()
            raise Oversized
    return bytes(body)
