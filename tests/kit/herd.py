"""A herd: a thousand clients that ask for one thing in one breath, from a process of their own.

Here live raw HTTP/1.1 clients on one epoll. All have connected before the first asks. Most throw away what they read in
the kernel (MSG_TRUNC), so that the herd costs less than what it drives; every `checked`th reads and hashes it all. They
are a process of their own, since the proxies of a play live in the play's, and would wait for its interpreter.
Not here: what it means (tests/faults, bench/herd.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Fed:
    """What came to one of the herd, and when its first and its last byte did, in seconds from the common start."""

    first: float
    last: float
    status: int
    length: int  # Content-Length; -1 without a head
    got: int  # bytes of body
    digest: str  # SHA-256 of the body in hex, where it was checked
    fault: str

    @property
    def whole(self) -> bool:
        return self.status == 200 and self.got == self.length and not self.fault


def herd(
    bases: Sequence[str], host: str, path: str, clients: int, checked: int = 20, seconds: float = 300.0
) -> list[Fed]:
    """Ask for `path` of a Host, `clients` at once, in turn at these addresses. Who has not got all after `seconds` is
    left with what it has, and says so in `fault`."""
    words = json.dumps([list(bases), host, path, clients, checked, seconds])
    command = [sys.executable, "-m", "tests.kit.herd", words]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=seconds + 60)
    return [Fed(**row) for row in json.loads(done.stdout)]


@dataclass
class _Client:
    base: str
    number: int
    first: float = 0.0
    last: float = 0.0
    status: int = 0
    length: int = -1
    got: int = 0
    digest: Any = None
    fault: str = ""
    head: bytes = b""
    sock: socket.socket = field(default_factory=socket.socket)

    def fed(self) -> Fed:
        digest = self.digest.hexdigest() if self.digest else ""
        return Fed(self.first, self.last, self.status, self.length, self.got, digest, self.fault)


def _run(bases: Sequence[str], host: str, path: str, clients: int, checked: int, seconds: float) -> list[_Client]:
    all_of_them = [_Client(bases[n % len(bases)], n) for n in range(clients)]
    room = bytearray(_PIECE)
    with selectors.DefaultSelector() as selector:
        try:
            for one in all_of_them:
                url = urlsplit(one.base)
                one.sock.connect((url.hostname, url.port))
                one.sock.setblocking(False)
                selector.register(one.sock, selectors.EVENT_READ, one)
            begin = time.monotonic()
            for one in all_of_them:
                port = urlsplit(one.base).port
                one.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            waiting = clients
            while waiting and time.monotonic() - begin < seconds:
                for key, _ in selector.select(1.0):
                    one = key.data
                    if _read(one, room, one.number % checked == 0):
                        one.last = time.monotonic() - begin
                        selector.unregister(one.sock)
                        waiting -= 1
                    one.first = one.first or time.monotonic() - begin
            for one in all_of_them:
                if one.got != one.length and not one.fault:
                    one.fault = f"status {one.status}, {one.got} of {one.length} B after {seconds} s"
            return all_of_them
        finally:
            for one in all_of_them:
                one.sock.close()


def _read(one: _Client, room: bytearray, checked: bool) -> bool:
    """Take what is there. Whether it was the end."""
    try:
        in_body = one.length >= 0
        count = one.sock.recv_into(room, _PIECE, 0 if checked or not in_body else socket.MSG_TRUNC)
    except BlockingIOError:
        return False
    except OSError as error:
        one.fault = repr(error)
        return True
    if not count:
        one.fault = f"the connection ended after {one.got} of {one.length} B"
        return True
    body: memoryview | bytes = memoryview(room)[:count]
    if not in_body:
        one.head += bytes(body)
        head, end, body = one.head.partition(b"\r\n\r\n")
        if not end:
            return False
        _head(one, head)
        if checked:
            one.digest = hashlib.sha256()
    one.got += len(body)
    if one.digest is not None:
        one.digest.update(body)
    return one.got >= one.length


def _head(one: _Client, head: bytes) -> None:
    first, *fields = head.decode("latin-1").split("\r\n")
    one.status = int(first.split(" ")[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
    one.length = int(headers["content-length"])


if __name__ == "__main__":
    os.nice(10)  # visitors read on machines of their own: what they cost here must not be taken from the edges
    print(json.dumps([asdict(one.fed()) for one in _run(*json.loads(sys.argv[1]))]))
