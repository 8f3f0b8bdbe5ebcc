"""Rewriting: what [html] inserts into the pages of a folder, and what is wrong with what stands there.

Here lives one walk over all pages. Not here: the look at one page's bytes (rim/pages/page), inserting (rim/pages/edits)
or header rules out of pages (rim/pages/hints).

What a page becomes depends on its bytes, on the hashes of the files it loads, and on the site's rules; nothing else, so
the same folder becomes the same Root on every machine. Pages are read once: what was found in one, and what it became,
is remembered by hashes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from hashlib import sha256

from content.block import Block
from content.cid import CID
from content.integrity import value_of
from content.limits import MiB
from content.unixfs import file as build_file
from rim.findings import ERROR, WARNING, Finding
from rim.memo import Memo
from rim.output import Advance
from rim.pages.charset import codec_of, encoded
from rim.pages.edits import Edits, applied
from rim.pages.folder import Folder, base_of, path_of
from rim.pages.integrity import holds, strongest
from rim.pages.page import CLIENT, FORM, Loaded, Page, look
from rim.precache import is_page
from rim.project import Html
from rim.reading import read_part
from rim.scan import File

PAGE_BYTES = 8 * MiB  # of the largest page that is read: a text of more is no document that people open
_SCRIPT = f'<script type="module" src="{CLIENT}"></script>'
_DESTINATIONS = ("script", "style")  # of preloads: what uses others asks without integrity, and would not take them
_CHECKED = 64 * MiB  # of a file that is read to compare it with an `integrity` that is no SHA-256


@dataclass(frozen=True, slots=True)
class Meant:
    """What a page loads: the file that is meant, if it is one of ours, and then the URL reference from the top; and the
    `integrity` that the page will ask of it, its own or ours."""

    load: Loaded
    file: File | None
    reference: str
    integrity: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A page, by its path from the top."""

    path: str
    loads: tuple[Meant, ...]


@dataclass(slots=True)
class Rewritten:
    """`files`: those of the scan, with their edits; `seen`: all pages, by path."""

    files: list[File]
    seen: list[Seen] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def rewrite(files: list[File], folder: Folder, wanted: Html, memo: Memo, advance: Advance) -> Rewritten:
    """Look at every page, and say what is to be inserted. Raises Changed or Usage, as reading does."""
    work = _Work(folder, wanted, memo)
    result = Rewritten([])
    for file in files:
        if is_page(file.path):
            file = work.rewritten(file, result)
            advance(file.stat[0])
        result.files.append(file)
    memo.keep_pages(work.fresh, work.used)
    result.seen.sort(key=lambda seen: seen.path)
    return result


def pages_size(files: list[File]) -> int:
    """Bytes of all pages, for a bar."""
    return sum(file.stat[0] for file in files if is_page(file.path))


class _Work:
    def __init__(self, folder: Folder, wanted: Html, memo: Memo) -> None:
        self._folder = folder
        self._wanted = wanted
        self._memo = memo
        self.fresh: dict[bytes, str] = {}
        self.used: list[bytes] = []

    def rewritten(self, file: File, into: Rewritten) -> File:
        path = "/" + file.path
        content_type = self._folder.content_type(path)
        if content_type.partition(";")[0].strip().lower() != "text/html":
            return file
        name = f"{self._folder.root}{path}"
        if file.stat[0] > PAGE_BYTES:
            words = f"is over {PAGE_BYTES // MiB} MiB: too large for [html], and left as it is"
            into.findings.append(Finding(name, 0, WARNING, words))
            return file
        page = self._page(file, content_type)
        if page.codec is None:
            words = f"is no text in the charset that it is sent in ({content_type}): [html] leaves it as it is"
            into.findings.append(Finding(name, 0, WARNING, words))
            return file
        seen, edits = self._edits(path, page, name, into.findings)
        into.seen.append(seen)
        return self._edited(file, edits) if edits else file

    def _page(self, file: File, content_type: str) -> Page:
        """What is in a page, from the memo if it was read before."""
        key = sha256(b"page %d %s %s" % (FORM, file.sha256, content_type.encode())).digest()
        if (text := self._memo.page(key)) is not None:
            self.used.append(key)
            return Page.from_value(json.loads(text))
        data = self._read(file)
        codec = codec_of(data, content_type)
        page = Page() if codec is None else look(data, codec)
        self.fresh[key] = json.dumps(page.to_value(), separators=(",", ":"))
        return page

    def _edits(self, path: str, page: Page, name: str, findings: list[Finding]) -> tuple[Seen, Edits]:
        address = self._folder.address(path)
        own, based = base_of(address, None), base_of(address, page.base)
        loads, edits = list[Meant](), list[tuple[int, bytes]]()
        for load in page.loads:
            place = path_of(load.url, based if load.based else own)
            file = None if place is None else self._folder.find(place[0])
            said = load.integrity
            if self._wanted.integrity and file is not None and _takes_integrity(load, file):
                if said is None:
                    said = value_of(file.sha256)
                    edits.append((load.at, encoded(f' integrity="{said}"', page.codec or "")))
                elif not self._is_right(said, file):
                    words = f'integrity="{said[:120]}" is not that of {file.path}, and browsers refuse the file'
                    findings.append(Finding(name, load.line, ERROR, f"{words}: take it away, or correct it"))
            loads.append(Meant(load, file, "" if place is None else place[1], said))
        if self._wanted.worker and page.worker_at is not None and based is not None:
            edits.append((page.worker_at, encoded(_SCRIPT, page.codec or "")))
        return Seen(path, tuple(loads)), tuple(sorted(edits))

    def _is_right(self, said: str, file: File) -> bool:
        algorithm, digests = strongest(said)
        if not algorithm:
            return True  # nothing in it that a browser compares
        if algorithm == "sha256":
            return file.sha256 in digests
        return file.stat[0] > _CHECKED or holds(algorithm, digests, self._read(file))

    def _edited(self, file: File, edits: Edits) -> File:
        """The file as it will be published."""
        key = sha256(b"made %d %s %r" % (FORM, file.sha256, edits)).digest()
        if (text := self._memo.page(key)) is not None:
            self.used.append(key)
            cid, digest = (bytes.fromhex(word) for word in text.split())
        else:
            made = applied(self._read(file), edits)
            cid, digest = bytes(build_file(made, _drop).cid), sha256(made).digest()
            self.fresh[key] = f"{cid.hex()} {digest.hex()}"
        return replace(file, cid=CID(cid), sha256=digest, edits=edits, plain=file.cid)

    def _read(self, file: File) -> bytes:
        return read_part(self._folder.root, file.path, file.stat, 0, file.stat[0])


def _takes_integrity(load: Loaded, file: File) -> bool:
    if load.kind == "preconnect" or is_page(file.path):  # a page is no script, and will have other bytes
        return False
    return load.kind != "preload" or load.destination in _DESTINATIONS


def _drop(block: Block) -> None:
    """Blocks of a page are made again when they are sent, which is once."""
