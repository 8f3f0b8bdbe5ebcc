"""PROXY headers, on bytes: what is whole, what waits for more, what is none."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.proxy import SIGNATURE, V2_BYTES, BadHeader, Header, _crc32c, missing, read

REST = b"GET / HTTP/1.1\r\n"


def v2(body: bytes, kind: int = 0x11, version: int = 0x21, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", version, kind, len(body) if length is None else length) + body


def addition(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def with_checksum(body: bytes, flip: int = 0) -> bytes:
    blank = v2(body + addition(0x03, bytes(4)))
    return v2(body + addition(0x03, struct.pack("!I", _crc32c(blank) ^ flip)))


IPV4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 51234, 443)
IPV6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + struct.pack("!HH", 51234, 443)
MAPPED = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.7") + bytes(16) + struct.pack("!HH", 1, 2)
LONGEST = b"PROXY TCP6 " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n"

GOOD: list[tuple[str, bytes, str | None]] = [
    ("v1, IPv4", b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n", "192.0.2.7"),
    ("v1, ports at their ends", b"PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\n", "192.0.2.7"),
    ("v1, IPv6", b"PROXY TCP6 2001:db8::7 2001:DB8::1 51234 443\r\n", "2001:db8::7"),
    ("v1, IPv6 in full", b"PROXY TCP6 2001:0DB8:0:0:0:0:0:7 ::1 1 2\r\n", "2001:db8::7"),
    ("v1, IPv6 of an IPv4", b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7"),
    ("v1, the longest address", LONGEST, "ffff:" * 7 + "ffff"),
    ("v1, unknown", b"PROXY UNKNOWN\r\n", None),
    ("v1, unknown with whatever", b"PROXY UNKNOWN ffff::1 nonsense \x00\r\n", None),
    ("v1, unknown of 107 bytes", b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", None),
    ("v2, IPv4", v2(IPV4), "192.0.2.7"),
    ("v2, IPv4 over UDP", v2(IPV4, 0x12), "192.0.2.7"),
    ("v2, IPv6", v2(IPV6, 0x21), "2001:db8::7"),
    ("v2, IPv6 of an IPv4", v2(MAPPED, 0x21), "192.0.2.7"),
    ("v2, UNIX", v2(bytes(216), 0x31), None),
    ("v2, no family", v2(b"", 0x00), None),
    ("v2, IPv4 over nothing", v2(IPV4, 0x10), None),
    ("v2, LOCAL", v2(b"", 0x00, 0x20), None),
    ("v2, LOCAL with an address", v2(IPV4, 0x11, 0x20), None),
    ("v2, LOCAL with what is no address", v2(b"xyz", 0x11, 0x20), None),
    ("v2, additions", v2(IPV4 + addition(0x01, b"h2") + addition(0x04, b"")), "192.0.2.7"),
    ("v2, the checksum", with_checksum(IPV4), "192.0.2.7"),
    ("v2, as long as may be", v2(IPV4 + addition(0x04, bytes(V2_BYTES - 16 - 12 - 3))), "192.0.2.7"),
]
BAD: list[tuple[str, bytes]] = [
    ("a request", REST),
    ("a TLS hello", b"\x16\x03\x01\x02\x00"),
    ("v1, lower case", b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n"),
    ("v1, only LF", b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n"),
    ("v1, UDP", b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n"),
    ("v1, two spaces", b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n"),
    ("v1, a space at the end", b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n"),
    ("v1, one address", b"PROXY TCP4 192.0.2.7 1 2\r\n"),
    ("v1, one port", b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n"),
    ("v1, a port of 65536", b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n"),
    ("v1, a port below 0", b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n"),
    ("v1, a port with a zero before it", b"PROXY TCP4 192.0.2.7 198.51.100.1 080 2\r\n"),
    ("v1, an address with a zero before it", b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n"),
    ("v1, three parts", b"PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n"),
    ("v1, a part of 256", b"PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n"),
    ("v1, IPv6 as TCP4", b"PROXY TCP4 ::1 ::1 1 2\r\n"),
    ("v1, IPv4 as TCP6", b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n"),
    ("v1, two gaps", b"PROXY TCP6 2001::7::1 ::1 1 2\r\n"),
    ("v1, a zone", b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"),
    ("v1, a name", b"PROXY TCP4 localhost 198.51.100.1 1 2\r\n"),
    ("v1, unknown and more of the word", b"PROXY UNKNOWNS\r\n"),
    ("v1, 108 bytes", b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n"),
    ("v1, endless", b"PROXY TCP4 " + b"1" * 100),
    ("v2, a signature with one byte wrong", SIGNATURE[:-1] + b"\r" + v2(IPV4)[12:]),
    ("v2, version 1", v2(IPV4, version=0x11)),
    ("v2, version 3", v2(IPV4, version=0x31)),
    ("v2, command 2", v2(IPV4, version=0x22)),
    ("v2, family 4", v2(IPV4, 0x41)),
    ("v2, transport 3", v2(IPV4, 0x13)),
    ("v2, no family of LOCAL either", v2(b"", 0xF0, 0x20)),
    ("v2, shorter than its addresses", v2(IPV4[:-1])),
    ("v2, IPv4's length for IPv6", v2(IPV4, 0x21)),
    ("v2, one byte short of UNIX", v2(bytes(215), 0x31)),
    ("v2, longer than may be", v2(b"", length=V2_BYTES - 15)),
    ("v2, 64 KiB promised", v2(IPV4, length=65535)),
    ("v2, an addition cut in its head", v2(IPV4 + b"\x04\x00")),
    ("v2, an addition cut in its value", v2(IPV4 + struct.pack("!BH", 4, 9) + b"x" * 8)),
    ("v2, a wrong checksum", with_checksum(IPV4, 1)),
    ("v2, a checksum of three bytes", v2(IPV4 + addition(0x03, bytes(3)))),
]


@pytest.mark.parametrize(("data", "client"), [pytest.param(*row[1:], id=row[0]) for row in GOOD])
def test_a_good_header(data: bytes, client: str | None) -> None:
    """Its client and its length, whatever follows; and each beginning of it, down to nothing, waits for more."""
    assert read(data) == read(data + REST) == Header(client, len(data))
    assert [read(data[:end]) for end in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize("data", [pytest.param(row[1], id=row[0]) for row in GOOD])
def test_what_is_missing(data: bytes) -> None:
    """Who reads only as much as is missing ends exactly where the header ends."""
    got = b""
    while read(got) is None:
        wanted = missing(got)
        assert wanted > 0
        got = (data + REST)[: len(got) + wanted]
    assert got == data


@pytest.mark.parametrize("data", [pytest.param(row[1], id=row[0]) for row in BAD])
def test_a_bad_header(data: bytes) -> None:
    """Refused, and whatever follows does not mend it."""
    for more in (b"", REST, bytes(65536)):
        with pytest.raises(BadHeader):
            read(data + more)


def test_the_checksum_is_crc32c() -> None:
    """RFC 3720 B.4: 32 bytes of zeroes, of ones, and counting up."""
    assert _crc32c(bytes(32)) == 0x8A9136AA
    assert _crc32c(b"\xff" * 32) == 0x62A8AB43
    assert _crc32c(bytes(range(32))) == 0x46DD794E


@given(st.sampled_from([SIGNATURE, b"PROXY ", b""]), st.binary(max_size=300))
def test_whatever_comes(begin: bytes, data: bytes) -> None:
    """A header within the bytes, a wait for more, or BadHeader; and what is bad is not good with fewer bytes."""
    whole = begin + data
    try:
        header = read(whole)
    except BadHeader:
        header = None
    if header is not None:
        assert header.size <= len(whole)
        assert read(whole[: header.size]) == header
        assert all(read(whole[:end]) is None for end in range(header.size))
