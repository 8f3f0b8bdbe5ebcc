"""Sniff: what kind of bytes a file without a telling name begins with.

Here lives a small table of signatures, as the WHATWG MIME Sniffing standard has them, and the tests for text, HTML and
JSON. Not here: types by name (content/media), which come first. Pure.

In IPFS a file is often asked for by its CID alone, and then only its bytes tell. What is not sure is octets: all is
sent with nosniff, so no browser guesses behind us.
"""

from __future__ import annotations

import json
import re
from typing import Final

from content.media import DEFAULT

LOOKED_AT: Final = 3_072  # bytes: MP4 and Matroska need a few hundred, HTML may stand behind a comment
_JSON: Final = 128 * 1024  # bytes of a file that is parsed to say that it is JSON: about 1 ms
_TEXT = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_TAGS = rb"!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|!--"  # §7.1, rule by rule
_IS_HTML = re.compile(rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*<(?:%s)(?:[ />]|\Z)" % _TAGS, re.IGNORECASE)
_IS_COMMENT = re.compile(rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*<!--")
_IS_XML = re.compile(rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*<\?xml")
_IS_SVG = re.compile(rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*(?:<\?xml[^>]*>[\s\S]{0,1024}?)?<svg[\s>]")
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")  # §3: binary data byte

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBPVP", "image/webp"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (0, b"BM", "image/bmp"),
    (0, b"\x00\x00\x01\x00", "image/vnd.microsoft.icon"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"OggS\x00", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (8, b"WAVE", "audio/wav"),
    (0, b"wOF2", "font/woff2"),
    (0, b"wOFF", "font/woff"),
    (0, b"\x00asm", "application/wasm"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (257, b"ustar", "application/x-tar"),
)


def media_type(start: bytes, size: int) -> str:
    """The Content-Type of a file that begins like this, of so many bytes in all. `start` may be more than is needed."""
    head = start[:LOOKED_AT]
    for at, signature, kind in _SIGNATURES:
        if head.startswith(signature, at):
            return kind
    if _BINARY.search(head):
        return DEFAULT
    if _IS_SVG.match(head):
        return "image/svg+xml"
    if _IS_HTML.match(head) or _IS_COMMENT.match(head):
        return _HTML
    if _IS_XML.match(head):
        return "application/xml"
    if len(start) == size <= _JSON and _is_json(start):
        return "application/json"
    return _TEXT if _is_utf8(head, whole=len(head) == size) else DEFAULT


def _is_json(data: bytes) -> bool:
    """Objects and arrays only: a lone number or word is text to whoever opens it."""
    if data.lstrip()[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _is_utf8(head: bytes, whole: bool) -> bool:
    """A character may be cut at the end of a part."""
    for end in range(len(head), max(0, len(head) - (0 if whole else 3)) - 1, -1):
        try:
            head[:end].decode()
        except UnicodeDecodeError:
            continue
        return True
    return False
