"""Parts: several ranges in one 206 (multipart/byteranges, RFC 9110 §14.6).

Here lives the framing of a multipart body: what stands before each part and after the last, and how long it all is.
Not here: which ranges (edge/http/ranges), whose bytes (edge/bodies).

The boundary is the SHA-256 of the CID. RFC 2046 §5.1.1 asks that it stand in no part; a file that held it would hold
the hash of its own hash, and nobody can make one. So it is looked for nowhere, is the same on every edge, and two
answers to one question are equal byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from content.cid import CID
from edge.http.ranges import Span


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes [start, stop) of the whole, and what is sent before them: the delimiter and the part's own head."""

    prefix: bytes
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Multipart:
    """A whole multipart body, but for the bytes of its parts."""

    boundary: bytes
    parts: tuple[Part, ...]
    tail: bytes  # the closing delimiter

    @property
    def length(self) -> int:
        """The body's bytes, exactly: its Content-Length."""
        return len(self.tail) + sum(len(part.prefix) + part.stop - part.start for part in self.parts)

    @property
    def media_type(self) -> bytes:
        """The value of Content-Type."""
        return b"multipart/byteranges; boundary=" + self.boundary


def framed(spans: Sequence[Span], cid: CID, size: int, media_type: bytes) -> Multipart:
    """The multipart body of these spans of a file of `size` bytes. `media_type`: the file's, safe as a header value."""
    boundary = sha256(cid).hexdigest().encode()
    parts = tuple(
        Part(
            b"%s--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n"  # so spelled: not every reader of parts is lax
            % (b"\r\n" if number else b"", boundary, media_type, span.content_range(size)),
            span.start,
            span.stop,
        )
        for number, span in enumerate(spans)
    )
    return Multipart(boundary, parts, b"\r\n--%s--\r\n" % boundary)
