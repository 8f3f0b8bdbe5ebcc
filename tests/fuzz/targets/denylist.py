"""Denylists: any text is read in any slices the same, and the last rule about a thing decides, however it is spelt.

Two ways in: bytes as they are, and rules that are put together from choices, beside a model that applies them in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from content import denyfile
from content.cid import CID, DAG_CBOR, DAG_PB, RAW, base58
from content.denylist import Asked, Terms
from content.denyrule import Rule
from content.errors import ContentError
from tests.fuzz.taking import Taking

STEPS = (40_000, 600)
_CIDS = tuple(CID.of(RAW, bytes((n,))) for n in range(3))
_PATHS = ("", "a", "a/b", "ab", "é x")
_PROBES = tuple((cid, path) for cid in _CIDS for path in _PATHS)


def check(data: bytes, thorough: bool) -> None:
    taking = Taking(data)
    mode = taking.byte()
    if mode & 1:
        _model(taking, mode >> 1 & 7, thorough)
        return
    text, step = taking.rest(), 1 + (mode >> 1) % 40
    whole = _read(text, len(text) or 1)
    if thorough or len(text) < 64:
        assert _read(text, step) == whole, "other slices, another list"


def _read(text: bytes, step: int) -> object:
    """All that a list says, or the fault it ends in."""
    reader = denyfile.Reader("list")
    try:
        for at in range(0, len(text), step):
            for _ in reader.feed(text[at : at + step]):
                pass
        for _ in reader.end():
            pass
    except ContentError as fault:
        return type(fault).__name__
    rules = reader.list
    assert reader.malformed >= len(reader.problems)
    told = [rules.terms_of(Asked.of_path(_CIDS[0], path.split("/"))) for path in ("", "a/b")] if rules else []
    return reader.title, rules.status, len(rules), reader.problems, told, rules.terms_of(Asked.of_name("example.com"))


def _model(taking: Taking, spelling: int, thorough: bool) -> None:
    """Rules about few things, in turn; what the model says of each is what the list says, in every spelling."""
    lines: list[str] = []
    said: dict[tuple[CID, str], bool] = {}
    while not taking.is_over and len(lines) < 6:
        choice, cid, path = taking.byte(), _CIDS[taking.byte() % 3], _PATHS[taking.byte() % 5]
        allow, prefix = bool(choice & 1), bool(choice & 2)
        lines.append("!" * allow + _line(cid, path, prefix, choice >> 2))
        for asked in _PROBES:
            if asked[0] == cid and (not path or asked[1] == path or (prefix and asked[1].startswith(path))):
                said[asked] = not allow
    found = denyfile.read("\n".join(lines).encode())
    assert not found.problems, found.problems
    for line in lines if thorough else lines[-1:]:
        assert str(Rule.parse(str(Rule.parse(line)))) == str(Rule.parse(line))
    for cid, path in _PROBES if thorough else _PROBES[spelling % 3 * 5 :][:4]:
        asked = Asked.of_path(_spelt(cid, spelling), path.split("/"))
        assert _denies(found.list.terms_of(asked)) == said.get((cid, path), False), (lines, path)


def _denies(terms: Terms | None) -> bool:
    return terms is not None and not terms.allow


def _line(cid: CID, path: str, prefix: bool, how: int) -> str:
    if not path and how & 3 == 1 and not prefix:
        return f"//{sha256(base58(cid.multihash).encode()).hexdigest()}"
    quoted = path.replace(" ", "%20")
    return f"/ipfs/{_spelt(cid, how)}{'/' + quoted if path or prefix else ''}{'*' * prefix}"


def _spelt(cid: CID, how: int) -> CID:
    """The same bytes, called by another name."""
    return (cid, CID(cid.multihash), CID.of_digest(DAG_PB, cid.digest), CID.of_digest(DAG_CBOR, cid.digest))[how % 4]


def seeds() -> Iterator[bytes]:
    cid = str(_CIDS[0])
    lines = f"/ipfs/{cid}\n!/ipfs/{cid}/a*\n//{'ab' * 32}\n/ipns/example.com reason:x%20y status:451\n"
    header = "version: 1\nname: bad bits\nhints:\n  gateway_status: 451\n---\n"
    for text in (
        lines,
        header + lines,
        "version: 2\n---\n",
        "---\n",
        "# no\n\n/x\n",
        f"/ipfs/{cid}/%zz\n/ipfs/{cid}/\xe9",
    ):
        yield b"\x06" + text.encode()
    for n in range(6):
        yield bytes((1 | n << 1, n, n, 0, n | 1, n, 1, n | 2, n, 2, 4 | n, n, 0, 5, n, 0))
    yield b"\x08" + b"//" + b"zz" * 32 + b"\n" + b"x" * 200
