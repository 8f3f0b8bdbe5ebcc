"""Rpc: what the origin asks of a Kubo, and every way in which that can fail, as sentences.

Here lives the only contact with ipfshttpclient, and the HTTP around it: pins by that client (synchronous and made for a
Kubo of 2021, but what it does it still does), from whichever thread asks; what it lacks (imports that pin, records, the
checks and the collection of the whole repository) and the reads through the trustless gateway by aiohttp, on a loop of
their own in a thread. Not here: what is to be pinned and when (store/kubo/keeping).

Everything is asked offline: what this Kubo has not, it must not go and look for.
A Kubo that is away is asked by one caller at a time, and all others are told so at once: reads would else take every
thread of the origin, and the Head with them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import aiohttp

from content.cid import CID
from content.errors import BadCID
from content.limits import BLOCK_ACCEPTED
from origin.errors import StateError, StoreFailed, StoreFull

# Its patch of requests is for sockets in the file system, and warns of urllib3's future at every new connection.
os.environ.setdefault("PY_IPFS_HTTP_CLIENT_PATCH_REQUESTS", "no")
import ipfshttpclient
from ipfshttpclient import exceptions as faults

CONNECT_SECONDS = 3.0  # to a process on the same machine or the next one
READ_SECONDS = 10.0  # one block: past it a client would rather hear 503 and go to another node
ASK_SECONDS = 30.0  # a small question: pins, a record
MEET_SECONDS = 2.0  # to connect to another node; an origin that stops may wait for twice as long
TAKE_SECONDS = 120.0  # an import of up to 16 MiB; Kubo holds it while it collects its garbage
PIN_SECONDS = 900.0  # a first pin reads every block of a release: 2.5 s for 100,000 files seen, from a warm disk
WHOLE_SECONDS = 6 * 3600.0  # what goes through the whole repository
PAUSE_SECONDS = 0.5  # before a Kubo that was away is asked again; doubled up to PAUSE_MAX
PAUSE_MAX = 8.0
READS_AT_ONCE = 64
WORKERS = 8  # threads for ipfshttpclient: stages that pin at the same time
CLOSE_SECONDS = 1.0
_FULL = re.compile(r"no space left|disk quota|ENOSPC|storage limit", re.I)
_LACKS = re.compile(r"could not find (\S+)|block was not found locally")
_BOUNDARY = f"rim-{secrets.token_hex(16)}"  # no file can hold what nobody knew when it was written

T = TypeVar("T")


class Lacking(Exception):
    """Kubo has not all of what a pin would hold. `cid`: a block that it named, as raw or as itself."""

    def __init__(self, cid: CID | None) -> None:
        super().__init__(f"Kubo lacks {cid or 'a block'}")
        self.cid = cid


class Rpc:
    """One Kubo. Every method blocks its thread; all may be called from any. They raise StoreFailed and StoreFull."""

    def __init__(self, api: str, gateway: str) -> None:
        self.api = api.rstrip("/")
        self.gateway = _checked(gateway.rstrip("/"), "--kubo-gateway").geturl()
        self.calls: dict[str, int] = {}
        self.failures: dict[str, int] = {}
        self._address = _multiaddress(self.api)
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._workers: list[threading.Thread] = []
        self._idle = 0
        self._under_way: set[Future[Any]] = set()
        self._closed = False
        self._lock = threading.Lock()
        self._away: tuple[float, float] | None = None  # until when nobody asks, and the pause after that
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kubo", daemon=True)
        self._thread.start()
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<Rpc {self.api}>"

    def close(self) -> None:
        """Whoever still waits for an answer is told that there will be none, so that nobody holds up the end."""
        with self._lock:
            self._closed = True
            waiting, self._under_way = self._under_way, set()
        for future in waiting:
            with suppress(InvalidStateError):
                if not future.cancel():
                    future.set_exception(_Gone("the origin is stopping"))
        for _ in self._workers:
            self._calls.put(None)
        for worker in self._workers:  # one that hangs in a call is a daemon, and ends with the process
            worker.join(CLOSE_SECONDS)
        if self._session is not None:
            asyncio.run_coroutine_threadsafe(self._session.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- pins, by ipfshttpclient

    def pins(self) -> dict[CID, str]:
        """Every recursive pin and its name, whoever made it; but what is named by a hash that we do not know."""
        found = self._ask("pin/ls", lambda client: client.pin.ls(type="recursive", opts={"names": True}))
        return {cid: str(row.get("Name", "")) for text, row in found["Keys"].items() if (cid := _cid(text)) is not None}

    def is_pinned(self, root: CID) -> bool:
        try:
            self._ask("pin/ls", lambda client: client.pin.ls(root, type="recursive"))
        except _Refused as refused:
            if "not pinned" in refused.words:
                return False
            raise
        return True

    def pin(self, root: CID, name: str) -> None:
        """Pin this DAG, each of whose blocks Kubo reads. Raises Lacking."""
        self._pin("pin/add", lambda client: client.pin.add(root, timeout=PIN_SECONDS, opts={"name": name}), PIN_SECONDS)

    def pin_like(self, old: CID, new: CID) -> None:
        """Pin a DAG beside one that is pinned, under its name: Kubo reads only what differs. Raises Lacking."""
        self._pin("pin/update", partial(_update, old, new), PIN_SECONDS)

    def unpin(self, root: CID) -> None:
        """Take the pin away; that there is none is what was wanted."""
        try:
            self._ask("pin/rm", lambda client: client.pin.rm(root))
        except _Refused as refused:
            if "not pinned" not in refused.words:
                raise

    def _pin(self, what: str, action: Callable[[Any], Any], seconds: float) -> None:
        try:
            self._ask(what, action, seconds)
        except _Refused as refused:
            raise refused.lacking() or refused from refused

    # -- the rest of the RPC, by aiohttp

    def take(self, parts: Iterable[bytes]) -> None:
        """Import a CAR and pin its root in one go, which Kubo's own collection cannot come between."""
        rows = self._post("dag/import", {"pin-roots": "true"}, TAKE_SECONDS, parts)
        said = [row["Root"] for row in rows if "Root" in row]
        errors = [str(root["PinErrorMsg"]) for root in said if root.get("PinErrorMsg")]
        if errors or not said:
            raise self._refusal("dag/import", errors[0] if errors else "no root was pinned")

    def local(self) -> set[bytes]:
        """The multihash of every block that Kubo has."""
        rows = self._post("refs/local", {}, WHOLE_SECONDS)
        return {cid.multihash for row in rows if (cid := _cid(row.get("Ref", ""))) is not None}

    def publish(self, name: str, record: bytes) -> None:
        """Give Kubo an IPNS record, to answer by and, where it is online, to tell the world."""
        self._post(
            "routing/put", {"arg": f"/ipns/{name}", "allow-offline": "true"}, ASK_SECONDS, (record,), offline=False
        )

    def connect(self, addresses: Iterable[str]) -> None:
        """Have Kubo connect to these nodes, in a few seconds; it does not matter which of them cannot be. The addresses
        are other people's word: that one leads nowhere says nothing of this Kubo, and must not make it `away`."""
        if self._away is None:
            with suppress(_Slow, _Gone):
                self._wait(self._meet(list(addresses)), 2 * MEET_SECONDS)

    async def _meet(self, addresses: list[str]) -> None:
        url, limit = f"{self.api}/api/v0/swarm/connect", f"{MEET_SECONDS:g}s"
        asked = (self._answer(url, {"arg": address, "timeout": limit}, None) for address in addresses)
        with suppress(TimeoutError):
            async with asyncio.timeout(1.5 * MEET_SECONDS):
                await asyncio.gather(*asked, return_exceptions=True)

    def collect(self) -> int:
        """Have Kubo collect its garbage; how many blocks went."""
        return sum("Key" in row for row in self._post("repo/gc", {}, WHOLE_SECONDS))

    def size(self) -> int:
        """Bytes of the repository on disk."""
        rows = self._post("repo/stat", {"size-only": "true"}, WHOLE_SECONDS)
        return int(rows[0]["RepoSize"]) if rows else 0

    def verify(self) -> list[str]:
        """Have Kubo hash every block; its words on each that is broken."""
        try:
            rows = self._post("repo/verify", {}, WHOLE_SECONDS)
        except _Refused as refused:
            return [refused.words]
        said = [str(row.get("Msg") or row.get("Message") or "") for row in rows]
        return [words for words in said if words and not words.startswith("verify complete")]

    # -- blocks, by the trustless gateway

    def block(self, cid: CID) -> bytes | None:
        """The bytes that Kubo has under this CID, not looked at; None where it has none."""
        with self._asking("block"):
            return self._wait(self._block(cid), READ_SECONDS)

    async def _block(self, cid: CID) -> bytes | None:
        url = f"{self.gateway}/ipfs/{cid.v1}?format=raw"
        headers = {"Cache-Control": "only-if-cached"}  # a gateway may fetch; this one is asked for what it has
        async with self._open().get(url, headers=headers) as response:
            if response.status in (404, 410, 412, 451):
                return None
            data = bytearray()
            while len(data) <= BLOCK_ACCEPTED and (more := await response.content.readany()):
                data += more
            if response.status != 200:
                words = bytes(data[:200]).decode(errors="replace").strip()
                raise self._refusal("a block", f"{response.status} {words}")
            return bytes(data)

    # -- how it is asked

    def _ask(self, what: str, action: Callable[[Any], T], seconds: float = ASK_SECONDS) -> T:
        """Call ipfshttpclient, in a thread of its own that nobody waits for longer than this: the limits that it takes
        are for each read, and a thread in a read cannot be called back."""
        with self._asking(what):
            call = _Call(action)
            with self._lock:
                if not self._idle and len(self._workers) < WORKERS:
                    worker = threading.Thread(target=self._work, name="kubo-pins", daemon=True)
                    self._workers.append(worker)
                    worker.start()
            self._calls.put(call)
            try:
                answer: T = self._result(call.answer, seconds)
                return answer
            except faults.ErrorResponse as error:
                raise self._refusal(what, str(error)) from error
            except (TimeoutError, faults.TimeoutError) as error:
                raise _Slow from error
            except (faults.ConnectionError, faults.ProtocolError) as error:
                raise _Gone(str(error)) from error
            except faults.Error as error:
                raise self._refusal(what, str(error)) from error

    def _work(self) -> None:
        """A thread that asks by ipfshttpclient, one question at a time."""
        timeout = (CONNECT_SECONDS, ASK_SECONDS)
        with ipfshttpclient.Client(self._address, offline=True, timeout=timeout) as client:
            while True:
                with self._lock:
                    self._idle += 1
                call = self._calls.get()
                with self._lock:
                    self._idle -= 1
                if call is None:
                    return
                if call.answer.set_running_or_notify_cancel():
                    with suppress(InvalidStateError):  # the origin ended meanwhile
                        try:
                            call.answer.set_result(call.action(client))
                        except BaseException as error:
                            call.answer.set_exception(error)

    def _result(self, answer: Future[T], seconds: float | None) -> T:
        with self._lock:
            if self._closed:
                answer.cancel()
            self._under_way.add(answer)
        try:
            return answer.result(seconds)
        except CancelledError as error:
            raise _Gone("the origin is stopping") from error
        finally:
            self._under_way.discard(answer)

    def _post(
        self,
        what: str,
        query: Mapping[str, str],
        seconds: float,
        parts: Iterable[bytes] | None = None,
        offline: bool = True,
    ) -> list[dict[str, Any]]:
        with self._asking(what):
            asked = {**query, "offline": "true"} if offline else dict(query)
            body = None if parts is None else _multipart(parts)
            status, data = self._wait(self._answer(f"{self.api}/api/v0/{what}", asked, body), seconds)
            rows = [json.loads(line) for line in data.splitlines() if line.strip()] if status < 400 else []
            failed = next((row for row in rows if row.get("Type") == "error"), None)
            if status >= 400 or failed is not None:
                raise self._refusal(what, _words(data) if failed is None else str(failed.get("Message")))
            return rows

    async def _answer(self, url: str, query: Mapping[str, str], body: bytes | None) -> tuple[int, bytes]:
        headers = {} if body is None else {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        data = None if body is None else BytesIO(body)
        async with self._open().post(url, params=query, data=data, headers=headers) as response:
            return response.status, await response.read()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=READS_AT_ONCE)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self._session

    def _wait(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        if self._closed:
            work.close()
            raise _Gone("the origin is stopping")
        try:
            return self._result(asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), self._loop), None)
        except TimeoutError as error:  # also a ServerTimeoutError of aiohttp's
            raise _Slow from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _Gone(str(error) or type(error).__name__) from error

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Count, and say as sentences what went wrong."""
        self._knock()
        self.calls[what] = self.calls.get(what, 0) + 1
        try:
            yield
        except (_Slow, _Gone) as error:
            self._fail(what)
            self._leave()
            raise self._sentence(error) from error
        except BaseException:
            self._fail(what)
            self._away = None  # it answered
            raise
        self._away = None

    def _fail(self, what: str) -> None:
        self.failures[what] = self.failures.get(what, 0) + 1

    def _knock(self) -> None:
        with self._lock:
            if self._away is None:
                return
            until, pause = self._away
            if time.monotonic() < until:
                raise StoreFailed(f"the Kubo at {self.api} is away; it is asked again in a moment", "kubo_away")
            self._away = (time.monotonic() + max(pause, CONNECT_SECONDS + READ_SECONDS), pause)  # one goes and looks

    def _leave(self) -> None:
        with self._lock:
            pause = PAUSE_SECONDS if self._away is None else min(2 * self._away[1], PAUSE_MAX)
            self._away = (time.monotonic() + pause, pause)

    def _refusal(self, what: str, words: str) -> StoreFailed | StoreFull:
        if _FULL.search(words):
            return StoreFull(f"the disk of the Kubo at {self.api} is full: free space or run `rim gc`, then repeat")
        return _Refused(f"the Kubo at {self.api} refused {what}: {words[:300]}", words)

    def _sentence(self, error: Exception) -> StoreFailed:
        if isinstance(error, _Slow):
            return StoreFailed(
                f"the Kubo at {self.api} does not answer in time; nothing was lost, try again", "kubo_slow"
            )
        return StoreFailed(
            f"the Kubo at {self.api} cannot be reached ({error}): start it, or give its address with --kubo-api and "
            "--kubo-gateway; nothing was lost",
            "kubo_away",
        )


@dataclass(slots=True)
class _Call:
    """A question for ipfshttpclient."""

    action: Callable[[Any], Any]
    answer: Future[Any] = field(default_factory=Future)


class _Slow(Exception):
    """No answer in time."""


class _Gone(Exception):
    """No answer at all."""


class _Refused(StoreFailed):
    """Kubo answered, and it was a no. Some callers look at its words; for all others it is the sentence to pass on."""

    def __init__(self, message: str, words: str) -> None:
        super().__init__(message, "kubo_failed")
        self.words = words

    def lacking(self) -> Lacking | None:
        found = _LACKS.search(self.words)
        return None if found is None else Lacking(_cid(found[1] or ""))


def _update(old: CID, new: CID, client: Any) -> Any:
    return client.pin.update(old, new, unpin=False, timeout=PIN_SECONDS)


def _multipart(parts: Iterable[bytes]) -> bytes:
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
    kind = "Content-Type: application/octet-stream\r\n\r\n"
    return b"".join(((head + kind).encode(), *parts, f"\r\n--{_BOUNDARY}--\r\n".encode()))


def _words(data: bytes) -> str:
    try:
        return str(json.loads(data)["Message"])
    except (ValueError, KeyError, TypeError):
        return data[:300].decode(errors="replace").strip()


def _cid(text: str) -> CID | None:
    try:
        return CID.parse(text.rstrip(":,"))
    except BadCID:
        return None


def _multiaddress(url: str) -> str:
    """The address as ipfshttpclient takes it. Raises StateError."""
    parts = _checked(url, "--kubo-api")
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    kind = "ip6" if ":" in host else "ip4" if re.fullmatch(r"[\d.]+", host) else "dns"
    return f"/{kind}/{host}/tcp/{port}/{parts.scheme}"


def _checked(url: str, flag: str) -> SplitResult:
    """The parts of an address. Raises StateError. On `localhost` Kubo's gateway sends everyone to a name below it,
    which not every machine can look up, so that is asked by number."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.path and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise StateError(f"{flag} {url}: write it as http://HOST:PORT, e.g. http://127.0.0.1:5001")
    return parts._replace(netloc=parts.netloc.replace("localhost", "127.0.0.1", 1))
