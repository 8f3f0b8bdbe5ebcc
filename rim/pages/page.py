"""Page: what one HTML document loads, and the places in its bytes where something may be written.

Here lives the look at one page's bytes, which depends on nothing else and is remembered by their hash. Not here: which
file a URL means, and what is written (rim/pages/rewriting).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from rim.pages.charset import decoded, encoded
from rim.pages.markup import Tag, tags

CLIENT = "/.rim/client.js"
FORM = 1  # of what is remembered; another number forgets it
_DOCTYPE = re.compile(r"<!doctype\b", re.IGNORECASE)
_DOCTYPE_WITHIN = 1_024  # characters
_SCRIPT_TYPES = frozenset({"", "module", "text/javascript", "application/javascript", "application/ecmascript"})
_BLANK = "\t\n\f\r "


@dataclass(frozen=True, slots=True)
class Loaded:
    """One thing that a page loads. `at`: the byte behind the tag's name; `url` as written, but for blanks around it.

    `kind`: script, module, style, modulepreload, preload, or preconnect. `based`: a `<base>` stands before it.
    """

    kind: str
    at: int
    line: int
    url: str
    integrity: str | None = None
    destination: str = ""  # a preload's `as`
    crossorigin: str | None = None
    media: str = ""
    based: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """`worker_at`: the byte where the worker's script goes; None: this is a fragment, or it names the script already,
    or ends in the middle of something. `codec` None: its bytes are no text that can be given back."""

    loads: tuple[Loaded, ...] = ()
    base: str | None = None
    worker_at: int | None = None
    codec: str | None = None

    def to_value(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Page:
        """Read to_value()'s."""
        return cls(tuple(Loaded(**row) for row in value["loads"]), value["base"], value["worker_at"], value["codec"])


def look(data: bytes, codec: str) -> Page:
    """Read a page's bytes in this charset (rim/pages/charset)."""
    text = decoded(data, codec)
    return Page() if text is None else _Look(text, codec).page()


@dataclass
class _Look:
    text: str
    codec: str
    base: str | None = None
    _at: int = 0  # of the text, where the last place was; and of the bytes, and the line there
    _byte: int = 0
    _line: int = 1
    _marks: dict[str, int] = field(default_factory=dict)

    def page(self) -> Page:
        loads: list[Loaded] = []
        is_document = _DOCTYPE.search(self.text, 0, _DOCTYPE_WITHIN) is not None
        ends_in_text = False
        for tag in tags(self.text):
            ends_in_text = not tag.name
            is_document = is_document or tag.name in ("html", "head", "body")
            self._mark(tag)
            if tag.is_end:
                continue
            if tag.name == "base" and self.base is None and "href" in tag.attributes:
                self.base = tag.attributes["href"].strip(_BLANK)
            for kind, url in _loaded(tag):
                loads.append(self._load(tag, kind, url))
        worker_at = self._worker_at(ends_in_text) if is_document and CLIENT not in self.text else None
        return Page(tuple(loads), self.base, worker_at, self.codec)

    def _mark(self, tag: Tag) -> None:
        """Where the head ends, or else the body begins or ends."""
        key = ("/" if tag.is_end else "") + tag.name
        if key in ("/head", "body", "/body", "/html"):
            self._marks.setdefault(key, self._place(tag.start))

    def _worker_at(self, ends_in_text: bool) -> int | None:
        for key in ("/head", "body", "/body", "/html"):
            if key in self._marks:
                return self._marks[key]
        return None if ends_in_text else self._place(len(self.text))

    def _load(self, tag: Tag, kind: str, url: str) -> Loaded:
        said = tag.attributes
        at = self._place(tag.start) + len(encoded(self.text[tag.start : tag.after_name], self.codec))
        return Loaded(
            kind,
            at,
            self._line,
            url,
            said.get("integrity"),
            said.get("as", "").lower(),
            said.get("crossorigin"),
            said.get("media", ""),
            self.base is not None,
        )

    def _place(self, at: int) -> int:
        """The byte of this place of the text; places are asked for in their order."""
        part = self.text[self._at : at]
        self._byte += len(encoded(part, self.codec))
        self._line += part.count("\n")
        self._at = at
        return self._byte


def _loaded(tag: Tag) -> Iterator[tuple[str, str]]:
    """What this tag makes a browser load: kind and URL."""
    said = tag.attributes
    if tag.name == "script":
        kind = said.get("type", "").strip(_BLANK).lower()
        if (url := said.get("src", "").strip(_BLANK)) and kind in _SCRIPT_TYPES:
            yield "module" if kind == "module" else "script", url
    elif tag.name == "link" and (url := said.get("href", "").strip(_BLANK)):
        words = said.get("rel", "").lower().split()
        if "stylesheet" in words and "alternate" not in words and "disabled" not in said:
            yield "style", url
        else:
            yield from ((word, url) for word in ("modulepreload", "preload", "preconnect") if word in words)
