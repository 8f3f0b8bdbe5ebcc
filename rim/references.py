"""References: what the pages of a folder ask for, by src and href, and what of it is not there.

Here lives a cheap look at HTML: what scripts and styles load is not seen. Not here: which paths answer (rim/checking).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

_ATTRIBUTES = {"src", "href", "poster"}
_HERE = "http://here.invalid"  # a host that nobody has, to tell this site's references from others'


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference of a page to a path of its own site. `is_link`: a person follows it, nothing loads it."""

    line: int
    path: str
    is_link: bool


def references(page: str, html: str) -> Iterator[Reference]:
    """What the page under this path asks for, decoded, without query and fragment."""
    parser = _Parser(page)
    parser.feed(html)
    yield from parser.found


class _Parser(HTMLParser):
    """Collects; takes `<base>` into account."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._base = _HERE + page
        self.found: list[Reference] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name not in _ATTRIBUTES or not value or tag == "base":
                continue
            path = self._path(value.strip())
            if path is not None:
                self.found.append(Reference(self.getpos()[0], path, tag in ("a", "area")))
        if tag == "base" and (href := dict(attrs).get("href")):
            self._base = self._joined(href.strip()) or self._base

    def _path(self, value: str) -> str | None:
        """The path on this site, None for another's, for a fragment and for what is no URL."""
        if value.startswith("#"):
            return None
        parts = urlsplit(self._joined(value))
        return unquote(parts.path) or "/" if f"{parts.scheme}://{parts.netloc}" == _HERE else None

    def _joined(self, value: str) -> str:
        try:
            return urljoin(self._base, value)
        except ValueError:
            return ""
