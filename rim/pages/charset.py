"""Charset: which encoding a browser reads a page in, and the page as a text that gives the same bytes back.

Here lives the choice (HTML §13.2.3.2): byte order mark, then Content-Type, then what the page says of itself. Not here:
Content-Type of a site's files (content/media, `_headers`).

Only a text that gives exactly its bytes again is edited; a page that does not is left alone. Python's codecs are not
quite the browsers' (windows-1252 for latin-1), which matters to a URL with such letters in it and to nothing else.
"""

from __future__ import annotations

import codecs
import re

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_SAID = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_LOOKED_AT = 1_024  # bytes in which a page may say it
_ASIAN = (
    "gbk",
    "gb2312",
    "gb18030",
    "big5",
    "big5hkscs",
    "euc_jp",
    "shift_jis",
    "cp932",
    "iso2022_jp",
    "euc_kr",
    "cp949",
)
_OTHERS = ("utf-8", "ascii", "koi8-r", "koi8-u", "cp866", "cp874", "tis-620", "mac-roman", "mac-cyrillic")
_KNOWN = frozenset(  # of the Encoding standard, as Python calls them; others are no charset of a page
    [*_ASIAN, *_OTHERS, *(f"iso8859-{n}" for n in range(1, 17)), *(f"cp125{n}" for n in range(9))]
)


def codec_of(data: bytes, content_type: str) -> str | None:
    """The codec of a page that is sent with this Content-Type; None where it is none that we know."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    said = _SAID.search(content_type) or _SAID.search(data[:_LOOKED_AT].decode("latin-1"))
    if said is None:
        return "cp1252"  # what browsers take where nobody says anything
    if said[1].lower().startswith("utf-16"):
        return "utf-8"  # without its mark: as the standard has it
    try:
        name = codecs.lookup(said[1]).name
    except LookupError:
        return None
    return name if name in _KNOWN else None


def decoded(data: bytes, codec: str) -> str | None:
    """The page's text; None where encoding it again would give other bytes."""
    try:
        text = data.decode(codec, _errors(codec))
        return text if encoded(text, codec) == data else None
    except UnicodeError:
        return None


def encoded(text: str, codec: str) -> bytes:
    """The bytes of a part of such a text."""
    return text.encode(codec, _errors(codec))


def _errors(codec: str) -> str:
    """How bytes that mean nothing are kept as they are."""
    return "surrogatepass" if codec.startswith("utf-16") else "surrogateescape"
