"""Denylists: any text is read or refused, however it is cut, and what is denied is what a look at every rule finds.

An input is a list, a path and a name, with NUL between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from content.cid import CID, DAG_PB, LIBP2P_KEY, RAW, base58
from content.denyfile import PROBLEMS_TOLD, BadDenylist, Reader, read
from content.denylists import Denylists
from content.denyrule import HASH, IPFS, IPNS, BadRule, Rule, ipns_name
from content.errors import ContentError, LimitExceeded

STEPS = (9_000, 900)
ROOT = CID.of(DAG_PB, b"root")
V0 = CID(ROOT.multihash)
OTHER = CID.of_digest(RAW, ROOT.digest)


def check(data: bytes, thorough: bool) -> None:
    text, path, name = (*data.split(b"\0", 2), b"", b"")[:3]
    segments = path.decode("utf-8", "replace").split("/")
    named = name.decode("utf-8", "replace")
    try:
        reader = read(text)
    except (BadDenylist, LimitExceeded):
        return
    assert len(reader.problems) == min(reader.malformed, PROBLEMS_TOLD)
    assert all(1 <= line <= text.count(b"\n") + 1 and why for line, why in reader.problems)
    lists = Denylists((reader.list,))
    rules = list(_rules(text, reader))
    found = lists.refusal_of_path(ROOT, segments) is not None
    assert found == _plain(rules, IPFS, ROOT.multihash, segments)
    assert {lists.refusal_of_path(cid, segments) is not None for cid in (V0, OTHER)} == {found}
    whole = lists.refusal(ROOT) is not None
    assert whole == _plain(rules, IPFS, ROOT.multihash, [])
    try:
        key = ipns_name(named)
    except BadRule:
        assert lists.refusal_of_name(named, segments) is None
    else:
        assert (lists.refusal_of_name(named, segments) is not None) == _plain(rules, IPNS, key, segments)
    if thorough:
        _cut(text, reader)
        for rule in rules:
            assert Rule.parse(str(rule)) == rule


def _rules(text: bytes, reader: Reader) -> Iterator[Rule]:
    """The rules again, by a simple reading: what stands below the header, line by line."""
    lines = text.split(b"\n")
    marks = [number for number, line in enumerate(lines[:-1]) if line.rstrip(b" \t\r") == b"---"]
    if not marks and lines[-1].rstrip(b" \t\r") == b"---":
        marks = [len(lines) - 1]
    for line in lines[marks[0] + 1 :] if marks else lines:
        try:
            words = [word.decode() for word in line.split()]
            if words and not words[0].startswith("#"):
                yield Rule.parse(words[0])
        except (ContentError, UnicodeDecodeError):
            continue


def _plain(rules: list[Rule], space: str, name: bytes | str, segments: list[str]) -> bool:
    """Whether the last rule that is about it denies it."""
    path = "/".join(segments).strip("/")
    hashes = {sha256(text.encode()).digest() for text in _texts(space, name, path)}
    for rule in reversed(rules):
        if rule.space == HASH:
            about = rule.name in hashes
        else:
            about = (rule.space, rule.name) == (space, name) and (
                not rule.path or path == rule.path or (rule.prefix and path.startswith(rule.path))
            )
        if about:
            return not rule.allow
    return False


def _texts(space: str, name: bytes | str, path: str) -> set[str]:
    """What double hashes are of, as the format says it."""
    if isinstance(name, str):
        modern, legacy = f"/ipns/{name}", [name]
    else:
        modern = base58(name)
        codecs = (LIBP2P_KEY,) if space == IPNS else (DAG_PB, RAW)
        legacy = [str(CID(bytes((1, codec)) + name)) for codec in codecs]
    told = {modern, *(f"{text}/" for text in legacy)}
    if path:
        below = legacy[:1] if space == IPFS else legacy
        told |= {f"{modern}/{path}", *(f"{text}/{path}" for text in below)}
    return told


def _cut(text: bytes, whole: Reader) -> None:
    """Piece by piece it is the same list."""
    reader, size = Reader("list"), 1 + len(text) % 7
    for start in range(0, len(text), size):
        list(reader.feed(text[start : start + size]))
    list(reader.end())
    assert (len(reader.list), reader.problems, reader.malformed) == (len(whole.list), whole.problems, whole.malformed)


def seeds() -> Iterator[bytes]:
    root, a58 = str(ROOT), base58(ROOT.multihash)
    files: tuple[tuple[str, str, str], ...] = (
        (f"/ipfs/{root}\n", "", ""),
        (f"version: 1\nname: x\nhints:\n  status: 451\n---\n/ipfs/{a58}/*\n!/ipfs/{root}/a\n", "a", ""),
        (f"/ipfs/{root}/a/b*\n!/ipfs/{root}/a/bc\n/ipfs/{root}/a/bcd", "a/bcd", ""),
        (f"!/ipfs/{root}\n# no\n\n/ipfs/{root} status:410 reason:%20", "x", ""),
        ("/ipns/d.example\n!/ipns/D.example.\n/ipns/d.example/p%2A*", "p*", "d.EXAMPLE"),
        (f"//{sha256(f'{root}/'.encode()).hexdigest()}\n", "", ""),
        (f"//{sha256(f'{root}/a/b'.encode()).hexdigest()}\n", "a/b", ""),
        ("//" + base58(b"\x12\x20" + sha256(f"{a58}/a".encode()).digest()), "a", ""),
        ("//" + base58(b"\x12\x20" + sha256(b"/ipns/d.example").digest()), "", "d.example"),
        ("version: 2\n---\n", "", ""),
        ("--- \r\nnonsense\n/ipfs/x\n//zz\n!\n/ipns/", "", "-"),
        ("/ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8/p", "p", "12D3KooWDkNq"),
    )
    for parts in files:
        yield "\0".join(parts).encode()
