"""Files: a UnixFS file as it is, whole or in ranges, and a symlink's target.

Here lives the answer of a file, and its name and type. Not here: folders (edge/gateway/folders), the choice by
conditions and ranges (edge/http/answer), where bytes come from (edge/bodies).
"""

from __future__ import annotations

from dataclasses import dataclass

from content import media, walk
from content.asking import ask, under
from content.block import Block
from content.cid import CID, RAW
from content.release import Asset
from content.walk import Entry, Walk
from edge.bodies import open_body
from edge.gateway import sniff
from edge.gateway.answered import Case
from edge.gateway.headers import Fields, file_disposition, isolation
from edge.http.answer import Answer
from edge.kept import Leaves
from edge.replies import Reply

_SYMLINK = "inode/symlink"


@dataclass(frozen=True, slots=True)
class Made:
    """A reply, and the answer behind it, which others may get too; `leaves` as edge/ready wants them."""

    reply: Reply
    answer: Answer | None = None
    leaves: Leaves | None = None


async def file(case: Case, entry: Entry, *, tag: CID | None = None, name: str = "", status: int = 200) -> Made:
    """The answer of a file. `tag`: what names it where that is not its own CID (a folder's index.html). `status`: of a
    rule that led here."""
    kind = await _type(case, entry, name)
    asset = Asset(entry.cid, entry.size, "", kind)
    answer = Answer(
        asset,
        status=status,
        tag=str(tag or entry.cid),
        control=case.shown.fresh(),
        fields=(*case.shown.fields(), *_fields(case, kind, name)),
    )
    choice = answer.choose(case.asking)
    opened = await open_body(case.reader.loader, choice)
    leaves = {choice.body: opened.leaves} if choice.body is not None and opened.leaves else {}
    return Made(Reply(choice.status, choice.head, opened.outcome, opened.body), answer, leaves)


def symlink(case: Case, entry: Entry) -> Reply:
    """A link is not followed: it may lead anywhere. Who asks for it gets where it leads."""
    target = Block.make(RAW, (entry.target or "").encode())
    return case.bytes_of(target, _SYMLINK, str(entry.cid), _fields(case, _SYMLINK, ""))


def _fields(case: Case, kind: str, name: str) -> Fields:
    wanted = case.wanted
    last = name or (wanted.segments[-1] if wanted.segments else str(case.cid))
    return (*file_disposition(wanted, last), *isolation(wanted, kind))


async def _type(case: Case, entry: Entry, name: str) -> str:
    """By its name; where that says nothing, by its first bytes."""
    wanted = case.wanted
    named = wanted.filename or name or (wanted.segments[-1] if wanted.segments else "")
    kind = media.media_type(named) if named else media.DEFAULT
    if kind != media.DEFAULT:
        return kind
    return sniff.media_type(await case.reader.run(_start(entry)), entry.size)


def _start(entry: Entry) -> Walk[bytes]:
    """The first bytes of a file, as far as one block has them: who asks for the end of it needs no second one."""
    leaves = yield from walk.leaves(entry.cid, 0, min(entry.size, 1))
    if not leaves:
        return b""
    return walk.leaf_bytes(under(leaves[0].cid, (yield from ask(leaves[0].cid))))
