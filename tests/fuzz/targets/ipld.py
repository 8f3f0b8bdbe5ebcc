"""The IPLD codecs: canonical bytes have one reading and one writing, values survive DAG-JSON, links are all found.

Not here: control blocks (targets/release), which libipld reads; it is asked here as the second opinion.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import libipld

from content import dagpb, ipld
from content.cid import CBOR, CID, DAG_CBOR, DAG_JSON, DAG_PB, JSON, RAW
from content.errors import BadNode, ContentError
from tests.fuzz.taking import Taking

STEPS = (4_000, 400)
_CODECS = (DAG_CBOR, DAG_JSON, DAG_PB, CBOR, JSON)
_LINK = CID.of(RAW, b"a link")


def check(data: bytes, thorough: bool) -> None:
    taking = Taking(data)
    codec, data = _CODECS[taking.byte() % len(_CODECS)], taking.rest()
    try:
        value = ipld.decode(codec, data)
    except ContentError:
        if codec == DAG_CBOR:
            _lax(data)
        return
    written = ipld.encode(codec, value)
    if codec == DAG_CBOR:
        assert written == data, "two spellings of one value were taken for canonical"
        _second_opinion(data, value)
    same = _loose if codec in (DAG_JSON, JSON) else _typed
    again = ipld.decode(codec, written)
    assert same(again) == same(value)
    assert ipld.encode(codec, again) == written
    if codec in (DAG_CBOR, DAG_JSON, DAG_PB):
        assert ipld.links(codec, data) == list(_links(value)) or codec == DAG_PB
        _through(DAG_JSON if codec == DAG_CBOR else DAG_CBOR, value)


def _lax(data: bytes) -> None:
    """What only a follower of links reads has one value all the same, and its canonical form is read strictly."""
    try:
        value = ipld.decode(DAG_CBOR, data, canonical=False)
        written = ipld.encode(DAG_CBOR, value)
    except ContentError:
        return
    assert written != data
    assert _typed(ipld.decode(DAG_CBOR, written)) == _typed(value)


def _through(codec: int, value: ipld.Value) -> None:
    """Into another codec and back the value is the same, where that codec has it at all."""
    try:
        written = ipld.encode(codec, value)
    except BadNode:
        return
    assert _loose(ipld.decode(codec, written)) == _loose(value)


def _second_opinion(data: bytes, value: ipld.Value) -> None:
    """libipld reads the same; it calls links bytes, and gives up where nesting would be deep for it."""
    try:
        other = libipld.decode_dag_cbor(data)
    except Exception:
        return
    assert _plain(value) == _typed(other)


def _typed(value: Any) -> Any:
    """With types, as 1 == 1.0 == True; 0.0 and -0.0 apart; a map in any order."""
    if isinstance(value, dict):
        return ["map", [(key, _typed(item)) for key, item in sorted(value.items())]]
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return type(value).__name__, repr(value)


def _loose(value: Any) -> Any:
    """As JSON has it: a number without a fraction is the integer that its shortest digits say (past 2^53 that is not
    always the float's own), and nothing is a negative zero."""
    if isinstance(value, dict):
        return ["map", [(key, _loose(item)) for key, item in sorted(value.items())]]
    if isinstance(value, list):
        return [_loose(item) for item in value]
    return _typed(int(Decimal(repr(value))) if isinstance(value, float) and value.is_integer() else value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return ["map", [(key, _plain(item)) for key, item in sorted(value.items())]]
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return _typed(bytes(value) if isinstance(value, CID) else value)


def _links(value: Any) -> Iterator[CID]:
    if isinstance(value, CID):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _links(item)
    elif isinstance(value, list):
        for item in value:
            yield from _links(item)


def seeds() -> Iterator[bytes]:
    value: dict[str, ipld.Value] = {
        "": None, "a": [1, -1, 2**64 - 1, -(2**64), 1.5, -0.0, 1e300], "b": b"\x00bytes", "é": "ü\n\u2028", "l": _LINK,
        "t": [True, False, {}, [], {"/": 1}], "z": {"/": {"bytes": 1}},
    }  # fmt: skip
    yield b"\x00" + ipld.encode(DAG_CBOR, value)
    yield b"\x01" + ipld.encode(DAG_JSON, {"a": [1, 1.5, "x", b"y", _LINK], "b": {"/": 1}})
    yield b"\x02" + dagpb.encode([dagpb.PBLink("a", _LINK, 5)], b"data")
    yield b"\x02" + dagpb.encode([], None)
    yield b"\x03" + ipld.encode(CBOR, {"a": [1, b"2", "3", 4.5]})
    yield b"\x04" + ipld.encode(JSON, {"a": [1, "3", 4.5, {"/": "x"}]})
    for text in (
        b'{"/":"bafkqaaa"}',
        b'{"/":{"bytes":"AAE"}}',
        b"[1e400]",
        b'"\\ud800"',
        b"-0",
        b'{"a":1,"a":2}',
        b" 1",
    ):
        yield b"\x01" + text
    for cbor in (
        "a2616201616101",
        "f93c00",
        "9f01ff",
        "d82a4300015500",
        "1801",
        "818181818181",
        "a1190001f6",
        "fb7ff8",
    ):
        yield b"\x00" + bytes.fromhex(cbor)
