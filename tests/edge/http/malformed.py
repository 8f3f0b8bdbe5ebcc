"""Raw requests that are malformed, ambiguous, or merely odd, each with the section it bends.

Here live the bytes and the verdict we give; beside it nginx's on the same bytes, and where ours is the milder one, why
that is right. Not here: sending them (test_malformed).

A verdict is what stands on the wire after these bytes and a plain request for /after.txt that ends the connection:
the statuses that came in order, `+` where the plain request was answered as well, `evil` for an answer to what stood
inside of a request, `raw` for an HTTP/0.9 body without a head.
"""

from __future__ import annotations

from dataclasses import dataclass

HOST = b"Host: demo.localhost"
PATH = b"/hot.txt"
EVIL = b"GET /evil.txt HTTP/1.1\r\nHost: demo.localhost\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Case:
    """Bytes, the rule they are about, and the verdicts."""

    name: str
    rule: str  # RFC and section
    data: bytes
    ours: str
    nginx: str
    why: str = ""  # where ours is milder than nginx's

    @property
    def is_milder(self) -> bool:
        """Whether we grant what nginx refuses, or read on where it ends."""
        granted, refused = self.ours.startswith("2"), self.nginx.startswith(("4", "5"))
        return (granted and refused) or (self.ours.endswith("+") and not self.nginx.endswith("+"))


def _get(*fields: bytes, target: bytes = PATH, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    """A head, Host first."""
    return b"\r\n".join((method + b" " + target + b" " + version, HOST, *fields, b"", b""))


def _bare(*fields: bytes, target: bytes = PATH, version: bytes = b"HTTP/1.1") -> bytes:
    """A head without a Host of its own."""
    return b"\r\n".join((b"GET " + target + b" " + version, *fields, b"", b""))


def _at(target: bytes) -> bytes:
    return _get(target=target)


_UNREAD = "no body is read here: one answer, then the end"
_CHUNKED = b"Transfer-Encoding: chunked"
_LENGTH = b"Content-Length: %d" % len(EVIL)
_ONE_CHUNK = b"%x\r\n" % len(EVIL) + EVIL + b"\r\n0\r\n\r\n"

FRAMING = [
    # Two ways to say where the body ends (RFC 9112 §6).
    Case("cl-te", "9112 §6.1", _get(b"Content-Length: 6", _CHUNKED) + b"0\r\n\r\n" + EVIL, "400", "400"),
    Case("te-cl", "9112 §6.1", _get(_CHUNKED, b"Content-Length: 4") + _ONE_CHUNK, "400", "400"),
    Case("cl-0-te", "9112 §6.1", _get(b"Content-Length: 0", _CHUNKED) + _ONE_CHUNK, "400", "400"),
    Case("cl-cl-differ", "9112 §6.3", _get(b"Content-Length: 0", _LENGTH) + EVIL, "400", "400"),
    Case("cl-cl-equal", "9112 §6.3", _get(_LENGTH, _LENGTH) + EVIL, "400", "400"),
    Case("cl-cl-zero", "9112 §6.3", _get(b"Content-Length: 0", b"Content-Length: 0"), "400", "400"),
    Case("cl-list-equal", "9112 §6.3", _get(b"Content-Length: 0, 0"), "400", "400"),
    Case("cl-list-differ", "9112 §6.3", _get(b"Content-Length: 0, %d" % len(EVIL)) + EVIL, "400", "400"),
    Case("cl-plus", "9110 §8.6", _get(b"Content-Length: +%d" % len(EVIL)) + EVIL, "400", "400"),
    Case("cl-minus", "9110 §8.6", _get(b"Content-Length: -1"), "400", "400"),
    Case("cl-minus-zero", "9110 §8.6", _get(b"Content-Length: -0"), "400", "400"),
    Case("cl-hex", "9110 §8.6", _get(b"Content-Length: 0x30") + EVIL, "400", "400"),
    Case("cl-words", "9110 §8.6", _get(b"Content-Length: zero"), "400", "400"),
    Case("cl-empty", "9110 §8.6", _get(b"Content-Length:"), "400", "400"),
    Case("cl-inner-space", "9110 §8.6", _get(b"Content-Length: 4 8") + EVIL, "400", "400"),
    Case("cl-fraction", "9110 §8.6", _get(b"Content-Length: 0.0"), "400", "400"),
    Case("cl-underscore", "9110 §8.6", _get(b"Content-Length: 4_8") + EVIL, "400", "400"),
    Case("cl-past-64-bit", "9110 §8.6", _get(b"Content-Length: 18446744073709551616"), "400", "400"),
    Case("cl-wraps-to-zero", "9110 §8.6", _get(b"Content-Length: 18446744073709551616") + EVIL, "400", "400"),
    Case("cl-past-63-bit", "9110 §8.6", _get(b"Content-Length: 9223372036854775808"), "200", "400", _UNREAD),
    Case("cl-leading-zeros", "9110 §8.6", _get(b"Content-Length: 000"), "200", "200+"),
    Case("cl-short", "9112 §6.3", _get(b"Content-Length: 3") + EVIL, "200", "200 400"),
    Case("cl-huge", "9110 §8.6", _get(b"Content-Length: 1099511627776"), "200", "413", _UNREAD),
    Case("te-on-1.0", "9112 §6.1", _get(_CHUNKED, version=b"HTTP/1.0") + _ONE_CHUNK, "400", "400"),
    Case(
        "te-keep-alive-on-1.0",
        "9112 §6.1",
        _get(b"Connection: keep-alive", _CHUNKED, version=b"HTTP/1.0") + _ONE_CHUNK,
        "400",
        "400",
    ),
    Case("te-identity", "9112 §6.1", _get(b"Transfer-Encoding: identity"), "400", "501"),
    Case("te-identity-cl", "9112 §6.1", _get(b"Transfer-Encoding: identity", _LENGTH) + EVIL, "400", "501"),
    Case("te-gzip", "9112 §6.1", _get(b"Transfer-Encoding: gzip"), "400", "501"),
    Case("te-chunked-gzip", "9112 §6.1", _get(b"Transfer-Encoding: chunked, gzip") + _ONE_CHUNK, "400", "501"),
    Case("te-gzip-chunked", "9112 §6.1", _get(b"Transfer-Encoding: gzip, chunked") + _ONE_CHUNK, "501", "501"),
    Case("te-chunked-chunked", "9112 §7", _get(b"Transfer-Encoding: chunked, chunked") + _ONE_CHUNK, "400", "501"),
    Case("te-twice", "9112 §7", _get(_CHUNKED, _CHUNKED) + _ONE_CHUNK, "400", "400"),
    Case("te-two-lines", "9112 §6.1", _get(_CHUNKED, b"Transfer-Encoding: identity") + _ONE_CHUNK, "400", "400"),
    Case(
        "te-two-lines-reversed", "9112 §6.1", _get(b"Transfer-Encoding: identity", _CHUNKED) + _ONE_CHUNK, "400", "400"
    ),
    Case("te-capitals", "9112 §7", _get(b"TRANSFER-ENCODING: CHUNKED") + _ONE_CHUNK, "200", "200+"),
    Case("te-xchunked", "9112 §6.1", _get(b"Transfer-Encoding: xchunked") + _ONE_CHUNK, "400", "501"),
    Case("te-chunkedx", "9112 §6.1", _get(b"Transfer-Encoding: chunkedx") + _ONE_CHUNK, "400", "501"),
    Case("te-quoted", "9112 §6.1", _get(b'Transfer-Encoding: "chunked"') + _ONE_CHUNK, "400", "501"),
    Case("te-parameter", "9112 §6.1", _get(b"Transfer-Encoding: chunked;q=1") + _ONE_CHUNK, "400", "501"),
    Case("te-empty", "9112 §6.1", _get(b"Transfer-Encoding:", _LENGTH) + EVIL, "400", "501"),
    Case("te-vertical-tab", "9112 §6.1", _get(b"Transfer-Encoding: \x0bchunked") + _ONE_CHUNK, "400", "501"),
    Case(
        "te-trailing-tab",
        "9112 §5",
        _get(b"Transfer-Encoding: chunked\t") + _ONE_CHUNK,
        "200",
        "501",
        "white space behind a value is no part of it",
    ),
    Case("te-nul", "9112 §6.1", _get(b"Transfer-Encoding: chunked\0") + _ONE_CHUNK, "400", "400"),
    Case("te-underscore", "9110 §5.1", _get(b"Transfer_Encoding: chunked"), "200+", "200+"),
    Case("te-folded", "9112 §5.2", _get(b"Transfer-Encoding:\r\n chunked") + _ONE_CHUNK, "400", "400"),
    Case("te-space-before-colon", "9112 §5.1", _get(b"Transfer-Encoding : chunked") + _ONE_CHUNK, "400", "400"),
    Case("te-bare-cr", "9112 §2.2", _get(b"X: y\rTransfer-Encoding: chunked") + _ONE_CHUNK, "400", "400"),
    Case("te-bare-lf", "9112 §2.2", _get(b"X: y\nTransfer-Encoding: chunked") + _ONE_CHUNK, "400", "200+"),
    # Chunks (RFC 9112 §7.1).
    Case("chunked-plain", "9112 §7.1", _get(_CHUNKED) + b"3\r\nabc\r\n0\r\n\r\n", "200", "200+"),
    Case("chunked-evil", "9112 §7.1", _get(_CHUNKED) + _ONE_CHUNK, "200", "200+"),
    Case("chunk-size-0x", "9112 §7.1", _get(_CHUNKED) + b"0x3\r\nabc\r\n0\r\n\r\n", "200", "400", _UNREAD),
    Case("chunk-size-plus", "9112 §7.1", _get(_CHUNKED) + b"+3\r\nabc\r\n0\r\n\r\n", "200", "400", _UNREAD),
    Case("chunk-size-minus", "9112 §7.1", _get(_CHUNKED) + b"-1\r\n" + EVIL, "200", "400", _UNREAD),
    Case("chunk-size-empty", "9112 §7.1", _get(_CHUNKED) + b"\r\n" + EVIL, "200", "400", _UNREAD),
    Case("chunk-size-spaces", "9112 §7.1", _get(_CHUNKED) + b"3 \r\nabc\r\n0\r\n\r\n", "200", "200+"),
    Case("chunk-size-overflows", "9112 §7.1", _get(_CHUNKED) + b"10000000000000000\r\n" + EVIL, "200", "400", _UNREAD),
    Case("chunk-size-wraps", "9112 §7.1", _get(_CHUNKED) + b"100000000000000000\r\n\r\n" + EVIL, "200", "400", _UNREAD),
    Case("chunk-ext-lf", "9112 §7.1.1", _get(_CHUNKED) + b"3;a\nabc\r\n0\r\n\r\n" + EVIL, "200", "200 evil+"),
    Case("chunk-ext-cr", "9112 §7.1.1", _get(_CHUNKED) + b"3;a\rb\r\nabc\r\n0\r\n\r\n", "200", "400", _UNREAD),
    Case("chunk-ext", "9112 §7.1.1", _get(_CHUNKED) + b'3;a="b"\r\nabc\r\n0\r\n\r\n', "200", "200+"),
    Case("chunk-bare-lf", "9112 §2.2", _get(_CHUNKED) + b"3\nabc\n0\n\n", "200", "200+"),
    Case("chunk-data-long", "9112 §7.1", _get(_CHUNKED) + b"3\r\nabcd\r\n0\r\n\r\n", "200", "400", _UNREAD),
    Case("chunk-data-no-crlf", "9112 §7.1", _get(_CHUNKED) + b"3\r\nabc0\r\n\r\n", "200", "400", _UNREAD),
    Case("chunk-last-twice", "9112 §7.1", _get(_CHUNKED) + b"0\r\n\r\n0\r\n\r\n", "200", "200 400"),
    Case("chunk-trailer", "9112 §7.1.2", _get(_CHUNKED) + b"0\r\nX: y\r\n\r\n", "200", "200+"),
    Case(
        "chunk-trailer-length",
        "9110 §6.5.1",
        _get(_CHUNKED) + b"0\r\n" + _LENGTH + b"\r\n\r\n" + EVIL,
        "200",
        "200 evil+",
    ),
    # Bodies where none are wanted.
    Case("get-body", "9110 §9.3.1", _get(b"Content-Length: 3") + b"abc", "200", "200+"),
    Case("get-body-is-a-request", "9110 §9.3.1", _get(_LENGTH) + EVIL, "200", "200+"),
    Case("head-body-is-a-request", "9110 §9.3.2", _get(_LENGTH, method=b"HEAD") + EVIL, "200", "200+"),
    Case("post", "9110 §15.5.6", _get(_LENGTH, method=b"POST") + EVIL, "405", "405+"),
    Case(
        "options-body",
        "9110 §9.3.7",
        _get(_LENGTH, method=b"OPTIONS") + EVIL,
        "204",
        "405+",
        "OPTIONS is served here, and no body of it read",
    ),
    Case("body-unannounced", "9112 §6.3", _get() + b"abc\r\n", "200 400", "200 400"),
]

LINES = [
    # The request line (RFC 9112 §3).
    Case("http-0.9", "1945 §4.1", b"GET /hot.txt\r\n", "400", "raw"),
    Case("http-0.9-host", "1945 §4.1", b"GET /hot.txt\r\n" + HOST + b"\r\n\r\n", "505", "raw"),
    Case("version-0.9", "9112 §2.3", _get(version=b"HTTP/0.9"), "505", "400"),
    Case("version-1.0", "9112 §2.3", _get(version=b"HTTP/1.0"), "200", "200"),
    Case("version-1.0-no-host", "9112 §3.2", _bare(version=b"HTTP/1.0"), "400", "200"),
    Case("version-1.2", "9112 §2.3", _get(version=b"HTTP/1.2"), "400", "200+"),
    Case("version-1.9", "9112 §2.3", _get(version=b"HTTP/1.9"), "400", "200+"),
    Case("version-1.10", "9112 §2.3", _get(version=b"HTTP/1.10"), "400", "200+"),
    Case("version-1", "9112 §2.3", _get(version=b"HTTP/1"), "400", "400"),
    Case("version-01.1", "9112 §2.3", _get(version=b"HTTP/01.1"), "400", "400"),
    Case("version-2.0", "9112 §2.3", _get(version=b"HTTP/2.0"), "505", "505"),
    Case("version-3.0", "9112 §2.3", _get(version=b"HTTP/3.0"), "400", "505"),
    Case("version-lower-case", "9112 §2.3", _get(version=b"http/1.1"), "400", "400"),
    Case("version-other", "9112 §2.3", _get(version=b"HTPP/1.1"), "400", "400"),
    Case(
        "version-rtsp",
        "9112 §2.3",
        _get(version=b"RTSP/1.0"),
        "200",
        "400",
        "the parser takes RTSP/1.0 for HTTP/1.0; the end comes as with that",
    ),
    Case("version-icecast", "9112 §2.3", _get(version=b"ICE/1.0"), "400", "400"),
    Case("version-comma", "9112 §2.3", _get(version=b"HTTP/1,1"), "400", "400"),
    Case("version-words-after", "9112 §3", _get(version=b"HTTP/1.1 x"), "400", "400"),
    Case("version-space-after", "9112 §3", _get(version=b"HTTP/1.1 "), "400", "200+"),
    Case("method-lower-case", "9110 §9.1", _get(method=b"get"), "400", "400"),
    Case("method-unknown", "9110 §9.1", _get(method=b"BREW"), "400", "405+"),
    Case("method-near", "9110 §9.1", _get(method=b"GETT"), "400", "405+"),
    Case("method-symbols", "9110 §9.1", _get(method=b"G(T"), "400", "400"),
    Case("method-long", "9112 §3", _get(method=b"G" * 9000), "400", "414"),
    Case("method-put", "9110 §15.5.6", _get(method=b"PUT"), "405+", "405+"),
    Case("method-delete", "9110 §15.5.6", _get(method=b"DELETE"), "405+", "405+"),
    Case("method-purge", "9110 §15.5.6", _get(method=b"PURGE"), "405+", "405+"),
    Case(
        "method-trace",
        "9110 §9.3.8",
        _get(method=b"TRACE"),
        "405+",
        "405",
        "a well-formed request, refused: no reason for an end",
    ),
    Case("method-connect", "9110 §9.3.6", _get(method=b"CONNECT", target=b"demo.localhost:443"), "405", "400"),
    Case("method-connect-path", "9110 §9.3.6", _get(method=b"CONNECT"), "405", "405"),
    Case(
        "method-connect-evil", "9110 §9.3.6", _get(method=b"CONNECT", target=b"demo.localhost:80") + EVIL, "405", "400"
    ),
    Case("method-pri", "9113 §3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", "400"),
    Case("method-pri-frames", "9113 §3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", "400", "400"),
    Case("method-source", "9110 §9.1", _get(method=b"SOURCE"), "405+", "405+"),
    Case("line-two-spaces", "9112 §3", b"GET  /hot.txt HTTP/1.1\r\n" + HOST + b"\r\n\r\n", "200+", "200+"),
    Case("line-two-spaces-later", "9112 §3", b"GET /hot.txt  HTTP/1.1\r\n" + HOST + b"\r\n\r\n", "200+", "200+"),
    Case("line-tab", "9112 §3", b"GET\t/hot.txt HTTP/1.1\r\n" + HOST + b"\r\n\r\n", "400", "400"),
    Case("line-tab-later", "9112 §3", b"GET /hot.txt\tHTTP/1.1\r\n" + HOST + b"\r\n\r\n", "400", "400"),
    Case("line-space-first", "9112 §2.2", b" " + _get(), "400", "400"),
    Case("line-crlf-first", "9112 §2.2", b"\r\n" + _get(), "200+", "200+"),
    Case("line-crlf-many", "9112 §2.2", b"\r\n" * 5 + _get(), "200+", "200+"),
    Case("line-lf-first", "9112 §2.2", b"\n" + _get(), "200+", "200+"),
    Case("line-bare-lf", "9112 §2.2", b"GET /hot.txt HTTP/1.1\n" + HOST + b"\r\n\r\n", "400", "200+"),
    Case("line-bare-cr", "9112 §2.2", b"GET /hot.txt HTTP/1.1\r" + HOST + b"\r\n\r\n", "400", "400"),
    Case("line-no-target", "9112 §3", b"GET HTTP/1.1\r\n" + HOST + b"\r\n\r\n", "400", "400"),
    Case("line-empty-target", "9112 §3", b"GET  HTTP/1.1\r\n" + HOST + b"\r\n\r\n", "400", "400"),
    Case("words", "9112 §3", b"hello\r\n\r\n", "400", "400"),
    Case("tls-hello", "9112 §9.7", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(160)), "400", "400"),
    Case("sslv2-hello", "9112 §9.7", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\0" * 30, "400", "400"),
    Case("smtp", "9112 §3", b"EHLO demo.localhost\r\nMAIL FROM:<a@b>\r\n", "400", "400"),
    Case("ssh", "9112 §3", b"SSH-2.0-OpenSSH_9.2\r\n", "400", "400"),
    Case("proxy-v1", "9112 §3", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + _get(), "400", "400"),
    Case(
        "proxy-v2", "9112 §3", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\0\1\0\2" + _get(), "400", "400"
    ),
    Case("response", "9112 §2.1", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "400", "400"),
    Case("nul-bytes", "9112 §3", b"\0" * 64 + b"\r\n\r\n", "400", "400"),
    Case("garbage-behind", "9112 §9.3.2", _get() + b"\xff\xfe\xfd\r\n\r\n", "200 400", "200 400"),
    Case("garbage-letters-behind", "9112 §9.3.2", _get() + b"XXXX", "200 400", "200 405"),
]

FIELDS = [
    # Field lines (RFC 9112 §5).
    Case("field-space-before-colon", "9112 §5.1", _get(b"X-A : b"), "400", "400"),
    Case("field-tab-before-colon", "9112 §5.1", _get(b"X-A\t: b"), "400", "400"),
    Case("field-host-space-colon", "9112 §5.1", _bare(b"Host : demo.localhost"), "400", "400"),
    Case("field-folded", "9112 §5.2", _get(b"X-A: b\r\n c"), "400", "400"),
    Case("field-folded-tab", "9112 §5.2", _get(b"X-A: b\r\n\tc"), "400", "400"),
    Case("field-folded-first", "9112 §2.2", _bare(b" " + HOST), "400", "400"),
    Case("field-folded-host", "9112 §5.2", _bare(b"Host:\r\n demo.localhost"), "400", "400"),
    Case("field-no-colon", "9112 §5", _get(b"X-A"), "400", "200+"),
    Case("field-only-colon", "9112 §5", _get(b":"), "400", "400"),
    Case("field-no-name", "9112 §5", _get(b": b"), "400", "400"),
    Case("field-no-value", "9110 §5.5", _get(b"X-A:"), "200+", "200+"),
    Case("field-name-space", "9110 §5.1", _get(b"X A: b"), "400", "400"),
    Case("field-name-paren", "9110 §5.1", _get(b"X(A): b"), "400", "200+"),
    Case("field-name-quote", "9110 §5.1", _get(b'X"A: b'), "400", "200+"),
    Case("field-name-nul", "9110 §5.1", _get(b"X\0A: b"), "400", "400"),
    Case("field-name-utf8", "9110 §5.1", _get("X-Ä: b".encode()), "400", "200+"),
    Case("field-name-del", "9110 §5.1", _get(b"X\x7fA: b"), "400", "400"),
    Case("field-name-token", "9110 §5.6.2", _get(b"!#$%&'*+-.^_`|~09AZaz: b"), "200+", "200+"),
    Case("field-value-nul", "9110 §5.5", _get(b"X-A: b\0c"), "400", "400"),
    Case("field-value-bel", "9110 §5.5", _get(b"X-A: b\x07c"), "400", "200+"),
    Case("field-value-del", "9110 §5.5", _get(b"X-A: b\x7fc"), "400", "200+"),
    Case("field-value-cr", "9110 §5.5", _get(b"X-A: b\rc"), "400", "400"),
    Case("field-value-lf", "9110 §5.5", _get(b"X-A: b\nX-B: c"), "400", "200+"),
    Case("field-value-obs-text", "9110 §5.5", _get(b"X-A: \xff\xfe"), "200+", "200+"),
    Case("fields-bare-lf", "9112 §2.2", _get().replace(b"\r\n", b"\n"), "400", "200+"),
    Case("fields-end-lf", "9112 §2.2", _get()[:-2] + b"\n", "400", "200+"),
    Case("fields-end-cr", "9112 §2.2", _get()[:-2] + b"\r", "400", "400"),
    Case("fields-lf-lf-evil", "9112 §2.2", _get()[:-4] + b"\n\n" + EVIL, "400", "200 evil+"),
    Case("fields-100", "6585 §5", _get(*[b"X: y"] * 99), "200+", "200+"),
    Case("fields-101", "6585 §5", _get(*[b"X: y"] * 100), "431", "200+"),
    Case("field-16-kib", "6585 §5", _get(b"X: " + b"y" * 16384), "431", "400"),
    Case("field-64-kib", "6585 §5", _get(b"X: " + b"y" * 65536), "431", "400"),
    Case("field-name-64-kib", "6585 §5", _get(b"X" * 65536 + b": y"), "431", "400"),
    Case("field-endless", "6585 §5", _get()[:-2] + b"X: " + b"y" * 70000, "431", "400"),
    Case(
        "target-8-kib",
        "9110 §15.5.15",
        _at(b"/" + b"a" * 8191),
        "404+",
        "414",
        "our limit is that of RFC 9112 §3 for the target alone, nginx's buffer holds the whole line",
    ),
    Case("target-8-kib-and-1", "9110 §15.5.15", _at(b"/" + b"a" * 8192), "414", "414"),
    Case("target-endless", "9110 §15.5.15", b"GET /" + b"a" * 70000, "414", "414"),
    Case("head-unfinished", "9112 §2.2", _get()[:-2] + b"X-A: b", "400", "400"),
    # Host (RFC 9112 §3.2).
    Case("host-none", "9112 §3.2", _bare(), "400", "400"),
    Case("host-twice", "9112 §3.2", _bare(HOST, b"Host: other.localhost"), "400", "400"),
    Case("host-twice-equal", "9112 §3.2", _bare(HOST, HOST), "400", "400"),
    Case("host-twice-apart", "9112 §3.2", _bare(HOST, b"X-A: b", b"hOST: other.localhost"), "400", "400"),
    Case("host-empty", "9112 §3.2", _bare(b"Host:"), "400", "400"),
    Case("host-list", "9110 §7.2", _bare(b"Host: demo.localhost, other.localhost"), "400", "400"),
    Case("host-path", "9110 §7.2", _bare(b"Host: demo.localhost/evil.txt"), "400", "400"),
    Case("host-query", "9110 §7.2", _bare(b"Host: demo.localhost?x"), "400", "200+"),
    Case("host-user", "9110 §7.2", _bare(b"Host: a@demo.localhost"), "400", "200+"),
    Case("host-scheme", "9110 §7.2", _bare(b"Host: http://demo.localhost"), "400", "400"),
    Case("host-inner-space", "9110 §7.2", _bare(b"Host: demo.localhost x"), "400", "400"),
    Case("host-nul", "9110 §7.2", _bare(b"Host: demo.localhost\0x"), "400", "400"),
    Case("host-port-words", "9110 §7.2", _bare(b"Host: demo.localhost:http"), "400", "200+"),
    Case("host-port-long", "9110 §7.2", _bare(b"Host: demo.localhost:123456"), "400", "200+"),
    Case("host-space-behind", "9112 §5", _bare(b"Host: demo.localhost  "), "200+", "200+"),
    Case("host-port-empty", "9110 §7.2", _bare(b"Host: demo.localhost:"), "200+", "200+"),
    Case("host-port-two", "9110 §7.2", _bare(b"Host: demo.localhost:80:80"), "400", "200+"),
    Case("host-dot", "9110 §7.2", _bare(b"Host: demo.localhost."), "200+", "200+"),
    Case("host-dots", "9110 §7.2", _bare(b"Host: .."), "421+", "400", "a name of nobody, not a fault of form"),
    Case("host-capitals", "9110 §4.2.3", _bare(b"Host: DEMO.LocalHost"), "200+", "200+"),
    Case("host-utf8", "9110 §7.2", _bare("Host: démo.localhost".encode()), "400", "200+"),
    Case("host-percent", "9110 §7.2", _bare(b"Host: %64emo.localhost"), "400", "200+"),
    Case("host-star", "9110 §7.2", _bare(b"Host: *"), "400", "200+"),
    Case("host-ipv6-open", "9110 §7.2", _bare(b"Host: [::1"), "400", "200+"),
    Case("host-unknown", "9110 §7.4", _bare(b"Host: nobody.example"), "421+", "200+"),
    Case("host-forwarded", "9110 §7.2", _get(b"X-Forwarded-Host: other.localhost"), "200+", "200+"),
    Case("original-url", "9110 §7.2", _get(b"X-Original-URL: /evil.txt", b"X-Rewrite-URL: /evil.txt"), "200+", "200+"),
    Case("method-override", "9110 §9", _get(b"X-HTTP-Method-Override: DELETE"), "200+", "200+"),
]

TARGETS = [
    # Targets (RFC 9112 §3.2, RFC 3986).
    Case("absolute", "9112 §3.2.2", _at(b"http://demo.localhost/hot.txt"), "200+", "200+"),
    Case(
        "absolute-other-host",
        "9112 §3.2.2",
        _bare(b"Host: nobody.example", target=b"http://demo.localhost/hot.txt"),
        "200+",
        "200+",
    ),
    Case("absolute-no-host", "9112 §3.2", _bare(target=b"http://demo.localhost/hot.txt"), "400", "400"),
    Case("absolute-two-hosts", "9112 §3.2", _bare(HOST, HOST, target=b"http://demo.localhost/hot.txt"), "400", "400"),
    Case("absolute-https", "9112 §3.2.2", _at(b"https://demo.localhost/hot.txt"), "200+", "200+"),
    Case("absolute-capitals", "9112 §3.2.2", _at(b"HTTP://demo.localhost/hot.txt"), "200+", "200+"),
    Case("absolute-user", "9110 §4.2.4", _at(b"http://a:b@demo.localhost/hot.txt"), "400", "400"),
    Case("absolute-no-authority", "9110 §4.2.1", _at(b"http:///hot.txt"), "400", "400"),
    Case("absolute-one-slash", "9112 §3.2.2", _at(b"http:/hot.txt"), "400", "400"),
    Case("absolute-port", "9112 §3.2.2", _at(b"http://demo.localhost:80/hot.txt"), "200+", "200+"),
    Case("absolute-port-bad", "3986 §3.2.3", _at(b"http://demo.localhost:99999/hot.txt"), "400", "200+"),
    Case("absolute-no-path", "9112 §3.2.2", _at(b"http://demo.localhost"), "404+", "403+"),
    Case("absolute-query-only", "9112 §3.2.2", _at(b"http://demo.localhost?x"), "404+", "403+"),
    Case("absolute-ftp", "9112 §3.2.2", _at(b"ftp://demo.localhost/hot.txt"), "400", "200+"),
    Case("absolute-file", "9112 §3.2.2", _at(b"file:///etc/passwd"), "400", "400"),
    Case("absolute-javascript", "9112 §3.2.2", _at(b"javascript:alert(1)"), "400", "400"),
    Case("authority", "9112 §3.2.3", _at(b"demo.localhost:80"), "400", "400"),
    Case("asterisk-get", "9112 §3.2.4", _at(b"*"), "400", "400"),
    Case("asterisk-options", "9112 §3.2.4", _get(method=b"OPTIONS", target=b"*"), "400", "400"),
    Case("relative", "9112 §3.2.1", _at(b"hot.txt"), "400", "400"),
    Case("relative-dot", "9112 §3.2.1", _at(b"./hot.txt"), "400", "400"),
    Case("query-only", "9112 §3.2.1", _at(b"?hot.txt"), "400", "400"),
    Case("two-slashes", "9112 §3.2.1", _at(b"//hot.txt"), "404+", "200+"),
    Case("two-slashes-host", "3986 §4.2", _at(b"//nobody.example/hot.txt"), "404+", "404+"),
    Case("fragment", "9112 §3.2", _at(b"/hot.txt#x"), "400", "200+"),
    Case("fragment-in-query", "9112 §3.2", _at(b"/hot.txt?a#x"), "400", "200+"),
    Case("query", "3986 §3.4", _at(b"/hot.txt?a=b&c"), "200+", "200+"),
    Case("query-empty", "3986 §3.4", _at(b"/hot.txt?"), "200+", "200+"),
    Case("query-odd", "3986 §3.4", _at(b"/hot.txt?%00%zz"), "200+", "200+"),
    Case("space", "9112 §3.2", _at(b"/hot .txt"), "400", "400"),
    Case("raw-utf8", "9112 §3.2", _at("/hät.txt".encode()), "400", "404+"),
    Case("raw-utf8-query", "9112 §3.2", _at("/hot.txt?ä".encode()), "400", "200+"),
    Case("raw-nul", "9112 §3.2", _at(b"/hot.txt\0"), "400", "400"),
    Case("raw-control", "9112 §3.2", _at(b"/hot\x01.txt"), "400", "400"),
    Case("raw-control-query", "9112 §3.2", _at(b"/hot.txt?\x01"), "400", "400"),
    Case("raw-del", "9112 §3.2", _at(b"/hot\x7f.txt"), "400", "400"),
    Case("raw-escape", "9112 §3.2", _at(b"/hot\x1b[31m.txt"), "400", "400"),
    Case("raw-quote", "3986 §2", _at(b'/hot.txt?"<>'), "200+", "200+"),
    Case("backslash", "3986 §2", _at(b"/x\\hot.txt"), "400", "404+"),
    Case("backslash-up", "3986 §2", _at(b"/..\\hot.txt"), "400", "404+"),
    Case("percent-nul", "3986 §2.1", _at(b"/hot.txt%00"), "400", "400"),
    Case("percent-alone", "3986 §2.1", _at(b"/hot.txt%"), "400", "400"),
    Case("percent-half", "3986 §2.1", _at(b"/hot.txt%4"), "400", "400"),
    Case("percent-not-hex", "3986 §2.1", _at(b"/hot%zz.txt"), "400", "400"),
    Case("percent-slash", "3986 §2.2", _at(b"/x%2fhot.txt"), "400", "404+"),
    Case("percent-latin-1", "3629 §3", _at(b"/h%e4t.txt"), "400", "404+"),
    Case("percent-overlong", "3629 §3", _at(b"/%c0%af"), "400", "404+"),
    Case("percent-plain", "3986 §2.3", _at(b"/h%6ft.txt"), "200+", "200+"),
    Case("percent-twice", "3986 §2.4", _at(b"/%2568ot.txt"), "404+", "404+"),
    Case("percent-crlf", "3986 §2.1", _at(b"/hot.txt%0d%0aX:%20y"), "404+", "404+"),
    Case("dot", "3986 §5.2.4", _at(b"/./hot.txt"), "400", "200+"),
    Case("dots-inside", "3986 §5.2.4", _at(b"/x/../hot.txt"), "400", "200+"),
    Case("dots-outside", "3986 §5.2.4", _at(b"/../hot.txt"), "400", "400"),
    Case("dots-etc", "3986 §5.2.4", _at(b"/../../../../etc/passwd"), "400", "400"),
    Case("dots-encoded", "3986 §6.2.2", _at(b"/%2e%2e/hot.txt"), "400", "400"),
    Case("dots-half-encoded", "3986 §6.2.2", _at(b"/.%2E/hot.txt"), "400", "400"),
    Case("dots-slash-encoded", "3986 §6.2.2", _at(b"/x/..%2fhot.txt"), "400", "200+"),
    Case("dots-query", "3986 §3.4", _at(b"/hot.txt?/../evil.txt"), "200+", "200+"),
    Case("semicolon", "3986 §3.3", _at(b"/hot.txt;x.css"), "404+", "404+"),
    Case("path-behind-file", "3986 §3.3", _at(b"/hot.txt/x.css"), "404+", "404+"),
]

MEANINGS = [
    # Connection, Upgrade, Expect, Range: well-formed, and asking for what is not given.
    Case(
        "upgrade-h2c",
        "9110 §7.8",
        _get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA"),
        "200",
        "200+",
    ),
    Case("upgrade-h2c-evil", "9110 §7.8", _get(b"Connection: Upgrade", b"Upgrade: h2c") + EVIL, "200", "200 evil+"),
    Case("upgrade-websocket", "9110 §7.8", _get(b"Connection: Upgrade", b"Upgrade: websocket"), "200", "200+"),
    Case("upgrade-alone", "9110 §7.8", _get(b"Upgrade: websocket"), "200+", "200+"),
    Case("upgrade-tls", "2817 §3.1", _get(b"Connection: Upgrade", b"Upgrade: TLS/1.2"), "200", "200+"),
    Case("upgrade-with-body", "9110 §7.8", _get(b"Connection: Upgrade", b"Upgrade: x", _LENGTH) + EVIL, "200", "200+"),
    Case("connection-close", "9112 §9.6", _get(b"Connection: close"), "200", "200"),
    Case("connection-close-evil", "9112 §9.6", _get(b"Connection: close") + EVIL, "200", "200"),
    Case("connection-close-in-list", "9112 §9.6", _get(b"Connection: foo,close"), "200", "200"),
    Case("connection-two-lines", "9112 §9.6", _get(b"Connection: keep-alive", b"Connection: close"), "200", "200"),
    Case("connection-names-host", "9110 §7.6.1", _get(b"Connection: host, range"), "200+", "200+"),
    Case("connection-keep-alive-1.0", "9112 §9.3", _get(b"Connection: keep-alive", version=b"HTTP/1.0"), "200", "200+"),
    Case("expect-continue", "9110 §10.1.1", _get(b"Expect: 100-continue"), "200", "100 200+"),
    Case("expect-continue-body", "9110 §10.1.1", _get(b"Expect: 100-continue", _LENGTH) + EVIL, "200", "100 200+"),
    Case("expect-unknown", "9110 §10.1.1", _get(b"Expect: 200-maybe"), "200", "200+"),
    Case("expect-1.0", "9110 §10.1.1", _get(b"Expect: 100-continue", version=b"HTTP/1.0"), "200", "200"),
    Case(
        "range-huge-list",
        "9110 §14.2",
        _get(b"Range: bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(900))),
        "200+",
        "206+",
    ),
    Case(
        "range-overflow",
        "9110 §14.2",
        _get(b"Range: bytes=-9223372036854775809"),
        "206+",
        "416+",
        "a suffix longer than the file means all of it (RFC 9110 §14.1.2)",
    ),
    Case("range-outside", "9110 §14.2", _get(b"Range: bytes=9223372036854775807-"), "416+", "416+"),
    Case(
        "range-nonsense",
        "9110 §14.2",
        _get(b"Range: bytes=b-a"),
        "200+",
        "416+",
        "an invalid Range is ignored (RFC 9110 §14.2)",
    ),
    Case("range-twice", "9110 §14.2", _get(b"Range: bytes=0-0", b"Range: bytes=1-1"), "200+", "206+"),
    Case("etag-nonsense", "9110 §13.1.2", _get(b'If-None-Match: "'), "200+", "200+"),
    Case("date-nonsense", "9110 §13.1.3", _get(b"If-Modified-Since: yesterday"), "200+", "200+"),
    Case("encoding-none", "9110 §12.5.3", _get(b"Accept-Encoding: *;q=0"), "406+", "200+"),
]

CASES = [*FRAMING, *LINES, *FIELDS, *TARGETS, *MEANINGS]
