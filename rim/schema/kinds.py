"""Kinds: what a key of rim.toml may hold. Each can read a value, say what it wants, and give its JSON schema.

Here live readers from a TOML value to ours; they raise ValueError or ContentError in words that end the sentence "`key`
…". Not here: which key is of which kind (rim/schema/table).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from content.catalog import check_host, check_site_name
from content.glob import glob
from content.limits import GATEWAY_BYTES, GATEWAYS_MAX, PASSED_MAX
from content.passed import BadPassed, check_passed
from content.password import KIND, BadPassword, Password
from content.pattern import BadPattern, Pattern
from content.release import is_base_url
from rim.schema.freshness import check_cache_control
from rim.schema.near import meant

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)i?B?\Z", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhdw])\Z")
_SPAN = re.compile(r"(0|[1-9][0-9]{0,8})([smhdw])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN_MAX = 365 * 86_400
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}\Z")


@dataclass(frozen=True, slots=True)
class Kind:
    """`words` say what to give; `read` makes our value of a TOML value; `schema` is its JSON schema."""

    words: str
    read: Callable[[Any], Any]
    schema: Mapping[str, Any]


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {shown(value)}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text in quotes, not {shown(value)}")
    if not value or not value.isprintable():
        raise ValueError("must not be empty" if not value else "holds characters that cannot be printed")
    return value


def _texts(each: Callable[[str], str]) -> Callable[[Any], tuple[str, ...]]:
    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise ValueError(f"must be a list in brackets, not {shown(value)}")
        return tuple(dict.fromkeys(each(_text(item)) for item in value))

    return read


def whole(least: int, most: int, words: str) -> Kind:
    """A whole number from `least` to `most`."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least:,} to {most:,}, not {shown(value)}")
        return value

    return Kind(words, read, {"type": "integer", "minimum": least, "maximum": most})


def choice(*words: str) -> Kind:
    """One of these words."""

    def read(value: Any) -> str:
        if value not in words:
            near = meant(str(value), words)
            raise ValueError(f"must be one of {', '.join(map(shown, words))}, not {shown(value)}{near}")
        return str(value)

    return Kind("one of " + ", ".join(f"`{word}`" for word in words), read, {"enum": list(words)})


def _url(value: Any) -> str:
    text = _text(value)
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"must be http://HOST:PORT or https://HOST, not {shown(value)}")
    return text.rstrip("/")


def _folder(value: Any) -> str:
    text = _text(value)
    if text.startswith(("/", "~")) or ".." in text.split("/"):
        raise ValueError(f"must lie below the folder of rim.toml, and {shown(value)} does not")
    return text.rstrip("/") or "."


def _file_path(value: Any) -> str:
    text = _text(value)
    if not text.startswith("/") or text.endswith("/") or not {".", ".."}.isdisjoint(text.split("/")):
        raise ValueError(f'must be the path of a published file, as in "/404.html", not {shown(value)}')
    return text


def _pattern(text: str) -> str:
    try:
        return Pattern.parse(text).text
    except BadPattern as error:
        raise ValueError(f"is no path pattern: {error}") from error


def _glob(text: str) -> str:
    return glob(text).text


def _tag(text: str) -> str:
    if not _TAG.match(text):
        raise ValueError(f"{shown(text)} is no tag: 1 to 128 of A-Z a-z 0-9 . _ : / -, the first a letter or digit")
    return text


def _gate(value: Any) -> int | None:
    if value == "all":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f'must be "all" or a number of edges above 0, not {shown(value)}')
    return value


def _size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    found = _SIZE.match(value) if isinstance(value, str) else None
    size = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if size < 1 or size >= 1 << 63:
        raise ValueError(f'must be a size such as "512MiB" or "2GiB", not {shown(value)}')
    return size


def _duration(value: Any) -> int:
    found = _DURATION.match(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'must be a time such as "12h" or "30d", not {shown(value)}')
    return int(found[1]) * _SECONDS[found[2]]


def _span(value: Any) -> int:
    found = _SPAN.match(value) if isinstance(value, str) else None
    seconds = int(found[1]) * _SECONDS[found[2]] if found else -1
    if not 0 <= seconds <= _SPAN_MAX:
        raise ValueError(f'must be a time from "0s" to "365d", such as "1m", not {shown(value)}')
    return seconds


def _gateway(text: str) -> str:
    """A trustless gateway's base URL: `/ipfs/CID` is put behind it."""
    url = _url(text)
    if not is_base_url(url):
        raise ValueError(f"holds {shown(text)}: give scheme, host and perhaps a path, nothing else")
    if len(url.encode()) > GATEWAY_BYTES:
        raise ValueError(f"holds {shown(text)}, and {GATEWAY_BYTES} bytes are the limit")
    return url


def _gateways(value: Any) -> tuple[str, ...]:
    found = _texts(_gateway)(value)
    if len(found) > GATEWAYS_MAX:
        raise ValueError(f"holds {len(found)}, and {GATEWAYS_MAX} are the limit")
    return found


def _passed(text: str) -> str:
    try:
        return check_passed(text)
    except BadPassed as error:
        raise ValueError(f"is no list of paths to leave alone: {error}") from error


def _passes(value: Any) -> tuple[str, ...]:
    found = _texts(_passed)(value)
    if len(found) > PASSED_MAX:
        raise ValueError(f"holds {len(found)}, and {PASSED_MAX} are the limit: let one end in * for several")
    return found


def _web_origin(value: Any) -> str:
    text = _text(value)
    if text == "*":
        return text
    url = _url(text)
    if urlsplit(url).path or urlsplit(url).query or urlsplit(url).fragment or "@" in url:
        raise ValueError(f'must be "*" or one origin such as "https://app.example.org", not {shown(value)}')
    return url


def _hash(value: Any) -> str:
    """Never repeats what it was given: it may be the secret itself."""
    try:
        return str(Password.parse(_text(value)))
    except BadPassword as error:
        if str(value).startswith(KIND + "$"):
            raise
        raise ValueError("must be a hash, never the password itself: `rim password` makes one") from error


def _cache_control(value: Any) -> str:
    return check_cache_control(_text(value))


def shown(value: Any) -> str:
    """A value as a message shows it: short, on one line, as TOML has it."""
    if isinstance(value, str):
        return '"' + (value if len(value) <= 60 else value[:57] + "...").encode("unicode_escape").decode() + '"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, Sequence) else str(value)[:60]


_STRING = {"type": "string", "minLength": 1}
_LIST = {"type": "array", "items": _STRING, "uniqueItems": True}
_SIZES = {"type": ["string", "integer"], "pattern": "^[0-9.]+ ?[KMGTkmgt]?i?B?$", "minimum": 1}

FLAG = Kind("`true` or `false`", _flag, {"type": "boolean"})
SITE = Kind("a DNS label", lambda value: check_site_name(_text(value)), {**_STRING, "maxLength": 63})
URL = Kind("a URL", _url, {**_STRING, "pattern": "^https?://"})
FOLDER = Kind("a folder", _folder, _STRING)
FILE = Kind("a path", _file_path, {**_STRING, "pattern": "^/"})
HOSTS = Kind("host names", _texts(check_host), _LIST)
PATTERN = Kind("a path pattern", lambda value: _pattern(_text(value)), _STRING)
PATTERNS = Kind("path patterns", _texts(_pattern), _LIST)
GLOB = Kind("a glob", lambda value: _glob(_text(value)), _STRING)
GLOBS = Kind("globs", _texts(_glob), _LIST)
TAGS = Kind("tags", _texts(_tag), _LIST)
GATE = Kind('a number of edges, or `"all"`', _gate, {"anyOf": [{"const": "all"}, {"type": "integer", "minimum": 1}]})
SIZE = Kind("a size", _size, _SIZES)
DURATION = Kind("a time: s, m, h, d or w", _duration, {**_STRING, "pattern": "^[1-9][0-9]*[smhdw]$"})
SPAN = Kind("a time: s, m, h, d or w, or `0s`", _span, {**_STRING, "pattern": "^(0|[1-9][0-9]*)[smhdw]$"})
GATEWAYS = Kind(f"at most {GATEWAYS_MAX} URLs", _gateways, {**_LIST, "maxItems": GATEWAYS_MAX})
PASSES = Kind(f"at most {PASSED_MAX} paths, perhaps ending in `*`", _passes, {**_LIST, "maxItems": PASSED_MAX})
CACHE_CONTROL = Kind("Cache-Control directives", _cache_control, _STRING)
WEB_ORIGIN = Kind("`*`, or one origin", _web_origin, _STRING)
HASH = Kind("a hash that `rim password` made", _hash, {**_STRING, "pattern": r"^scrypt\$"})
