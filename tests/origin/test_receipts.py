"""Receipts are bound to nodes: a name belongs to the key first seen with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import receipt
from tests.origin.play import Answer, Client, origin, parts

MINE, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def say(
    client: Client, name: str, key: Ed25519PrivateKey | None, sequence: int = 1, but: dict[str, Any] | None = None
) -> Answer:
    """A report, signed by this key (None: by nobody); `but` is sent instead of what was signed."""
    catalog = client.ok("GET", "/api/v1/status")["catalog"]
    body = {"node": name, "region": "eu", "sequence": sequence, "catalog": catalog}
    headers = {}
    if key is not None:
        headers = receipt.headers(key, name, sequence, catalog, json.dumps(body).encode())
    return client.ask("POST", "/api/v1/report", json.dumps({**body, **(but or {})}).encode(), headers)


def bound(client: Client) -> dict[str, bool]:
    return {row["node"]: row["bound"] for row in client.ok("GET", "/api/v1/edges")["edges"]}


def test_no_node_gives_a_receipt_for_another(tmp_path: Path) -> None:
    """Another key, no key, and another's words under one's own key are refused, a restart later too."""
    state = tmp_path / "state"
    with origin(state) as client:
        assert say(client, "a", MINE, 5).status == 200
        assert say(client, "old", None).status == 200
        assert bound(client) == {"a": True, "old": False}
        for answer in (
            say(client, "a", OTHER, 9),
            say(client, "a", None, 9),
            say(client, "b", OTHER, 9, {"node": "a"}),
        ):
            assert (answer.status, answer.error) == (403, "other_node")
            assert "rim edges forget a" in answer.json["message"]
        head = f"/api/v1/head?since=9&node=a&key={client.ok('GET', '/api/v1/status')['catalog']}"
        assert client.ask("GET", head).error == "other_node"
        assert client.ok("GET", "/api/v1/edges")["edges"][0]["sequence"] == 5
        assert say(client, "old", MINE).status == 200  # it was upgraded
        assert bound(client) == {"a": True, "old": True}
    with origin(state) as client:
        assert say(client, "a", OTHER).error == "other_node"
        assert say(client, "a", MINE).status == 200


@pytest.mark.parametrize("changed", [{"sequence": 9}, {"node": "b"}, {"leaving": True}, {"region": "us"}])
def test_what_was_not_signed_is_not_said(tmp_path: Path, changed: dict[str, Any]) -> None:
    """A receipt taken from the wire says what it said, and nothing else."""
    with origin(tmp_path / "state") as client:
        assert say(client, "a", MINE).status == 200
        assert say(client, "a", MINE, but=changed).error == "other_node"


def test_a_receipt_for_another_catalog_is_none(tmp_path: Path) -> None:
    """The sentence says which one to follow."""
    with origin(tmp_path / "state") as client:
        answer = say(client, "a", MINE, but={"catalog": "k51other"})
        assert (answer.status, answer.error) == (403, "other_catalog")
        assert client.ok("GET", "/api/v1/status")["catalog"] in answer.json["message"]


def test_a_name_is_free_when_its_holder_was_away_for_minutes_or_is_forgotten(tmp_path: Path) -> None:
    """An edge whose disk was replaced gets its name back; one that signs nothing does not."""
    with origin(tmp_path / "state") as client:
        edges = parts(client).edges
        assert say(client, "a", MINE).status == 200
        edges._edges["a"].seen -= 301
        assert say(client, "a", OTHER).error == "other_node"  # the origin has not been here for so long
        edges._started -= 301
        assert say(client, "a", None).error == "other_node"
        assert say(client, "a", OTHER).status == 200
        assert say(client, "a", MINE).error == "other_node"
        client.ok("DELETE", "/api/v1/edges/a")
        assert say(client, "a", MINE).status == 200
