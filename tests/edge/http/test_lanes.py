"""The hot path against the parser: whatever is sent, however it is cut, an edge that answers from memory without the
parser says what an edge says that gives every byte to the parser.

The one difference that is allowed: behind an answer that is still under way a refusal is the end alone.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httptools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.http.heads import Heads, Plain, is_query
from edge.http.protocol.reading import _REASONS
from edge.node import Node
from tests.edge.sites import World
from tests.edge.standing import PATIENCE, exchange, responses, standing
from tests.edge.wire import edge

EXAMPLES = int(os.environ.get("RIM_EXAMPLES", "300"))
HOT = b"hot " * 300
FILES = {"hot.txt": HOT, "large.bin": bytes(range(256)) * 8000, "sub/index.html": b"<p>sub", "after.txt": b"after"}
AFTER = b"GET /after.txt HTTP/1.1\r\nHost: demo.localhost\r\nConnection: close\r\n\r\n"
_REFUSALS = ["The request is not HTTP/1.1 as RFC 9112 has it.", *_REASONS.values()]
_UNEQUAL = frozenset({"date", "cache-status", "connection"})  # the end of a connection shows in what is not answered


class Blind(Heads):
    """Knows no plain request."""

    def read(self, data: bytes, at: int) -> Plain | None:
        return None


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    """Two edges of the same World; the second has no hot path."""
    world = World()
    world.publish("demo", dict(FILES))
    with ExitStack() as stack:
        nodes = []
        for name in ("hot", "parser"):
            folder = tmp_path_factory.mktemp(name)
            (node, _), _loop = stack.enter_context(standing(lambda folder=folder: edge(folder, world)))  # type: ignore[misc]
            nodes.append(node)
            for coding in ("", "gzip", "br"):
                for path in PATHS:
                    exchange(node.public_url, request(path, fields=[f"Accept-Encoding: {coding}", "Connection: close"]))
        nodes[1].answers.heads = Blind()
        yield nodes[0], nodes[1]


def request(
    path: str,
    method: str = "GET",
    version: str = "HTTP/1.1",
    fields: list[str] | None = None,
    host: str = "Host: demo.localhost",
) -> bytes:
    lines = [f"{method} {path} {version}", host, *(fields or [])]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


PATHS = ["/hot.txt", "/large.bin", "/sub/", "/sub", "/nope"]
TARGETS = [
    *PATHS, "/hot.txt?", "/hot.txt?a=b", "/hot.txt?a b", "/hot.txt?a#b", "/hot.txt#", "/hot.txt?\x01", "/hot.txt?\x7f",
    "/hot.txt?\xe4", "/hot.txt?a?b", "/h%6ft.txt", "/%68ot.txt", "//hot.txt", "/hot.txt/", "/./hot.txt", "/hot.txt ",
    " /hot.txt", "/hot.txt\t", "http://demo.localhost/hot.txt", "/.rim/health", "*", "/hot.txt?" + "q" * 8200,
]  # fmt: skip
FIELDS = [
    "Host: demo.localhost", "host:demo.localhost", "Host: other.localhost", "Host: DEMO.localhost:80", "Host:", "X: y",
    "X:", ":", "X", "X : y", " X: y", "X: \x80\xff", "X: \x01", "X: a\rb", "X: a\nb", "X: y ", "X:\ty\t", "X\x00: y",
    "Connection: close", "Connection: Keep-Alive", "Connection: keep-alive ", "Connection:", "Connection: x",
    "Connection: upgrade", "Connection: keep-alive, close", "Proxy-Connection: close", "Proxy-Connection: keep-alive",
    "Keep-Alive: timeout=5", "Upgrade: h2c", "Upgrade:", "Expect: 100-continue", "Expect: x", "TE: trailers",
    "Trailer: X",
    "Content-Length: 0", "Content-Length: 00", "Content-Length: 5", "Content-Length:", "Content-Length : 0",
    "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding:", "Transfer_Encoding: chunked",
    "Range: bytes=0-3", "Range: bytes=0-3 ", "Range: bytes=-5", "Range: bytes=5-", "Range: bytes=0-0,2-2",
    "Range: bytes=99999999-", "Range: x", "Range:", "Range: bytes=1000000-1100000", "If-Range: x", 'If-Range: "x"',
    "If-None-Match: *", "If-None-Match: * ", 'If-None-Match: "x"', "If-None-Match: ETAG", "If-None-Match: W/ETAG",
    "If-None-Match: ETAG ", 'If-None-Match: "x", ETAG', "If-Range: ETAG", "If-Range: ETAG ", "If-Match: *",
    "If-Match: ETAG", 'If-Match: "x"', "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT", "Accept-Encoding: br",
    "Accept-Encoding: gzip, br;q=0", "Accept-Encoding: identity;q=0", "Accept-Encoding: gzip ", "Accept-Encoding:",
    "Accept-Encoding: *;q=0", "Cookie: a=b", "Authorization: Basic eA==", "Sec-Fetch-Mode: navigate",
    "Accept: text/html",
    "Cache-Control: no-cache", "Origin: http://x", "X-Forwarded-Host: x", "Y: " + "y" * 2100, "Y: " + "y" * 8200,
]  # fmt: skip
METHODS = ["GET"] * 8 + ["HEAD"] * 3 + ["get", "POST", "OPTIONS", "GETX", "TRACE", ""]
VERSIONS = ["HTTP/1.1"] * 9 + ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", ""]
HOSTS = [
    *["Host: demo.localhost"] * 8, "host:demo.localhost", "HOST: Demo.LocalHost", "Host: demo.localhost:80", "X: no",
    "Host: demo.localhost.", "Host: demo.localhost ", "Host:\tdemo.localhost\t", "Host: nobody.example", "Host: ",
    "Host: demo.localhost:", "Host: demo.localhost:x", "Host: a@demo.localhost", "Host: demo.localhost/", "Host : x",
]  # fmt: skip
_ODD = st.builds(
    request, st.sampled_from(TARGETS), st.sampled_from(METHODS), st.sampled_from(VERSIONS),
    st.lists(st.sampled_from(FIELDS), max_size=4), st.sampled_from(HOSTS),
)  # fmt: skip
_PLAIN = st.builds(
    request,
    st.sampled_from(PATHS),
    st.sampled_from(["GET", "HEAD"]),
    fields=st.lists(st.sampled_from(FIELDS), max_size=1),
)
_SCRAPS = st.sampled_from([*(bytes((n,)) for n in range(256)), b"\r\n", b"\r\n\r\n", b"HTTP/1.1", b"GET /", b"Host:"])


@st.composite
def _streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """A few requests in a row, some of them damaged; and where they are cut."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        one = draw(st.one_of(_ODD, _PLAIN))
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
            at = draw(st.integers(0, len(one)))
            one = one[:at] + draw(_SCRAPS) + one[at + draw(st.integers(0, 3)) :]
        parts.append(one)
    data = b"".join(parts)
    return data, sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))


def told(node: Node, data: bytes, cuts: list[int]) -> list[tuple[object, ...]]:
    """What this edge says to these bytes in these pieces, and to one more request."""
    etag = responses(exchange(node.public_url, request("/hot.txt", fields=["Connection: close"])))[0].field("etag")
    assert etag is not None
    data = data.replace(b"ETAG", etag.encode()) + AFTER
    address = urlsplit(node.public_url)
    said = bytearray()
    with socket.create_connection((address.hostname, address.port), PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
                sock.sendall(data[start:stop])
                time.sleep(0.001 if cuts else 0)  # let it be read by itself, if it will
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has heard enough; what it said is there to be read
        try:
            while got := sock.recv(1 << 20):
                said += got
        except OSError:
            pass  # it has ended, unread bytes and all
    return _heads(bytes(said))


def _heads(data: bytes) -> list[tuple[object, ...]]:
    """All responses. A body is there where the bytes that follow are no head: so HEAD needs no telling."""
    found: list[tuple[object, ...]] = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = tuple(line for line in lines[1:] if line.partition(":")[0] not in _UNEQUAL)
        size = next((int(line[16:]) for line in fields if line.startswith("content-length: ")), 0)
        size = 0 if data.startswith(b"HTTP/1.1 ") and not lines[0].startswith("HTTP/1.1 100") else size
        found.append((lines[0], fields, data[:size]))
        data = data[size:]
    return found


def without_refusal(said: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Without what the protocol itself says behind other answers."""
    return said[:-1] if len(said) > 1 and any(words in str(said[-1][2]) for words in _REFUSALS) else said


ALONE = [
    *(request("/hot.txt", fields=[field]) for field in FIELDS),
    *(request("/large.bin", "HEAD", fields=[field]) for field in FIELDS),
    *(request(target) for target in TARGETS),
    *(request("/hot.txt", method) for method in dict.fromkeys(METHODS)),
    *(request("/hot.txt", version=version) for version in dict.fromkeys(VERSIONS)),
    *(request("/hot.txt", host=host) for host in dict.fromkeys(HOSTS)),
]


@pytest.mark.parametrize("data", ALONE, ids=range(len(ALONE)))
def test_both_lanes_say_the_same_of_one_oddity(lanes: tuple[Node, Node], data: bytes) -> None:
    """Each oddity by itself, in a request that is plain else; twice, as the second may be known whole."""
    for stream in (data, data, data * 2):
        hot, parser = (without_refusal(told(node, stream, [])) for node in lanes)
        assert hot == parser


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_streams())
def test_both_lanes_say_the_same(lanes: tuple[Node, Node], stream: tuple[bytes, list[int]]) -> None:
    """Random requests, in a row, damaged, in random pieces."""
    data, cuts = stream
    hot, parser = (without_refusal(told(node, data, cuts)) for node in lanes)
    assert hot == parser


class _Parsed:
    """What the parser takes from some bytes."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.whole = 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.method, self.version = self.parser.get_method(), self.parser.get_http_version()
        self.stays = self.parser.should_keep_alive() and not self.parser.should_upgrade()

    def on_message_complete(self) -> None:
        self.whole += 1


def _agree(data: bytes, at: int) -> bool:
    """Where the strict grammar takes a request, the parser takes one, the same, of the same bytes. A target is taken
    only where it equals one that came through the parser, or has a query of the grammar's. Whether it was taken."""
    plain = Heads().read(data, at)
    if plain is None:
        return False
    path, _, query = plain.target.partition(b"?")
    if path.decode("latin-1") not in PATHS or not is_query(query):
        return False
    parsed = _Parsed(data[at : plain.end])
    assert (parsed.whole, parsed.version, parsed.stays) == (1, "1.1", True)
    assert (parsed.method == b"GET", parsed.url) == (plain.is_get, plain.target)
    assert tuple(parsed.fields) == plain.head.fields
    assert [value for name, value in parsed.fields if name == b"host"] == [plain.head.host]
    return True


@settings(max_examples=EXAMPLES)
@given(_streams())
def test_what_is_plain_is_plain_to_the_parser(stream: tuple[bytes, list[int]]) -> None:
    """Of random requests."""
    for at in (0, *stream[1]):
        _agree(stream[0], at)


def test_every_byte_at_every_place() -> None:
    """Of a plain request with any one byte put in, or in place of another: still the same to both, or not plain."""
    whole = request("/hot.txt?q", "HEAD", fields=["X-A: b", "Range: bytes=0-1"])
    taken = 0
    for at in range(len(whole) + 1):
        for byte in map(bytes, zip(range(256), strict=True)):
            taken += _agree(whole[:at] + byte + whole[at:], 0) + _agree(whole[:at] + byte + whole[at + 1 :], 0)
    assert taken > 2_000
