"""IPLD: values come back, text and bytes are Kubo's to the byte, and no block makes the readers fall or swell."""

from __future__ import annotations

import contextlib
import json
import math
import random
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import ipld
from content.cid import CBOR, CID, DAG_CBOR, DAG_JSON, DAG_PB, IDENTITY, JSON, LIBP2P_KEY, RAW
from content.dagpb import PBLink
from content.dagpb import encode as encode_node
from content.errors import BadNode, ContentError, LimitExceeded
from content.limits import NODE_DEPTH, NODE_ITEMS, NODE_VALUES, PB_LINKS
from tests.kit.kubo import Kubo

KUBO = pytest.mark.needs("ipfs")
LINKS = [
    CID.of(RAW, b"a"),
    CID.of(DAG_CBOR, b"b"),
    CID.of(DAG_JSON, b"c"),
    CID.of(JSON, b"d"),
    CID.of(DAG_PB, b"e"),
    CID(b"\x12\x20" + CID.of(DAG_PB, b"f").digest),
    CID(bytes((1, RAW, IDENTITY, 3)) + b"abc"),
]
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | FLOATS
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.binary(max_size=20)
    | st.sampled_from(LINKS)
)
KEYS = st.text(st.characters(codec="utf-8"), max_size=10)


def nested(scalars: st.SearchStrategy[Any], keys: st.SearchStrategy[str] = KEYS) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5), max_leaves=30
    )


def alike(left: Any, right: Any) -> bool:
    """Equal in kind too: True is not 1, a link is not its bytes, -0.0 is not 0.0."""
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(alike(left[k], right[k]) for k in left)
    if isinstance(left, float):
        return isinstance(right, float) and struct.pack(">d", left) == struct.pack(">d", right)
    return type(left) is type(right) and bool(left == right)


# ---- what is written is read again


@given(nested(SCALARS))
def test_dag_cbor_comes_back(value: Any) -> None:
    """Every value, in one form: what is read from it is written the same."""
    data = ipld.encode(DAG_CBOR, value)
    assert alike(ipld.decode(DAG_CBOR, data), value)
    assert ipld.encode(DAG_CBOR, ipld.decode(DAG_CBOR, data)) == data


@given(
    nested(
        SCALARS.filter(lambda v: not isinstance(v, float) or not v.is_integer() or abs(v) >= 1e21),
        KEYS.filter(lambda k: k != "/"),
    )
)
def test_dag_json_comes_back(value: Any) -> None:
    """All but floats without a fraction: JSON has one kind of number, and Kubo writes 1.0 as 1."""
    data = ipld.encode(DAG_JSON, value)
    assert alike(ipld.decode(DAG_JSON, data), value)
    assert b" " not in data or " " in str(value)


@given(FLOATS)
def test_floats_in_text_are_the_same_number(number: float) -> None:
    """Shortest digits that give the number back, and a float again where it has a fraction or an exponent."""
    text = ipld.encode(DAG_JSON, number)
    assert float(text) == number
    if not text.lstrip(b"-").isdigit():
        assert alike(ipld.decode(DAG_JSON, text), number)


@given(nested(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"))))
def test_plain_json_is_what_python_reads(value: Any) -> None:
    """Against another reader and writer of JSON, both ways, spaces and escapes included."""
    assert json.loads(ipld.encode(JSON, value)) == value
    assert ipld.decode(JSON, json.dumps(value).encode()) == value
    assert ipld.decode(JSON, json.dumps(value, indent=3, ensure_ascii=False).encode()) == value


@given(
    st.lists(
        st.fixed_dictionaries(
            {"Hash": st.sampled_from(LINKS)},
            optional={"Name": st.text(st.characters(codec="utf-8")), "Tsize": st.integers(0, 2**63 - 1)},
        ),
        max_size=6,
    ),
    st.none() | st.binary(max_size=30),
)
def test_dag_pb_comes_back(links: list[dict[str, Any]], data: bytes | None) -> None:
    """Names and sizes that are not written stay unwritten; links are put in the order of their names."""
    value = {"Links": links} if data is None else {"Data": data, "Links": links}
    found = ipld.decode(DAG_PB, ipld.encode(DAG_PB, value))
    ordered = sorted(links, key=lambda link: link.get("Name", "").encode())
    assert alike(found, {**value, "Links": ordered})
    by_text = ipld.decode(DAG_JSON, ipld.encode(DAG_JSON, found))
    assert ipld.encode(DAG_PB, by_text) == ipld.encode(DAG_PB, value)


# ---- a real Kubo says the same


def _random_value(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.randrange(10 if depth < 5 else 8)
    if kind == 0:
        return dice.choice([None, True, False])
    if kind == 1:
        return dice.choice([0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, -1, -24, -25, -(2**63)])
    if kind == 2:
        return dice.randint(-(2 ** dice.randint(1, 63)), 2 ** dice.randint(1, 63) - 1)
    if kind == 3:
        return dice.choice([0.0, 1.0, -2.5, 1e21, 1e20, 1e-6, 1e-7, 5e-324, 1.7976931348623157e308, 123456789.125])
    if kind == 4:
        number = struct.unpack(">d", dice.randbytes(8))[0]
        return number if math.isfinite(number) else 0.1
    if kind == 5:
        return dice.choice(LINKS)
    if kind == 6:
        return dice.randbytes(dice.choice([0, 1, 23, 24, 255, 256]))
    if kind == 7:
        return "".join(
            dice.choice("aé漢🎉\"\\/\b\f\n\r\t\x00\x1f\x7f\u2028\u2029<>&'\ufffd") for _ in range(dice.randrange(30))
        )
    if kind == 8:
        return [_random_value(dice, depth + 1) for _ in range(dice.randrange(6))]
    names = ["a", "b", "aa", "ab", "é", "z", "", "Z", "🎉", "//", "bytes", "\uffff"]
    return {name: _random_value(dice, depth + 1) for name in dice.sample(names, dice.randrange(len(names)))}


@KUBO
def test_both_dag_codecs_are_kubos_to_the_byte(kubo: Kubo) -> None:
    """Three thousand values of every kind, converted by `ipfs dag put` in both directions."""
    value = [_random_value(random.Random(seed)) for seed in range(3000)]
    cbor, text = ipld.encode(DAG_CBOR, value), ipld.encode(DAG_JSON, value)
    put = ("dag", "put", "--pin=false", "--allow-big-block")
    named = kubo.run(*put, "--input-codec=dag-cbor", "--store-codec=dag-json", stdin=cbor).decode().strip()
    assert kubo.run("block", "get", named) == text
    assert CID.parse(named) == CID.of(DAG_JSON, text)
    plain = [v for v in value if not re.search(rb"[0-9]{20}(?![0-9]*[.e])", ipld.encode(DAG_JSON, v))]
    text = ipld.encode(DAG_JSON, plain)  # without whole floats that come back as integers that nobody holds
    read = ipld.decode(DAG_JSON, text)
    back = kubo.run(*put, "--input-codec=dag-json", "--store-codec=dag-cbor", stdin=text).decode().strip()
    assert CID.parse(back) == CID.of(DAG_CBOR, ipld.encode(DAG_CBOR, read))


@KUBO
@pytest.mark.parametrize(
    ("codec", "name", "data"),
    [
        (DAG_PB, "dag-pb", b""),
        (DAG_PB, "dag-pb", encode_node([PBLink("b", LINKS[0], 0), PBLink("", LINKS[5], 2**40)], b"\x08\x01")),
        (DAG_PB, "dag-pb", b"\x12\x26\x0a\x24" + LINKS[0]),
        (DAG_PB, "dag-pb", b"\x0a\x00\x12\x28\x0a\x24" + LINKS[0] + b"\x12\x00"),
        (RAW, "raw", b"\x00\xff bytes"),
        (CBOR, "cbor", bytes.fromhex("a2616281f93c00616182f7fa3fc00000")),
        (JSON, "json", b' {"b": 1, "a": {"x": [true, 1.50, "\\u00e9"]}} '),
        (DAG_JSON, "dag-json", b'{"a": {"/": {"bytes": "AAA="}}, "b": {"/": "x", "c": 1}, "d": {"/": {"bytes": 1}}}'),
    ],
    ids=["empty", "links", "link alone", "data first", "raw", "plain cbor", "plain json", "dag-json, loosely"],
)
def test_blocks_of_other_codecs_convert_as_kubos_do(kubo_gateway: Kubo, codec: int, name: str, data: bytes) -> None:
    """dag-pb, raw, plain CBOR with short floats and keys in disorder, plain JSON, to DAG-JSON and DAG-CBOR."""
    cid = CID.parse(kubo_gateway.run("block", "put", f"--cid-codec={name}", stdin=data).decode().strip())
    assert cid == CID.of(codec, data)
    for to, output in ((DAG_JSON, "dag-json"), (DAG_CBOR, "dag-cbor")):
        with urlopen(f"{kubo_gateway.gateway}/ipfs/{cid}?format={output}") as answer:
            assert ipld.convert(cid, data, to) == answer.read()


# ---- what a gateway converts, and what it does not


def test_what_is_answered_as_it_stands() -> None:
    """The codec itself always; application/json and application/cbor for the DAG forms too (IPIP-524 asks no more)."""
    text = b' {"not": "canonical"} '
    for codec, to in ((DAG_JSON, DAG_JSON), (DAG_JSON, JSON), (JSON, JSON), (CBOR, CBOR), (DAG_CBOR, CBOR), (RAW, RAW)):
        assert ipld.same(codec, to)
        assert ipld.convert(CID.of(codec, text), text, to) == text
    for codec, to in ((DAG_CBOR, JSON), (DAG_JSON, CBOR), (JSON, CBOR), (DAG_PB, JSON), (RAW, DAG_PB), (DAG_JSON, RAW)):
        assert not ipld.same(codec, to)
        with pytest.raises(ipld.CannotConvert):
            ipld.convert(CID.of(codec, b"1"), b"1", to)
    with pytest.raises(ipld.CannotConvert):
        ipld.convert(CID.of(LIBP2P_KEY, b"1"), b"1", DAG_JSON)


def test_plain_forms_know_no_links() -> None:
    """A "/" in plain JSON is a key, a tag in plain CBOR is refused; a link or bytes cannot be written in plain JSON."""
    text = b'{"/":"bafkqaaa"}'
    assert ipld.decode(JSON, text) == {"/": "bafkqaaa"}
    assert ipld.decode(DAG_JSON, text) == CID.parse("bafkqaaa")
    link = ipld.encode(DAG_CBOR, LINKS[0])
    assert ipld.decode(DAG_CBOR, link) == LINKS[0]
    for codec, value in ((CBOR, LINKS[0]), (JSON, LINKS[0]), (JSON, b"x"), (RAW, LINKS[0]), (RAW, "x")):
        with pytest.raises(BadNode):
            ipld.encode(codec, value)
    with pytest.raises(BadNode):
        ipld.decode(CBOR, link)


def test_what_would_be_read_as_a_link_is_not_written() -> None:
    """A map {"/": text} has no DAG-JSON: whoever converts a DAG-CBOR block must not turn a map into a link."""
    for value in ({"/": "x"}, {"/": {"bytes": "AA"}}, [{"a": {"/": str(LINKS[0])}}]):
        data = ipld.encode(DAG_CBOR, value)
        with pytest.raises(BadNode):
            ipld.convert(CID.of(DAG_CBOR, data), data, DAG_JSON)
        ipld.encode(JSON, value)
    for value in ({"/": 1}, {"/": {"bytes": 1}}, {"/": "x", "y": 1}):
        assert ipld.decode(DAG_JSON, ipld.encode(DAG_JSON, value)) == value


def test_links_of_each_codec() -> None:
    """In order, doubles and all; byte strings that look like CIDs are none; keys need not be sorted for it."""
    value = {"a": [LINKS[0], bytes(LINKS[1])], "b": LINKS[0], "c": {"d": LINKS[2]}}
    expected = [LINKS[0], LINKS[0], LINKS[2]]
    for codec in (DAG_CBOR, DAG_JSON):
        assert ipld.links(codec, ipld.encode(codec, value)) == expected
    node = encode_node([PBLink("x", LINKS[0], 1), PBLink("y", LINKS[4], 1)], None)
    assert ipld.links(DAG_PB, node) == [LINKS[0], LINKS[4]]
    assert ipld.links(RAW, b"x") == ipld.links(JSON, b"{") == ipld.links(CBOR, b"") == []
    disorder = b"\xa2\x61b" + ipld.encode(DAG_CBOR, LINKS[0]) + b"\x61a" + ipld.encode(DAG_CBOR, LINKS[1])
    assert ipld.links(DAG_CBOR, disorder) == LINKS[:2]
    with pytest.raises(BadNode):
        ipld.decode(DAG_CBOR, disorder)
    with pytest.raises(BadNode):
        ipld.links(LIBP2P_KEY, b"")


@given(st.sampled_from([DAG_CBOR, DAG_JSON]), nested(SCALARS, KEYS.filter(lambda key: key != "/")))
def test_links_are_those_of_the_value(codec: int, value: Any) -> None:
    """Against the reader that makes the value: the same links in the same order (of the keys as they are written)."""
    data = ipld.encode(codec, value)

    def inside(item: Any) -> list[CID]:
        if isinstance(item, CID):
            return [item]
        below = item if isinstance(item, list) else item.values() if isinstance(item, dict) else []
        return [link for member in below for link in inside(member)]

    try:
        expected = inside(ipld.decode(codec, data))
    except BadNode:  # a float without a fraction, beyond the integers
        return
    assert ipld.links(codec, data) == expected


@pytest.mark.parametrize(
    "data",
    [
        *("", "81", "8201", "a161", "6161ff", "1817ff", "19", "9f01ff", "ff", "1c", "0101", "62", "5affffffff00"),
        *(
            "9b3fffffffffffffff",
            "bb7fffffffffffffff",
            "c100",
            "d82a00",
            "d82a4100",
            "81d82a58",
            "d82a582600" + "00" * 37,
        ),
    ],
)
def test_links_of_what_is_no_cbor(data: str) -> None:
    """Cut, indefinite, more than there is, tags that are no links: BadNode, as for whoever reads the value."""
    with pytest.raises(BadNode):
        ipld.links(DAG_CBOR, bytes.fromhex(data))


@pytest.mark.parametrize("data", [b"{", b"[1,]", b"\xff", b'{"/":"x"}', b"1" * 5000, b'{"a":{"/":""}}', b"", b"[1] 2"])
def test_links_of_what_is_no_json(data: bytes) -> None:
    """Cut, not UTF-8, a link that is none, a number that nobody holds."""
    with pytest.raises(BadNode):
        ipld.links(DAG_JSON, data)


def test_items_of_a_node() -> None:
    """262,144 items are looked through for links, the list that holds them counted; one more is refused."""
    fits = ipld.encode(DAG_CBOR, [0] * (NODE_ITEMS - 2) + [LINKS[0]])
    assert ipld.links(DAG_CBOR, fits) == [LINKS[0]]
    with pytest.raises(LimitExceeded, match="items of a node"):
        ipld.links(DAG_CBOR, ipld.encode(DAG_CBOR, [0] * NODE_ITEMS))


def test_links_of_a_deep_node() -> None:
    """No stack is needed for CBOR; JSON deeper than the interpreter's stack is refused past 1,024 only."""
    deep = b"\x81" * 100_000 + ipld.encode(DAG_CBOR, LINKS[0])
    assert ipld.links(DAG_CBOR, deep) == [LINKS[0]]
    link = ipld.encode(DAG_JSON, LINKS[0])
    assert ipld.links(DAG_JSON, b"[" * (NODE_DEPTH - 1) + link + b"]" * (NODE_DEPTH - 1)) == [LINKS[0]]
    with pytest.raises(LimitExceeded):
        ipld.links(DAG_JSON, b"[" * 200_000 + link + b"]" * 200_000)


def test_links_of_a_dag_pb_node() -> None:
    """65,536 links are read, one more is refused; as a value a quarter of the values of a node."""
    one = b"\x12\x06\x0a\x04\x01\x55\x00\x00"
    assert len(ipld.links(DAG_PB, one * PB_LINKS)) == PB_LINKS
    with pytest.raises(LimitExceeded, match="links of a node"):
        ipld.links(DAG_PB, one * (PB_LINKS + 1))
    with pytest.raises(LimitExceeded, match="values of a node"):
        ipld.decode(DAG_PB, one * (NODE_VALUES // 4))
    ipld.decode(DAG_PB, one * (NODE_VALUES // 4 - 1))


# ---- what is refused

CBOR_REFUSED = {
    "nothing": "",
    "an integer in more bytes than it needs": "1817",
    "a length in more bytes than it needs": "780161",
    "eight bytes for a small number": "1b00000000ffffffff",
    "cut in an integer": "19ff",
    "cut in a text": "6261",
    "cut in a list": "8201",
    "cut in a map": "a16161",
    "two values": "0101",
    "indefinite list": "9f01ff",
    "indefinite map": "bf616101ff",
    "indefinite text": "7f6161ff",
    "indefinite bytes": "5f4161ff",
    "a break alone": "ff",
    "reserved length": "1c",
    "keys not in order": "a2616201616101",
    "long key before short": "a262616101616201",
    "the same key twice": "a2616101616102",
    "a key that is a number": "a10101",
    "16 bit float": "f93c00",
    "32 bit float": "fa3fc00000",
    "NaN": "fb7ff8000000000000",
    "infinity": "fb7ff0000000000000",
    "undefined": "f7",
    "simple value": "e0",
    "simple value in a byte": "f8ff",
    "text that is not UTF-8": "61ff",
    "surrogates as UTF-8": "63eda080",
    "tag of a date": "c100",
    "bignum": "c2410f",
    "tag 42 on a number": "d82a00",
    "tag 42 on text": "d82a6161",
    "tag 42 in more bytes": "d9002a4100",
    "tag 42 on nothing": "d82a40",
    "a link without its prefix": "d82a5824" + LINKS[0].hex(),
    "a link that is no CID": "d82a4100",
    "bytes after the CID in a link": "d82a582600" + LINKS[0].hex() + "00",
}


@pytest.mark.parametrize("data", CBOR_REFUSED.values(), ids=CBOR_REFUSED.keys())
def test_dag_cbor_has_one_form(data: str) -> None:
    """DAG-CBOR spec, "Strictness": everything else is BadNode."""
    with pytest.raises(BadNode):
        ipld.decode(DAG_CBOR, bytes.fromhex(data))


JSON_REFUSED: list[bytes | str] = [
    *(
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1,]",
        "[,1]",
        "[1 2]",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        "{a:1}",
        "{1:1}",
        '{"a":1 "b":2}',
    ),
    *("01", "1.", ".5", "+1", "1e", "- 1", "0x1", "NaN", "Infinity", "-Infinity", "1e999", "1_000", "\u0661"),
    *("nul", "True", "truefalse", "1 2", '"a', '"\n"', '"\\x"', '"\\u12"', "'a'", '"\\ud800"', '"\\udc00\\ud800"'),
    *("[1]]", '{"a":1}}', "[}", "{]", "/* c */ 1", '{"a":1,"a":2}', "\ufeff1", "1" * 21, "-" + "9" * 30, str(2**64)),
    *('{"/":"x"}', '{"/":""}', '{"/":{"bytes":"A"}}', '{"/":{"bytes":"A*=="}}', '{"/":{"bytes":"=" }}', "[[1,2}"),
    b'"\xff"',
]


@pytest.mark.parametrize("data", JSON_REFUSED)
def test_json_that_is_refused(data: bytes | str) -> None:
    """RFC 8259, and what the data model cannot hold."""
    with pytest.raises(BadNode):
        ipld.decode(DAG_JSON, data if isinstance(data, bytes) else data.encode())


@pytest.mark.parametrize(
    "value",
    [{}, {"Links": 1}, {"Links": [], "x": 1}, {"Links": [], "Data": "text"}, {"Links": [], "Data": LINKS[0]}, [], b""]
    + [{"Links": [link]} for link in (1, {}, {"Hash": b"x"}, {"Hash": LINKS[0], "Name": 1}, {"Hash": LINKS[0], "y": 1})]
    + [{"Links": [{"Hash": LINKS[0], "Tsize": size}]} for size in (-1, 2**63, True, 1.0, None)]
    + [{"Links": [{"Hash": LINKS[0], "Name": "\ud800"}]}, {"Links": [], "Data": None}],
)
def test_what_is_no_dag_pb(value: Any) -> None:
    """The schema is strict: another key, another kind, a negative size."""
    with pytest.raises(BadNode):
        ipld.encode(DAG_PB, value)


@pytest.mark.parametrize("codec", [DAG_CBOR, DAG_JSON])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**64, -(2**64) - 1, "\ud800", {"\udfff": 1}])
def test_values_without_a_form(codec: int, value: Any) -> None:
    """Numbers past 64 bits, and what is no number or no text."""
    with pytest.raises(BadNode):
        ipld.encode(codec, [value])


@given(st.sampled_from([DAG_PB, DAG_CBOR, DAG_JSON, CBOR, JSON]), st.binary(max_size=200))
def test_noise_is_a_value_or_refused(codec: int, noise: bytes) -> None:
    """Any bytes: a value, BadNode or LimitExceeded; a value that DAG-CBOR gives is written back as it was."""
    with contextlib.suppress(ContentError):
        value = ipld.decode(codec, noise)
        if codec == DAG_CBOR:
            assert ipld.encode(DAG_CBOR, value) == noise
    with contextlib.suppress(ContentError):
        ipld.links(codec, noise)


@given(st.text(alphabet='{}[]",:/0123456789.eE+-\\u truefalsnbyd\n', max_size=60))
def test_nearly_json_is_read_as_python_does_or_refused(text: str) -> None:
    """Where both take it, they agree; we take nothing that Python refuses."""
    try:
        value = ipld.decode(JSON, text.encode())
    except ContentError:
        return
    assert json.loads(text) == value


# ---- limits

DEEP: dict[int, tuple[Callable[[int], bytes], Callable[[int], bytes]]] = {
    DAG_CBOR: (lambda n: b"\x81" * (n - 1) + b"\x80", lambda n: b"\xa1\x61a" * n + b"\x00"),
    DAG_JSON: (lambda n: b"[" * n + b"]" * n, lambda n: b'{"a":' * n + b"0" + b"}" * n),
}


@pytest.mark.parametrize("codec", [DAG_CBOR, DAG_JSON])
def test_depth_of_a_node(codec: int) -> None:
    """1,024 lists or maps in each other are read and written again; one more is refused."""
    for make in DEEP[codec]:
        value = ipld.decode(codec, make(NODE_DEPTH))
        for to in (DAG_CBOR, DAG_JSON):
            assert ipld.encode(to, ipld.decode(to, ipld.encode(to, value))) == ipld.encode(to, value)
        with pytest.raises(LimitExceeded, match="depth of a node"):
            ipld.decode(codec, make(NODE_DEPTH + 1))


@pytest.mark.parametrize("codec", [DAG_CBOR, DAG_JSON])
def test_values_of_a_node(codec: int) -> None:
    """65,536 values, the list that holds them counted; one more is refused."""
    fits = ipld.encode(codec, [0] * (NODE_VALUES - 1))
    value = ipld.decode(codec, fits)
    assert isinstance(value, list)
    assert len(value) == NODE_VALUES - 1
    with pytest.raises(LimitExceeded, match="values of a node"):
        ipld.decode(codec, ipld.encode(codec, [0] * NODE_VALUES))


HOSTILE = {
    "10 KiB of lists in lists": (DAG_CBOR, "b'\\x81' * 10240"),
    "2 MiB of lists in lists": (DAG_CBOR, "b'\\x81' * (2 << 20)"),
    "2 MiB of maps in maps": (DAG_CBOR, "b'\\xa1\\x61a' * 699_000"),
    "a list of 2^64 - 1": (DAG_CBOR, "b'\\x9b' + b'\\xff' * 8"),
    "a text of 2^64 - 1": (DAG_CBOR, "b'\\x7b' + b'\\xff' * 8"),
    "lists that each promise all that is left": (DAG_CBOR, "b'\\x9a\\x00\\x0f\\xff\\xff' * 400_000"),
    "2 MiB of empty lists": (DAG_CBOR, "b'\\x9a\\x00\\x1f\\xff\\x00' + b'\\x80' * 0x1FFF00"),
    "endless tags": (DAG_CBOR, "b'\\xd8\\x2a' * (1 << 20)"),
    "2 MiB of opened lists": (DAG_JSON, "b'[' * (2 << 20)"),
    "2 MiB of opened maps": (DAG_JSON, "b'{\"a\":' * 419_000"),
    "2 MiB of digits": (DAG_JSON, "b'1' * (2 << 20)"),
    "2 MiB of digits behind a point": (DAG_JSON, "b'[0.' + b'1' * (2 << 20)"),
    "2 MiB of spaces": (DAG_JSON, "b' ' * (2 << 20)"),
    "2 MiB of escapes": (DAG_JSON, "b'\"' + b'\\\\n' * (1 << 20)"),
    "2 MiB of empty lists, as text": (DAG_JSON, "b'[' + b'[],' * 699_000"),
    "a link of 2 MiB": (DAG_JSON, "b'{\"/\":\"b' + b'a' * (2 << 20) + b'\"}'"),
}
PROGRAM = """
import resource, time
from content.errors import ContentError
from content.ipld import decode
data = {data}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode({codec}, data)
except ContentError:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(("codec", "data"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_blocks_are_a_clean_error(codec: int, data: str) -> None:
    """In a process of its own: refused, no recursion, no signal, memory bounded by a small multiple of the block."""
    program = PROGRAM.format(codec=codec, data=data)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64


@pytest.mark.parametrize("number", [1e20, -1e20, 2.0**64, -(2.0**65), 999999999999999900000.0, -1.6717361816799281e19])
def test_a_whole_float_past_64_bits_comes_back_from_json(number: float) -> None:
    """It is written as plain digits, as ECMAScript does; those were refused when read (found by fuzzing)."""
    written = ipld.encode(DAG_JSON, [number])
    (again,) = ipld.decode(DAG_JSON, written)
    assert float(again) == number
    assert ipld.encode(DAG_JSON, [again]) == written


def test_an_integer_past_64_bits_is_refused() -> None:
    """2^64 is no float's shortest digits."""
    for text in (b"18446744073709551616", b"-18446744073709551617", b"1" + b"0" * 21, b"9" * 400):
        with pytest.raises(BadNode):
            ipld.decode(DAG_JSON, text)
