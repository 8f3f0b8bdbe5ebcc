"""Cache-Status: RFC 9211's form for every outcome."""

from __future__ import annotations

import re

import pytest

from edge.http.outcome import OF_SOURCE, Outcome, cache_status

REASONS = {"bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"}  # §2.2


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_form(outcome: Outcome) -> None:
    """A cache's name, then parameters, either `hit` or `fwd` (RFC 9211 §2: never both)."""
    value = cache_status(outcome, "edge-1")
    assert re.fullmatch(r"edge-1(; [a-z-]+(=[a-z]+)?)+", value)
    told = dict(parameter.partition("=")[::2] for parameter in value.split("; ")[1:])
    assert told.keys() <= {"hit", "fwd", "fwd-status", "ttl", "stored", "collapsed", "key", "detail"}  # §2.1 to §2.8
    assert ("hit" in told) != ("fwd" in told)
    assert told.get("fwd", "miss") in REASONS
    assert "stored" not in told or "fwd" in told  # §2.5: of a request that was forwarded


@pytest.mark.parametrize(("name", "written"), [("e_1", "e_1"), ("1st", '"1st"'), ('a"b\r\n', '"a_b__"'), ("é", '"_"')])
def test_a_name_is_a_token_or_quoted(name: str, written: str) -> None:
    """An edge's name is never able to split the field (RFC 8941 §3.3)."""
    assert cache_status(Outcome.HIT, name).startswith(f"{written}; hit")


def test_every_source_has_an_outcome() -> None:
    """Where a block can come from, there is a word for it."""
    assert set(OF_SOURCE) == {"memory", "disk", "peer", "origin", "gateway"}
