"""Words: the header fields that nodes say to each other, and their reading.

Here lives the grammar alone; all of it are hints but the tier. Not here: who says what, and when (edge/peers/client,
edge/control/admin).

Spec: RFC 8586 (CDN-Loop), RFC 9110 §10.2.3 (Retry-After).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from edge.peers.states import HEADER as STATE
from edge.peers.states import WIRE as VERSION

__all__ = [
    "HOPS",
    "MIRROR",
    "MIRRORS",
    "ORIGIN_BUSY",
    "REASON",
    "REST_MAX",
    "SOURCE",
    "STATE",
    "VERSION",
    "WIRE",
    "chain",
    "chain_of",
    "mirrors_of",
    "rest_of",
    "wire_of",
]

SOURCE = "Rim-Source"  # of answers between processes of one machine: where the block was had from
MIRRORS = "Rim-Mirrors"  # of an owner's answer: so many of the order may be asked to read this
MIRROR = "Rim-Mirror"  # of a question: the asked is a mirror of this
WIRE = "Rim-Wire"  # of both: the version of this language
REASON = "Rim-Reason"
ORIGIN_BUSY = "origin-busy"
HOPS = 3  # nodes that a question may have come through: the asker's, and at most two edges between it and the origin
REST_MAX = 60.0  # s that a Retry-After is believed; an answer must not put a node away for a day
MIRRORS_MAX = 4_096

_PLAIN = "!#$&'()*+,/:;<=>?@[]^`{|}"  # beside letters, digits and -._~
_NODE = re.compile(r'rim\s*;\s*node="([^"\\]{1,255})"')
_SECONDS = re.compile(r"[0-9]{1,9}")


def chain_of(field: str) -> tuple[str, ...]:
    """The nodes of ours in a CDN-Loop field, first asker first. Other CDNs' entries are nobody's business here."""
    return tuple(map(unquote, _NODE.findall(field)))


def chain(nodes: Iterable[str]) -> str:
    """A CDN-Loop field of these nodes. What a quoted string of ASCII cannot hold is percent-encoded: one end would
    write a name as UTF-8, the other read it as Latin-1, and no node would know its own."""
    return ", ".join(f'rim; node="{quote(node, _PLAIN)}"' for node in nodes)


def rest_of(headers: Mapping[str, str]) -> float | None:
    """Seconds for which the answer asks to be left alone; None where it says nothing that can be read. A date is not
    read: it would be the other's clock that decides."""
    text = headers.get("Retry-After", "").strip()
    return min(float(text), REST_MAX) if _SECONDS.fullmatch(text) else None


def mirrors_of(headers: Mapping[str, str]) -> int:
    """How many of the order may be read from; 1: the owner alone."""
    text = headers.get(MIRRORS, "")
    return max(1, min(int(text), MIRRORS_MAX)) if _SECONDS.fullmatch(text) else 1


def wire_of(headers: Mapping[str, str]) -> int:
    """The version of this language that the other speaks; 0 of one that does not say."""
    text = headers.get(WIRE, "")
    return int(text) if _SECONDS.fullmatch(text) else 0
