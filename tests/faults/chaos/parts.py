"""Reading what an answer says of itself: content codings, Content-Range, multipart/byteranges.

Not here: whether it is right (checker).
"""

from __future__ import annotations

import re
import zlib

import brotli  # type: ignore[import-untyped]  # no stubs
import zstandard

from tests.faults.chaos.wire import Answer

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")
Part = tuple[int, int, int, bytes]  # first and last byte, size of the whole, the bytes


class BadPart(Exception):
    """What an answer says of its body cannot be, or cannot be undone."""


def decoded(body: bytes, coding: str) -> bytes:
    """The plain bytes. Raises BadPart."""
    try:
        match coding:
            case "" | "identity":
                return body
            case "gzip":
                return zlib.decompress(body, 31)
            case "br":
                return bytes(brotli.decompress(body))
            case "zstd":
                return zstandard.ZstdDecompressor().decompress(body, max_output_size=1 << 26)
    except (zlib.error, brotli.error, zstandard.ZstdError) as error:
        raise BadPart(f"{coding}: {error}") from error
    raise BadPart(f"a coding that nobody asked for: {coding}")


def ranges_of(answer: Answer) -> list[Part]:
    """The parts of a 206, one or several. Raises BadPart."""
    if answer["content-encoding"]:
        raise BadPart("a range of encoded bytes")
    kind, _, boundary = answer["content-type"].partition("boundary=")
    if not kind.startswith("multipart/byteranges"):
        return [_part(answer["content-range"], answer.body)]
    pieces = answer.body.split(b"--" + boundary.strip('"').encode())
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise BadPart("multipart without its end")
    return [_piece(piece) for piece in pieces[1:-1]]


def _piece(piece: bytes) -> Part:
    head, _, data = piece.partition(b"\r\n\r\n")
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
    fields = {name.strip().lower(): value.strip() for name, _, value in lines}
    return _part(fields.get("content-range", ""), data.removesuffix(b"\r\n"))


def _part(said: str, data: bytes) -> Part:
    found = _RANGE.match(said)
    if not found:
        raise BadPart(f"Content-Range: {said!r}")
    first, last, size = (int(number) for number in found.groups())
    if last - first + 1 != len(data):
        raise BadPart(f"{said}, and {len(data)} bytes")
    return first, last, size, data
