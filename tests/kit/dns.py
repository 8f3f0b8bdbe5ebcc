"""An authoritative DNS server on loopback, UDP and TCP, that says what a play wants, lies and silence included.

Here lives the serving, over dnspython's message classes, in a thread of its own: programs that a play starts ask it as
well as the play itself. Not here: asking.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT

PLAIN_UDP = 512  # bytes of an answer to who did not say more (RFC 1035, 4.2.1)
_IN, _TXT, _CNAME, _SOA = dns.rdataclass.IN, dns.rdatatype.TXT, dns.rdatatype.CNAME, dns.rdatatype.SOA


@dataclass
class Zone:
    """What the server says. `faults`: name → servfail, refused, silent, other_id, other_question, garbage, forged (a
    record of another name), cut (TC over UDP, and over TCP the connection ends)."""

    texts: dict[str, tuple[tuple[bytes, ...], int]] = field(default_factory=dict)  # name → values, TTL
    aliases: dict[str, tuple[str, int]] = field(default_factory=dict)
    more: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # name, type → rows as in a zone file
    ttl: int = 60  # of those
    faults: dict[str, str] = field(default_factory=dict)
    chases: bool = True  # answers a CNAME with what it leads to, as a resolver does
    negative: int = 30  # TTL of "no such name"
    asked: Counter[str] = field(default_factory=Counter)
    over_tcp: int = 0
    gate: threading.Event | None = None  # answers wait for it
    address: str = ""

    def link(self, domain: str, *paths: str, ttl: int = 60) -> None:
        """The DNSLinks of a domain."""
        self.text(f"_dnslink.{domain}", *(f"dnslink={path}".encode() for path in paths), ttl=ttl)

    def text(self, name: str, *values: bytes, ttl: int = 60) -> None:
        """The TXT records of a name; none: the name is there, and has no TXT."""
        self.texts[name] = values, ttl

    def drop(self, name: str) -> None:
        """The name is no more."""
        self.texts.pop(name, None)

    def answer(self, query: dns.message.Message, *, udp: bool) -> bytes | None:
        """The bytes that are sent for this query; None: silence."""
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked[name] += 1
        self.over_tcp += not udp
        fault = self.faults.get(name, "")
        if fault in ("silent", "garbage") or (fault == "cut" and not udp):
            return b"\x00\x01garbage" if fault == "garbage" else None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        kind = dns.rdatatype.to_text(question.rdtype)
        if fault in ("servfail", "refused"):
            response.set_rcode(dns.rcode.from_text(fault.upper()))
        elif kind != "TXT":
            rows = self.more.get((name, kind), [])
            response.answer += [dns.rrset.from_text(f"{name}.", self.ttl, _IN, kind, *rows)] if rows else []
        else:
            self._fill(response, "elsewhere.example" if fault == "forged" else name)
        if fault == "other_id":
            response.id ^= 1
        if fault == "other_question":
            response.question = [dns.rrset.RRset(dns.name.from_text("other.example"), _IN, _TXT)]
        wire = response.to_wire(max_size=65535)
        room = max(PLAIN_UDP, query.payload)
        if udp and (fault == "cut" or len(wire) > room):
            short = dns.message.make_response(query)
            short.flags |= dns.flags.TC
            return short.to_wire()
        return wire

    def _fill(self, response: dns.message.Message, name: str) -> None:
        seen: set[str] = set()
        while name in self.aliases and name not in seen:
            seen.add(name)
            target, ttl = self.aliases[name]
            response.answer.append(dns.rrset.from_text(f"{name}.", ttl, _IN, _CNAME, f"{target}."))
            name = target
            if not self.chases:
                return
        values, ttl = self.texts.get(name, ((), 0))
        if values:
            rows = [TXT(_IN, _TXT, _strings(value)) for value in values]
            response.answer.append(dns.rrset.from_rdata_list(f"{name}.", ttl, rows))
            return
        if name not in self.texts and name not in self.aliases:
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"ns.example. hostmaster.example. 1 3600 600 86400 {self.negative}"
        response.authority.append(dns.rrset.from_text("example.", self.negative, _IN, _SOA, soa))


def _strings(value: bytes) -> list[bytes]:
    """A value as character-strings of at most 255 bytes."""
    return [value[at : at + 255] for at in range(0, max(1, len(value)), 255)]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        task = asyncio.create_task(self._answer(data, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, address: tuple[str, int]) -> None:
        answer = self._zone.answer(dns.message.from_wire(data), udp=True)
        if self._zone.gate is not None:
            await asyncio.to_thread(self._zone.gate.wait, 30)
        if answer is not None:
            self._transport.sendto(answer, address)


async def _serve(zone: Zone, ready: threading.Event, over: asyncio.Event) -> None:
    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            answer = zone.answer(dns.message.from_wire(await reader.readexactly(size)), udp=False)
            if answer is not None:
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(stream, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Datagrams(zone), (host, port))
    zone.address = f"{host}:{port}"
    ready.set()
    async with server:
        await over.wait()
    transport.close()


@contextmanager
def dns_server() -> Iterator[Zone]:
    """A server that answers for its Zone until the block ends."""
    zone, ready = Zone(), threading.Event()
    here: dict[str, object] = {}

    async def life() -> None:
        here["over"], here["loop"] = asyncio.Event(), asyncio.get_running_loop()
        await _serve(zone, ready, here["over"])  # type: ignore[arg-type]

    thread = threading.Thread(target=asyncio.run, args=(life(),), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield zone
    finally:
        if zone.gate is not None:
            zone.gate.set()
        here["loop"].call_soon_threadsafe(here["over"].set)  # type: ignore[attr-defined]
        thread.join(30)
