"""The plan of a run: a pure function of the seed. Who is befallen by what and when, and what publishers do meanwhile.

Here live the kinds of faults by name and the drawing of them. Not here: how a fault is done (faults, disks, hop), or
what the files of a release are (sites).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass

EDGES = 6
REGIONS = ("a", "b")
SITES = ("app", "docs", "shop")
LIAR = "liar"
CALM = 1.0  # s at the beginning without a fault: visitors warm what they like
GAP = 0.62  # s between faults, on average

# kind → (who it befalls, how long at least, how long at most). Whom: an edge, the origin, a wire (all connections to
# one node), the region, the hop, the liar, a publisher.
KINDS: dict[str, tuple[str, float, float]] = {
    "kill_edge": ("edge", 0.1, 2.5),
    "kill_origin": ("origin", 0.1, 2.0),
    "term_edge": ("edge", 0.1, 1.5),
    "term_origin": ("origin", 0.1, 1.0),
    "stop_edge": ("edge", 0.3, 3.0),
    "stop_origin": ("origin", 0.3, 2.5),
    "lose_disk": ("edge", 0.1, 1.0),
    "clock_jump": ("edge", 1.0, 4.0),
    "other_members": ("edge", 2.0, 5.0),
    "latency": ("wire", 0.5, 4.0),
    "jitter": ("wire", 0.5, 4.0),
    "trickle": ("wire", 0.5, 3.0),
    "slice": ("wire", 0.5, 3.0),
    "corrupt": ("wire", 1.0, 5.0),
    "stall": ("wire", 0.5, 3.0),
    "cut": ("wire", 0.5, 3.0),
    "reset": ("wire", 0.5, 3.0),
    "blackhole": ("wire", 0.5, 3.0),
    "refuse": ("wire", 0.5, 3.0),
    "flap": ("wire", 1.0, 4.0),
    "partition": ("region", 0.5, 3.0),
    "disk_full": ("disk", 0.5, 4.0),
    "disk_refuses": ("disk", 0.5, 4.0),
    "bit_flip": ("edge", 0.0, 0.0),
    "truncate": ("edge", 0.0, 0.0),
    "delete_blocks": ("edge", 0.0, 0.0),
    "old_heads": ("hop", 1.0, 4.0),
    "lost_hints": ("hop", 1.0, 3.0),
    "false_hints": ("hop", 1.0, 4.0),
    "lying_peer": ("liar", 1.0, 6.0),
    "kill_publisher": ("publisher", 0.0, 0.0),
}
CLOCKS = ("+3d", "-3d", "+5m", "-1h", "+400d")
TRICKS = (
    "another_block", "one_byte_more", "another_cid", "wrong_length", "short_length", "html", "html_as_raw", "hang",
    "hang_in_body", "slice", "reset", "reset_in_body", "endless", "too_long", "encoded", "redirect", "garbage",
    "two_lengths", "huge_head", "sequenced", "sequenced_nonsense", "not_held", "absent", "busy", "resting",
    "origin_busy", "advising", "draining", "forbidden",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """A fault: `seconds` of `kind` to `target`, from `at` on. `value`: what the kind makes of it (0 to 1)."""

    at: float
    kind: str
    target: str
    seconds: float
    value: float


@dataclass(frozen=True, slots=True)
class Deed:
    """What a publisher does to a site, once all it did before is over. `value` chooses among what there is then."""

    at: float
    site: str
    what: str  # publish, rollback, purge, pin
    value: float


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run does of its own will."""

    seed: int
    seconds: float
    edges: tuple[tuple[str, str], ...]  # name and region
    behind_hop: str  # the edge that follows the Head through somebody who tells it old news
    events: tuple[Event, ...]
    deeds: tuple[Deed, ...]
    alone: str  # the edge that at the end has to go on with everything else dead; "": none

    def lines(self) -> Iterator[str]:
        """The plan as it is printed, one JSON line each; equal plans are equal texts."""
        head = {key: value for key, value in asdict(self).items() if key not in ("events", "deeds")}
        yield json.dumps(head)
        parts: list[Event | Deed] = [*self.events, *self.deeds]
        for part in sorted(parts, key=lambda one: one.at):
            yield json.dumps(asdict(part))


def make(seed: int, seconds: float, kinds: tuple[str, ...] = tuple(KINDS), size: int = EDGES) -> Plan:
    """The plan of this seed for a ring of this size, with faults of these kinds only."""
    rng = random.Random(f"rim-chaos {seed}")
    edges = tuple((f"edge-{n + 1}", REGIONS[n % len(REGIONS)]) for n in range(size))
    names = [name for name, _ in edges]
    hop = rng.choice(names)
    events = tuple(_events(rng, seconds, kinds, names))
    deeds = tuple(sorted(_deeds(rng, seconds), key=lambda deed: deed.at))
    return Plan(seed, seconds, edges, hop, events, deeds, rng.choice([*names, ""]))


def _events(rng: random.Random, seconds: float, kinds: tuple[str, ...], names: list[str]) -> Iterator[Event]:
    at, bag = CALM, list[str]()
    while kinds and at < seconds:
        if not bag:  # every kind once before any comes again, so that few seeds see all of them
            bag = rng.sample(kinds, len(kinds))
        kind = bag.pop()
        whom, least, most = KINDS[kind]
        last = min(most, max(least, seconds - at))
        yield Event(round(at, 3), kind, _target(rng, whom, names), round(rng.uniform(least, last), 3), rng.random())
        at += rng.expovariate(1 / GAP)


def _target(rng: random.Random, whom: str, names: list[str]) -> str:
    match whom:
        case "edge":
            return rng.choice(names)
        case "wire":
            return rng.choice([*names, "origin", "origin", LIAR])
        case "region":
            return rng.choice(REGIONS)
        case "disk":
            return rng.choice([*names, "origin", "origin"])
        case "publisher":
            return rng.choice(SITES)
        case _:
            return whom


def _deeds(rng: random.Random, seconds: float) -> Iterator[Deed]:
    for site in SITES:
        at = rng.uniform(0.2, 1.5)
        while at < seconds:
            what = rng.choices(("publish", "rollback", "purge", "pin"), (6, 2, 3, 1))[0]
            yield Deed(round(at, 3), site, what, rng.random())
            at += rng.uniform(0.4, 2.2)
