"""DAG-PB and the UnixFS message inside it, as bytes: encode and decode, nothing more.

Here lives the one protobuf reader of the house (two messages do not earn a dependency). Not here: how files and
folders are laid out (content/unixfs), nor what a node means to a reader (content/walk).

Specs: IPLD DAG-PB, UnixFS. As go-codec-dagpb, read strictly where laxness makes two readings of one block: a field at
most once, fields of a link in order, no unknown fields; only the order of Links and Data is free, as the spec says.
The UnixFS message is an open protobuf: unknown fields (mode, mtime, later ones) are skipped by wire type.
Nothing recurses, and every length is checked before a byte is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from content.cid import CID, write_varint
from content.errors import BadCID, BadNode
from content.limits import PB_LINKS, check

RAW_DATA, DIRECTORY, FILE, METADATA, SYMLINK, SHARD = range(6)  # UnixFS Data.DataType
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # protobuf wire types; groups (3, 4) are refused


@dataclass(frozen=True, slots=True)
class PBLink:
    """A link: `tsize` is what the sender says of all bytes below it, a hint that nobody may trust."""

    name: str
    cid: CID
    tsize: int


@dataclass(frozen=True, slots=True)
class PBNode:
    links: tuple[PBLink, ...]
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Data:
    """The UnixFS message. `filesize` None where the field is absent; `data` None likewise."""

    kind: int
    data: bytes | None = None
    filesize: int | None = None
    blocksizes: tuple[int, ...] = ()
    hash_type: int | None = None
    fanout: int | None = None


def encode_link(name: bytes, cid: bytes, tsize: int) -> bytes:
    """One entry of Links (field 2 of the node). All three fields are written, empty or not, as boxo does."""
    body = b"\x0a%b%b\x12%b%b\x18%b" % (_length(len(cid)), cid, _length(len(name)), name, _length(tsize))
    return b"\x12%b%b" % (_length(len(body)), body)


def encode_node(encoded_links: Iterable[bytes], data: bytes | None) -> bytes:
    """A node of links that encode_link made, in their order: Links first, then Data, the spec's canonical form."""
    body = b"".join(encoded_links)
    return body if data is None else b"%b\x0a%b%b" % (body, _length(len(data)), data)


def encode(links: Iterable[PBLink], data: bytes | None) -> bytes:
    """A node's bytes. Links are sorted by the bytes of their names, stably, as the DAG-PB spec demands."""
    named = sorted(((link.name.encode(), link) for link in links), key=lambda pair: pair[0])
    return encode_node((encode_link(name, link.cid, link.tsize) for name, link in named), data)


def encode_data(value: Data) -> bytes:
    """The UnixFS message, fields in their numbers' order, blocksizes not packed: bit for bit boxo's."""
    out = [b"\x08", _length(value.kind)]
    if value.data is not None:
        out += (b"\x12", _length(len(value.data)), value.data)
    if value.filesize is not None:
        out += (b"\x18", _length(value.filesize))
    for size in value.blocksizes:
        out += (b"\x20", _length(size))
    if value.hash_type is not None:
        out += (b"\x28", _length(value.hash_type))
    if value.fanout is not None:
        out += (b"\x30", _length(value.fanout))
    return b"".join(out)


def decode(data: bytes) -> PBNode:
    """Read a DAG-PB node. Raises BadNode."""
    links: list[PBLink] = []
    payload: bytes | None = None
    closed = False  # Links are one run: a Data in their midst would make two orders of one node
    for number, wire, start, stop in _fields(data, 0, len(data)):
        if wire != _LENGTH or number not in (1, 2):
            raise BadNode(f"dag-pb: field {number} of wire type {wire}")
        if number == 2:
            if closed:
                raise BadNode("dag-pb: links in two places")
            if len(links) == PB_LINKS:
                check("links of a node", PB_LINKS + 1, PB_LINKS)
            links.append(_decode_link(data, start, stop))
        else:
            if payload is not None:
                raise BadNode("dag-pb: two Data fields")
            payload = data[start:stop]
            closed = bool(links)
    return PBNode(tuple(links), payload)


def written_links(data: bytes) -> list[tuple[CID, str | None, int | None]]:
    """CID, name and tsize of each link of a node that decode() takes, None for a field that is not written: the data
    model (content/ipld) tells an empty name from none."""
    return [_written_link(data, start, stop) for number, _, start, stop in _fields(data, 0, len(data)) if number == 2]


def encode_written(links: Iterable[tuple[CID, str | None, int | None]], data: bytes | None) -> bytes:
    """A node of links of which a name or tsize may not be written, in canonical order."""
    out = []
    for cid, name, tsize in sorted(links, key=lambda link: (link[1] or "").encode()):
        body = b"\x0a%b%b" % (_length(len(cid)), cid)
        if name is not None:
            body += b"\x12%b%b" % (_length(len(name.encode())), name.encode())
        if tsize is not None:
            body += b"\x18%b" % _length(tsize)
        out.append(b"\x12%b%b" % (_length(len(body)), body))
    return encode_node(out, data)


def decode_data(data: bytes) -> Data:
    """Read a UnixFS message. Raises BadNode."""
    once: dict[int, int] = {}
    payload: bytes | None = None
    blocksizes: list[int] = []
    for number, wire, start, stop in _fields(data, 0, len(data)):
        if number > 6:
            continue
        if number == 2 and wire == _LENGTH:
            if payload is not None:
                raise BadNode("unixfs: two Data fields")
            payload = data[start:stop]
        elif number == 4 and wire == _VARINT:
            blocksizes.append(start)
        elif number == 4 and wire == _LENGTH:  # packed: nobody writes it, every protobuf reader accepts it
            at = start
            while at < stop:
                size, at = _varint(data, at, stop)
                blocksizes.append(size)
        elif number in (1, 3, 5, 6) and wire == _VARINT:
            if once.setdefault(number, start) != start:
                raise BadNode(f"unixfs: field {number} twice")
        else:
            raise BadNode(f"unixfs: field {number} of wire type {wire}")
    kind = once.get(1)
    if kind is None or kind > SHARD:
        raise BadNode(f"unixfs: type {kind}")
    return Data(kind, payload, once.get(3), tuple(blocksizes), once.get(5), once.get(6))


def _decode_link(data: bytes, at: int, end: int) -> PBLink:
    """One link. The shape that every writer makes is read without the loop: folders of thousands are decoded often."""
    if end - at > 41 and data[at : at + 2] == b"\x0a\x24" and data[at + 38] == 0x12:
        tail = at + 40 + data[at + 39]
        if data[at + 39] < 0x80 and tail < end and data[tail] == 0x18:
            value, stop = _varint(data, tail + 1, end)
            if stop == end:
                return PBLink(_name(data[at + 40 : tail]), _cid(data, at + 2, at + 38), value)
    return _decode_any_link(data, at, end)


def _decode_any_link(data: bytes, at: int, end: int) -> PBLink:
    cid, name, tsize = _written_link(data, at, end)
    return PBLink(name or "", cid, tsize or 0)


def _written_link(data: bytes, at: int, end: int) -> tuple[CID, str | None, int | None]:
    """A link's fields, None for what is not written."""
    cid: CID | None = None
    name: str | None = None
    tsize: int | None = None
    last = 0
    for number, wire, start, stop in _fields(data, at, end):
        if number <= last:
            raise BadNode("dag-pb: fields of a link are doubled or out of order")
        last = number
        if number == 1 and wire == _LENGTH:
            cid = _cid(data, start, stop)
        elif number == 2 and wire == _LENGTH:
            name = _name(data[start:stop])
        elif number == 3 and wire == _VARINT:
            tsize = start
        else:
            raise BadNode(f"dag-pb: field {number} of wire type {wire} in a link")
    if cid is None:
        raise BadNode("dag-pb: a link without a CID")
    return cid, name, tsize


def _name(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadNode("dag-pb: a link name is not UTF-8") from error


def _cid(data: bytes, start: int, stop: int) -> CID:
    try:
        cid, end = CID.read(data, start)
    except BadCID as error:
        raise BadNode(f"dag-pb: a link's CID: {error}") from error
    if end != stop:
        raise BadNode("dag-pb: a link's CID is of another length than its field")
    return cid


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Every field: number, wire type, and (value, 0) of a varint or (start, stop) of anything else."""
    while at < end:
        tag = data[at]
        if tag < 0x80:
            at += 1
        else:
            tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise BadNode("protobuf: field number 0")
        if wire == _VARINT:
            value, at = _varint(data, at, end)
            yield number, _VARINT, value, 0
            continue
        if wire == _LENGTH:
            size, at = _varint(data, at, end)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise BadNode(f"protobuf: wire type {wire}")
        if size > end - at:
            raise BadNode(f"protobuf: field {number} is cut short")
        yield number, wire, at, at + size
        at += size


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A protobuf varint: at most 64 bits in 10 bytes. Not minimal ones are read, as every protobuf reader does."""
    value = shift = 0
    for index in range(at, min(end, at + 10)):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                raise BadNode("protobuf: varint over 64 bits")
            return value, index + 1
        shift += 7
    raise BadNode("protobuf: varint is cut short or too long")


_SHORT = tuple(bytes((value,)) for value in range(128))  # the lengths of nearly all fields, made once


def _length(value: int) -> bytes:
    return _SHORT[value] if value < 128 else write_varint(value)
