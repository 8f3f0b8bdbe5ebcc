"""The door of protected previews: what opens it, what a try costs, and whom a guesser cannot push out."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import pytest

from content.password import Password
from edge import guard as module
from edge.guard import WAITING, Guard
from edge.http.problem import Problem

HASHED = str(Password.make("p\u00e4ss:word", b"saltsalt"))


def basic(text: str, coding: str = "utf-8") -> bytes:
    return b"Basic " + b64encode(text.encode(coding))


async def status(guard: Guard, authorization: bytes | None, hashed: str = HASHED) -> int:
    try:
        await guard.check(hashed, authorization, "pr-1--demo")
    except Problem as problem:
        return problem.status
    return 200


TRIES: list[tuple[bytes | None, int]] = [
    (basic(":p\u00e4ss:word"), 200),
    (basic("any name:p\u00e4ss:word"), 200),
    (b"basic  " + basic(":p\u00e4ss:word")[6:] + b" ", 200),
    (basic(":p\u00e4ss:word", "latin-1"), 401),
    (basic(":P\u00e4ss:word"), 401),
    (basic("p\u00e4ss:word"), 401),
    (basic(":" + "x" * 10_000), 401),
    (b"Basic", 401),
    (b"Basic \xff\xfe", 401),
    (b"Bearer " + basic(":p\u00e4ss:word")[6:], 401),
    (b"", 401),
    (None, 401),
]


@pytest.mark.parametrize(("authorization", "expected"), TRIES)
def test_what_opens_it(authorization: bytes | None, expected: int) -> None:
    """The password under any name, in UTF-8; and a second time as the first."""

    async def act() -> None:
        guard = Guard()
        assert [await status(guard, authorization) for _ in range(2)] == [expected] * 2

    asyncio.run(act())


def test_a_hash_that_is_none_lets_nobody_in() -> None:
    """Whatever stands in the Catalog."""
    assert asyncio.run(status(Guard(), basic(":x"), "plain")) == 401


def test_guessing_pushes_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """More wrong guesses than are remembered: who gave the right one is let in without another try."""
    tries: list[str] = []
    real = module._matches

    def spy(hashed: str, secret: str) -> bool:
        tries.append(secret)
        return secret == "p\u00e4ss:word" and real(hashed, secret)

    monkeypatch.setattr(module, "_matches", spy)
    monkeypatch.setattr(module, "REMEMBERED", 8)

    async def act() -> None:
        guard = Guard()
        assert await status(guard, basic(":p\u00e4ss:word")) == 200
        for number in range(20):
            assert await status(guard, basic(f":{number}")) == 401
        assert await status(guard, basic(":p\u00e4ss:word")) == 200
        assert await status(guard, basic(":19")) == 401
        assert tries.count("p\u00e4ss:word") == tries.count("19") == 1

    asyncio.run(act())


def test_so_many_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than may wait is told to come back; none of it is remembered as an answer."""
    monkeypatch.setattr(module, "_matches", lambda hashed, secret: False)

    async def act() -> None:
        guard = Guard()
        async with guard._one:
            waiting = [asyncio.ensure_future(status(guard, basic(f":{number}"))) for number in range(WAITING)]
            await asyncio.sleep(0)
            assert await status(guard, basic(":one more")) == 503
        assert await asyncio.gather(*waiting) == [401] * WAITING
        assert await status(guard, basic(":one more")) == 401

    asyncio.run(act())
