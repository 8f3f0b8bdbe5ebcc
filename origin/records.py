"""Records: the IPNS record of every site, and the last records of catalog keys that were rotated away.

Here lives sites/NAME.ipns (value `/ipfs/<root>`, signed extra field `_rim/release`) and records/NAME.ipns. A site's
record follows the Catalog and can always be made again from it and the site's key, so it is written without fsync and
mended when it is asked for. Not here: the Head's own record (origin/catalog).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from content import ipns
from content.catalog import Site
from content.cid import CID
from content.errors import BadCID, BadRecord
from content.release import Release
from origin.errors import StateError, StoreFailed, StoreFull
from origin.keys import Keys
from origin.reading import source
from origin.state import State, replace_file
from origin.store import Store

VALIDITY = 48 * 3600.0  # as Kubo's default record lifetime
RENEW_AT = VALIDITY / 2  # signed again when this much or less is left
SITE_TTL = 60.0  # how long a resolver may keep a site's record
RELEASE_FIELD = "_rim/release"

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class LastWord:
    """The last record of a rotated key: it names a Catalog that names the successor."""

    record: bytes
    catalog: CID
    sequence: int


class Records:
    """The records this origin answers with, besides the Head."""

    def __init__(self, state: State, store: Store, keys: Keys, clock: Clock = time.time) -> None:
        self._sites = state / "sites"
        self._previous = state / "records"
        self._store = store
        self._keys = keys
        self._clock = clock
        self.on_signed: Callable[[str, bytes], None] = lambda name, record: None  # in whichever thread signs
        self._signed: dict[str, tuple[CID, float, bytes]] = {}  # site → its live release, eol, record

    def of_site(self, site: Site, sequence: int) -> bytes | None:
        """The site's record, made or renewed when it is due. None before the first release is live."""
        if site.live is None:
            return None
        known = self._signed.get(site.name) or self._load(site)
        if known is not None and known[0] == site.live.release and known[1] - self._clock() > RENEW_AT:
            return known[2]
        return self._sign(site, site.live.release, sequence)

    def drop(self, name: str) -> None:
        self._signed.pop(name, None)
        with suppress(OSError):
            self._site_path(name).unlink(missing_ok=True)

    def last_words(self) -> dict[str, LastWord]:
        """The last records of catalog keys that were rotated away, by name."""
        return {path.stem: _load_last_word(path) for path in self._previous.glob("*.ipns")}

    def keep_previous(self, name: str, record: bytes) -> None:
        replace_file(self._previous / f"{name}.ipns", record, what="last record")

    def _sign(self, site: Site, live: CID, sequence: int) -> bytes:
        release = Release.from_block(source(self._store)(live))
        known = self._signed.get(site.name)
        if known is not None and known[0] == live:  # a renewal keeps the sequence: nothing has changed
            sequence = ipns.verify(site.ipns or "", known[2]).sequence
        eol = self._clock() + VALIDITY
        value, extra = f"/ipfs/{release.root}", {RELEASE_FIELD: str(live)}
        record = ipns.create(self._keys.site(site.name), value, sequence, eol, SITE_TTL, extra)
        self._signed[site.name] = (live, eol, record)
        with suppress(StoreFull, StoreFailed):  # in memory it is right; the file is mended at the next start
            replace_file(self._site_path(site.name), record, sync=False, what="site record")
        self.on_signed(site.ipns or "", record)
        return record

    def _load(self, site: Site) -> tuple[CID, float, bytes] | None:
        try:
            data = self._site_path(site.name).read_bytes()
            record = ipns.verify(site.ipns or "", data)
            known = CID.parse(record.extra[RELEASE_FIELD]), record.eol, data
        except (OSError, BadRecord, KeyError, ValueError):
            return None
        self._signed[site.name] = known
        return known

    def _site_path(self, name: str) -> Path:
        return self._sites / f"{name}.ipns"


def last_word(name: str, data: bytes) -> LastWord:
    """The last word of the key of this name. Raises BadRecord, BadCID."""
    record = ipns.verify(name, data)
    return LastWord(data, CID.parse(record.value.removeprefix("/ipfs/")), record.sequence)


def _load_last_word(path: Path) -> LastWord:
    try:
        return last_word(path.stem, path.read_bytes())
    except (OSError, BadRecord, BadCID) as error:
        raise StateError(f"{path} cannot be read: {error}") from error
