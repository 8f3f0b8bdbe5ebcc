"""`rim pin --car`: what a CAR from anywhere holds, as far as it goes, through a real origin."""

from __future__ import annotations

import json
from hashlib import sha512
from pathlib import Path

import pytest

from content import car, unixfs
from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_JSON, DAG_PB, RAW, write_varint
from content.dagpb import DIRECTORY, Data, PBLink, encode, encode_data
from rim.carfile import look
from rim.exits import Usage
from tests.kit.nodes import Origin
from tests.rim.conftest import Shell

LEAVES = [Block.make(RAW, text) for text in (b"one", b"two", b"three")]


def folder_of(*leaves: Block) -> Block:
    links = [PBLink(f"f{n}", leaf.cid, len(leaf.data)) for n, leaf in enumerate(leaves)]
    return Block.make(DAG_PB, encode(links, encode_data(Data(DIRECTORY))))


def foreign(data: bytes) -> tuple[CID, bytes]:
    """A block of a hash that is not kept here."""
    return CID(b"\x01\x55\x13\x40" + sha512(data).digest()), data


def written(path: Path, roots: list[CID], *sections: Block | tuple[CID, bytes]) -> Path:
    pairs = [(part.cid, part.data) if isinstance(part, Block) else part for part in sections]
    path.write_bytes(b"".join((car.header(roots), *(car.section(cid, data) for cid, data in pairs))))
    return path


def test_tops_are_found_by_looking(tmp_path: Path) -> None:
    """Whatever the header says: what no other block links to. What is not kept here is left out, and said."""
    whole = folder_of(*LEAVES[:2])
    odd_cid, odd = foreign(b"x")
    bad = Block.make(DAG_PB, encode([PBLink("x", odd_cid, 1)], encode_data(Data(DIRECTORY))))
    file = written(tmp_path / "a.car", [LEAVES[0].cid], *LEAVES, whole, (odd_cid, odd), bad)
    found = look(file)
    assert found.tops == [LEAVES[2].cid, whole.cid]
    assert set(found.places) == {whole.cid, *(leaf.cid for leaf in LEAVES)}
    assert sorted(found.left_out.values()) == [1, 1]
    assert found.load(LEAVES[1].cid) == b"two"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no car at all",
        car.header([])[:-1],
        car.header([]) + b"\x05abc",
        car.header([]) + b"\xff\xff\xff\xff\x7f",
        write_varint(11) + bytes.fromhex("a16776657273696f6e02"),
    ],
)
def test_what_is_no_car(tmp_path: Path, data: bytes) -> None:
    """Refused before anything is sent, with a sentence."""
    file = tmp_path / "a.car"
    file.write_bytes(data)
    with pytest.raises(Usage, match=r"a\.car"):
        look(file)


def test_a_car_is_pinned(user: Shell, origin: Origin, tmp_path: Path) -> None:
    """Whole or in part; it survives a collection; a node may show it, whatever its codec, but for our own blocks."""
    note = Block.make(DAG_CBOR, car.header([])[1:])
    data = Block.make(DAG_JSON, b'{"a":{"/":"%s"}}' % str(LEAVES[0].cid).encode())
    whole, part = folder_of(*LEAVES[:2]), folder_of(LEAVES[0], Block.make(RAW, b"absent"))
    first = written(tmp_path / "first.car", [], note, data, whole, *LEAVES)
    second = written(tmp_path / "second.car", [part.cid], part)
    done = user.rim("pin", "--car", first, "--car", second, "--json")
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert said[0]["pinned"] == [str(block.cid) for block in (note, data, whole, LEAVES[2])]
    assert (said[0]["partial"], said[0]["blocks_sent"]) == ([], 6)
    assert said[1]["partial"] == [str(part.cid)]
    again = json.loads(user.rim("pin", "--car", first, "--json").stdout)
    assert again["blocks_sent"] == 0
    user.result("gc")
    kept = {pin["cid"]: pin.get("partial") for pin in user.result("pins")["pins"]}  # among others
    made = {**{str(block.cid): None for block in (note, data, whole, LEAVES[2])}, str(part.cid): True}
    assert made.items() <= kept.items()
    node = origin.node_token()
    for cid, public in (
        (note.cid, True),
        (data.cid, True),
        (LEAVES[1].cid, True),
        (part.cid, True),
        (CID.of(RAW, b"absent"), False),
        (CID.of(RAW, b"never heard of"), False),
        (CID.of(RAW, note.data), False),  # the same bytes under another codec are in another room
    ):
        answer = origin.api("GET", f"/public/{cid}", token=node)
        assert json.loads(answer.body) == {"public": public}, cid


def test_a_release_that_somebody_pinned_is_shown_to_nobody(user: Shell, origin: Origin, tmp_path: Path) -> None:
    """Its Root is public, the Release and its Index never are."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("x")
    made = user.result("publish", folder, "--site", "shown")
    user.result("pin", made["release"])
    node = origin.node_token("two")
    shown = {word: origin.api("GET", f"/public/{made[word]}", token=node).body for word in ("root", "release")}
    assert {word: json.loads(body)["public"] for word, body in shown.items()} == {"root": True, "release": False}
    assert origin.api("GET", f"/public/{made['root']}", token=user.env["RIM_TOKEN"]).status == 200, "an admin is a node"


def test_pin_needs_one_thing_to_pin(user: Shell, tmp_path: Path) -> None:
    assert user.rim("pin").returncode == 2
    cid = str(unixfs.file(b"x", lambda block: None).cid)
    assert user.rim("pin", cid, "--car", tmp_path / "a.car").returncode == 2
    missing = user.rim("pin", "--car", tmp_path / "none.car")
    assert (missing.returncode, "none.car" in missing.stderr) == (2, True)
