"""Release: one published state of a site, and Asset: one row of it.

Here live the values and their DAG-CBOR form. Not here: the tree that holds the Assets (content/tree), the checks of a
Release against its blocks (origin), or what an Asset answers (edge/http).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from content.block import Block
from content.cbor import decode, encode, link, typed
from content.cid import CID, RAW, SHA2_256
from content.errors import BadNode
from content.limits import GATEWAY_BYTES, GATEWAYS_MAX, MESSAGE_BYTES, PASSED_MAX, PRECACHED_MAX, check
from content.passed import BadPassed, check_passed

_BASE_URL = re.compile(r"https?://[^/?#@\x00-\x20\x7f-\U0010ffff\"<>\\^`{|}]+(?:/[!$-;=@-~]*)?\Z")
_HEX = re.compile(r"[0-9a-f]{64}\Z")
CODINGS = ("zstd", "br", "gzip")  # content codings made at publish, in the order preferred at equal q


@dataclass(frozen=True, slots=True)
class Encoding:
    """A file's bytes under one content coding (RFC 9110 §8.4): the CID of the coded bytes and their size in bytes."""

    cid: CID
    size: int


@dataclass(frozen=True, slots=True)
class Asset:
    """One published file. The key (its path, `/css/app.css`, no percent-coding) stands in the tree, not here."""

    cid: CID
    size: int
    sha256: str  # hex, of the whole file
    media_type: str  # as sent in Content-Type, charset included
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    immutable: bool = False
    tags: tuple[str, ...] = ()
    link_target: str | None = None  # a symlink's target as written; then cid is the symlink node and size 0

    def to_row(self) -> dict[str, Any]:
        """The row's value. What a raw CID already says (sha-256) and what is empty is left out."""
        row: dict[str, Any] = {"cid": self.cid, "size": self.size, "type": self.media_type}
        if not _says_sha256(self.cid):
            row["sha256"] = self.sha256
        if self.encodings:
            row["enc"] = {coding: [e.cid, e.size] for coding, e in self.encodings.items()}
        if self.immutable:
            row["imm"] = True
        if self.tags:
            row["tags"] = list(self.tags)
        if self.link_target is not None:
            row["to"] = self.link_target
        return row

    @classmethod
    def from_row(cls, row: Any) -> Asset:
        """Read a row's value. Raises BadNode."""
        try:
            cid = link(row["cid"])
            sha = cid.digest.hex() if _says_sha256(cid) else typed(row["sha256"], str, "sha256")
            if not _HEX.match(sha):
                raise BadNode(f"asset row: sha256 {sha[:80]!r}")
            target = row.get("to")
            return cls(
                cid=cid,
                size=typed(row["size"], int, "size"),
                sha256=sha,
                media_type=typed(row["type"], str, "type"),
                encodings={
                    coding: Encoding(link(e[0]), typed(e[1], int, "enc")) for coding, e in row.get("enc", {}).items()
                },
                immutable=row.get("imm") is True,
                tags=tuple(typed(tag, str, "tag") for tag in typed(row.get("tags", []), list, "tags")),
                link_target=None if target is None else typed(target, str, "to"),
            )
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise BadNode(f"asset row: {error!r}") from error


SLASHES = ("auto", "always", "never")
WORKER_CHECK = 60  # seconds for which a service worker takes a checked release for the newest, where nothing is said
_KNOWN = ("spa", "clean", "slash", "error", "pin", "headers", "redirects", "precache", "worker")


@dataclass(frozen=True, slots=True)
class Rules:
    """How a release answers beyond its files. Unknown keys are kept in `other`, so an old node does not drop them.

    `headers` and `redirects` are values of content/headers and content/redirects as they stand in the block: whoever
    serves by them reads them there, and the origin does so before it lets the release in.
    """

    spa: bool = False
    clean: bool = False  # /about answers with about.html
    slash: str = "auto"  # one of SLASHES: what the address of a document ends in
    error: str | None = None  # the file that tells of missing paths; None: the nearest 404.html
    pin: bool = False  # a tab may ask for the release that it began with
    headers: Any = None
    redirects: Any = None
    precache: Any = None  # {"paths": […], "bytes": n}: what a service worker fetches before it is asked
    # {"check": s, "gateways": […], "complete": bool, "pass": [paths that it leaves alone]}; None: without one
    worker: Mapping[str, Any] | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    def to_value(self) -> dict[str, Any]:
        said = {
            "spa": self.spa,
            "clean": self.clean,
            "slash": self.slash if self.slash != "auto" else None,
            "error": self.error,
            "pin": self.pin,
            "headers": self.headers or None,
            "redirects": self.redirects or None,
            "precache": self.precache or None,
            "worker": None if self.worker is None else dict(self.worker),
        }
        return {**self.other, **{key: value for key, value in said.items() if value not in (None, False)}}

    @classmethod
    def from_value(cls, value: Any) -> Rules:
        """Read a Release's rules; what they say is looked at in check(). Raises BadNode."""
        rules = typed(value, dict, "rules")
        return cls(
            spa=rules.get("spa") is True,
            clean=rules.get("clean") is True,
            slash=rules.get("slash", "auto"),
            error=rules.get("error"),
            pin=rules.get("pin") is True,
            headers=rules.get("headers") or None,
            redirects=rules.get("redirects") or None,
            precache=rules.get("precache") or None,
            worker=worker if isinstance(worker := rules.get("worker"), dict) else None,
            other={key: value for key, value in rules.items() if key not in _KNOWN},
        )

    def check(self) -> None:
        """That this version knows what slash and error mean. Not asked in reading: a Head names all sites, and a newer
        origin's word for one of them must not keep the others from moving. Raises BadNode."""
        if self.slash not in SLASHES:
            raise BadNode(f"rules: slash {str(self.slash)[:80]!r}; known are {', '.join(SLASHES)}")
        if self.error is not None and not (isinstance(self.error, str) and self.error.startswith("/")):
            raise BadNode("rules: error is no path")

    # What is said to service workers. Read as far as it is understood, for the reason that check() gives.

    @property
    def precached(self) -> tuple[str, ...]:
        """The paths of `precache`, each once, sorted."""
        return tuple(sorted({path for path in _listed(self.precache, "paths") if isinstance(path, str)}))

    @property
    def worker_check(self) -> int:
        """Seconds for which a release that was checked is taken for the newest."""
        value = (self.worker or {}).get("check")
        return value if type(value) is int and 0 <= value < 2**31 else WORKER_CHECK

    @property
    def worker_gateways(self) -> tuple[str, ...]:
        """Base URLs of the gateways that the site names, in its order."""
        return tuple(url for url in _listed(self.worker, "gateways") if isinstance(url, str))

    @property
    def worker_passes(self) -> tuple[str, ...]:
        """Paths that the worker leaves alone (content/passed)."""
        return tuple(text for text in _listed(self.worker, "pass")[:PASSED_MAX] if _is_passed(text))

    @property
    def is_complete(self) -> bool:
        """Whether every HTML file of the release is among those precached."""
        return (self.worker or {}).get("complete") is True

    def check_worker(self) -> None:
        """That a service worker can be served by this: asked by the origin alone. Raises BadNode or LimitExceeded."""
        paths, gateways = _listed(self.precache, "paths"), _listed(self.worker, "gateways")
        passed = _listed(self.worker, "pass")
        check("precached files", len(paths), PRECACHED_MAX)
        check("gateways of a site", len(gateways), GATEWAYS_MAX)
        check("paths that a worker leaves alone", len(passed), PASSED_MAX)
        if not all(map(_is_passed, passed)):
            raise BadNode("rules: worker.pass holds what is no path")
        for url in gateways:
            if not isinstance(url, str) or not is_base_url(url):
                raise BadNode("rules: worker.gateways holds what is no base URL")
            check("bytes of a gateway's URL", len(url), GATEWAY_BYTES)
        if not all(isinstance(path, str) and path.startswith("/") for path in paths):
            raise BadNode("rules: precache.paths holds what is no path")
        if self.worker is not None and self.worker_check != self.worker.get("check", WORKER_CHECK):
            raise BadNode("rules: worker.check is no count of seconds")


@dataclass(frozen=True, slots=True)
class Release:
    """A release: links to its Root and Index (so pinning it pins all), and who, when, why.

    `previous` is the release that was live when this one was made, as *text*: a link would pin all history.
    """

    root: CID
    index: CID
    rules: Rules = field(default_factory=Rules)
    previous: str | None = None
    time: int = 0  # unix seconds
    author: str = ""
    message: str = ""
    files: int = 0
    size: int = 0  # bytes of all files, identity

    def to_block(self) -> Block:
        check("release author", len(self.author.encode()), MESSAGE_BYTES)
        check("release message", len(self.message.encode()), MESSAGE_BYTES)
        return encode(
            {
                "kind": "release",
                "v": 1,
                "root": self.root,
                "index": self.index,
                "rules": self.rules.to_value(),
                "previous": self.previous,
                "time": self.time,
                "author": self.author,
                "message": self.message,
                "files": self.files,
                "size": self.size,
            }
        )

    @classmethod
    def from_block(cls, block: Block) -> Release:
        """Read a Release block. Raises BadNode or LimitExceeded."""
        value = decode(block.data, "release")
        previous = value.get("previous")
        author, message = (typed(value.get(key, ""), str, key) for key in ("author", "message"))
        check("release author", len(author.encode()), MESSAGE_BYTES)
        check("release message", len(message.encode()), MESSAGE_BYTES)
        return cls(
            root=link(value.get("root")),
            index=link(value.get("index")),
            rules=Rules.from_value(value.get("rules", {})),
            previous=None if previous is None else typed(previous, str, "previous"),
            time=typed(value.get("time", 0), int, "time"),
            author=author,
            message=message,
            files=typed(value.get("files", 0), int, "files"),
            size=typed(value.get("size", 0), int, "size"),
        )


def is_base_url(text: str) -> bool:
    """Whether `/ipfs/…` may be put behind it: an http(s) URL without query, fragment or user (RFC 3986 §3)."""
    return _BASE_URL.match(text) is not None


def _listed(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _is_passed(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(check_passed(value))
    except BadPassed:
        return False


def _says_sha256(cid: CID) -> bool:
    """Whether the CID's digest is the whole file's: one raw block, and no identity CID (its digest is the data)."""
    return cid.codec == RAW and cid.hash_code == SHA2_256
