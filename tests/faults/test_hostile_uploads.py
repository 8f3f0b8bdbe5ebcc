"""Hostile uploads to a real origin: CAR bombs, lies, cuts. Each gets an answer, within a memory that is known.

Actors: an origin, a publisher with a token that means harm, and an honest one after it. Not here: hostile content that
edges meet (test_hostile_content), the reader by itself (tests/content/test_car, tests/fuzz).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from content import car
from content.block import Block
from content.cid import CID, DAG_PB, RAW, write_varint
from content.limits import CAR_HEADER, CAR_SECTION
from tests.kit import bombs
from tests.kit.memory import MiB, peak
from tests.kit.nodes import Origin

MOST = 200 * MiB
MILLION = 1_000_000
BLOCKS = [Block.make(RAW, b"block %d" % n) for n in range(40)]
TINY = Block.make(RAW, b"")
ZEROS = bytes(MiB)


@dataclass
class Answer:
    status: int
    body: dict[str, Any]


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    it = Origin(tmp_path / "origin")
    it.start()
    try:
        yield it
        print(f"\nthe origin's peak: {peak(it) / MiB:.0f} MiB", end="")
    finally:
        it.stop()


def announce(origin: Origin, cids: bytes, site: str = "demo") -> Answer:
    return post(origin, f"/api/v1/sites/{site}/missing", [cids])


def post(origin: Origin, path: str, pieces: Iterable[bytes]) -> Answer:
    """Send a body in chunks, for as long as it is taken; what the origin says. It may say so before the end."""
    address = urlsplit(origin.url)
    with socket.create_connection((address.hostname, address.port), 120) as sock:
        head = f"POST {path} HTTP/1.1\r\nHost: origin\r\nAuthorization: Bearer {origin.token}\r\nConnection: close\r\n"
        try:
            sock.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
            for piece in pieces:
                if piece:
                    sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            sock.sendall(b"0\r\n\r\n")
        except ConnectionError:
            pass  # it has heard enough; what it said is there to be read
        said = b""
        try:
            while got := sock.recv(1 << 16):
                said += got
        except ConnectionError:
            pass
    first, _, body = said.partition(b"\r\n\r\n")
    return Answer(int(first.split(b" ")[1]), json.loads(body))


def lease(origin: Origin, blocks: Iterable[Block]) -> str:
    answer = announce(origin, b"".join(block.cid for block in blocks))
    assert answer.status == 200, answer
    return str(answer.body["lease"])


def send(origin: Origin, lease_id: str, pieces: Iterable[bytes]) -> Answer:
    return post(origin, f"/api/v1/leases/{lease_id}/blocks", pieces)


def repeated(piece: bytes, count: int) -> Iterator[bytes]:
    """So many of these, in pieces of about a mebibyte."""
    each = max(1, MiB // len(piece))
    for at in range(0, count, each):
        yield piece * min(each, count - at)


def identity(data: bytes) -> bytes:
    """The section of an identity CID: the data stands in the name."""
    return car.section(CID(bytes((1, RAW, 0)) + write_varint(len(data)) + data), data)


HEADER = car.header([])
CUT_HASH = CID(bytes((1, RAW, 0x12, 20)) + sha256(b"").digest()[:20])
BOMBS: dict[str, tuple[tuple[bytes, ...], int, str]] = {  # prefix, how many pieces of zeros follow, what is said of it
    "a header of 2^62 bytes": ((write_varint(1 << 62),), 64, "CAR header"),
    "a header just over its limit": ((write_varint(CAR_HEADER + 1),), 2, "CAR header"),
    "a header of 64 KiB of 0x81": ((write_varint(CAR_HEADER), b"\x81" * CAR_HEADER), 0, "DAG-CBOR"),
    "a header whose roots are a billion": ((b"\x12\xa2\x65roots\x9a\x3b\x9a\xca\x00gversion",), 2, "DAG-CBOR"),
    "a section of 2^40 bytes": ((HEADER, write_varint(1 << 40)), 64, "CAR section"),
    "a section just over its limit": ((HEADER, write_varint(CAR_SECTION + 1)), 4, "CAR section"),
    "a length without end": ((HEADER, b"\xff" * 64), 0, "9 bytes"),
    "sections of no bytes": ((HEADER,), 8, "no bytes"),
    "CAR v2": ((bytes.fromhex("0aa16776657273696f6e02"),), 8, "CAR v2"),
    "an identity CID of 129 bytes": ((HEADER, identity(bytes(129))), 0, "129 bytes"),
    "an identity CID of 1 MiB": ((HEADER, identity(ZEROS)), 0, "bytes for hash 0x0"),
    "bytes that do not hash": ((HEADER, car.section(BLOCKS[0].cid, b"something else")), 0, str(BLOCKS[0].cid)),
    "a hash that is cut": (
        (HEADER, car.section(CUT_HASH, b"")), 0, "20 bytes",
    ),
}  # fmt: skip


def test_bombs_are_refused_by_their_first_bytes(origin: Origin) -> None:
    """Each bomb: 4xx that says why, whatever follows; the peak of the process stays below 200 MiB, and an honest upload
    after all of them is taken."""
    for name, (prefix, more, says) in BOMBS.items():
        answer = send(origin, lease(origin, BLOCKS), (*prefix, *[ZEROS] * more))
        assert answer.status in (400, 413, 422), (name, answer)
        assert says in answer.body["message"], (name, answer)
        assert peak(origin) <= MOST, (name, peak(origin))
    _still_takes(origin)


def test_a_million_tiny_sections(origin: Origin) -> None:
    """A million times one announced block of no bytes is one block; a million and a half sections of five bytes each,
    none of them announced, are refused. Both within 200 MiB, though a section costs more to hold than to send."""
    claim = lease(origin, [TINY, *BLOCKS])
    answer = send(origin, claim, [HEADER, *repeated(car.section(TINY.cid, b""), MILLION)])
    assert (answer.status, answer.body.get("blocks"), answer.body.get("new")) == (200, MILLION, 1), answer
    assert peak(origin) <= MOST, peak(origin)
    answer = send(origin, claim, [HEADER, *repeated(identity(b""), 3 * MILLION // 2)])
    assert (answer.status, answer.body["error"]) == (422, "not_announced"), answer
    assert peak(origin) <= MOST, peak(origin)
    _still_takes(origin)


def test_an_announcement_of_ten_million_names(origin: Origin) -> None:
    """40 MiB of four-byte identity CIDs: refused before a name of them is made; and one byte too much likewise."""
    answer = announce(origin, b"\x01\x55\x00\x00" * (10 * MiB))
    assert (answer.status, answer.body["error"]) == (413, "too_large"), answer
    assert peak(origin) <= MOST, peak(origin)
    _still_takes(origin)


def test_cuts_and_orders(origin: Origin) -> None:
    """Cut inside a section: 4xx, and what came before is kept. Backwards, doubled, under another header's roots: taken,
    for a block proves itself."""
    stream = car.write([], BLOCKS)
    answer = send(origin, lease(origin, BLOCKS), [stream[: len(stream) // 2]])
    assert answer.status in (400, 422), answer
    assert "ends inside" in answer.body["message"]
    left = announce(origin, b"".join(block.cid for block in BLOCKS)).body["missing"]
    assert 0 < len(left) < len(BLOCKS)
    assert left == list(range(left[0], len(BLOCKS)))
    backwards = car.write([CID.of(DAG_PB, b"no root of these")], [*reversed(BLOCKS), *BLOCKS])
    answer = send(origin, lease(origin, BLOCKS), [backwards])
    assert (answer.status, answer.body["new"]) == (200, len(left)), answer
    assert announce(origin, b"".join(block.cid for block in BLOCKS)).body["missing"] == []


def chain(depth: int) -> bytes:
    """A file of so many nodes, each the only child of the next, parents first."""
    blocks: list[Block] = []
    top = bombs.leaf(b"end", blocks.append)
    for _ in range(depth):
        top = bombs.file_node([top], [3], blocks.append)
    return car.write([top], blocks[::-1])


def doubling() -> bytes:
    blocks: list[Block] = []
    return car.write([bombs.doubling_file(40, blocks.append)], blocks)


FILES: dict[str, tuple[bytes, int, str]] = {  # a CAR file, the exit code of `rim pin --car`, what is said
    "a header of 2^62 bytes": (write_varint(1 << 62) + ZEROS, 2, "name a CAR file"),
    "a header of 64 KiB of 0x81": (write_varint(CAR_HEADER) + b"\x81" * CAR_HEADER, 2, "is no CAR"),
    "a section of 2^40 bytes": (HEADER + write_varint(1 << 40) + ZEROS, 2, "name a CAR file"),
    "cut": (car.write([], BLOCKS)[:-1], 2, "ends inside a section"),
    "bytes that do not hash": (HEADER + car.section(BLOCKS[0].cid, b"something else"), 3, "do not hash"),
    "a block over 2 MiB": (
        HEADER + car.section(CID.of(RAW, bytes(2 * MiB + 1)), bytes(2 * MiB + 1)), 3, "over the limit",
    ),
    "an identity CID of 129 bytes": (HEADER + identity(bytes(129)), 0, "left out 1 block"),
    "identity CIDs by the 100,000": (HEADER + identity(b"") * 100_000, 0, "pinned 0 roots"),
    "one block 100,000 times": (HEADER + car.section(TINY.cid, b"") * 100_000, 0, "1 block sent"),
    "10 KiB of 0x81": (HEADER + car.section(bombs.nested_cbor(10_240).cid, b"\x81" * 10_240), 0, "left out 1 block"),
    "a chain of 5,000 nodes": (chain(5_000), 0, "pinned 1 root"),
    "2^40 bytes in 41 blocks": (doubling(), 0, "41 blocks sent"),
}  # fmt: skip


# Writes at the end what its own memory came to. Not ru_maxrss: that begins with what the parent had when it forked.
_MEASURED = r"""
import os, pathlib, re, runpy, sys
report, end = pathlib.Path(sys.argv.pop(1)), os._exit
def leave(code):
    report.write_text(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1])
    end(code)
os._exit = leave  # how `rim` ends
runpy.run_module("rim", run_name="__main__")
"""


def test_car_files_of_anybody(origin: Origin, tmp_path: Path) -> None:
    """`rim pin --car` of each: an exit code and a sentence, and neither it nor the origin takes more than 200 MiB."""
    env = {**os.environ, "RIM_ORIGIN": origin.url, "RIM_TOKEN": origin.token}
    path = tmp_path / "hostile.car"
    for name, (data, code, says) in FILES.items():
        path.write_bytes(data)
        command = [sys.executable, "-c", _MEASURED, str(tmp_path / "peak"), "pin", "--car", str(path)]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert (done.returncode, says in done.stdout) == (code, True), (name, done.stdout)
        assert "Traceback" not in done.stdout, (name, done.stdout)
        own = (tmp_path / "peak").read_text()
        assert int(own) * 1024 <= MOST, (name, own)
        assert peak(origin) <= MOST, (name, peak(origin))
    _still_takes(origin)


def _still_takes(origin: Origin) -> None:
    """An honest upload of blocks that nobody has sent."""
    blocks = [Block.make(RAW, b"honest %d" % origin.port + bytes((n,))) for n in range(3)]
    answer = send(origin, lease(origin, blocks), [car.write([], blocks)])
    assert answer.status == 200, answer
    assert answer.body["blocks"] == 3
