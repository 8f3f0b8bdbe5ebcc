"""Coded: bytes that an edge makes itself for browsers, with their codings, answered as a published file would be.

Here live the coding, in a thread and once, and the answer out of memory. Not here: what is said (edge/browsers/own),
how an answer is chosen (edge/http/answer).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import brotli  # type: ignore[import-untyped]

from content.cid import CID, RAW
from content.release import Asset, Encoding
from edge.bodies import cut
from edge.http.answer import Answer, Asking
from edge.http.outcome import Outcome
from edge.replies import Reply

_BEST = 11  # brotli's quality for what is small ...
_LONG = 64 * 1024
_GOOD = 9  # ... and for what is not: 11 takes some 2 s per MB, and gains a tenth


@dataclass(frozen=True, slots=True)
class Coded:
    """A body, identity and brotli where that is smaller. `blocks`: coding's CID → bytes."""

    asset: Asset
    blocks: Mapping[CID, bytes]

    @classmethod
    def of(cls, data: bytes, media_type: str, br: bytes | None = None) -> Coded:
        """`br`: the same bytes, coded."""
        cid = CID.of(RAW, data)
        if br is None or len(br) >= len(data):
            return cls(Asset(cid, len(data), cid.digest.hex(), media_type), {cid: data})
        coded = CID.of(RAW, br)
        encodings = {"br": Encoding(coded, len(br))}
        return cls(Asset(cid, len(data), cid.digest.hex(), media_type, encodings), {cid: data, coded: br})

    @property
    def weight(self) -> int:
        """About how many bytes this takes."""
        return 1_000 + sum(map(len, self.blocks.values()))

    def reply(
        self,
        asking: Asking,
        control: str,
        fields: Sequence[tuple[str, str]] = (),
        vary: tuple[str, ...] = (),
        lines: bytes = b"",
        outcome: Outcome = Outcome.HIT,
    ) -> Reply:
        """The answer to this way of asking. `control`: Cache-Control. `vary`: request fields that chose this body.
        `lines`: header lines for this visitor alone, each ended by CRLF."""
        answer = Answer(self.asset, control=control, fields=fields, vary=vary)
        choice = answer.choose(asking)
        body = b"" if choice.body is None else cut(choice, self.blocks[choice.body])
        return Reply(choice.status, choice.head + lines, outcome, body)


async def coded(data: bytes, media_type: str) -> Coded:
    """The body with its brotli form, which a thread makes without the interpreter's lock."""
    quality = _BEST if len(data) <= _LONG else _GOOD
    br = await asyncio.to_thread(brotli.compress, data, brotli.MODE_TEXT, quality)
    return Coded.of(data, media_type, br)
