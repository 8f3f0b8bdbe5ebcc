"""Fsck: is what the state folder holds what it must hold?

Here lives `rim origin fsck`: every stored block hashed, the Head verified, Catalog → Sites → Releases complete, every
live Root the tree of its Index, the log's chain unbroken, every key and record in its place. It changes nothing but
what every start does (a torn tail is cut). Not here: mending. A broken block is mended by publishing again: it counts
as missing, so it is sent.

It needs the folder for itself, so the origin must be down.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from content.catalog import Retained, Site
from content.cid import CID
from content.errors import ContentError
from origin import check, log
from origin.catalog import Catalog
from origin.config import OriginConfig
from origin.errors import OriginError, StateError
from origin.keys import Keys
from origin.pins import Pins
from origin.reading import Absent
from origin.state import State
from origin.store import Store
from origin.store.opening import open_store
from origin.tokens import Tokens
from origin.world import named

_SECRETS = ("tokens.json", "admin-token", "services.json")
Say = Callable[[str], None]
NAMED = 20  # missing blocks named per root


def fsck(path: Path, say: Say | None = None, config: OriginConfig | None = None) -> int:
    """Check this state folder. Says each finding; the exit code: 0 all is well, 1 something is not.

    `config`: where its store is to be found, if not where the folder remembers.
    Raises StateError where it cannot look at all: no such folder, one in use, one of another version.
    """
    tell: Say = say or (lambda line: print(line, flush=True))
    if not (path / "VERSION").exists():
        raise StateError(f"{path} is no state folder of an origin")
    findings = 0
    with State(path) as state:
        try:
            for finding in _findings(state, config or OriginConfig(path), tell):
                findings += 1
                tell(f"BAD  {finding}")
        except (StateError, OriginError) as error:
            findings += 1
            tell(f"BAD  {error}")
    tell("all is well" if not findings else f"findings: {findings}")
    return 1 if findings else 0


def _findings(state: State, config: OriginConfig, tell: Say) -> Iterator[str]:
    with closing(open_store(state, config)) as store:
        yield from _look(state, store, tell)


def _look(state: State, store: Store, tell: Say) -> Iterator[str]:
    if store.torn:
        tell(f"cut  {store.torn:,} bytes of torn tail, never acknowledged")
    yield from store.verify()
    tell(f"read {store.blocks:,} blocks, {store.bytes:,} bytes")
    Tokens(state / "tokens.json")
    yield from _modes(state)
    catalog = Catalog(state, store, Keys(state / "keys"), threading.RLock())
    tell(f"head {catalog.head.name} at {catalog.world.sequence}, {len(catalog.world.sites)} sites")
    yield from contents(state, store, catalog)


def contents(state: State, store: Store, catalog: Catalog) -> Iterator[str]:
    """What is wrong below the Head and the pins, and with the log, as sentences. Blocks are not hashed here."""
    yield from log.broken(state / "log.jsonl", catalog.world.sequence)
    proofs = check.Proofs(store)
    wanted = {release: site.name for site in catalog.world.sites.values() for release in named(site)}
    yield from (f"site {wanted[cid]}, release {cid}: Kubo does not pin it" for cid in store.unpinned(wanted))
    sick = False
    for site in catalog.world.sites.values():
        for finding in _site(store, proofs, site):
            sick = True
            yield finding
    if not sick:  # else it says the same again, and names no site
        yield from _incomplete(check.Proofs(store, store.has), "the catalog", catalog.world.cid)
    for name, last in catalog.last_words.items():
        if not store.has(last.catalog):
            yield f"the last catalog of the rotated key {name} is missing: nodes that were away cannot follow it"
    for pin in Pins(state / "pins.json").all():
        if not pin.partial:
            yield from _incomplete(proofs, f"pin {pin.cid}", pin.cid)


def _site(store: Store, proofs: check.Proofs, site: Site) -> Iterator[str]:
    items: dict[CID, str] = {}
    for what, item in (("live", site.live), ("next", site.next), *(("retained", kept) for kept in site.retained)):
        if item is not None:
            items.setdefault(item.release, what)
    for what, root in (("attic", site.attic), ("bases", site.bases)):
        if root is not None:
            yield from _incomplete(check.Proofs(store, store.has), f"site {site.name}, {what}", root)
    for release, what in items.items():
        yield from _incomplete(proofs, f"site {site.name}, {what} release {release}", release)
    if site.live is not None:
        yield from _tree(store, site.name, site.live)


def _tree(store: Store, name: str, live: Retained) -> Iterator[str]:
    try:
        check.compare(store, None, check.release_of(store, live.release))
    except (Absent, ContentError, OriginError) as error:
        yield f"site {name}, live release {live.release}: {error}"


def _incomplete(proofs: check.Proofs, what: str, root: CID) -> Iterator[str]:
    try:
        lacking = proofs.lacking(root)
    except ContentError as error:
        yield f"{what}: {error}"
        return
    if lacking:
        named = ", ".join(map(str, lacking[:NAMED]))
        yield f"{what}: {len(lacking)} blocks are missing: {named}{' …' if len(lacking) > NAMED else ''}"


def _modes(state: State) -> Iterator[str]:
    """Keys and tokens that others may read."""
    for path in (*(state / "keys").glob("**/*"), *(state / name for name in _SECRETS)):
        if path.exists() and path.stat().st_mode & 0o077:
            yield f"{path.relative_to(state.path)} can be read by others: chmod go= it"
