"""Client: HTTP to one pinning service.

Here lives the IPFS Pinning Service API (v1) as we use it: look pins up by CID, add one, see one, delete one. Answers
are bounded in bytes, pages and time; a redirect is an error, for following it would carry the token elsewhere. Not
here: when what is asked, or what follows from an answer (store/pinning/follower).

Road not taken: `POST /pins/{requestid}` (replace) for the next release of a site. It takes the old pin away before the
new one is fetched; we let the old one go once the new one stands. And IPFS Cluster, replacing a pin by one of the same
CID, ends without either.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from content.cid import CID
from content.limits import MiB
from origin.store.pinning.answer import STATUSES, BadAnswer, PinStatus, cleaned, read_list, read_reason, read_status
from origin.store.pinning.service import Service

ANSWER_BYTES = 1 * MiB  # ten CIDs' pins have a few KiB
CIDS_MAX = 10  # of one look: the API's own limit
PAGE = 1_000  # the API's largest page
PAGES_MAX = 10  # then nobody has pinned ten CIDs so often, and the cursor is a lie


class Down(Exception):
    """The service cannot be reached, or does not answer."""


class Limited(Exception):
    """Too many requests; `after` seconds says the service, None where it does not."""

    def __init__(self, message: str, after: float | None) -> None:
        super().__init__(message)
        self.after = after


class Denied(Exception):
    """The token is not taken."""


class BadStatus(Exception):
    """Another status than the API has for this request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


FAULTS = (Down, Limited, Denied, BadStatus, BadAnswer)


class Client:
    """The connections to one service. Made in the loop's thread; `close` at the end."""

    def __init__(self, service: Service, seconds: float) -> None:
        self._service = service
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=2),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=seconds),
            auto_decompress=False,  # a small answer must not become a large one
            headers={
                "Authorization": f"Bearer {service.token}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "rim",
            },
        )

    def __repr__(self) -> str:
        return f"<Client of {self._service.endpoint}>"

    async def close(self) -> None:
        await self._session.close()

    async def look(self, cids: Collection[CID]) -> dict[CID, list[PinStatus]]:
        """All pins of these CIDs (at most 10), whatever their status and whoever made them."""
        query = {"cid": ",".join(map(str, cids)), "status": ",".join(STATUSES), "limit": str(PAGE)}
        found: dict[CID, list[PinStatus]] = {cid: [] for cid in cids}
        seen, last = 0, datetime.max.replace(tzinfo=UTC)
        for _ in range(PAGES_MAX):
            count, page = read_list(await self._ask("GET", "/pins", query))
            page = [self._shown(pin) for pin in page]
            seen += len(page)
            for pin in page:
                if pin.cid in found:  # others were not asked for
                    found[pin.cid].append(pin)
            if not page or count <= seen:
                return found
            oldest = min(page, key=lambda pin: pin.moment)
            if oldest.moment >= last:
                break
            last = oldest.moment
            query["before"] = oldest.created
        raise BadAnswer("its pages have no end")

    async def add(self, cid: CID, name: str, meta: Mapping[str, str]) -> PinStatus:
        """Ask for a pin. Twice asked is two pins at most services: look first."""
        body = {"cid": str(cid), "name": name, "origins": list(self._service.hints), "meta": dict(meta)}
        pin = self._shown(read_status(await self._ask("POST", "/pins", body=body)))
        if pin.cid != cid:
            raise BadAnswer("it answers for another CID than was asked for")
        return pin

    async def see(self, requestid: str) -> PinStatus | None:
        """This pin; None when it is gone."""
        try:
            return self._shown(read_status(await self._ask("GET", _one(requestid))))
        except BadStatus as error:
            if error.status == 404:
                return None
            raise

    async def delete(self, requestid: str) -> None:
        """Take this pin away; fine where it is gone already."""
        try:
            await self._ask("DELETE", _one(requestid))
        except BadStatus as error:
            if error.status != 404:
                raise

    async def _ask(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """The JSON of the answer, None where it is empty. Raises one of FAULTS."""
        text = (
            "" if query is None else "?" + "&".join(f"{key}={quote(value, safe=',')}" for key, value in query.items())
        )
        url = URL(self._service.endpoint + path + text, encoded=True)
        try:
            async with self._session.request(method, url, json=body, allow_redirects=False) as response:
                data = await _bounded(response)
        except TimeoutError:
            raise Down("it does not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Down(self._hidden(str(error) or type(error).__name__)) from None
        return self._read(response, data, strict=method != "DELETE")  # what a deletion says is nobody's need

    def _read(self, response: aiohttp.ClientResponse, data: bytes, strict: bool) -> Any:
        status = response.status
        if 300 <= status < 400:
            raise BadStatus(f"{status}: it redirects, and the token goes nowhere else: give its true endpoint", status)
        if status >= 400:
            reason = self._hidden(f"{status} {read_reason(_json(data, strict=False))}".strip())
            if status == 429 or (status == 503 and "Retry-After" in response.headers):
                raise Limited(reason, _seconds(response.headers.get("Retry-After")))
            if status in (401, 403):
                raise Denied(reason)
            raise BadStatus(reason, status)
        return _json(data, strict)

    def _shown(self, pin: PinStatus) -> PinStatus:
        return replace(pin, said=self._hidden(pin.said), delegates=tuple(map(self._hidden, pin.delegates)))

    def _hidden(self, text: str) -> str:
        """A service may say our token back to us; what it says is shown."""
        return cleaned(text.replace(self._service.token, "…"))


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > ANSWER_BYTES:
            raise BadAnswer(f"an answer of more than {ANSWER_BYTES:,} bytes")
    return bytes(data)


def _json(data: bytes, strict: bool) -> Any:
    if not data.strip():
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        if strict:
            raise BadAnswer("an answer that is no JSON") from None
        return None


def _seconds(text: str | None) -> float | None:
    """Retry-After: seconds or a date (RFC 9110 §10.2.3); None where it is neither."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _one(requestid: str) -> str:
    return f"/pins/{quote(requestid, safe='')}"
