"""Block: bytes with their CID. Constructing one *is* verifying it.

Here lives the threshold: behind it nobody checks a hash again. Not here: what the bytes mean (dagpb, unixfs, tree …).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from content.cid import CID, IDENTITY
from content.errors import BadBlock
from content.limits import BLOCK_ACCEPTED, check


@dataclass(frozen=True, slots=True)
class Block:
    """A verified block. Raises BadBlock when the bytes do not hash to the CID, LimitExceeded above 2 MiB."""

    cid: CID
    data: bytes

    def __post_init__(self) -> None:
        check("block size", len(self.data), BLOCK_ACCEPTED)
        cid = self.cid
        proof = self.data if cid.hash_code == IDENTITY else sha256(self.data).digest()
        if proof != cid.digest:
            raise BadBlock(str(cid))

    @classmethod
    def make(cls, codec: int, data: bytes) -> Block:
        """Name these bytes: the CID is computed here, so it needs no second look."""
        check("block size", len(data), BLOCK_ACCEPTED)
        block = object.__new__(cls)
        object.__setattr__(block, "cid", CID.of(codec, data))
        object.__setattr__(block, "data", data)
        return block

    def __repr__(self) -> str:
        return f"<Block {self.cid} {len(self.data)} B>"
