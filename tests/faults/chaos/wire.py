"""A visitor's HTTP/1.1, by hand on a raw socket: nothing is mended, and how an answer ended is told.

Here live one connection and the reading of answers. Not here: who asks what (visitors), what it should be (checker).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

_HEAD_MAX = 1 << 17
_BODYLESS = (204, 304)


@dataclass(slots=True)
class Answer:
    """What came back. `whole`: it ended as its framing said it would; else `body` is what came before it broke."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    whole: bool = True
    method: str = "GET"

    def __getitem__(self, name: str) -> str:
        return self.headers.get(name, "")


class Gone(Exception):
    """The connection broke, or would not be made, before an answer began."""


class Wire:
    """One keep-alive connection to an edge's public port."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port, self.host = port, host
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def open(self) -> bool:
        return self._writer is not None

    async def exchange(self, site: str, path: str, headers: dict[str, str], method: str = "GET") -> Answer:
        """Ask once. Raises Gone; TimeoutError is the caller's, who must close this then."""
        try:
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection(self.host, self.port, limit=_HEAD_MAX)
            lines = [f"{method} {path} HTTP/1.1", f"Host: {site}.localhost:{self.port}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            return await self._read(method)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            self.close()
            raise Gone(repr(error)) from error

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _read(self, method: str) -> Answer:
        assert self._reader is not None
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        answer = Answer(int(first.split(" ")[1]), headers, method=method)
        if method != "HEAD" and answer.status not in _BODYLESS:
            await self._body(answer)
        if not answer.whole or answer["connection"].lower() == "close":
            self.close()
        return answer

    async def _body(self, answer: Answer) -> None:
        """Read as the framing says (RFC 9112 §6.3)."""
        pieces: list[bytes] = []
        try:
            if "chunked" in answer["transfer-encoding"]:
                await self._chunks(pieces)
            elif "content-length" in answer.headers:
                await self._exactly(int(answer["content-length"]), pieces)
            else:  # until the end of the connection: nobody can tell whether that was all, so it had better be
                await self._exactly(1 << 40, pieces)
        except (OSError, asyncio.IncompleteReadError):
            answer.whole = "content-length" not in answer.headers and "transfer-encoding" not in answer.headers
        answer.body = b"".join(pieces)

    async def _exactly(self, size: int, pieces: list[bytes]) -> None:
        assert self._reader is not None
        while size:
            piece = await self._reader.read(min(size, 1 << 18))
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            pieces.append(piece)
            size -= len(piece)

    async def _chunks(self, pieces: list[bytes]) -> None:
        assert self._reader is not None
        while True:
            size = int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16)
            await self._exactly(size, pieces)
            await self._reader.readexactly(2)
            if size == 0:
                return
