"""Pattern: the left side of a rule in `_headers` and `_redirects`, and the templates on its right side.

Here live parsing, matching and filling. Not here: the search among many patterns (content/patternindex), or what a
rule does once it matches (content/headers, content/redirects). Matching uses no regular expression: a path is split
into segments, each compared once from its end, so the work is bounded by the lengths of path and pattern, whoever
wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import quote, unquote

from content.limits import HOST_BYTES, RULE_CHARS

_NAME = re.compile(r":([A-Za-z][A-Za-z0-9_]*)")
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9_.:*-]+\Z")
_REFUSED = re.compile(r"[\x00-\x20\x7f-\x9f\\?#]")
SPLAT = "splat"
SAMPLE = "~any~"  # a value that no one writes as a literal

Segment: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]  # literals, and the names between each two of them


class BadPattern(ValueError):
    """Text that is no path pattern; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Segments of a path, or labels of a host. A splat stands between head and tail, inside (prefix, suffix)."""

    head: tuple[Segment, ...]
    splat: tuple[str, str] | None = None
    tail: tuple[Segment, ...] = ()

    @classmethod
    def parse(cls, pieces: list[str]) -> _Sequence:
        at = next((n for n, piece in enumerate(pieces) if "*" in piece), None)
        if at is None:
            return cls(tuple(map(_segment, pieces)))
        prefix, _, suffix = pieces[at].partition("*")
        if _NAME.search(pieces[at]):
            raise BadPattern(f"'{pieces[at]}' has * and a placeholder side by side: put a / between them")
        around = _unquoted(prefix), _unquoted(suffix)
        return cls(tuple(map(_segment, pieces[:at])), around, tuple(map(_segment, pieces[at + 1 :])))

    def match(self, pieces: list[str], separator: str, captures: dict[str, str]) -> bool:
        first, last = len(self.head), len(pieces) - len(self.tail)
        if first != last if self.splat is None else first >= last:
            return False
        if not all(map(_take, self.head, pieces, [captures] * first)):
            return False
        if self.splat is None:
            return True
        middle, (prefix, suffix) = separator.join(pieces[first:last]), self.splat
        if len(middle) < len(prefix) + len(suffix) or not (middle.startswith(prefix) and middle.endswith(suffix)):
            return False
        captures[SPLAT] = middle[len(prefix) : len(middle) - len(suffix)]
        return all(map(_take, self.tail, pieces[last:], [captures] * len(self.tail)))

    def sample(self, separator: str, splat: str, other: str) -> str:
        head, tail = ([other.join(literals) for literals, _ in part] for part in (self.head, self.tail))
        return separator.join([*head, *([splat.join(self.splat)] if self.splat else []), *tail])


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path pattern, `/news/:year/*`, and perhaps the host it is for, `https://:site.example.com/*`."""

    text: str
    path: _Sequence = field(compare=False)
    host: _Sequence | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read a pattern: `*` once, `:name` for a part of a segment, `%XX` as in URLs. Raises BadPattern."""
        if len(text) > RULE_CHARS:
            raise BadPattern(f"a source of {len(text):,} characters, and {RULE_CHARS:,} are the limit: use *")
        scheme = _ABSOLUTE.match(text)
        host, slash, path = text[scheme.end() if scheme else 0 :].partition("/")
        if not slash or bool(host) != bool(scheme) or text.startswith("//"):
            raise BadPattern(f"'{text[:80]}' is no path: start it with / or https://host/")
        if found := _REFUSED.search(text):
            raise BadPattern(f"a source cannot hold {found[0]!r}: write %{ord(found[0]):02X} (a query: name=:name)")
        if text.count("*") > 1:
            raise BadPattern("two * in one source: use placeholders such as :name for the others")
        names = _NAME.findall(text)
        if SPLAT in names or len(names) != len(set(names)):
            raise BadPattern("each placeholder needs a name of its own, and :splat is the name of the *")
        return cls(text, _Sequence.parse(path.split("/")), _host(host) if scheme else None)

    @property
    def names(self) -> frozenset[str]:
        """The names that a match captures."""
        return frozenset([*_NAME.findall(self.text), *([SPLAT] if self.has_splat else [])])

    @property
    def has_splat(self) -> bool:
        """Whether the path (not the host) ends in, or holds, a splat."""
        return self.path.splat is not None

    def match(self, path: str, host: str | None = None) -> Mapping[str, str] | None:
        """What a request's decoded path (and host, port ignored) gives each name; None where the pattern differs."""
        return self.match_pieces(path[1:].split("/"), labels(host)) if path.startswith("/") else None

    def match_pieces(self, segments: list[str], host_labels: list[str]) -> Mapping[str, str] | None:
        """match() for a path and host that are split already, as one request is matched with many patterns."""
        captures: dict[str, str] = {}
        if self.host is not None and not self.host.match(host_labels, ".", captures):
            return None
        return captures if self.path.match(segments, "/", captures) else None

    def sample(self, splat: str = SAMPLE, other: str = SAMPLE) -> tuple[str, str]:
        """A path and host that match, made with these values."""
        host = self.host.sample(".", splat.replace("/", "."), other) if self.host else "host.invalid"
        return "/" + self.path.sample("/", splat, other), host


def labels(host: str | None) -> list[str]:
    """A host's labels, lower case; its port and a final dot are ignored."""
    return (host or "").partition(":")[0].rstrip(".").lower().split(".")


def references(template: str) -> list[str]:
    """The names that a template (`/blog/:year/:splat`) asks for, each as often as it does."""
    return _NAME.findall(template)


def quoted(text: str) -> str:
    """Text percent-encoded (RFC 3986) so that in a URL or field value it is text and nothing else; `/` stays."""
    return quote(text, safe="/", errors="replace")


def fill(template: str, captures: Mapping[str, str], encode: Callable[[str], str] = quoted) -> str:
    """The template with each captured `:name` replaced by its encoded value; other names stay as they are."""
    return _NAME.sub(lambda found: encode(captures[found[1]]) if found[1] in captures else found[0], template)


def _host(text: str) -> _Sequence:
    if len(text) > HOST_BYTES or not _HOST.match(text) or ":" in _NAME.sub("", text):
        raise BadPattern(f"host '{text[:80]}': letters, digits, - and . only (IDNs as xn--), and no port")
    parts = _NAME.split(text)
    return _Sequence.parse("".join(f":{part}" if n % 2 else part.lower() for n, part in enumerate(parts)).split("."))


def _segment(text: str) -> Segment:
    parts = _NAME.split(text)
    if "" in parts[2:-1:2]:
        raise BadPattern(f"'{text}' has placeholders side by side: put a character between them")
    return tuple(map(_unquoted, parts[::2])), tuple(parts[1::2])


def _unquoted(text: str) -> str:
    try:
        if "/" in (literal := unquote(text, errors="strict")):
            raise BadPattern(f"'{text}' holds an encoded slash, which no request may hold: write / itself")
        return literal
    except UnicodeDecodeError:
        raise BadPattern(f"'{text}' is not UTF-8 when decoded: write the characters themselves") from None


def _take(segment: Segment, text: str, captures: dict[str, str]) -> bool:
    """Match one segment from its end, so that earlier placeholders are the longer ones; none is empty."""
    literals, names = segment
    if not names:
        return text == literals[0]
    low, end = len(literals[0]), len(text) - len(literals[-1])
    if end <= low or not (text.startswith(literals[0]) and text.endswith(literals[-1])):
        return False
    for name, literal in zip(names[:0:-1], literals[-2:0:-1], strict=True):
        at = text.rfind(literal, low + 1, end - 1)
        if at < 0:
            return False
        captures[name], end = text[at + len(literal) : end], at
    captures[names[0]] = text[low:end]
    return True
