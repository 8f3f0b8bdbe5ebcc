"""Returning: what a visitor who was here at the release before downloads of this one.

Here lives the sum over files that browsers keep fresh: each as small as it can be had, by a coding or as a delta
(RFC 9842) to live's file of the same pattern. Not here: which files are delta-coded (content/deltas), the delta itself
(edge/browsers/dcz, whose bytes these are), or pages, of which nobody knows which ones a visitor opens again.

It runs beside the commits and the warming, and is given up when they are done: a figure is never waited for, and its
failure is none of the publish's. What is past its bounds counts as if there were no deltas.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from content.cid import CID, RAW
from content.deltas import control_for, is_delta_coded, is_fresh, match_of
from content.headers import HeaderTable
from content.limits import MiB
from content.release import Asset, Encoding
from rim.build import Built
from rim.client import Origin
from rim.indexes import differences
from rim.memo import Memo
from rim.output import count, size
from rim.pages.edits import part_of
from rim.scan import Scan

OLD_BYTES = 32 * MiB  # of old files that are read for it, all together
SECONDS = 5.0  # that it works at most
GRACE_SECONDS = 1.0  # that a publish which is done waits for it
_ASK_SECONDS = 2.0  # for one answer of the origin


@dataclass(frozen=True, slots=True)
class Returning:
    """Files that are new to such a visitor, their bytes, and what these would be without deltas."""

    files: int = 0
    bytes: int = 0
    without: int = 0

    def value(self) -> dict[str, int]:
        return {"files": self.files, "bytes": self.bytes, "without": self.without}

    def text(self) -> str:
        saved = f" ({size(self.without)} without deltas)" if self.bytes < self.without else ""
        return f"returning visitors download {size(self.bytes)} in {count(self.files, 'file')}{saved}"


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    asset: Asset
    match: str | None  # its pattern as a dictionary, or as what one fits; None: it has no delta


class Measure:
    """One publish's figure. `result` is None until it is known, and where it cannot be."""

    def __init__(self, origin: Origin, memo: Memo, scan: Scan, built: Built, live: Mapping[str, Any]) -> None:
        self._origin = origin
        self._memo = memo
        self._scan = scan
        self._built = built
        self._live = live
        self._files = {file.path: file for file in scan.files}
        self._end = 0.0
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="returning", daemon=True)
        self.result: Returning | None = None

    def start(self) -> Measure:
        self._thread.start()
        return self

    def finish(self, seconds: float = GRACE_SECONDS) -> Returning | None:
        """The figure, if it is there by then; else it is given up, and one more question or delta is its end."""
        self._thread.join(seconds)
        self._given_up.set()
        self._thread.join(_ASK_SECONDS)
        return self.result

    def _run(self) -> None:
        try:
            self.result = self.measure()
        except Exception:
            self.result = None

    def measure(self) -> Returning | None:
        """The figure. Raises whatever goes wrong."""
        self._end = time.monotonic() + SECONDS
        before, after = CID.parse(str(self._live["index"])), self._built.index
        found = differences(self._origin, before, after, self._built.made)
        old = HeaderTable.from_value(self._live.get("rules", {}).get("headers", []))
        new = HeaderTable.from_value(self._built.rules.headers or [])
        gone: dict[str, list[_File]] = {}
        for path, row, _ in found:
            if self._given_up.is_set():
                return None
            if (file := _fresh(path, row, old)) is not None and file.match is not None:
                gone.setdefault(file.match, []).append(file)
        files = bytes_ = without = old_bytes = 0
        for path, was, row in found:
            file = _fresh(path, row, new)
            if file is None or (was is not None and was["cid"] == row["cid"]):
                continue
            if self._given_up.is_set():
                return None
            plain = min([file.asset.size, *(encoding.size for encoding in file.asset.encodings.values())])
            base = _nearest(gone.get(file.match, []) if file.match else [], file)
            small = plain
            if base is not None and old_bytes + base.asset.size <= OLD_BYTES and time.monotonic() < self._end:
                old_bytes += base.asset.size
                small = min(plain, self._delta(base, file) or plain)
            files, bytes_, without = files + 1, bytes_ + small, without + plain
        return Returning(files, bytes_, without)

    def _delta(self, base: _File, file: _File) -> int | None:
        """Bytes of the delta; None where one of the two cannot be had."""
        from edge.browsers.dcz import compress

        here = self._files.get(file.path[1:])
        was = self._old(base.asset)
        if here is None or was is None or here.sha256.hex() != file.asset.sha256:
            return None
        now = part_of(self._scan.folder, here, 0, here.size)
        return len(compress(was, now, bytes.fromhex(base.asset.sha256))[0])

    def _old(self, asset: Asset) -> bytes | None:
        """The bytes of a file of the live release: from the memo's encodings, else in one block from the origin."""
        ways = [(coding, asset.encodings[coding]) for coding in _UNPACK if coding in asset.encodings]
        for coding, encoding in ways:
            packed = self._memo.blob(encoding.cid)
            if packed is not None and (data := _unpacked(coding, packed, asset)) is not None:
                return data
        whole = ("", Encoding(asset.cid, asset.size))
        for coding, encoding in [*ways, whole]:
            if encoding.cid.codec == RAW:
                path = f"/ipfs/{encoding.cid}?format=raw"
                return _unpacked(coding, self._origin.once("GET", path, timeout=_ASK_SECONDS).body, asset)
        return None


def _fresh(path: str, row: Any, table: HeaderTable) -> _File | None:
    """A file that browsers keep without asking again; None for others, and where there is none."""
    if row is None:
        return None
    asset = Asset.from_row(row)
    fresh = is_fresh(control_for(table, path, asset.immutable), asset.immutable)
    if not fresh or asset.link_target is not None:
        return None
    return _File(path, asset, match_of(path, asset.immutable) if is_delta_coded(asset, fresh) else None)


def _nearest(files: list[_File], to: _File) -> _File | None:
    """Of files of one pattern the one that most likely was this: under its very path, else nearest in size."""
    return min(files, key=lambda it: (it.path != to.path, abs(it.asset.size - to.asset.size), it.path), default=None)


def _unpacked(coding: str, packed: bytes, asset: Asset) -> bytes | None:
    """The file, if it is that file."""
    data = _UNPACK[coding](packed, asset.size) if coding else packed
    return data if sha256(data).hexdigest() == asset.sha256 else None


# One byte more than the file has is enough to know it for another: what the origin holds was packed by whoever
# published before, and nobody has unpacked it since.
def _zstd(packed: bytes, length: int) -> bytes:
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(packed).read(length + 1)


def _brotli(packed: bytes, length: int) -> bytes:
    import brotli  # type: ignore[import-untyped]

    data: bytes = brotli.Decompressor().process(packed, output_buffer_limit=length + 1)
    return data


def _gzip(packed: bytes, length: int) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(packed, length + 1)


_UNPACK: dict[str, Callable[[bytes, int], bytes]] = {"zstd": _zstd, "br": _brotli, "gzip": _gzip}  # the fastest first
