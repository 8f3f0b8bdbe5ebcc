"""Forwarded: the client's address as the proxies on the way told it in header fields.

Here lives the reading of `Forwarded` (RFC 7239) and of `X-Forwarded-For`. Not here: the connection's own address, nor
what a PROXY header said of it (edge/http/proxy).

Read from the right, where the nearest proxy wrote: as long as who wrote is trusted, the next to the left is believed,
and the first that is not trusted is the client. All further left is what that client chose to send. A hop that is
unknown, obfuscated or malformed ends the walk: the last one that was told well stands.

Where a request has both fields, one was written by the proxy and the other may be the client's own invention, and
nobody can tell which (§7.4 has no answer either; tools that take the one before the other are fooled by a proxy that
writes the other). So both must name the same client; else the peer itself stands.

`X-Forwarded-Host` and `-Proto` of the nearest proxy are for the IPFS gateway alone, whose redirects name host and
scheme; sites answer to Host. `X-Forwarded-Port`, and Forwarded's `proto`, `host` and `by`, are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from edge.http.address import Trusted, spelled

Fields = Sequence[tuple[bytes, bytes]]
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_PAIR = rb"%s=(?:%s|%s)" % (_TOKEN, _TOKEN, _QUOTED)
_ELEMENT = re.compile(rb"[ \t]*(?:%s(?:[ \t]*;[ \t]*%s)*[ \t]*)?" % (_PAIR, _PAIR))  # or nothing, as in any list
_FOR = re.compile(rb"[ \t]*(%s)=(%s|%s)[ \t]*(?:;|\Z)" % (_TOKEN, _TOKEN, _QUOTED))
_ASKED = (b"x-forwarded-host", b"x-forwarded-proto")
_NODE = re.compile(r"\[([0-9a-fA-F:.]+)\](?::\d{1,5})?|([0-9.]+)(?::\d{1,5})?")  # §6, without names


def client_of(peer: str, fields: Fields, trusted: Trusted) -> str:
    """The address that a request came from, of a connection from `peer`. Names of `fields` in lower case."""
    if not trusted.trusts(peer):
        return peer
    told, also = [], []
    for name, value in fields:
        if name == b"x-forwarded-for":
            also.append(value)
        elif name == b"forwarded":
            told.append(value)
    if told and also:
        client = _walk(peer, _forwarded(told), trusted)
        return client if client == _walk(peer, _x_forwarded_for(also), trusted) else peer
    if told:
        return _walk(peer, _forwarded(told), trusted)
    return _walk(peer, _x_forwarded_for(also), trusted) if also else peer


def host_and_scheme(peer: str, fields: Fields, trusted: Trusted) -> tuple[bytes | None, str | None]:
    """The Host and the scheme that a visitor used, as a trusted proxy tells them; None where none does."""
    if not trusted.trusts(peer):
        return None, None
    told = {name: value.rpartition(b",")[2].strip(b" \t") for name, value in fields if name in _ASKED}
    scheme = told.get(b"x-forwarded-proto", b"").lower()
    return told.get(b"x-forwarded-host"), scheme.decode() if scheme in (b"http", b"https") else None


def _walk(peer: str, hops: Iterable[str | None], trusted: Trusted) -> str:
    """From the peer to the left. None: a hop that says nothing."""
    for hop in hops:
        if hop is None:
            return peer
        peer = hop
        if not trusted.trusts(hop):
            return peer
    return peer


def _x_forwarded_for(values: Sequence[bytes]) -> Iterator[str | None]:
    for value in reversed(values):
        for part in reversed(value.split(b",")):
            if text := part.strip(b" \t").decode("latin-1"):
                yield spelled(text) or _node(text)


def _forwarded(values: Sequence[bytes]) -> Iterator[str | None]:
    for value in reversed(values):
        for element in _elements(value):
            if element is None or element.strip(b" \t"):
                yield None if element is None else _for(element)


def _elements(value: bytes) -> Iterator[bytes | None]:
    """The elements of one field, the last first. A comma in a quoted text ends none: what is right of it is no element.
    What cannot be read to its left does not take away what was read."""
    end = at = len(value)
    while at >= 0:
        at = value.rfind(b",", 0, at)
        if _ELEMENT.fullmatch(value, at + 1, end):
            yield value[at + 1 : end]
            end = at
    if end >= 0:
        yield None  # what is left is no list of elements


def _for(element: bytes) -> str | None:
    """The address of an element's `for`, where it has one and only one, and it is an address."""
    found = [value for name, value in _FOR.findall(element) if name.lower() == b"for"]
    if len(found) != 1:
        return None
    text = found[0].decode("latin-1")
    return _node(re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text)


def _node(text: str) -> str | None:
    """The address of `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]` or `[2001:db8::1]:80`."""
    found = _NODE.fullmatch(text)
    if found is None:
        return None
    return spelled(found[1] or found[2])
