"""Nameserver: one question to one DNS server, with a bound on what an answer may cost.

dnspython reads what a server sends whatever its size, and a message of 64 KiB that is all tiny records takes half a
second to read (seen), in which an edge serves nobody. Any zone that a visitor names could send one. So here the size
comes before the reading; all else is dnspython's: messages, retries and the order of servers (edge/names/stub).
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import dns.exception
import dns.message
import dns.nameserver

from edge.names.limits import DNS_ANSWER


class Bounded(dns.nameserver.Do53Nameserver):
    """A server over UDP and TCP."""

    most = DNS_ANSWER  # bytes of an answer

    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,  # noqa: ASYNC109 - dnspython's interface
        source: str | None,
        source_port: int,
        max_size: bool,
        *_: Any,
        **__: Any,
    ) -> dns.message.Message:
        """The answer. Raises what dnspython's resolver expects: its own exceptions, OSError, EOFError."""
        try:
            async with asyncio.timeout(timeout):
                return await (self._tcp(request) if max_size else self._udp(request))
        except TimeoutError as error:
            raise dns.exception.Timeout(timeout=timeout) from error

    async def _udp(self, request: dns.message.QueryMessage) -> dns.message.Message:
        """The first datagram that is an answer to this question: what is not may be somebody's try at forging one."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request)
        try:
            transport, _ = await loop.create_datagram_endpoint(lambda: waiting, remote_addr=(self.address, self.port))
            transport.sendto(request.to_wire())
            return await waiting.answer
        finally:
            waiting.close()

    async def _tcp(self, request: dns.message.QueryMessage) -> dns.message.Message:
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            wire = request.to_wire()
            writer.write(struct.pack("!H", len(wire)) + wire)
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            if size > self.most:
                # A FormError: to dnspython this server is no good, and is not asked again
                raise dns.exception.FormError(f"an answer of {size:,} bytes; at most {self.most:,} are read")
            answer = dns.message.from_wire(await reader.readexactly(size), raise_on_truncation=True)
        finally:
            writer.close()
        if not request.is_response(answer):
            raise dns.exception.FormError("an answer to another question")
        return answer


class _Waiting(asyncio.DatagramProtocol):
    """Takes what comes until it is the answer. The socket is connected, so it all comes from the server's address.

    It closes the socket itself: an asker who goes while the socket is being made is never handed it, and uvloop would
    keep it for ever (seen: a loop that waits for it when it is closed, so that the process does not end).
    """

    def __init__(self, request: dns.message.QueryMessage) -> None:
        self._request = request
        self._transport: asyncio.BaseTransport | None = None
        self._is_over = False
        self.answer: asyncio.Future[dns.message.Message] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if self._is_over:
            transport.close()

    def close(self) -> None:
        self._is_over = True
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, address: Any) -> None:
        if self.answer.done() or len(data) > DNS_ANSWER or data[:2] != struct.pack("!H", self._request.id):
            return
        try:
            message = dns.message.from_wire(data, raise_on_truncation=True)
        except dns.message.Truncated as error:
            if self._request.is_response(error.message()):
                self.answer.set_exception(error)
        except (dns.exception.DNSException, ValueError):
            return
        else:
            if self._request.is_response(message):
                self.answer.set_result(message)

    def error_received(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)  # nobody listens there: ICMP says so

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(error or EOFError("the socket was closed"))
            self.answer.exception()  # seen: the asker may have gone
