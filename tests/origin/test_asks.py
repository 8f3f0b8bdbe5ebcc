"""Questions to edges are bounded in every direction, told once, and over when nobody reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from origin.asks import ASKS_MAX, LIFETIMES, ROW_BYTES, ROWS_BYTES, ROWS_MAX, Ask
from origin.tokens import Token
from tests.origin.play import Client, origin, parts

ALL = Token("a", "", "all", ("admin",))
ONE = Token("b", "", "one", ("publish",), ("one",))
TAIL: dict[str, Any] = {"kind": "tail"}


def head(client: Client, node: str, wait: float = 0) -> tuple[int, list[str]]:
    """What a node's waiting request ends with."""
    sequence = client.ok("GET", "/api/v1/status")["sequence"]
    answer = client.get(f"/api/v1/head?since={sequence}&wait={wait}&node={node}")
    told = answer.headers.get("rim-ask")
    return answer.status, told.split(",") if told else []


def test_rows_are_bounded_and_numbered() -> None:
    """Past their number or bytes the oldest go, one too large does not come in, and all that is lost is counted."""
    ask = Ask("x", "tail", {}, ALL)
    ask.take("n", "eu", [{"i": number} for number in range(ROWS_MAX)], False, 0)
    assert (ask.lost, ask.end) == (0, ROWS_MAX)
    ask.take("n", "eu", [{"i": ROWS_MAX}, {"big": "x" * ROW_BYTES}], False, 3)
    assert (ask.lost, ask.end) == (1 + 1 + 3, ROWS_MAX + 1)
    assert [row["i"] for row in ask.rows(0)[:2]] == [1, 2]
    assert [row["i"] for row in ask.rows(ROWS_MAX)] == [ROWS_MAX]
    assert ask.rows(ask.end) == []
    ask.take("n", "eu", [{"x": "y" * 8000} for _ in range(1500)], True, 0)
    assert sum(len(json.dumps(row)) for row in ask.rows(0)) <= ROWS_BYTES
    assert ask.done == {"n"}


@pytest.mark.parametrize(
    ("kind", "token", "seen"),
    [("tail", ALL, ["one", "two", None]), ("tail", ONE, ["one"]), ("explain", ONE, ["one", None])],
)
def test_rows_of_sites_that_the_asker_sees(kind: str, token: Token, seen: list[str | None]) -> None:
    """Whatever a node sends."""
    ask = Ask("x", kind, {}, token)
    ask.take("n", "eu", [{"site": "one"}, {"site": "two"}, {"site": None}], False, 0)
    assert [row["site"] for row in ask.rows(0)] == seen


def test_each_node_is_told_once_and_so_many_are_open(tmp_path: Path) -> None:
    """A node that comes later is told too; past 32 open ones it is 503; one that nobody reads is over for both ends."""
    with origin(tmp_path / "state") as client:
        first = client.ok("POST", "/api/v1/asks", TAIL)["id"]
        assert head(client, "a", 30) == (204, [first])
        assert head(client, "a") == (204, [])
        second = client.ok("POST", "/api/v1/asks", {"kind": "explain", "url": "http://x.test/"})["id"]
        assert head(client, "a", 30) == (204, [second])
        assert head(client, "b") == (204, [first, second])
        assert client.ok("GET", f"/api/v1/asks/{second}") == {"kind": "explain", "url": "http://x.test/"}
        body = {"node": "a", "sequence": 1, "rows": [{"status": 421}], "done": True}
        client.ok("POST", f"/api/v1/asks/{second}/answers", body)
        answer = client.ok("GET", f"/api/v1/asks/{second}/answers?wait=30")
        assert answer == {"rows": [{"status": 421, "node": "a", "region": ""}], "next": 1, "lost": 0, "done": ["a"]}
        for wrong in ({"rows": {}}, {"rows": [1]}, {"lost": -1}, {"sequence": None}, {"node": ""}):
            assert client.ask("POST", f"/api/v1/asks/{second}/answers", {**body, **wrong}).status == 400
        for _ in range(ASKS_MAX - 2):
            client.ok("POST", "/api/v1/asks", TAIL)
        assert client.ask("POST", "/api/v1/asks", TAIL).error == "busy"
        for ask in parts(client).asks._asks.values():
            ask.read -= LIFETIMES[ask.kind] + 1
        assert client.ask("POST", f"/api/v1/asks/{first}/answers", body).error == "no_ask"
        assert client.get(f"/api/v1/asks/{first}/answers").error == "no_ask"
        client.ok("POST", "/api/v1/asks", TAIL)
        assert len(parts(client).asks._asks) == 1
