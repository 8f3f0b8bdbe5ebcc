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
from content.limits import FLOORS_MAX, HOST_BYTES, RETAINED_MAX, SETTINGS_BYTES, SITE_NAME_BYTES, check

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")
RESERVED_NAMES = frozenset({"ipfs", "ipns"})  # subdomain gateways own these labels
FLOOR_KINDS = ("path", "prefix", "tag", "site")


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
class Site:
    """One site: what is live, what is staged, what is kept. Every change makes the next generation."""

    name: str
    generation: int = 0
    live: Retained | None = None
    next: Retained | None = None
    retained: tuple[Retained, ...] = ()  # newest first; holds live
    attic: CID | None = None  # tree: immutable path → Asset row, of retained releases, that live lacks
    bases: CID | None = None  # tree: whole-file sha-256 (hex) → Asset row
    aliases: Mapping[str, CID] = field(default_factory=dict)  # preview name → Release
    floors: tuple[Floor, ...] = ()
    ipns: str | None = None  # the site's own IPNS name, k51…
    hosts: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)  # e.g. {"spa": true}

    def to_block(self) -> Block:
        check("retained releases", len(self.retained), RETAINED_MAX)
        check("floors", len(self.floors), FLOORS_MAX)
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
                "aliases": dict(self.aliases),
                "floors": [[f.kind, f.value, f.generation] for f in self.floors],
                "ipns": self.ipns,
                "hosts": list(self.hosts),
                "settings": dict(self.settings),
            }
        )

    @classmethod
    def from_block(cls, block: Block) -> Site:
        """Read a Site block. Raises BadNode or LimitExceeded."""
        value = decode(block.data, "site")
        retained = typed(value.get("retained", []), list, "retained")
        floors = typed(value.get("floors", []), list, "floors")
        check("retained releases", len(retained), RETAINED_MAX)
        check("floors", len(floors), FLOORS_MAX)
        ipns = value.get("ipns")
        return cls(
            name=typed(value.get("name"), str, "name"),
            generation=typed(value.get("gen"), int, "gen"),
            live=_optional_retained(value.get("live")),
            next=_optional_retained(value.get("next")),
            retained=tuple(_read_retained(r) for r in retained),
            attic=optional_link(value.get("attic")),
            bases=optional_link(value.get("bases")),
            aliases={k: link(v) for k, v in typed(value.get("aliases", {}), dict, "aliases").items()},
            floors=tuple(_read_floor(f) for f in floors),
            ipns=None if ipns is None else typed(ipns, str, "ipns"),
            hosts=tuple(typed(h, str, "host") for h in typed(value.get("hosts", []), list, "hosts")),
            settings=typed(value.get("settings", {}), dict, "settings"),
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


def _optional_retained(value: object) -> Retained | None:
    return None if value is None else _read_retained(value)


def _read_floor(value: object) -> Floor:
    if not isinstance(value, list) or len(value) != 3 or value[0] not in FLOOR_KINDS:
        raise BadNode("floor: expected [kind, value, generation]")
    return Floor(value[0], typed(value[1], str, "floor"), typed(value[2], int, "generation"))
