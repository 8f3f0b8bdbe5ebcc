"""Which roots are shown: the live ones at once, others as the origin says, for a minute and no longer."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from content.cid import CID, RAW
from edge.gateway import access
from edge.gateway.access import HIDDEN_FOR, SHOWN_FOR, Access, CannotTell
from edge.gateway.mode import Mode

LIVE, PINNED, OTHER = (CID.of(RAW, name) for name in (b"live", b"pinned", b"other"))


class Origin:
    def __init__(self) -> None:
        self.public = {PINNED}
        self.asked: Counter[CID] = Counter()
        self.away = False
        self.now = 0.0

    async def ask(self, root: CID) -> bool:
        self.asked[root] += 1
        await asyncio.sleep(0)
        if self.away:
            raise CannotTell("away")
        return root in self.public

    def access(self, mode: Mode = Mode.PINNED) -> Access:
        return Access(mode, lambda: {LIVE}, self.ask, lambda: self.now)


def test_answers_are_believed_for_a_while() -> None:
    async def act() -> None:
        origin = Origin()
        door = origin.access()
        assert [await door.shows(root) for root in (LIVE, PINNED, OTHER)] == [True, True, False]
        assert LIVE not in origin.asked
        origin.public = {OTHER}
        origin.now = HIDDEN_FOR
        assert [await door.shows(root) for root in (PINNED, OTHER)] == [True, True]
        origin.now = SHOWN_FOR - 0.1
        assert await door.shows(PINNED)
        origin.now = SHOWN_FOR
        assert not await door.shows(PINNED)
        assert origin.asked == {PINNED: 2, OTHER: 2}

    asyncio.run(act())


def test_the_last_good_answer_stands_while_the_origin_is_away() -> None:
    async def act() -> None:
        origin = Origin()
        door = origin.access()
        await door.shows(PINNED)
        await door.shows(OTHER)
        origin.away, origin.now = True, 10 * SHOWN_FOR
        assert await door.shows(PINNED)
        with pytest.raises(CannotTell):
            await door.shows(OTHER)  # a no is no last good answer

    asyncio.run(act())


def test_many_who_ask_are_one_question() -> None:
    async def act() -> None:
        origin = Origin()
        door = origin.access()
        assert await asyncio.gather(*(door.shows(PINNED) for _ in range(50))) == [True] * 50
        assert origin.asked == {PINNED: 1}

    asyncio.run(act())


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        monkeypatch.setattr(access, "KNOWN_MAX", 3)
        origin = Origin()
        door = origin.access()
        for number in range(10):
            await door.shows(CID.of(RAW, b"%d" % number))
        assert repr(door) == "<Access pinned, 3 roots known>"

    asyncio.run(act())


def test_open_asks_nobody_and_identity_is_its_own_bytes() -> None:
    async def act() -> None:
        origin = Origin()
        assert await origin.access(Mode.OPEN).shows(OTHER)
        assert await origin.access().shows(CID(b"\x01\x55\x00\x02hi"))
        assert not origin.asked

    asyncio.run(act())
