"""Plain heads: what the strict grammar takes has one meaning, the parser's; all else is left to the parser."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.http.heads import LONGEST, REMEMBERED, Heads, is_query, without_query

HOST = b"Host: a.test\r\n"

PLAIN = [
    ("RFC 9112 §3: a GET", b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", True, b"/"),
    ("RFC 9112 §3: a HEAD", b"HEAD /x?y HTTP/1.1\r\n" + HOST + b"\r\n", False, b"/x?y"),
    ("RFC 9112 §5: no space after the colon", b"GET / HTTP/1.1\r\nhost:a.test\r\n\r\n", True, b"/"),
    ("RFC 9112 §5.1: OWS around a value", b"GET / HTTP/1.1\r\nHost:\t a.test \t\r\n\r\n", True, b"/"),
    ("RFC 9110 §5.5: an empty value", b"GET / HTTP/1.1\r\n" + HOST + b"X:\r\n\r\n", True, b"/"),
    ("RFC 9110 §5.5: obs-text", b"GET / HTTP/1.1\r\n" + HOST + b"X: \xff\r\n\r\n", True, b"/"),
    ("RFC 9112 §9.3: keep-alive", b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Keep-Alive\r\n\r\n", True, b"/"),
]


@pytest.mark.parametrize(("data", "is_get", "target"), [c[1:] for c in PLAIN], ids=[c[0] for c in PLAIN])
def test_a_plain_request_is_read(data: bytes, is_get: bool, target: bytes) -> None:
    """Whole, and up to its end where another follows."""
    for tail in (b"", b"GET /next HTTP/1.1\r\n"):
        plain = Heads().read(b"before" + data + tail, 6)
        assert plain is not None
        assert (plain.is_get, plain.target, plain.end, plain.head.host) == (is_get, target, 6 + len(data), b"a.test")


NOT_PLAIN = [
    ("not whole", b"GET / HTTP/1.1\r\n" + HOST),
    ("no fields", b"GET / HTTP/1.1\r\n\r\n"),
    ("RFC 9112 §2.2: a bare LF", b"GET / HTTP/1.1\n" + HOST + b"\r\n"),
    ("RFC 9112 §2.2: a bare LF in the fields", b"GET / HTTP/1.1\r\n" + HOST + b"X: a\nY: b\r\n\r\n"),
    ("RFC 9112 §2.2: a bare CR", b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rY: b\r\n\r\n"),
    ("RFC 9112 §2.2: an empty line before", b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("RFC 9112 §2.3: HTTP/1.0", b"GET / HTTP/1.0\r\n" + HOST + b"\r\n"),
    ("RFC 9112 §3: another method", b"POST / HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("RFC 9112 §3: lower case", b"get / HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("RFC 9112 §3.2: no Host", b"GET / HTTP/1.1\r\nX: a\r\n\r\n"),
    ("RFC 9112 §3.2: two Hosts", b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n"),
    ("RFC 9112 §3.2.2: absolute-form", b"GET http://a.test/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("RFC 9112 §3.2.4: asterisk-form", b"GET * HTTP/1.1\r\n" + HOST + b"\r\n"),
    ("RFC 9112 §5.1: a space before the colon", b"GET / HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n"),
    ("RFC 9112 §5.2: folding", b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n"),
    ("RFC 9110 §5.1: no name", b"GET / HTTP/1.1\r\n" + HOST + b": a\r\n\r\n"),
    ("RFC 9110 §5.5: NUL", b"GET / HTTP/1.1\r\n" + HOST + b"X: \0\r\n\r\n"),
    ("RFC 9110 §5.5: DEL", b"GET / HTTP/1.1\r\n" + HOST + b"X: \x7f\r\n\r\n"),
    ("RFC 9112 §6: a length", b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n"),
    ("RFC 9112 §6: chunked", b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"),
    ("RFC 9112 §9.6: close", b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"),
    ("RFC 9110 §7.8: Upgrade", b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\n\r\n"),
    ("RFC 9110 §10.1.1: Expect", b"GET / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n\r\n"),
    ("many fields", b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 64 + b"\r\n"),
    ("long", b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * LONGEST + b"\r\n\r\n"),
]


@pytest.mark.parametrize("data", [c[1] for c in NOT_PLAIN], ids=[c[0] for c in NOT_PLAIN])
def test_what_is_not_plain_is_left_to_the_parser(data: bytes) -> None:
    """It is not refused here, and not repaired."""
    assert Heads().read(data, 0) is None


def test_what_chooses_among_answers_is_the_key() -> None:
    """Accept-Encoding and If-None-Match; what is too various (a Range) has none."""
    heads = Heads()

    def key(fields: bytes) -> object:
        plain = heads.read(b"GET / HTTP/1.1\r\n" + HOST + fields + b"\r\n", 0)
        assert plain is not None
        return plain.head.key

    assert key(b"X: y\r\n") == key(b"") == (None, None, None)
    assert key(b'Accept-Encoding: br\r\nIf-None-Match: "a"\r\n') == (b"br", b'"a"', None)
    assert key(b"Available-Dictionary: :AA==:\r\n") == (None, None, b":AA==:")
    assert key(b"Range: bytes=0-1\r\n") is None


def test_the_memory_of_heads_is_bounded_and_keeps_what_is_used() -> None:
    """Whoever invents fields fills it once; a block that comes often stays, and is the same object."""
    heads = Heads()
    often = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    first = heads.read(often, 0)
    for number in range(3 * REMEMBERED):
        heads.read(b"GET / HTTP/1.1\r\n" + HOST + b"X: %d\r\n\r\n" % number, 0)
        again = heads.read(often, 0)
    assert first is not None
    assert again is not None
    assert again.head is first.head
    assert len(heads._new) + len(heads._old) <= REMEMBERED


def test_a_query_is_of_visible_characters() -> None:
    """What the parser refuses in a target is no query."""
    assert is_query(b"a=b&c=%20'\"?/")
    assert not any(is_query(bytes((byte,))) for byte in (*range(0x21), 0x23, *range(0x7F, 0x100)))


def test_a_request_without_its_query() -> None:
    """Only what is a query is cut, out of the request line alone, and of no long request."""
    rest = b" HTTP/1.1\r\nHost: a?b\r\n\r\n"
    assert without_query(b"GET /x?y=1?2" + rest) == b"GET /x" + rest
    assert without_query(b"GET /x?" + rest) == b"GET /x" + rest
    for odd in (b"GET /x" + rest, b"GET /x?a b" + rest, b"GET /x?a#b" + rest, b"GET /x?\x80" + rest):
        assert without_query(odd) is None
    assert without_query(b"GET /x?y HTTP/1.0\r\n\r\n") is None
    assert without_query(b"GET /x?" + b"y" * LONGEST + rest) is None


class Parsed:
    """What httptools makes of a request."""

    def __init__(self, data: bytes) -> None:
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.ended = 0
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.version, self.method = parser.get_http_version(), parser.get_method()
        self.keeps = parser.should_keep_alive()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(b" \t")))

    def on_message_complete(self) -> None:
        self.ended += 1


_names = st.sampled_from(
    [b"Host", b"host", b"X", b"Accept-Encoding", b"Range", b"Connection", b"Te", b"Cookie", b"X_y"]
)
_values = st.binary(max_size=8) | st.sampled_from(
    [b"a.test", b"keep-alive", b"close", b"gzip, br;q=0", b"", b" a ", b"\t"]
)
_ends = st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\n "])
_fields = st.lists(st.tuples(_names, st.sampled_from([b":", b": ", b" :", b":\t"]), _values, _ends), max_size=5)
_targets = st.sampled_from([b"/", b"/x?y", b"/%20", b"*", b"http://a/"]) | st.binary(max_size=5).map(
    lambda raw: b"/" + raw
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([b"GET", b"HEAD", b"POST"]), _targets, _fields, st.binary(max_size=4))
def test_what_is_plain_means_the_same_to_the_parser(
    method: bytes, target: bytes, fields: list[tuple[bytes, bytes, bytes, bytes]], between: bytes
) -> None:
    """Whatever is taken for plain the parser takes too, with the same method, target and fields, and as one request.
    The target is looked up whole, so a strange one is only held to account where it could be found: after a `?`."""
    data = method + b" " + target + b" HTTP/1.1\r\n" + b"Host: a.test\r\n" + between
    data += b"".join(b"".join(field) for field in fields) + b"\r\n"
    plain = Heads().read(data, 0)
    path, _, query = target.partition(b"?")
    if plain is None or not path.isascii() or not path.decode().isprintable() or b"#" in path or not is_query(query):
        return
    if b" " in path:
        return
    parsed = Parsed(data[: plain.end])
    assert (parsed.method, parsed.url, parsed.version, parsed.ended) == (method, target, "1.1", 1)
    assert parsed.fields == list(plain.head.fields)
    assert parsed.keeps
