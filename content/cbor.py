"""DAG-CBOR as our control blocks use it: maps with text keys, and bytes only ever as links.

Here lives the one contact with libipld's codec. It encodes *any* bytes that parse as a CID as a link (tag 42), and
reads both links and byte strings back as bytes. So the house rule is: a bytes value in a control block is a link,
digests are written as hex text, and `link()` checks what was read. (IPNS records, content/ipns, hold other bytes;
they are read there with checks of their own.)
"""

from __future__ import annotations

from typing import Any, TypeVar

import libipld

from content.block import Block
from content.cid import CID, DAG_CBOR
from content.errors import BadCID, BadNode

T = TypeVar("T")
KINDS = frozenset({"catalog", "site", "release", "tree"})  # of all blocks that decode() is asked for


def encode(value: dict[str, Any]) -> Block:
    """A control block of this map (canonical: keys by length, then bytes)."""
    return Block.make(DAG_CBOR, libipld.encode_dag_cbor(value))


def decode(data: bytes, kind: str) -> dict[str, Any]:
    """The map in these bytes, which must say `kind` of themselves and be of version 1. Raises BadNode."""
    try:
        value = libipld.decode_dag_cbor(data)
    except Exception as error:  # libipld raises ValueError, and others, on malformed input
        raise BadNode(f"not DAG-CBOR: {error}") from error
    if not isinstance(value, dict) or value.get("kind") != kind:
        raise BadNode(f"not a {kind}")
    if value.get("v") != 1:
        raise BadNode(f"{kind} of version {value.get('v')!r}: made by a newer Rim; upgrade this node")
    return value


def is_control(data: bytes) -> bool:
    """Whether DAG-CBOR bytes say that they are one of our control blocks, of whatever version. The codec alone does not
    tell: people keep DAG-CBOR of their own, and may pin and show it."""
    try:
        value = libipld.decode_dag_cbor(data)
    except Exception:  # libipld raises ValueError, and others, on malformed input
        return False
    return isinstance(value, dict) and isinstance(kind := value.get("kind"), str) and kind in KINDS


def link(value: object) -> CID:
    """A CID read from a control block. Raises BadNode when it is none."""
    if not isinstance(value, bytes):
        raise BadNode(f"expected a link, found {type(value).__name__}")
    try:
        return CID.from_bytes(value)
    except BadCID as error:
        raise BadNode(str(error)) from error


def optional_link(value: object) -> CID | None:
    return None if value is None else link(value)


def typed(value: object, kind: type[T], what: str) -> T:
    """The value, if it is of this type (bool is no int). Raises BadNode naming the field."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadNode(f"{what}: expected {kind.__name__}, found {type(value).__name__}")
    return value
