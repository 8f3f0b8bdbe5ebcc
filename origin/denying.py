"""Denying: from the words of `rim deny` and `rim allow` to rules in the Catalog.

Here live what words mean which rules, the encodings that go with a file, and the two commits. Not here: what a rule
denies (content/denylist), the list in force (origin/denials).

A file is published under several CIDs: its own, and one for each encoding. Who denies it means all of them, so the
Indexes of everything that is kept are searched for rows that have it. Deltas need no rule of their own: they are of
files, and an edge asks about the file.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import unquote, urlsplit

from content import tree
from content.catalog import Site
from content.cid import CID
from content.denylist import STATUSES
from content.denylists import Row
from content.denyrule import HASH, BadRule, Rule
from content.errors import BadCID, ContentError
from content.limits import SYMLINK_HOPS
from content.release import Asset
from content.treenode import load
from content.walk import Walk
from origin.catalog import Catalog
from origin.check import release_of
from origin.denials import Denials
from origin.errors import BadRequest, Missing, OriginError
from origin.log import By, Entry
from origin.reading import Absent, read
from origin.store import Store
from origin.world import Draft, World, served

REASON_CHARS = 1_000
log = logging.getLogger("rim.origin")


class Denying:
    """Changes the Catalog's own denylist."""

    def __init__(self, store: Store, catalog: Catalog, denials: Denials) -> None:
        self._store = store
        self._catalog = catalog
        self._denials = denials

    async def deny(self, asked: str, status: int, reason: str, recursive: bool, by: By) -> dict[str, Any]:
        """Deny what these words mean. Durable on return; said again, it changes nothing."""
        if status not in STATUSES:
            raise BadRequest(f"status {status}: denied content answers 410 (gone) or 451 (for legal reasons)")
        if len(reason) > REASON_CHARS:
            raise BadRequest(f"at most {REASON_CHARS:,} characters of a reason")
        rules = await asyncio.to_thread(self._rules, asked, recursive)
        now, first = int(time.time()), next(iter(rules))

        def change(draft: Draft) -> None:
            for rule, group in rules.items():
                draft.deny(f"!{rule}", None)
                before = draft.denied.get(rule)
                if before is None or (before.status, before.reason) != (status, reason):
                    draft.deny(rule, Row(status, reason, now, group, asked))
            draft.note(Entry("", "deny", {"rule": first, "status": status, "reason": reason, "asked": asked}, by))

        done = await self._catalog.submit(change)
        return {"sequence": done.sequence, "rules": list(rules)}

    async def allow(self, asked: str, always: bool, by: By) -> dict[str, Any]:
        """Take away the rules that these words brought; with `always`, add rules that overrule every list."""
        names = await asyncio.to_thread(self._names, asked)
        added = await asyncio.to_thread(self._rules, asked, False) if always else {}
        now = int(time.time())

        def change(draft: Draft) -> list[str]:
            gone = [
                rule
                for rule, row in draft.denied.items()
                if row.asked == asked or rule.removeprefix("!") in names or row.group in names
            ]
            for rule in gone:
                if rule.removeprefix("!") not in added or not rule.startswith("!"):
                    draft.deny(rule, None)
            for rule, group in added.items():
                draft.deny(f"!{rule}", draft.denied.get(f"!{rule}") or Row(STATUSES[0], "", now, group, asked))
            draft.note(Entry("", "allow", {"asked": asked, "rules": gone, "always": always}, by))
            return gone

        done = await self._catalog.submit(change)
        still = await asyncio.to_thread(self._still, names)
        return {
            "sequence": done.sequence,
            "removed": done.value,
            "added": [f"!{rule}" for rule in added],
            "still": still,
        }

    def told(self) -> list[dict[str, Any]]:
        """The Catalog's own rules, newest first."""
        rows = sorted(self._catalog.world.denied.items(), key=lambda item: (-item[1].time, item[0]))
        return [{"rule": rule, **row.to_value()} for rule, row in rows]

    # What words mean.

    def rule_of(self, asked: str, recursive: bool = False) -> Rule:
        """The rule of a CID, a path of IPFS or IPNS, a double hash, or the URL of a file of a site. Raises BadRequest,
        Missing."""
        text = asked.strip()
        if text.startswith(("http://", "https://")):
            return Rule.parse(f"/ipfs/{self._file(text)}")
        for scheme in ("ipfs", "ipns"):
            if text.startswith(f"{scheme}://"):
                text = f"/{scheme}/{text.removeprefix(f'{scheme}://')}"
        try:
            if not text.startswith("/"):
                CID.parse(text)
                text = f"/ipfs/{text}"
            rule = Rule.parse(text)
        except (BadRule, BadCID) as error:
            raise BadRequest(f"{error}: give a CID, /ipfs/CID/path, /ipns/NAME or the URL of a site's file") from error
        return replace(rule, prefix=rule.prefix or (recursive and rule.space != HASH))

    def _rules(self, asked: str, recursive: bool) -> dict[str, str]:
        """The rule of these words, and those of the file's encodings with the rule that they go with."""
        rule = self.rule_of(asked, recursive)
        return {str(rule): "", **{str(other): str(rule) for other in self._encodings(rule)}}

    def _names(self, asked: str) -> set[str]:
        """The rules that these words may have brought: as they are, and with all that is below."""
        try:
            rule = self.rule_of(asked)
        except Missing:
            return set()  # no such file is live any more; the words themselves are known
        return {str(rule), str(replace(rule, prefix=rule.space != HASH))}

    def _still(self, names: Iterable[str]) -> list[str]:
        """By which lists it is denied all the same."""
        lists = self._denials.lists
        blocks = [block for name in names if (block := Rule.parse(name).block) is not None]
        return sorted({refusal.source for block in blocks if (refusal := lists.refusal(block))})

    def _file(self, url: str) -> CID:
        """The file that a site's live release has under this URL."""
        parts = urlsplit(url)
        site = _site_of(self._catalog.world, parts.hostname or "")
        if site.live is None:
            raise Missing(f"site {site.name!r} has nothing live", "no_release")
        index = release_of(self._store, site.live.release).index
        path = unquote(parts.path or "/")
        for tail in ("index.html",) if path.endswith("/") else ("", ".html", "/index.html"):
            if (asset := self._asset(index, path + tail)) is not None:
                return asset.cid
        raise Missing(f"site {site.name!r} has no file {path}: deny it by its CID", "no_path")

    def _asset(self, index: CID, path: str) -> Asset | None:
        """The row of a path, past symlinks to files."""
        for _ in range(SYMLINK_HOPS + 1):
            row = read(self._store, tree.get(index, path))
            asset = None if row is None else Asset.from_row(row)
            if asset is None or asset.link_target is None:
                return asset
            path = normpath(join(dirname(path), asset.link_target))
        return None

    # The encodings of a file.

    def _encodings(self, rule: Rule) -> list[Rule]:
        """Rules for each encoding of a file that a rule denies, in all that is kept."""
        cid, found, seen = rule.block, set[CID](), set[CID]()
        if cid is not None:
            for index in _indexes(self._catalog.world.sites.values(), self._store):
                try:
                    read(self._store, _collect(index, cid.digest, seen, found))
                except (Absent, ContentError) as error:  # no reason not to deny the rest
                    log.error("looking for encodings of %s: %s", cid, error)
        return [Rule.parse(f"/ipfs/{one}") for one in sorted(found)]


def _site_of(world: World, host: str) -> Site:
    """The site of a host; SITE.anything where no site claims it, as edges answer under their own domain."""
    name = world.hosts.get(host) or host.partition(".")[0]
    return world.site(name)


def _indexes(sites: Iterable[Site], store: Store) -> Iterator[CID]:
    """The roots of all trees of Assets that sites keep."""
    releases: dict[CID, None] = {}
    for site in sites:
        releases.update(dict.fromkeys((*served(site), *(item.release for item in site.kept))))
        yield from (root for root in (site.attic, site.bases) if root is not None)
    for release in releases:
        try:
            yield release_of(store, release).index
        except (Absent, ContentError, OriginError) as error:
            log.error("looking for encodings: %s", error)


def _collect(index: CID, digest: bytes, seen: set[CID], found: set[CID]) -> Walk[None]:
    """The encodings of rows whose file has this digest. What trees share is looked at once."""
    pending = [index]
    while pending:
        cid = pending.pop()
        if cid in seen:
            continue
        seen.add(cid)
        node = yield from load(cid)
        if node.level:
            pending += [node.child(at) for at in range(len(node.keys))]
            continue
        for value in node.values:
            if value["cid"][-len(digest) :] == digest:
                found.update(encoding.cid for encoding in Asset.from_row(value).encodings.values())
