"""The precache manifest of a release: what a service worker fetches before it is asked, signed by the site's key.

Here lives its making from a Release, as a walk, and its forms: what is signed, the whole, the difference of two, and
the list that Workbox takes. Not here: who signs and when (origin/signing), who serves it (edge), what a worker does
with it (edge/site/browser).

A manifest is never stored. The Site names release, serial, gateways and signature; whoever has the Release makes the
same bytes again. So those bytes are a format: the keys stand in this order, and JSON.stringify of what JSON.parse read
gives the signed text again (ECMA-262 §25.5: no spaces, only `"`, `\\` and controls escaped; numbers are integers below
2^53). Its version is in the prefix of what is signed.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cryptography.exceptions import InvalidSignature

from content import ipns, tree
from content.asking import Walk
from content.catalog import Signed
from content.cid import CID, RAW
from content.errors import BadRecord
from content.headers import HeaderTable
from content.integrity import value_of
from content.limits import MANIFEST_BYTES, check
from content.pattern import Pattern
from content.patternindex import PatternIndex
from content.redirecttable import RedirectTable
from content.release import Asset, Release
from content.rewrites import redirecting, rewriting
from content.symlinks import NEVER_FILES, follow

PREFIX = b"rim-manifest-v1\n"
SERIAL_MAX = 2**53 - 1  # what a script can hold as an integer
# What a stored answer must not say again: what the worker or the manifest itself decides, what was meant for the one
# transfer, and Vary, by which a cache would look past what is stored (Service Workers §5.4.7: `*` is not even taken).
_OF_THE_MANIFEST = "cache-control content-type link set-cookie vary clear-site-data use-as-dictionary"
_OF_THE_TRANSFER = "connection keep-alive te trailer transfer-encoding upgrade x-content-type-options"
_LEFT_OUT = frozenset(f"{_OF_THE_MANIFEST} {_OF_THE_TRANSFER}".split())
_OCTETS = "application/octet-stream"
_FIRST = ("text/html", "text/css", "javascript", "font/")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a manifest. `media_type` and `fields` are those of its answers, as the site's rules set them."""

    path: str
    size: int
    sha256: str  # hex, of the whole file
    media_type: str
    immutable: bool
    cid: CID
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def integrity(self) -> str:
        """The digest as Subresource Integrity writes it (SRI §3.5)."""
        return value_of(bytes.fromhex(self.sha256))

    def to_value(self) -> dict[str, Any]:
        """For JSON. The CID stands there only where it is not that of the digest, as for a file of many blocks."""
        value: dict[str, Any] = {
            "path": self.path,
            "size": self.size,
            "integrity": self.integrity,
            "type": self.media_type,
            "immutable": self.immutable,
        }
        if self.cid != CID.of_digest(RAW, bytes.fromhex(self.sha256)):
            value["cid"] = str(self.cid)
        if self.fields:
            value["fields"] = [list(field) for field in self.fields]
        return value


def entries(release: Release) -> Walk[tuple[Entry, ...]]:
    """The precached files in the order in which a page needs them: documents, styles, scripts, fonts, the rest, each by
    path. A symlink stands for its target; what is not there is left out, and what a forced rule of `_redirects` stands
    before, if only for some visitors: of that a worker asks the edge. Raises BadNode, and LimitExceeded where what
    rules add to each makes it too long."""
    forced = _forced(release)
    paths = [path for path in release.rules.precached if path not in NEVER_FILES and not _is_taken(path, forced)]
    rows = yield from tree.select(release.index, paths)
    table = HeaderTable.from_value(release.rules.headers or [])
    found, size = [], 0
    for path in paths:
        asset = Asset.from_row(rows[path]) if path in rows else None
        immutable = asset is not None and asset.immutable
        if asset is None or asset.link_target is not None:
            held = yield from follow(release.index, path)
            if held is None:
                continue
            asset, immutable = held.asset, held.immutable
        found.append(_entry(path, asset, immutable, table))
        size += len(signed_text(found[-1].to_value()))
        check("bytes of a manifest", size, MANIFEST_BYTES)
    return tuple(sorted(found, key=lambda entry: _rank(entry.media_type)))  # stable: the paths were in order


def core(
    site: str,
    release_cid: CID,
    release: Release,
    serial: int,
    gateways: Sequence[str],
    entries: Sequence[Entry],
) -> dict[str, Any]:
    """The manifest without its signature, as a value for JSON. The Index's CID is in base16, which ends in the SHA-256
    as a script computes it."""
    rules = release.rules
    table = RedirectTable.from_value(rules.redirects or []).rules
    return {
        "rim": 1,
        "site": site,
        "release": str(release_cid),
        "serial": serial,
        "index": "f" + release.index.hex(),
        "rewrites": rewriting(table, rules.spa),
        "clean": rules.clean,
        "slash": rules.slash,
        "error": rules.error or "",
        "redirects": redirecting(table),
        "check": rules.worker_check,
        # That no page is loaded ahead: nor where some pass, since a browser asks twice for what no worker answers.
        "complete": rules.is_complete or bool(rules.worker_passes),
        "gateways": list(gateways),
        "entries": [entry.to_value() for entry in entries],
    }


def signed_text(core: Mapping[str, Any]) -> bytes:
    """What JSON.stringify makes of it, as UTF-8."""
    return json.dumps(core, ensure_ascii=False, separators=(",", ":")).encode()


def message(core: Mapping[str, Any]) -> bytes:
    """What the site's key signs (Ed25519, RFC 8032)."""
    return PREFIX + signed_text(core)


def public_key(name: str) -> bytes:
    """The 32 bytes of the key whose IPNS name this is: what scripts verify with. Raises BadRecord."""
    return ipns.key_of(name).public_bytes_raw()


def verify(name: str, core: Mapping[str, Any], signature: bytes) -> None:
    """That the key of this IPNS name signed it. Raises BadRecord."""
    try:
        ipns.key_of(name).verify(signature, message(core))
    except InvalidSignature as error:
        raise BadRecord("the manifest's signature is not by the site's key") from error


def made(site: str, signed: Signed, release: Release) -> Walk[tuple[tuple[Entry, ...], dict[str, Any]]]:
    """The entries and the core of the manifest that was signed. Not verified yet. Raises BadNode."""
    listed = yield from entries(release)
    return listed, core(site, signed.release, release, signed.serial, signed.gateways, listed)


def whole(core: Mapping[str, Any], signature: bytes) -> bytes:
    """The manifest: `const {signature, ...core} = JSON.parse(text)` gives back what is signed."""
    return signed_text({**core, "signature": b64encode(signature).decode()})


def difference(old: Sequence[Entry], core: Mapping[str, Any], signature: bytes, since: CID) -> bytes:
    """The manifest for whoever has the entries of release `since`: take out the paths of `drop`, then put each of `put`
    at its index, in their order."""
    new: list[dict[str, Any]] = core["entries"]
    before = {entry.path: entry.to_value() for entry in old}
    after = {value["path"]: value for value in new}
    put = [[index, value] for index, value in enumerate(new) if before.get(value["path"]) != value]
    value = {
        "since": str(since),
        **{key: value for key, value in core.items() if key != "entries"},
        "drop": [path for path, value in before.items() if after.get(path) != value],
        "put": put,
        "signature": b64encode(signature).decode(),
    }
    return signed_text(value)


def workbox(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The list that Workbox's precacheAndRoute takes. A null revision: the URL names the bytes already."""
    return [
        {"url": entry.path, "revision": None if entry.immutable else entry.sha256, "integrity": entry.integrity}
        for entry in entries
    ]


def _rank(media_type: str) -> int:
    return next((rank for rank, kind in enumerate(_FIRST) if kind in media_type), len(_FIRST))


def _forced(release: Release) -> PatternIndex | None:
    """The paths of the forced rules, whatever else they ask of a request."""
    rules = RedirectTable.from_value(release.rules.redirects or []).rules
    sources = [replace(Pattern.parse(rule.source), host=None) for rule in rules if rule.force]
    return PatternIndex(sources) if sources else None


def _is_taken(path: str, forced: PatternIndex | None) -> bool:
    """Whether a rule is for an address that this file may answer under, clean or not."""
    if forced is None:
        return False
    addresses = {path, path.removesuffix("index.html"), path.removesuffix(".html")}
    pieces = [address.rstrip("/")[1:].split("/") for address in addresses]
    return any(
        pattern.match_pieces(segments, []) is not None
        for bare in pieces
        for segments in (bare, [*bare, ""])
        for _, pattern in forced.candidates(segments)
    )


def _entry(path: str, asset: Asset, immutable: bool, table: HeaderTable) -> Entry:
    ops = table.of(path)
    told = next((op.value for op in ops if op.name.lower() == "content-type"), None) or asset.media_type
    media_type = told if told and told.isascii() and told.isprintable() else _OCTETS
    fields = tuple((op.name, op.value) for op in ops if op.value is not None and op.name.lower() not in _LEFT_OUT)
    return Entry(path, asset.size, asset.sha256, media_type, immutable, asset.cid, fields)
