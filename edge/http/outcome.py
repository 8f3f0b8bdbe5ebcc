"""Outcome: the one word for where an answer came from. Cache-Status, log and metric all say the same word.

Here live the words and their RFC 9211 form. Not here: who decides on one (edge/app, edge/http/protocol).
"""

from __future__ import annotations

import re
from enum import StrEnum

_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9:/!#$%&'*+\-.^_`|~]*\Z")  # RFC 8941 §3.3.4: sf-token


class Outcome(StrEnum):
    """How a request was answered. The value is the word seen in logs and metrics."""

    HIT = "hit"  # from this edge's memory, or without needing a body at all (304, HEAD)
    DISK = "disk"  # from this edge's disk
    PEER = "peer"  # another edge held the first block
    FILL = "fill"  # the origin, or a gateway, was asked for it
    STALE = "stale"  # served under a Head past its end, or by a name whose newest meaning nobody could be asked for
    NEGATIVE = "negative"  # the release says that there is no such path
    DENIED = "denied"  # it may be there, and is not to be shown; told of without Cache-Status
    ERROR = "error"  # the answer is ours, and it is not what was asked for


_PARAMETERS = {
    Outcome.HIT: "; hit; detail=memory",
    Outcome.DISK: "; hit; detail=disk",
    Outcome.PEER: "; fwd=miss; stored; detail=peer",
    Outcome.FILL: "; fwd=miss; stored; detail=origin",
    Outcome.STALE: "; hit; detail=stale",
    Outcome.NEGATIVE: "; hit; detail=negative",
    Outcome.DENIED: "; hit; detail=denied",
    Outcome.ERROR: "; fwd=miss; detail=error",
}
# What the loader says of a block, as an outcome. A gateway is a fill too: the bytes came from outside the ring.
OF_SOURCE = {
    "memory": Outcome.HIT,
    "disk": Outcome.DISK,
    "peer": Outcome.PEER,
    "origin": Outcome.FILL,
    "gateway": Outcome.FILL,
}


def cache_status(outcome: Outcome, edge: str) -> str:
    """The value of Cache-Status (RFC 9211): the cache's name, then what it did.

    >>> cache_status(Outcome.HIT, "edge-1")
    'edge-1; hit; detail=memory'
    """
    name = edge if _TOKEN.match(edge) else '"' + re.sub(r"[^\x20\x21\x23-\x5b\x5d-\x7e]", "_", edge) + '"'
    return name + _PARAMETERS[outcome]
