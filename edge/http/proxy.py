"""Proxy: the PROXY protocol's header, versions 1 and 2, in which a proxy says whose connection it passes on.

Here lives the reading of it (HAProxy's proxy-protocol.txt, §2). Not here: from whom it is expected and believed
(edge/http/door), nor what becomes of the connection (edge/http/protocol).

Whether a header comes is never guessed (§2, "must not try to guess"): it is expected from trusted proxies, and from
nobody else. A bad one is answered with nothing: whoever sent it does not speak HTTP here.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from edge.http.address import spelled

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"  # §2.2: no request of HTTP, and no line of text, begins so
V1_BYTES = 107  # §2.1: the longest line, its CRLF included
V2_BYTES = 4096  # nginx's bound; an address takes at most 232, the rest is what the proxy adds (TLS, tenants)
_V1 = b"PROXY "
_V1_LINE = re.compile(rb"PROXY (TCP4|TCP6) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n")
_V2_HEAD = struct.Struct("!12sBBH")
_ADDRESSES = {0: 0, 1: 12, 2: 36, 3: 216}  # bytes by family: none, IPv4, IPv6, UNIX
_CRC32C = 0x03  # the type of the addition that holds a checksum of the whole header


class BadHeader(ValueError):
    """No PROXY header, or none that may be believed. The text says why, for a log of faults."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header: the client's address, None where the proxy speaks for itself or cannot say; its length in bytes,
    after which the connection's own bytes begin."""

    client: str | None
    size: int


def read(data: bytes) -> Header | None:
    """The header that these first bytes of a connection begin with; None: more bytes are needed (never more than
    V2_BYTES in all). Raises BadHeader."""
    if data.startswith(SIGNATURE[: len(data)]):
        return _read_v2(data)
    if data.startswith(_V1[: len(data)]):
        return _read_v1(data)
    raise BadHeader("it begins with neither signature")


def missing(data: bytes) -> int:
    """How many bytes more surely belong to a header that begins so and is not whole. For who must not read past it."""
    if len(data) < len(SIGNATURE):
        return len(SIGNATURE) - len(data)  # the shortest line of version 1 is longer
    if data.startswith(_V1):
        return 1
    if len(data) < _V2_HEAD.size:
        return _V2_HEAD.size - len(data)
    return _V2_HEAD.size + int(_V2_HEAD.unpack_from(data)[3]) - len(data)


def _read_v1(data: bytes) -> Header | None:
    end = data.find(b"\n", 0, V1_BYTES)
    if end < 0:
        if len(data) >= V1_BYTES:
            raise BadHeader(f"a line of more than {V1_BYTES} bytes")
        return None
    line = data[: end + 1]
    if line == b"PROXY UNKNOWN\r\n" or (line.startswith(b"PROXY UNKNOWN ") and line.endswith(b"\r\n")):
        return Header(None, len(line))  # §2.1: what follows the word is ignored
    found = _V1_LINE.fullmatch(line)
    if found is None:
        raise BadHeader("a line that the grammar does not have")
    family, *addresses = found.group(1, 2, 3)
    if max(int(found[4]), int(found[5])) > 65535:
        raise BadHeader("a port above 65535")
    spellings = [spelled(address.decode()) for address in addresses]
    if None in spellings or any((b":" in address) != (family == b"TCP6") for address in addresses):
        raise BadHeader("an address that is none of its family")
    return Header(spellings[0], len(line))


def _read_v2(data: bytes) -> Header | None:
    if len(data) < _V2_HEAD.size:
        return None
    _, version, kind, length = _V2_HEAD.unpack_from(data)
    family, transport = kind >> 4, kind & 15
    if version not in (0x20, 0x21):
        raise BadHeader("another version, or a command that is neither LOCAL nor PROXY")
    if family not in _ADDRESSES or transport > 2:
        raise BadHeader("a family or transport that the protocol does not have")  # §2.2: "must be rejected as invalid"
    size = _V2_HEAD.size + length
    if size > V2_BYTES:
        raise BadHeader(f"a header of more than {V2_BYTES} bytes")
    if version == 0x21 and length < _ADDRESSES[family]:
        raise BadHeader("a length that does not hold its addresses")
    if len(data) < size:
        return None
    if version == 0x20:  # LOCAL, as for a health check: the proxy itself; the rest is skipped
        return Header(None, size)
    body = data[_V2_HEAD.size : size]
    _check_additions(data[:size], _V2_HEAD.size + _ADDRESSES[family])
    return Header(_address(family, body) if transport else None, size)


def _address(family: int, body: bytes) -> str | None:
    """The source. UDP's is as good as TCP's: a proxy that ends HTTP/3 says so."""
    if family == 1:
        return str(IPv4Address(body[:4]))
    if family == 2:
        return spelled(str(IPv6Address(body[:16])))
    return None


def _check_additions(header: bytes, at: int) -> None:
    """What follows the addresses fits the length; and where there is a checksum, it is right (§2.2.3)."""
    while at < len(header):
        end = at + 3
        if end <= len(header):
            end += int.from_bytes(header[at + 1 : end])
        if end > len(header):
            raise BadHeader("an addition that is cut off")
        if header[at] == _CRC32C:
            said, blank = header[at + 3 : end], header[: at + 3] + bytes(end - at - 3) + header[end:]
            if said != _crc32c(blank).to_bytes(4):
                raise BadHeader("a checksum that is not that of the header")
        at = end


def _table() -> tuple[int, ...]:
    row = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        row.append(value)
    return tuple(row)


_TABLE = _table()


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
