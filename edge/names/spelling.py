"""Spelling: which key or domain a text names, and whether a text is a content path. Pure.

Here live the one form under which a key is kept (its libp2p-key CID in base36, k51…) and all the others it is written
in: that CID in any base, also with the codec dag-pb, and the bare multihash in base58btc (12D3KooW…, Qm…), as the IPNS
name spec lists them. Not here: what a key proves (content/ipns), domains in a label of a host (edge/gateway).
"""

from __future__ import annotations

import re
from functools import lru_cache

from content.cid import CID, DAG_PB, LIBP2P_KEY
from content.errors import BadCID, BadRecord
from content.peerkey import parse_name
from edge.names.limits import PATH_BYTES

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")  # an underscore is no host, but names may have it
_DOMAIN_BYTES = 253  # RFC 1035
_TEXT_MAX = 512  # as content/cid: an identity CID of 128 bytes in base16 fits
_LIBP2P = bytes((1, LIBP2P_KEY))


def key_name(text: str) -> str | None:
    """The key's name as we keep it (k…), None for what is no name of a key."""
    return _key_name(text) if len(text) <= _TEXT_MAX else None


@lru_cache(4_096)  # base36 there and back costs 0.2 ms, and a gateway asks several times for each request
def _key_name(text: str) -> str | None:
    try:
        return parse_name(text).base36()
    except BadRecord:
        return _old_name(text)


def _old_name(text: str) -> str | None:
    """The name in a CIDv1 with the codec dag-pb, which keys were written with before they had one of their own."""
    try:
        cid = CID.parse(text)
    except BadCID:
        return None
    return CID(_LIBP2P + cid.multihash).base36() if cid.codec == DAG_PB else None


def domain_name(text: str) -> str | None:
    """The domain in lower case and without a last dot, None for what DNS cannot hold."""
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _DOMAIN_BYTES or len(labels) < 2 or not all(_LABEL.match(label) for label in labels):
        return None
    return name


def content_path(text: str) -> tuple[str, str, str] | None:
    """Namespace ("ipfs" or "ipns"), identifier and the rest ("" or "/…") of a content path; None if it is none."""
    if len(text) > PATH_BYTES or not text.isprintable():
        return None
    empty, _, rest = text.partition("/")
    space, _, rest = rest.partition("/")
    name, slash, rest = rest.partition("/")
    if empty or space not in ("ipfs", "ipns") or not name:
        return None
    if space == "ipfs" and not _is_cid(name):
        return None
    if space == "ipns" and key_name(name) is None and domain_name(name) is None:
        return None
    return space, name, (slash + rest).rstrip("/")


def _is_cid(text: str) -> bool:
    try:
        CID.parse(text)
    except BadCID:
        return False
    return True
