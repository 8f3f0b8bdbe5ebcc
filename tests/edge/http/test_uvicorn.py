"""What uvicorn's own protocol class does on the wire, row by row, and what ours does: the same, or why not.

Here live the ASGI app that both serve, the table, and the plays that a table of bytes cannot tell. The rows follow the
behaviours that uvicorn 0.54 tests of its class. Not here: what ours does besides (test_protocol), malformed requests.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from edge.http.limits import Limits
from edge.http.listener import _Server
from edge.http.protocol import Protocol
from tests.edge.standing import PATIENCE, exchange, responses, standing
from tests.kit.nodes import until

IDLE = 1
BIG = 10 << 20


@dataclass
class App:
    """One app; each path is a behaviour of apps."""

    events: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        path = scope["path"].removeprefix(scope["root_path"])
        self.events.append(path)
        act: Callable[..., Any] = getattr(self, path.split("/")[1].replace("-", "_"), self.plain)
        return await act(scope, receive, send)

    async def plain(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _say(send, b"plain")

    async def after(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _say(send, b"after")

    async def scope(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = ("method", "scheme", "http_version", "path", "raw_path", "query_string", "headers")
        await _say(send, ascii([scope[name] for name in names]).encode())

    async def echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await _say(send, body)

    async def slow(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.gate.wait()
        await _say(send, b"slow")

    async def soon(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        await _say(send, b"soon")

    async def gone(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.events.append("disconnect")

    async def chunks(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"a", b"", b"b"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def empty(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def same(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b'"x"')]})
        await send({"type": "http.response.body", "body": b""})

    async def twice(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _say(send, b"", (b"Set-Cookie", b"a"), (b"X-B", b"b"), (b"Set-Cookie", b"c"))

    async def closing(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _say(send, b"closing", (b"connection", b"close"))

    async def split(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _say(send, b"", (b"x-a", b"b\r\nx-c: d"))

    async def fails(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("as asked")

    async def fails_late(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        raise RuntimeError("as asked")

    async def silent(self, scope: Scope, receive: Receive, send: Send) -> None:
        return None

    async def value(self, scope: Scope, receive: Receive, send: Send) -> str:
        await _say(send, b"value")
        return "value"

    async def partial(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})

    async def short(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _say(send, b"short", size=9)

    async def long(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _say(send, b"longer", size=3)

    async def no_start(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.body", "body": b"x"})

    async def two_starts(self, scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})

    async def past_end(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _say(send, b"past")
        await send({"type": "http.response.body", "body": b"end"})

    async def big(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % BIG)]})
        self.sent = 0
        for _ in range(BIG >> 16):
            await send({"type": "http.response.body", "body": b"b" * (1 << 16), "more_body": True})
            self.sent += 1 << 16
        await send({"type": "http.response.body", "body": b""})


async def _say(send: Send, body: bytes, *fields: tuple[bytes, bytes], size: int | None = None) -> None:
    length = (b"content-length", b"%d" % (len(body) if size is None else size))
    start: Message = {"type": "http.response.start", "status": 200, "headers": [length, *fields]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


@dataclass
class Served:
    """One server on its loop."""

    app: App
    server: uvicorn.Server
    url: str
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)


PROTOCOLS: dict[str, Any] = {
    "uvicorn": HttpToolsProtocol,
    "ours": functools.partial(Protocol, limits=Limits(idle=IDLE, head_time=IDLE, write_stall=30)),
}


@asynccontextmanager
async def served(name: str, **more: Any) -> AsyncIterator[Served]:
    """uvicorn with this protocol class, all else equal."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        app = App()
        config = uvicorn.Config(
            app, http=PROTOCOLS[name], ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, timeout_keep_alive=IDLE, timeout_graceful_shutdown=20, **more,
        )  # fmt: skip
        server = _Server(config)
        life = asyncio.create_task(server.serve([sock]))
        while not server.started:
            await asyncio.sleep(0.005)
        yield Served(app, server, "http://{}:{}".format(*sock.getsockname()[:2]))
        server.should_exit = True
        app.gate.set()
        await life


@contextmanager
def started(name: str, **more: Any) -> Iterator[Served]:
    with standing(lambda: served(name, **more)) as (server, loop):
        server.loop = loop
        yield server


@pytest.fixture(scope="module", params=PROTOCOLS)
def both(request: pytest.FixtureRequest) -> Iterator[tuple[str, Served]]:
    with started(request.param, root_path="/mount") as server:
        yield request.param, server


def get(path: str, *fields: str, version: str = "1.1", method: str = "GET", body: bytes = b"") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/{version}", "Host: a", *fields, "", "")).encode() + body


AFTER = get("/after", "Connection: close")


@dataclass(frozen=True, slots=True)
class Row:
    """A behaviour: bytes, and what both say to them before a last plain request, `+` where that is answered too."""

    name: str
    data: bytes
    uvicorn: str
    ours: str = ""  # the same, where it is empty
    why: str = ""


_CHUNKED = "Transfer-Encoding: chunked"

ROWS = [
    Row("get", get("/plain"), "200 plain+"),
    Row("keep-alive", get("/plain") * 3, "200 plain | 200 plain | 200 plain+"),
    Row("connection-close", get("/plain", "Connection: close"), "200 plain"),
    Row("connection-close-in-capitals", get("/plain", "Connection: CLOSE"), "200 plain"),
    Row("connection-close-pipelined", get("/plain", "Connection: close") + get("/plain"), "200 plain"),
    Row(
        "close-behind-others", get("/soon") * 2 + get("/plain", "Connection: close"), "200 soon | 200 soon | 200 plain"
    ),
    Row("the-app-closes", get("/closing"), "200 closing"),
    Row("the-app-closes-pipelined", get("/closing") + get("/plain"), "200 closing"),
    Row("http-1.0", get("/plain", version="1.0"), "200 plain"),
    Row("http-1.0-keep-alive", get("/plain", "Connection: keep-alive", version="1.0"), "200 plain"),
    Row("http-1.0-chunks", get("/chunks", version="1.0"), "200 ab"),
    Row("head", get("/plain", method="HEAD"), "200+"),
    Row("head-chunks", get("/chunks", method="HEAD"), "200+"),
    Row("chunks", get("/chunks"), "200 ab+"),
    Row("no-content", get("/empty"), "204+"),
    Row("not-modified", get("/same"), "304+"),
    Row("response-fields-in-order", get("/twice"), "200 set-cookie=a x-b=b set-cookie=c+"),
    Row("response-field-splits", get("/split"), ""),
    Row("body-by-length", get("/echo", "Content-Length: 5", method="POST", body=b"hello"), "200 hello+"),
    Row(
        "body-in-chunks", get("/echo", _CHUNKED, method="POST", body=b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), "200 hello+"
    ),
    Row("body-in-chunks-empty", get("/echo", _CHUNKED, method="POST", body=b"0\r\n\r\n"), "200+"),
    Row("body-with-trailer", get("/echo", _CHUNKED, method="POST", body=b"2\r\nhe\r\n0\r\nX: y\r\n\r\n"), "200 he+"),
    Row(
        "body-of-a-mebibyte",
        get("/echo", f"Content-Length: {1 << 20}", method="POST", body=b"x" * (1 << 20)),
        "200 1048576 bytes+",
    ),
    Row("body-unread", get("/plain", "Content-Length: 5", method="POST", body=b"hello"), "200 plain+"),
    Row(
        "body-unread-and-closed",
        get("/plain", "Content-Length: 5", "Connection: close", method="POST", body=b"hello"),
        "200 plain",
    ),
    Row("body-of-get", get("/echo", "Content-Length: 5", body=b"hello"), "200 hello+"),
    Row(
        "body-short",
        get("/plain", "Content-Length: 5", method="POST", body=b"he"),
        "400",
        "200 plain",
        "the answer is not lost to what is wrong behind it",
    ),
    Row(
        "expect-and-body-read",
        get("/echo", "Expect: 100-continue", "Content-Length: 2", method="POST", body=b"he"),
        "100 | 200 he+",
    ),
    Row(
        "expect-and-body-not-read",
        get("/plain", "Expect: 100-continue", "Content-Length: 2", method="POST", body=b"he"),
        "200 plain+",
    ),
    Row(
        "pipelined-in-order",
        get("/soon") + get("/plain") + get("/chunks") + get("/soon"),
        "200 soon | 200 plain | 200 ab | 200 soon+",
    ),
    Row("pipelined-head-and-get", get("/soon", method="HEAD") + get("/soon"), "200 | 200 soon+"),
    Row(
        "pipelined-with-body",
        get("/echo", "Content-Length: 2", method="POST", body=b"he") + get("/plain"),
        "200 he | 200 plain+",
    ),
    Row("pipelined-many", get("/soon") * 40, " | ".join(["200 soon"] * 40) + "+"),
    Row("app-fails", get("/fails"), "500"),
    Row("app-fails-late", get("/fails-late"), "200"),
    Row("app-says-nothing", get("/silent"), "500"),
    Row("app-returns-a-value", get("/value"), "200 value"),
    Row("app-stops-half-way", get("/partial"), "200 part"),
    Row("app-sends-less", get("/short"), "200 short"),
    Row("app-sends-more", get("/long"), "200"),
    Row("app-sends-no-start", get("/no-start"), "500"),
    Row("app-sends-two-starts", get("/two-starts"), "200"),
    Row("app-sends-past-the-end", get("/past-end"), "200 past"),
    Row("invalid", b"GET / HTP/1.1\r\n\r\n", "400"),
    Row(
        "invalid-behind-a-good-one",
        get("/plain") + b"nonsense\r\n\r\n",
        "400",
        "200 plain",
        "a refusal overtakes no answer that is due",
    ),
    Row(
        "invalid-behind-a-slow-one",
        get("/soon") + b"nonsense\r\n\r\n",
        "400",
        "200 soon",
        "a refusal overtakes no answer that is due",
    ),
    Row("empty-lines-first", b"\r\n\r\n" + get("/plain"), "200 plain+"),
    Row("no-host", b"GET /plain HTTP/1.1\r\n\r\n", "200 plain+", "400", "RFC 9112 §3.2"),
    Row("two-hosts", get("/plain", "Host: b"), "200 plain+", "400", "RFC 9112 §3.2"),
    Row("fields-200", get("/plain", *["X: y"] * 200), "200 plain+", "431", "the budget of a head"),
    Row("field-of-64-kib", get("/plain", "X: " + "y" * (1 << 16)), "200 plain+", "431", "the budget of a head"),
    Row("target-of-16-kib", get("/plain?" + "y" * (1 << 14)), "200 plain+", "414", "the budget of a target"),
    Row("fragment", get("/plain#x"), "200 plain+", "400", "RFC 9112 §3.2: no target has one"),
    Row("absolute-form", get("http://b/plain"), "200 plain+"),
    Row(
        "asterisk-form",
        get("*", method="OPTIONS"),
        "500",
        "400",
        "about the server as a whole; a server of sites has nothing to say of it",
    ),
    Row("connect", get("a:1", method="CONNECT"), "400", "405", "the method is known, and refused"),
    Row("http-2.0", get("/plain", version="2.0"), "200 plain", "505", "no HTTP/1, RFC 9110 §15.6.6"),
    Row("http-0.9", get("/plain", version="0.9"), "200 plain", "505", "no HTTP/1, RFC 9110 §15.6.6"),
    Row("coding-unknown", get("/plain", "Transfer-Encoding: gzip"), "400"),
    Row(
        "coding-on-1.0",
        get("/plain", _CHUNKED, version="1.0", body=b"0\r\n\r\n"),
        "200 plain",
        "400",
        "RFC 9112 §6.1: a fault of framing",
    ),
    Row("upgrade-websocket", get("/plain", "Connection: Upgrade", "Upgrade: websocket"), "200 plain"),
    Row("upgrade-h2c", get("/plain", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), "200 plain"),
    Row("upgrade-pipelined", get("/plain", "Connection: Upgrade", "Upgrade: x") + get("/plain"), "200 plain"),
    Row(
        "scope",
        get("/scope?a=b%20c", "X-One: 1", "x-ONE:  2", "X-Empty:"),
        r"200 ['GET', 'http', '1.1', '/mount/scope', b'/mount/scope', b'a=b%20c', "
        r"[(b'host', b'a'), (b'x-one', b'1'), (b'x-one', b'2'), (b'x-empty', b'')]]+",
    ),
    Row(
        "scope-escapes",
        get("/scope/%C3%A9/%2F"),
        r"200 ['GET', 'http', '1.1', '/mount/scope/\xe9//', b'/mount/scope/%C3%A9/%2F', b'', [(b'host', b'a')]]+",
    ),
    Row(
        "scope-absolute",
        get("http://b:80/scope?x"),
        r"200 ['GET', 'http', '1.1', '/mount/scope', b'/mount/scope', b'x', [(b'host', b'a')]]+",
        r"200 ['GET', 'http', '1.1', '/mount/scope', b'/mount/scope', b'x', [(b'host', b'b:80')]]+",
        "RFC 9112 §3.2.2: the target's authority is the host",
    ),
]


def told(data: bytes, *methods: str) -> str:
    """Statuses and bodies in order; of fields, those that a row is about."""
    words = []
    for said in responses(data, *methods):
        body = said.body if len(said.body) < 400 else b"%d bytes" % len(said.body)
        body = body if said.status is not None and said.status < 400 else b""  # each words its refusals its own way
        cookies = "".join(f" {name}={value}" for name, value in said.fields if name in ("set-cookie", "x-b", "x-c"))
        words.append(f"{said.status}{cookies} {body.decode('latin-1')}".strip())
    line = " | ".join(words)
    return line.removesuffix(" | 200 after") + "+" if words[-1:] == ["200 after"] else line


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_on_the_wire(both: tuple[str, Served], row: Row) -> None:
    """Each row against both."""
    name, server = both
    expected = row.uvicorn if name == "uvicorn" else row.ours or row.uvicorn
    methods = [line.split(b" ")[0].decode() for line in row.data.splitlines() if line.endswith((b"HTTP/1.1", b"/1.0"))]
    assert told(exchange(server.url, row.data + AFTER), *methods) == expected


def test_each_difference_has_its_reason() -> None:
    for row in ROWS:
        assert bool(row.ours) == bool(row.why), row.name
        assert not row.ours or row.ours != row.uvicorn, row.name


@pytest.fixture(params=PROTOCOLS)
def alone(request: pytest.FixtureRequest) -> Iterator[tuple[str, Served]]:
    """A server of its own, for plays that end it or look at its state."""
    with started(request.param) as server:
        yield request.param, server


def connect(server: Served) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), PATIENCE)


def settled(what: str, is_so: Callable[[], Any]) -> None:
    until(what, is_so, PATIENCE)


def everything(sock: socket.socket) -> bytes:
    """What comes until the end; a reset is an end."""
    said = b""
    try:
        while got := sock.recv(1 << 20):
            said += got
    except ConnectionError:
        pass
    return said


def call(server: Served, act: Callable[[], Any]) -> None:
    """Do it on the server's own loop."""
    assert server.loop is not None
    server.loop.call_soon_threadsafe(act)


def test_idle_after_an_answer(alone: tuple[str, Served]) -> None:
    """Both end a connection that stays idle behind an answer."""
    with connect(alone[1]) as sock:
        sock.sendall(get("/plain"))
        assert told(everything(sock)) == "200 plain"


@pytest.mark.parametrize("sent", [b"", b"GET /pl"], ids=["nothing", "half-a-head"])
def test_idle_from_the_start(alone: tuple[str, Served], sent: bytes) -> None:
    """uvicorn waits for ever for the first request's end; ours for as long as it waits between requests."""
    name, server = alone
    with connect(server) as sock, connect(server) as other:
        sock.sendall(sent)
        other.sendall(get("/plain"))
        assert told(everything(other)) == "200 plain"  # as long has gone by as either waits after an answer
        if name == "ours":
            assert told(everything(sock)) == ("408" if sent else "")
        else:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)


@pytest.mark.parametrize("by_reset", [True, False], ids=["reset", "end"])
def test_a_client_that_leaves_early(alone: tuple[str, Served], by_reset: bool) -> None:
    """Both tell the app of a reset, and forget the connection. An end without one may be half a close: ours finishes
    the answer, and hears then that nobody takes it."""
    name, server = alone
    with connect(server) as sock:
        sock.sendall(get("/gone"))
        settled("the app has begun", lambda: server.app.events == ["/gone"])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", by_reset, 0))
    if by_reset or name == "uvicorn":
        settled("the app has heard", lambda: server.app.events == ["/gone", "disconnect"])
    else:
        _a_moment_later(server)
        assert server.app.events == ["/gone"]
        for protocol in list(server.server.server_state.connections):
            assert isinstance(protocol, Protocol)
            call(server, protocol.transport.abort)
    settled("the connection is forgotten", lambda: server.connections == 0)


HALF = [
    ("uvicorn", ["/slow"]),
    ("ours", ["/slow"]),
    ("ours", ["/slow", "/plain", "/plain"]),
]  # uvicorn with a queue: chance


@pytest.mark.parametrize(("name", "paths"), HALF, ids=["uvicorn", "ours", "ours-pipelined"])
def test_half_close(name: str, paths: list[str]) -> None:
    """A client that has said all and still reads: uvicorn drops what is under way, ours answers all of it."""
    with started(name) as server, connect(server) as sock:
        sock.sendall(b"".join(map(get, paths)))
        sock.shutdown(socket.SHUT_WR)
        settled("the app has begun", lambda: server.app.events == ["/slow"])
        settled("the end was seen", lambda: name == "ours" or server.connections == 0)
        call(server, server.app.gate.set)
        answers = " | ".join(f"200 {path[1:]}" for path in paths)
        assert told(everything(sock)) == (answers if name == "ours" else "")


def test_shutdown_while_idle(alone: tuple[str, Served]) -> None:
    """Both close what waits for nothing, at once."""
    _, server = alone
    with connect(server) as sock:
        sock.sendall(get("/plain"))
        got = b""
        while not got.endswith(b"plain"):
            got += sock.recv(1 << 16)
        server.server.should_exit = True
        assert everything(sock) == b""


def test_shutdown_during_a_request(alone: tuple[str, Served]) -> None:
    """Both finish the answer that is under way, say that it is the last, and end."""
    _, server = alone
    with connect(server) as sock:
        sock.sendall(get("/slow"))
        settled("the app has begun", lambda: server.app.events == ["/slow"])
        server.server.should_exit = True
        settled("it takes no more", lambda: not server.server.servers or not server.server.servers[0].sockets)
        call(server, server.app.gate.set)
        said = responses(everything(sock))
        assert [(one.status, one.body, one.field("connection")) for one in said] == [(200, b"slow", "close")]


def test_a_body_that_the_app_does_not_read(alone: tuple[str, Served]) -> None:
    """Both stop reading where the app does not take what came: a sender is held up, and memory bounded."""
    _, server = alone
    with connect(server) as sock:
        sock.sendall(get("/slow", f"Content-Length: {BIG}", method="POST"))
        settled("the app has begun", lambda: server.app.events == ["/slow"])
        sock.settimeout(1)
        with pytest.raises(TimeoutError):
            sock.sendall(b"x" * BIG)
        (protocol,) = server.server.server_state.connections
        assert isinstance(protocol, HttpToolsProtocol)
        assert len(protocol.cycle.body) <= 1 << 20


def test_a_client_that_does_not_read(alone: tuple[str, Served]) -> None:
    """Both stop the app where its answer is not taken, and go on where it is again."""
    _, server = alone
    with connect(server) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sock.sendall(get("/big", "Connection: close"))
        settled("it stands", lambda: server.app.sent and server.app.sent == _a_moment_later(server))
        assert server.app.sent < BIG
        assert told(everything(sock)) == f"200 {BIG} bytes"


def _a_moment_later(server: Served) -> int:
    """What the app has sent after the loop has gone round a few times."""
    assert server.loop is not None
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), server.loop).result(PATIENCE)
    return server.app.sent


@pytest.mark.parametrize("name", PROTOCOLS)
def test_too_many_connections(name: str) -> None:
    """Both answer 503 where uvicorn's limit on concurrency is met."""
    with started(name, limit_concurrency=1) as server:
        assert [(one.status, one.field("connection")) for one in responses(exchange(server.url, get("/plain")))] == [
            (503, "close")
        ]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_default_fields(name: str) -> None:
    """Both put Date, and the fields that are configured, before those of the app."""
    with started(name, headers=[("X-Configured", "yes")]) as server:
        (said,) = responses(exchange(server.url, get("/plain", "Connection: close")))
        assert [field for field, _ in said.fields] == ["date", "x-configured", "content-length", "connection"]
