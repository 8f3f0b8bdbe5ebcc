"""`rim explain`: how an edge's account becomes lines. The account itself: edge/explain and its plays."""

from __future__ import annotations

from rim.commands.explain import _differing, _flat

ROW = {
    "node": "edge-1",
    "status": 200,
    "variants": [{"coding": "br", "size": 10, "here": "disk"}],
    "dictionary": {"match": "/assets/app-*.js"},
    "bases": [
        {"base": "/assets/app-a.js", "generation": 3, "size": 900, "sha256": "ab" * 32, "delta": 50},
        {"base": "/assets/app-b.js", "generation": 2, "size": 800, "sha256": "cd" * 32, "delta": "none"},
        {"base": "/assets/app-c.js", "generation": 1, "size": 700, "sha256": "ef" * 32},
    ],
}


def test_a_pair_is_a_line_and_its_delta_another() -> None:
    lines = dict(_flat(ROW))
    assert lines == {
        "status": "200",
        "br coding": "br",
        "br size": "10",
        "br here": "disk",
        "dictionary match": "/assets/app-*.js",
        "base /assets/app-a.js of 3": "900 B, sha256 abababababababab…",
        "base /assets/app-a.js of 3 delta": "50 B",
        "base /assets/app-b.js of 2": "800 B, sha256 cdcdcdcdcdcdcdcd…",
        "base /assets/app-b.js of 2 delta": "not smaller, so not sent",
        "base /assets/app-c.js of 1": "700 B, sha256 efefefefefefefef…",
    }


def test_what_an_edge_has_lying_about_is_no_difference() -> None:
    """Where the bytes lie, and which deltas were asked for; a pattern that differs is one."""
    one = dict(_flat(ROW))
    other = one | {"br here": "memory", "base /assets/app-a.js of 3 delta": "not smaller, so not sent"}
    assert _differing([one, other]) == []
    assert _differing([one, other | {"dictionary match": "/x"}]) == ["dictionary match"]
