"""Denylist: the rules of one list, ready to be asked, within a memory that is known.

Here lives what one list says of a block, a path or a name: the last rule that is about it wins (compact denylist
format, "Negated rules"). Not here: a rule's grammar (content/denyrule), reading a file of them (content/denyfile),
several lists together (content/denylists).

Rules about whole blocks and double hashes, which long lists consist of, are digests (content/digests); what names a
path or a domain is kept as it is. Which of two rules came later is told by their turn: it counts how often deny and
allow have taken turns, and rules of one turn do not contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from content.cid import CID, DAG_PB, LIBP2P_KEY, RAW, base58, write_varint
from content.denyrule import HASH, IPFS, IPNS, Rule
from content.digests import Digests
from content.limits import DENYLIST_ENTRIES, DENYLIST_PATHS, DENYLIST_TERMS, check

GONE: Final = 410  # what is denied answers so unless a hint says 451
STATUSES: Final = (410, 451)  # RFC 9110 §15.5.11, RFC 7725
_SHA256 = b"\x12\x20"


class Terms(NamedTuple):
    """What a rule says. `turn`: the higher, the later in its list."""

    turn: int
    allow: bool = False
    status: int = GONE
    reason: str = ""


class Asked:
    """A question, with the digests that double hashes would have of it: made once, for all lists, if any has such."""

    __slots__ = ("_hashes", "_texts", "name", "path", "space")

    def __init__(self, space: str, name: bytes | str, path: str, texts: Iterable[str]) -> None:
        """`texts`: what a double hash of this is the SHA-256 of, in any of the spellings."""
        self.space = space
        self.name = name
        self.path = path
        self._texts = texts
        self._hashes: tuple[bytes, ...] | None = None

    @classmethod
    def of_block(cls, cid: CID) -> Asked:
        return cls(IPFS, cid.multihash, "", _block_texts(cid))

    @classmethod
    def of_path(cls, root: CID, segments: Sequence[str]) -> Asked:
        path = "/".join(segments).strip("/")
        return cls(IPFS, root.multihash, path, _path_texts(root, path))

    @classmethod
    def of_name(cls, name: bytes | str, segments: Sequence[str] = ()) -> Asked:
        path = "/".join(segments).strip("/")
        return cls(IPNS, name, path, _name_texts(name, path))

    @property
    def hashes(self) -> tuple[bytes, ...]:
        if self._hashes is None:
            self._hashes = tuple(sha256(text.encode()).digest() for text in self._texts)
        return self._hashes


@dataclass(frozen=True, slots=True)
class _PathRule:
    rule: Rule
    terms: Terms


class Denylist:
    """One list. Add rules in their order; ask at any time."""

    def __init__(self, name: str, status: int = GONE) -> None:
        self.name = name
        self.status = status  # of rules that say nothing of it
        self._blocks = Digests()
        self._hashes = Digests()
        self._others: dict[tuple[str, bytes | str], list[_PathRule]] = {}
        self._paths = 0
        self._turn = 0
        self._allows = False
        self._terms: list[Terms] = []
        self._numbers: dict[Terms, int] = {}

    def __len__(self) -> int:
        return len(self._blocks) + len(self._hashes) + self._paths

    def add(self, rule: Rule, status: int | None = None, reason: str = "") -> None:
        """The next rule. Raises LimitExceeded."""
        number = self.number(rule.allow, status, reason)
        if rule.space == HASH:
            assert isinstance(rule.name, bytes)
            self.put_hashes((rule.name,), number)
        elif rule.space == IPFS and not rule.path and rule.name[:2] == _SHA256:
            assert isinstance(rule.name, bytes)
            self._blocks.put((rule.name[2:],), number)
            self._check()
        else:
            self._add_path(rule, self._terms[number])

    def number(self, allow: bool = False, status: int | None = None, reason: str = "") -> int:
        """What digests are put with. It holds until a rule of the other kind is added."""
        if allow != self._allows:
            self._allows = allow
            self._turn += 1
        terms = Terms(self._turn, allow, status or self.status, reason)
        number = self._numbers.get(terms)
        if number is None:
            number = self._numbers[terms] = len(self._terms)
            self._terms.append(terms)
            check("different terms of a denylist", len(self._terms), DENYLIST_TERMS)
        return number

    def put_hashes(self, digests: Iterable[bytes], number: int) -> None:
        """Double hashes, the short way: most lines of a long list are one. Raises LimitExceeded."""
        self._hashes.put(digests, number)
        self._check()

    def _check(self) -> None:
        check("rules of a denylist", len(self), DENYLIST_ENTRIES)

    def _add_path(self, rule: Rule, terms: Terms) -> None:
        self._paths += 1
        check("rules of a denylist that name a path or a name", self._paths, DENYLIST_PATHS)
        self._check()
        self._others.setdefault((rule.space, rule.name), []).append(_PathRule(rule, terms))

    # Asked.

    def terms_of(self, asked: Asked) -> Terms | None:
        """What the last rule about it says; None where there is none."""
        found: list[Terms] = []
        if asked.space == IPFS and asked.name[:2] == _SHA256:
            assert isinstance(asked.name, bytes)
            self._find(self._blocks, asked.name[2:], found)
        others = reversed(self._others.get((asked.space, asked.name), ()))
        found += [other.terms for other in others if other.rule.covers(asked.path)]
        if self._hashes:
            for digest in asked.hashes:
                self._find(self._hashes, digest, found)
        return max(found, key=lambda terms: terms.turn) if found else None

    def _find(self, digests: Digests, digest: bytes, found: list[Terms]) -> None:
        number = digests.get(digest)
        if number is not None:
            found.append(self._terms[number])

    def names_paths_of(self, space: str, name: bytes | str) -> bool:
        """Whether some rule is about a path of this name."""
        return any(other.rule.path for other in self._others.get((space, name), ()))

    def __repr__(self) -> str:
        return f"<Denylist {self.name!r}, {len(self)} rules>"


def _block_texts(cid: CID) -> Iterable[str]:
    """A double hash is of the multihash, or (as badbits lists are) of a CIDv1: of any codec that its bytes have."""
    multihash = cid.multihash
    yield base58(multihash)
    for codec in dict.fromkeys((cid.codec, DAG_PB, RAW)):
        yield f"{_v1(codec, multihash)}/"


def _path_texts(root: CID, path: str) -> Iterable[str]:
    """Of the path, and of the root alone: what is below a denied block cannot be reached."""
    yield from _block_texts(root)
    if path:
        yield f"{base58(root.multihash)}/{path}"
        yield f"{_v1(DAG_PB, root.multihash)}/{path}"
        if root.codec != DAG_PB:
            yield f"{root.v1}/{path}"


def _name_texts(name: bytes | str, path: str) -> Iterable[str]:
    modern, legacy = (base58(name), _v1(LIBP2P_KEY, name)) if isinstance(name, bytes) else (f"/ipns/{name}", name)
    yield from (modern, f"{legacy}/")
    if path:
        yield from (f"{modern}/{path}", f"{legacy}/{path}")


def _v1(codec: int, multihash: bytes) -> CID:
    """The CIDv1 of a codec, whose text is base32."""
    return CID(b"\x01" + write_varint(codec) + multihash)
