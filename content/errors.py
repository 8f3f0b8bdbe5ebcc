"""What can be wrong with bytes that someone gave us.

Here live the faults of content: a CID that does not parse, a block that does not hash, a node that does not decode.
Not here: network trouble (edge/peers), refusals of the origin (origin/errors), or what a command prints (rim/output).

Each class says whose fault it is by existing: these are always the *sender's* fault, so a node answers 400 or 502 and
goes on to the next source; it never crashes on one.
"""

from __future__ import annotations


class ContentError(Exception):
    """Bytes or text from outside are not what they must be."""


class BadCID(ContentError):
    """Text or bytes that are no CID we accept (multiformats CID spec; sha2-256 only, identity ≤ 128 B)."""


class BadBlock(ContentError):
    """A block whose bytes do not hash to its CID. `cid` is the name (text) that was lied about."""

    def __init__(self, cid: str, reason: str = "bytes do not hash to this CID") -> None:
        super().__init__(f"block {cid}: {reason}")
        self.cid = cid


class BadNode(ContentError):
    """A verified block that does not decode as the dag-pb, UnixFS or DAG-CBOR node it should be."""


class BadCAR(ContentError):
    """A CAR v1 stream that is malformed or ends early. `offset` is the byte where it stopped making sense."""

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(f"CAR, at byte {offset}: {reason}")
        self.offset = offset


class BadRecord(ContentError):
    """An IPNS record that does not verify (IPNS spec, record verification)."""


class LimitExceeded(ContentError):
    """Something is over a named limit of content/limits.py; refused before it costs anything."""

    def __init__(self, limit: str, value: int, maximum: int) -> None:
        super().__init__(f"{limit}: {value:,} is over the limit of {maximum:,}")
        self.limit = limit
        self.value = value
        self.maximum = maximum


class NotFound(ContentError):
    """A path that a verified DAG does not contain."""
