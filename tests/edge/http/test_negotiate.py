"""Accept-Encoding: RFC 9110 §12.5.3, with weights of §12.4.2."""

from __future__ import annotations

import pytest

from edge.http import negotiate
from edge.http.negotiate import ELEMENTS, choose, names

ALL = ("zstd", "br", "gzip")
CASES: list[tuple[str, bytes | None, tuple[str, ...], str | None]] = [
    ("12.5.3 no field", None, ALL, "identity"),
    ("12.5.3 empty field", b"", ALL, "identity"),
    ("12.5.3 compress, gzip", b"compress, gzip", ALL, "gzip"),
    ("12.5.3 star", b"*", ALL, "zstd"),
    ("12.5.3 weights", b"compress;q=0.5, gzip;q=1.0", ALL, "gzip"),
    ("12.5.3 gzip;q=1.0, identity; q=0.5, *;q=0", b"gzip;q=1.0, identity; q=0.5, *;q=0", ALL, "gzip"),
    ("12.5.3 a browser", b"gzip, deflate, br, zstd", ALL, "zstd"),
    ("12.5.3 only what there is", b"gzip, deflate, br, zstd", ("gzip",), "gzip"),
    ("12.5.3 none of them there", b"gzip, br", (), "identity"),
    ("12.4.2 q=0 refuses", b"br;q=0", ("br",), "identity"),
    ("12.4.2 q=0 refuses one", b"br;q=0, gzip", ALL, "gzip"),
    ("12.4.2 q=0.000", b"br;q=0.000, gzip;q=0.001", ALL, "gzip"),
    ("12.4.2 higher weight wins", b"zstd;q=0.2, gzip;q=0.9, br;q=0.5", ALL, "gzip"),
    ("12.4.2 star gives the rest", b"zstd;q=0.1, *;q=0.9", ALL, "br"),
    ("12.5.3 identity preferred", b"gzip;q=0.5, identity;q=1", ALL, "identity"),
    ("12.5.3 tie goes to the coding", b"gzip, identity", ALL, "gzip"),
    ("12.5.3 identity refused, coding there", b"identity;q=0, br;q=0.1", ALL, "br"),
    ("12.5.3 identity refused, nothing there", b"identity;q=0, br", (), None),
    ("12.5.3 star refused", b"*;q=0", ALL, None),
    ("12.5.3 star refused but identity", b"*;q=0, identity", ALL, "identity"),
    ("8.4.1 case", b"GZIP", ALL, "gzip"),
    ("8.4.1 x-gzip", b"x-gzip", ALL, "gzip"),
    ("12.4.2 Q in capitals", b"gzip;Q=0", ("gzip",), "identity"),
    ("12.4.2 malformed weight: not there", b"br;q=2, gzip;q=abc", ALL, "identity"),
    ("12.4.2 spaces", b" br ; q=0.5 ,\tgzip ; q=0.6", ALL, "gzip"),
    ("5.6.1 empty elements", b",,gzip,,", ALL, "gzip"),
    ("5.5 bytes that are no text", b"\xff\xfe, gzip", ALL, "gzip"),
    ("12.5.3 star refused but one", b"br, *;q=0", ALL, "br"),
    ("12.5.3 star refused but one that is not there", b"deflate, *;q=0", ALL, None),
    ("12.5.3 identity refused, star for the rest", b"identity;q=0, *", ALL, "zstd"),
    ("12.5.3 identity refused, nothing else said", b"identity;q=0", ALL, None),
    ("12.5.3 identity alone", b"identity", ALL, "identity"),
    ("12.5.3 star below a coding", b"*;q=0.5, gzip;q=1", ALL, "gzip"),
    ("12.5.3 star, identity kept at its weight", b"*;q=0.5, identity;q=0.9", ALL, "identity"),
    ("12.4.2 four decimals: malformed", b"br;q=0.1234, gzip;q=0.1", ALL, "gzip"),
    ("12.4.2 the first of a name said twice", b"gzip;q=0, gzip;q=1", ("gzip",), "identity"),
    ("8.4.1 a coding that nobody knows", b"x-new, gzip;q=0.1", ALL, "gzip"),
    ("5.6.1 as many elements as are read", b"x," * (ELEMENTS - 1) + b"gzip", ALL, "gzip"),
    ("5.6.1 one more", b"," * ELEMENTS + b"gzip", ALL, "identity"),
    ("longer than remembered", b"a" * 300 + b", gzip", ALL, "gzip"),
]


@pytest.mark.parametrize(("accept", "available", "coding"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_case(accept: bytes | None, available: tuple[str, ...], coding: str | None) -> None:
    """The coding chosen is the one RFC 9110 asks for."""
    assert choose(accept, available) == coding


def test_what_is_long_is_read_and_not_remembered() -> None:
    """Browsers send one of a dozen values. A stranger's, of up to 16 KiB each, would fill the memory for good."""
    long = b", ".join(b"x-%d" % number for number in range(60)) + b", dcz"
    before = [memo.cache_info().currsize for memo in (negotiate._remembered, negotiate._named)]
    assert names(long, "dcz")
    assert choose(long, ("dcz",)) == "dcz"
    assert [memo.cache_info().currsize for memo in (negotiate._remembered, negotiate._named)] == before
