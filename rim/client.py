"""The origin as the command line sees it: requests, retries, and its errors in our words.

Here lives HTTP to one origin. Not here: what is asked for (rim/publisher, rim/commands), nor the wire between nodes
(edge/peers), which needs a loop and many connections where this needs neither.

http.client and not aiohttp: 15 ms to import instead of 150, and a publish speaks over two connections at most.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from rim.exits import Failed, Refused, Stop

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 30.0  # without a byte, after which a request is given up
COMMIT_SECONDS = 300.0  # the origin proves a whole release before it answers
FIRST_RETRIES = 3.0  # seconds of trying while the origin was never heard
LATER_RETRIES = float(os.environ.get("RIM_RETRY", "20"))  # ... and once it was: long enough for its restart
_BACKOFF = (0.1, 0.2, 0.4, 0.8, 1.6, 2.0)
_AGAIN = frozenset({429, 502, 503, 504})
_ANSWER_MAX = 256 << 20
_PART = 1 << 20
_LISTED_BY = {
    "no_site": "`rim sites` lists what there is",
    "no_release": "`rim releases SITE` lists what there is",
    "no_pin": "`rim pins` lists what there is",
    "no_edge": "`rim status` lists what there is",
    "no_token": "`rim token list` lists what there is",
    "no_path": "give its CID, or the path as `rim verify` and `rim explain` show it",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Failed(
                "the origin's answer is not JSON", "check that the address is an origin's, not another server's"
            )
        return value


class Unreachable(Exception):
    """The connection failed or broke; the request may or may not have been carried out."""


class Rejected(Exception):
    """The origin answered with an error. `code` is its word for programs."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("error", ""))
        self.message = str(body.get("message", f"HTTP {status}"))
        self.body = body
        super().__init__(self.message)


class Origin:
    """One origin. Threads may share it: each has a connection of its own."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self._secure = parts.scheme == "https"
        self._address = (parts.hostname or "", parts.port or (443 if self._secure else 80))
        self._prefix = parts.path.rstrip("/")
        self._token = token
        self._local = threading.local()
        self._open: list[http.client.HTTPConnection] = []
        self._heard = False

    def __enter__(self) -> Origin:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def interrupt(self) -> None:
        """End what other threads wait for: their requests end as Unreachable."""
        for connection in list(self._open):
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all connections. No other thread may be using one."""
        for connection in self._open:
            connection.close()
        self._open.clear()

    def get(self, path: str, *, timeout: float = SILENCE_SECONDS, **query: object) -> dict[str, Any]:
        return self.call("GET", path + _query(query), timeout=timeout).json()

    def send(self, method: str, path: str, value: object = None, *, timeout: float = SILENCE_SECONDS) -> dict[str, Any]:
        """A request with a JSON body. It may be sent again when its answer is lost: all of ours bear it."""
        body = None if value is None else json.dumps(value).encode()
        return self.call(method, path, body, {"Content-Type": "application/json"}, timeout).json()

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = SILENCE_SECONDS,
    ) -> Answer:
        """One request below /api/v1 (or at a path of the gateway), retried with growing pauses for a bounded time.

        Raises Rejected on an answer of 4xx or 5xx, Failed when the origin cannot be reached.
        """
        return self.patiently(lambda: self.once(method, path, body, headers, timeout))

    def patiently(self, attempt: Callable[[], Answer]) -> Answer:
        """Try again while the origin is away, until it has been away for FIRST_ or LATER_RETRIES."""
        away_since, tries = 0.0, 0
        while True:
            try:
                return attempt()
            except (Unreachable, Rejected) as error:
                if isinstance(error, Rejected) and error.status not in _AGAIN:
                    raise
                pause = _BACKOFF[min(tries, len(_BACKOFF) - 1)]
                away_since = away_since or time.monotonic()
                if time.monotonic() + pause - away_since > (LATER_RETRIES if self._heard else FIRST_RETRIES):
                    if isinstance(error, Rejected):
                        raise
                    raise self._away(error) from error
            time.sleep(pause)
            tries += 1

    def once(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = SILENCE_SECONDS,
    ) -> Answer:
        """One request, tried once. Raises Unreachable or Rejected."""
        connection = self._connection(timeout)
        sent = {"Authorization": f"Bearer {self._token}", "Accept-Encoding": "identity", **(headers or {})}
        if not self._token:
            del sent["Authorization"]
        try:
            answer = self._exchange(connection, method, self._prefix + path, body, sent)
        except (OSError, http.client.HTTPException) as error:
            self._drop(connection)
            raise Unreachable(_reason(error)) from error
        except BaseException:
            self._drop(connection)  # half a request stands in it
            raise
        self._heard = True
        if answer.status >= 400:
            raise _rejected(answer)
        return answer

    def stream(self, path: str) -> Iterator[bytes]:
        """The body of a GET, as it comes. Raises Unreachable when it breaks off, Rejected."""
        connection = self._connection(SILENCE_SECONDS)
        try:
            connection.request("GET", self._prefix + path, headers={"Authorization": f"Bearer {self._token}"})
            response = connection.getresponse()
            if response.status >= 400:
                headers = {k.lower(): v for k, v in response.getheaders()}
                raise _rejected(Answer(response.status, headers, response.read(_ANSWER_MAX)))
            while part := response.read1(_PART):
                yield part
            if response.length:
                raise Unreachable("the answer ended early")
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(_reason(error)) from error
        finally:
            self._drop(connection)

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
    ) -> Answer:
        broken: OSError | None = None
        try:
            connection.request(method, path, body, headers)
        except (BrokenPipeError, ConnectionResetError) as error:
            broken = error  # it hung up before all was sent: most likely it has said why
        try:
            response = connection.getresponse()
            data = response.read(_ANSWER_MAX)
        except (OSError, http.client.HTTPException):
            if broken is not None:
                raise broken from None
            raise
        if broken is not None or response.will_close:
            self._drop(connection)
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, data)

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            connection = kind(*self._address, timeout=CONNECT_SECONDS)
            try:
                connection.connect()
            except OSError as error:
                connection.close()
                raise Unreachable(_reason(error)) from error
            self._local.connection = connection
            self._open.append(connection)
        connection.sock.settimeout(timeout)
        return connection

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        self._local.connection = None
        if connection in self._open:
            self._open.remove(connection)
        connection.close()

    def _away(self, error: Unreachable) -> Failed:
        return Failed(
            f"the origin at {self.url} cannot be reached: {error}",
            "start it (`rim up`, `rim origin`) or name another (RIM_ORIGIN); nothing is lost, the same command goes on",
        )


def site_path(name: str, *more: str) -> str:
    return "/".join(("/api/v1/sites", quote(name, safe=""), *more))


def stop_for(error: Rejected) -> Stop:
    """The origin's refusal as the end of a command."""
    if error.status == 507:
        return Failed("the origin disk is full", "free space there (`rim gc`, or remove sites), then run this again")
    if error.status == 401:
        return Refused(
            error.message, "set RIM_TOKEN to a valid token; `rim token add` makes one (scope admin is needed)"
        )
    if error.status == 403:
        return Refused(error.message, "ask for a token with that scope: `rim token add NAME --scope … --site …`")
    if error.status == 404 and error.code:
        return Refused(error.message, _LISTED_BY.get(error.code, "look at the name: the origin has nothing of it"))
    if error.status in _AGAIN or error.status >= 500:
        return Failed(f"the origin cannot do this now: {error.message}", "look at its log, then run this again")
    if not error.code:
        return Failed(
            f"what answers there is no origin ({error.message})",
            "give the origin's address (RIM_ORIGIN), not an edge's",
        )
    hint = {
        "lost_race": "publish again: it starts from what is live now",
        "host_taken": "choose another host, or take it from that site first",
        "incomplete": "publish the folder that holds them, then run this again",
        "denied": "leave it out; or, where it may be shown after all, `rim allow` it (`rim denied` lists the rules)",
        "immutable_changed": "name changed files anew (let the bundler hash them), or publish with --force",
    }
    return Refused(error.message, hint.get(error.code, ""))


def _rejected(answer: Answer) -> Rejected:
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    return Rejected(answer.status, body if isinstance(body, dict) else {})


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return f"its name is unknown ({error.strerror})"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "the connection broke"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _query(values: Mapping[str, object]) -> str:
    given = [f"{key}={quote(str(value), safe='')}" for key, value in values.items() if value is not None]
    return "?" + "&".join(given) if given else ""


def stopped(error: Rejected) -> NoReturn:
    raise stop_for(error) from error
