"""Site and Catalog: the state of everything, as blocks that the Head names.

Here live the values and their DAG-CBOR form. The Catalog's maps are trees (content/tree): `sites` (name → link to the
Site block), `hosts` (host → site name), `denied` (multihash hex or path → reason). Not here: the writer that moves
them (origin/catalog), nor the views that edges build from them (edge/site).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from content.block import Block
from content.cbor import decode, encode, link, optional_link, typed
from content.cid import CID
from content.errors import BadNode, ContentError
from content.limits import (
    ALIASES_MAX,
    FLOORS_MAX,
    GATEWAY_BYTES,
    GATEWAYS_MAX,
    HOST_BYTES,
    RETAINED_MAX,
    SETTINGS_BYTES,
    SIGNED_MAX,
    SITE_NAME_BYTES,
    TRIED_MAX,
    check,
)

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")
RESERVED_NAMES = frozenset({"ipfs", "ipns"})  # subdomain gateways own these labels
FLOOR_KINDS = ("path", "prefix", "tag", "site")
PREVIEW_MARK = "--"  # NAME--HOST is the preview NAME of the site that has HOST
WHOLE = 10_000  # a rollout's share is counted in hundredths of a percent


class BadName(ContentError):
    """A site name or host that DNS, or a rule of ours, does not allow."""


def check_site_name(name: str) -> str:
    """The name, if it is a lower-case DNS label without `--` and not reserved. Raises BadName saying what to do."""
    if len(name) > SITE_NAME_BYTES or not _LABEL.match(name):
        raise BadName(f"site name {name[:80]!r}: use 1 to 63 of a-z, 0-9 and '-', not first or last")
    if "--" in name or name in RESERVED_NAMES:
        raise BadName(f"site name {name!r} is reserved ('--' names previews; 'ipfs' and 'ipns' name gateways)")
    return name


def check_host(host: str) -> str:
    """A host name in lower case, without port. Raises BadName."""
    if len(host) > HOST_BYTES or not all(_LABEL.match(label) and len(label) <= 63 for label in host.split(".")):
        raise BadName(f"host {host[:80]!r} is not a lower-case DNS name (without scheme or port)")
    return host


def check_alias(name: str, site: str) -> str:
    """The name of a preview, if `name--site` is still one DNS label. Raises BadName saying what to do."""
    room = SITE_NAME_BYTES - len(site) - len(PREVIEW_MARK)
    if not _LABEL.match(name) or PREVIEW_MARK in name or name == "xn":  # xn-- begins an internationalized name
        raise BadName(f"preview name {name[:80]!r}: use a-z, 0-9 and single '-', not first or last")
    if len(name) > room:
        raise BadName(
            f"preview name {name[:80]!r} is too long: with {PREVIEW_MARK}{site} a label has {SITE_NAME_BYTES}"
        )
    return name


@dataclass(frozen=True, slots=True)
class Retained:
    """A release a site keeps. `generation` is the site's generation when it was staged; floors compare with it."""

    release: CID
    generation: int
    time: int  # unix seconds of the commit that staged it


@dataclass(frozen=True, slots=True)
class Floor:
    """What a purge leaves: nothing of `value` from before `generation`. For kind `site` the value is empty."""

    kind: str
    value: str
    generation: int


@dataclass(frozen=True, slots=True)
class Alias:
    """A preview: a release under a name of its own. `before` is what the name meant until its last change: it lends its
    immutable paths to the tabs that are still open."""

    release: CID
    generation: int
    time: int  # unix seconds of the commit that set it
    expires: int | None = None  # unix seconds
    password: str | None = None  # scrypt hash, content/password
    before: CID | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """A release that a share of the visitors gets in place of live."""

    item: Retained
    share: int  # of WHOLE


@dataclass(frozen=True, slots=True)
class Signed:
    """The site's word for the manifest of one release (content/manifest makes the manifest again from it)."""

    release: CID
    serial: int  # of one site, a later word has a higher one; below 2^53
    gateways: tuple[str, ...]  # base URLs, in the order to be asked
    signature: bytes  # Ed25519, by the site's key


@dataclass(frozen=True, slots=True)
class Site:
    """One site: what is live, what is staged, what is kept. Every change makes the next generation."""

    name: str
    generation: int = 0
    live: Retained | None = None
    next: Retained | None = None
    retained: tuple[Retained, ...] = ()  # newest first; holds live
    attic: CID | None = None  # tree: immutable path → Asset row, of retained releases, that live lacks
    bases: CID | None = None  # tree: whole-file sha-256 (hex) → Asset row, paths, generation (origin/bases)
    aliases: Mapping[str, Alias] = field(default_factory=dict)  # preview name → what it shows
    floors: tuple[Floor, ...] = ()
    soft: tuple[Floor, ...] = ()  # as floors, but only asks that what is held be read and proved again
    browsers: tuple[int, int] | None = None  # generation and unix seconds of the last purge of browsers' caches
    rollout: Rollout | None = None
    tried: tuple[Retained, ...] = ()  # rolled out, never live: kept as long as their tabs may be open, newest first
    ipns: str | None = None  # the site's own IPNS name, k51…
    hosts: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)  # e.g. {"max_stale": 3600}
    signed: tuple[Signed, ...] = ()  # of live, then of what is rolled out, where they have a service worker

    @property
    def has_worker_off(self) -> bool:
        """Whether the operator has switched service workers off, whatever the releases say."""
        return self.settings.get("worker") == "off"

    def signed_of(self, release: CID) -> Signed | None:
        """The word for this release's manifest, if there is one."""
        return next((signed for signed in self.signed if signed.release == release), None)

    @property
    def kept(self) -> tuple[Retained, ...]:
        """Every release whose immutable paths must go on answering."""
        return (*self.retained, *self.tried)

    def to_block(self) -> Block:
        """What is newer than the first version of the format is written only where it says something: the blocks of a
        site that does not use it stay as they were, and older nodes read past what they do not know."""
        check("retained releases", len(self.retained), RETAINED_MAX)
        check("releases tried", len(self.tried), TRIED_MAX)
        check("floors", max(len(self.floors), len(self.soft)), FLOORS_MAX)
        check("previews", len(self.aliases), ALIASES_MAX)
        check("signed manifests", len(self.signed), SIGNED_MAX)
        newer: dict[str, Any] = {
            "terms": {name: _terms_value(alias) for name, alias in self.aliases.items()},
            "soft": _floors_value(self.soft),
            "browsers": list(self.browsers or ()),
            "rollout": [] if self.rollout is None else [_retained_value(self.rollout.item), self.rollout.share],
            "tried": [_retained_value(item) for item in self.tried],
            "signed": [_signed_value(signed) for signed in self.signed],
        }
        return encode(
            {
                "kind": "site",
                "v": 1,
                "name": self.name,
                "gen": self.generation,
                "live": _retained_value(self.live),
                "next": _retained_value(self.next),
                "retained": [_retained_value(r) for r in self.retained],
                "attic": self.attic,
                "bases": self.bases,
                "aliases": {name: alias.release for name, alias in self.aliases.items()},
                "floors": _floors_value(self.floors),
                "ipns": self.ipns,
                "hosts": list(self.hosts),
                "settings": dict(self.settings),
                **{key: value for key, value in newer.items() if value},
            }
        )

    @classmethod
    def from_block(cls, block: Block) -> Site:
        """Read a Site block. Raises BadNode or LimitExceeded."""
        value = decode(block.data, "site")
        retained = typed(value.get("retained", []), list, "retained")
        floors, soft = (typed(value.get(key, []), list, key) for key in ("floors", "soft"))
        tried = typed(value.get("tried", []), list, "tried")
        check("retained releases", len(retained), RETAINED_MAX)
        check("releases tried", len(tried), TRIED_MAX)
        check("floors", max(len(floors), len(soft)), FLOORS_MAX)
        ipns = value.get("ipns")
        return cls(
            name=typed(value.get("name"), str, "name"),
            generation=typed(value.get("gen"), int, "gen"),
            live=_optional_retained(value.get("live")),
            next=_optional_retained(value.get("next")),
            retained=tuple(_read_retained(r) for r in retained),
            attic=optional_link(value.get("attic")),
            bases=optional_link(value.get("bases")),
            aliases=_read_aliases(value),
            floors=tuple(_read_floor(f) for f in floors),
            soft=tuple(_read_floor(f) for f in soft),
            browsers=_read_browsers(value.get("browsers")),
            rollout=_read_rollout(value.get("rollout")),
            tried=tuple(_read_retained(r) for r in tried),
            ipns=None if ipns is None else typed(ipns, str, "ipns"),
            hosts=tuple(typed(h, str, "host") for h in typed(value.get("hosts", []), list, "hosts")),
            settings=typed(value.get("settings", {}), dict, "settings"),
            signed=_read_signed(value.get("signed", [])),
        )

    def floor_of(self, path: str, tags: tuple[str, ...] = ()) -> int:
        """The generation below which nothing may answer for this path (0: never purged)."""
        return max((f.generation for f in self.floors if _covers(f, path, tags)), default=0)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The signed state of all sites of one origin: the roots of its trees. `sequence` equals the Head's."""

    sequence: int
    sites: CID
    hosts: CID
    denied: CID
    successor: str | None = None  # IPNS name of the key that will sign the Heads after this one

    def to_block(self) -> Block:
        return encode(
            {
                "kind": "catalog",
                "v": 1,
                "seq": self.sequence,
                "sites": self.sites,
                "hosts": self.hosts,
                "denied": self.denied,
                "successor": self.successor,
            }
        )

    @classmethod
    def from_block(cls, block: Block) -> Catalog:
        value = decode(block.data, "catalog")
        successor = value.get("successor")
        return cls(
            sequence=typed(value.get("seq"), int, "seq"),
            sites=link(value.get("sites")),
            hosts=link(value.get("hosts")),
            denied=link(value.get("denied")),
            successor=None if successor is None else typed(successor, str, "successor"),
        )


def check_settings(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuse settings above 16 KiB in all. Raises LimitExceeded."""
    check("site settings", len(encode({"settings": dict(settings)}).data), SETTINGS_BYTES)
    return settings


def _covers(floor: Floor, path: str, tags: tuple[str, ...]) -> bool:
    match floor.kind:
        case "path":
            return floor.value == path
        case "prefix":
            return path.startswith(floor.value)
        case "tag":
            return floor.value in tags
        case _:
            return True


def _retained_value(item: Retained | None) -> list[Any] | None:
    return None if item is None else [item.release, item.generation, item.time]


def _read_retained(value: object) -> Retained:
    if not isinstance(value, list) or len(value) != 3:
        raise BadNode("retained release: expected [link, generation, time]")
    return Retained(link(value[0]), typed(value[1], int, "generation"), typed(value[2], int, "time"))


def _floors_value(floors: tuple[Floor, ...]) -> list[list[Any]]:
    return [[f.kind, f.value, f.generation] for f in floors]


def _terms_value(alias: Alias) -> list[Any]:
    return [alias.generation, alias.time, alias.expires, alias.password, alias.before]


def _read_aliases(value: Mapping[str, Any]) -> dict[str, Alias]:
    links = typed(value.get("aliases", {}), dict, "aliases")
    terms = typed(value.get("terms", {}), dict, "terms")
    check("previews", len(links), ALIASES_MAX)
    return {name: _read_alias(link(cid), terms.get(name)) for name, cid in links.items()}


def _read_alias(release: CID, terms: object) -> Alias:
    if not isinstance(terms, list) or len(terms) < 5:
        raise BadNode("preview: expected [generation, time, expires, password, before]")
    generation, time, expires, password, before = terms[:5]
    return Alias(
        release,
        typed(generation, int, "generation"),
        typed(time, int, "time"),
        None if expires is None else typed(expires, int, "expires"),
        None if password is None else typed(password, str, "password"),
        optional_link(before),
    )


def _read_browsers(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise BadNode("browsers: expected [generation, time]")
    return typed(value[0], int, "generation"), typed(value[1], int, "time")


def _read_rollout(value: object) -> Rollout | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise BadNode("rollout: expected [release, share]")
    return Rollout(_read_retained(value[0]), typed(value[1], int, "share"))


def _signed_value(signed: Signed) -> list[Any]:
    return [signed.release, signed.serial, list(signed.gateways), signed.signature.hex()]


def _read_signed(value: object) -> tuple[Signed, ...]:
    rows = typed(value, list, "signed")
    check("signed manifests", len(rows), SIGNED_MAX)
    return tuple(_read_one_signed(row) for row in rows)


def _read_one_signed(row: object) -> Signed:
    if not isinstance(row, list) or len(row) < 4:
        raise BadNode("signed: expected [link, serial, gateways, signature]")
    gateways = tuple(typed(url, str, "gateway") for url in typed(row[2], list, "gateways"))
    check("gateways of a site", len(gateways), GATEWAYS_MAX)
    check("bytes of a gateway's URL", max((len(url.encode()) for url in gateways), default=0), GATEWAY_BYTES)
    serial, text = typed(row[1], int, "serial"), typed(row[3], str, "signature")
    try:
        return Signed(link(row[0]), serial, gateways, bytes.fromhex(text))
    except ValueError as error:
        raise BadNode(f"signed: {text[:80]!r} is no signature") from error


def _optional_retained(value: object) -> Retained | None:
    return None if value is None else _read_retained(value)


def _read_floor(value: object) -> Floor:
    if not isinstance(value, list) or len(value) != 3 or value[0] not in FLOOR_KINDS:
        raise BadNode("floor: expected [kind, value, generation]")
    return Floor(value[0], typed(value[1], str, "floor"), typed(value[2], int, "generation"))
