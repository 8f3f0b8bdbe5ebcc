"""IPLD: what a block of any codec says in the one data model, and blocks of one codec written in another.

Here lives the choice of codec for a block; the codecs themselves are content/dagcbor, content/dagjson and
content/dagpb. Not here: UnixFS (content/walk), paths through links (content/paths), our control blocks (content/cbor).

`decode(codec, data)` gives None, bool, int, float, str, bytes, lists, maps with text keys, and links as CIDs (a CID is
a kind of bytes: ask for it first). `encode` is the way back and canonical. Both raise BadNode or LimitExceeded, never
RecursionError: nothing here recurses. Codecs: raw (bytes), dag-pb (the map {"Data", "Links"} of its spec), DAG-CBOR,
DAG-JSON, and plain CBOR and JSON, in which tags and "/" mean nothing.

`convert(cid, data, to)` is what a gateway does for `?format=` where it converts at all (IPIP-524: it need not; Kubo
does only with Gateway.AllowCodecConversion): DAG-JSON and DAG-CBOR of any block; application/json and application/cbor
only of blocks that are it already, DAG form or not, as they stand. `same(codec, to)` is that last question.
"""

from __future__ import annotations

from content import dagcbor, dagjson, dagpb
from content.cid import CBOR, CID, DAG_CBOR, DAG_JSON, DAG_PB, JSON, RAW
from content.dagcbor import Value
from content.errors import BadNode, ContentError
from content.limits import NODE_VALUES, check

__all__ = ["CODECS", "CannotConvert", "Value", "convert", "decode", "encode", "links", "same"]

CODECS = {RAW: "raw", DAG_PB: "dag-pb", DAG_CBOR: "dag-cbor", DAG_JSON: "dag-json", CBOR: "cbor", JSON: "json"}
_AS_IT_STANDS = {JSON: (JSON, DAG_JSON), CBOR: (CBOR, DAG_CBOR)}
_INTEGER_MAX = 2**63 - 1  # of a Tsize: what the data model of all implementations holds


class CannotConvert(ContentError):
    """A codec that blocks of this one are not written in."""


def decode(codec: int, data: bytes, *, canonical: bool = True) -> Value:
    """The value of a block of this codec. `canonical` False: for whoever only follows links, DAG-CBOR with keys out of
    order or short floats is read too. Raises BadNode, LimitExceeded."""
    if codec == RAW:
        return data
    if codec == DAG_PB:
        return _from_dagpb(data)
    if codec == DAG_CBOR:
        return dagcbor.read(data, canonical=canonical)
    if codec == CBOR:
        return dagcbor.read(data, canonical=False, links=False)
    if codec == DAG_JSON:
        return dagjson.read(data)
    if codec == JSON:
        return dagjson.read(data, links=False)
    raise BadNode(f"codec 0x{codec:x} has no reader here")


def encode(codec: int, value: Value) -> bytes:
    """The canonical bytes of a value in this codec. Raises BadNode where it has none."""
    if codec == RAW:
        if not isinstance(value, bytes) or isinstance(value, CID):
            raise BadNode("raw holds bytes and nothing else")
        return value
    if codec == DAG_PB:
        return _to_dagpb(value)
    if codec in (DAG_CBOR, CBOR):
        return dagcbor.write(value, links=codec == DAG_CBOR)
    if codec in (DAG_JSON, JSON):
        return dagjson.write(value, links=codec == DAG_JSON)
    raise BadNode(f"codec 0x{codec:x} has no writer here")


def same(codec: int, to: int) -> bool:
    """Whether a block of this codec is an answer to a question for the other as it stands."""
    return codec == to or codec in _AS_IT_STANDS.get(to, ())


def convert(cid: CID, data: bytes, to: int) -> bytes:
    """The block of this CID as a gateway answers for the codec `to`. Raises CannotConvert, BadNode, LimitExceeded."""
    codec = cid.codec
    if same(codec, to):
        return data
    if to not in (DAG_CBOR, DAG_JSON) or codec not in CODECS:
        raise CannotConvert(f"a block of codec 0x{codec:x} is not written in 0x{to:x}")
    return encode(to, decode(codec, data))


def links(codec: int, data: bytes) -> list[CID]:
    """The links of a block of any codec, in order, doubles and all. Raises BadNode, LimitExceeded."""
    if codec in (RAW, CBOR, JSON):
        return []
    if codec == DAG_PB:
        return [link.cid for link in dagpb.decode(data).links]
    if codec == DAG_CBOR:
        return dagcbor.links(data)
    if codec == DAG_JSON:
        return dagjson.links(data)
    raise BadNode(f"codec 0x{codec:x}: its links are unknown")


def _from_dagpb(data: bytes) -> Value:
    node = dagpb.decode(data)
    check("values of a node", 4 * len(node.links) + 3, NODE_VALUES)
    written: list[Value] = []
    for cid, name, tsize in dagpb.written_links(data):
        link: dict[str, Value] = {"Hash": cid}
        if name is not None:
            link["Name"] = name
        if tsize is not None:
            link["Tsize"] = tsize
        written.append(link)
    return {"Links": written} if node.data is None else {"Data": node.data, "Links": written}


def _to_dagpb(value: Value) -> bytes:
    """Strictly the schema of the DAG-PB spec: PBNode {Links, Data?}, PBLink {Hash, Name?, Tsize?}."""
    if not isinstance(value, dict) or not {"Links"} <= value.keys() <= {"Links", "Data"}:
        raise BadNode('dag-pb: a map of "Links" and perhaps "Data", and nothing else')
    data, found = value.get("Data"), value["Links"]
    if not isinstance(found, list) or ("Data" in value and not _plain_bytes(data)):
        raise BadNode('dag-pb: "Links" is a list, "Data" are bytes')
    assert data is None or isinstance(data, bytes)
    return dagpb.encode_written([_to_link(link) for link in found], data)


def _to_link(value: Value) -> tuple[CID, str | None, int | None]:
    if not isinstance(value, dict) or not {"Hash"} <= value.keys() <= {"Hash", "Name", "Tsize"}:
        raise BadNode('dag-pb: a link is a map of "Hash" and perhaps "Name" and "Tsize"')
    cid, name, tsize = value["Hash"], value.get("Name"), value.get("Tsize")
    if not isinstance(cid, CID) or ("Name" in value and not isinstance(name, str)):
        raise BadNode('dag-pb: "Hash" is a link, "Name" a text')
    if "Tsize" in value and (type(tsize) is not int or not 0 <= tsize <= _INTEGER_MAX):
        raise BadNode('dag-pb: "Tsize" is an integer that is not negative')
    assert name is None or isinstance(name, str)
    assert tsize is None or isinstance(tsize, int)
    if name is not None:
        dagcbor.encoded(name)
    return cid, name, tsize


def _plain_bytes(value: Value) -> bool:
    return isinstance(value, bytes) and not isinstance(value, CID)
