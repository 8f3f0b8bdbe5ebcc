"""The folder as its pages see it: which file a URL in a page means.

Here live addresses and lookups among what was scanned. Not here: the same at an edge (edge/site/files), where rows of
an Index are asked; a build has none yet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

from content.headers import HeaderTable
from content.limits import SYMLINK_HOPS
from content.media import media_type
from content.redirects import RedirectTable
from content.symlinks import NEVER_FILES, join
from rim.scan import File, Scan

HERE = "http://here.invalid"  # a host that nobody has, to tell this site's URLs from others'
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")  # also `https:a.js`, which is relative to nothing but itself
_PAGE, _INDEX = ".html", "/index.html"
_IN_PATH = "/%:@!$&'()*+,;=~-._"
_IN_QUERY = _IN_PATH + "?"


@dataclass(frozen=True, slots=True)
class Manners:
    """How the site answers: clean URLs, slashes, and the tables of `_headers` and `_redirects`."""

    clean: bool
    slash: str
    headers: HeaderTable
    redirects: RedirectTable


class Folder:
    """Files and links of one scan, by their paths from the top (`/a/b.js`)."""

    def __init__(self, scan: Scan, manners: Manners) -> None:
        self.root = scan.folder
        self._files = {"/" + file.path: file for file in scan.files}
        self._links = {"/" + path: target for path, target in scan.links.items()}
        self._manners = manners

    def find(self, path: str) -> File | None:
        """The file that answers under this path, past symlinks; None also where a forced redirect comes before it."""
        redirects = self._manners.redirects
        if redirects.forces and redirects.match(path, forced=True) is not None:
            return None
        aim: str | None = path
        for _ in range(SYMLINK_HOPS + 1):
            if aim is None or aim in NEVER_FILES:
                return None
            if aim in self._files:
                return self._files[aim]
            aim = self._around(aim)
        return None

    def _around(self, path: str) -> str | None:
        """The path with its topmost link replaced by that link's target."""
        segments = path.split("/")[1:]
        for depth in range(1, len(segments) + 1):
            target = self._links.get("/" + "/".join(segments[:depth]))
            if target is not None:
                return join(segments[: depth - 1], "/".join([target, *segments[depth:]]))
        return None

    def content_type(self, path: str) -> str:
        """What the page at this path is sent as: by `_headers`, else by its name."""
        said = media_type(path)
        for op in self._manners.headers.of(self.address(path)):
            if op.name.lower() == "content-type" and op.value is not None:
                said = op.value
        return said

    def address(self, path: str) -> str:
        """The path that a page is asked for under (docs/http.md, Pages and folders)."""
        clean, slash = self._manners.clean, self._manners.slash
        if path.endswith(_INDEX):
            folder = path[: -len("index.html")]
            bare = folder[:-1]
            if slash != "never" or not bare:
                return folder
            if bare in self._files or (clean and bare + _PAGE in self._files):
                return path if clean else folder
            return bare
        if not clean or not path.endswith(_PAGE):
            return path
        bare = path[: -len(_PAGE)]
        if slash == "always":
            return path if bare + _INDEX in self._files else bare + "/"
        return path if bare in self._files else bare


def base_of(address: str, base: str | None) -> str | None:
    """The URL that a page's relative URLs belong to; None where its `<base>` leads to another origin."""
    here = HERE + quote(address)
    if base is None:
        return here
    return _joined(here, base)


def path_of(url: str, base: str | None) -> tuple[str, str] | None:
    """A URL in a page as a path of the site: decoded, and as a URL reference with its query. None: another origin's, or
    no URL at all; one that names a host is never taken for ours, since a site answers to more than one."""
    joined = None if base is None else _joined(base, url)
    if joined is None:
        return None
    parts = urlsplit(joined)
    reference = _quoted(parts.path, _IN_PATH) + (f"?{_quoted(parts.query, _IN_QUERY)}" if parts.query else "")
    return unquote(parts.path) or "/", reference or "/"


def _quoted(text: str, safe: str) -> str:
    return quote(text, safe=safe, errors="replace")  # what is no character of the page's charset is none here


def _joined(base: str, url: str) -> str | None:
    if _ABSOLUTE.match(url):
        return None
    try:
        joined = urljoin(base, url)
        parts = urlsplit(joined)
    except ValueError:
        return None
    return joined if f"{parts.scheme}://{parts.netloc}" == HERE else None
