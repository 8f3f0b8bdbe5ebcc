"""Load: clients that go on asking while a play does something to an edge, and keep account of what they lost.

Here live raw HTTP/1.1 clients on threads: some keep their connection as long as they may, some make a new one for each
request. Not here: measuring (bench/).
"""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import dataclass, field
from types import TracebackType


@dataclass
class Wire:
    """One connection, and one exchange after another on it. `tls`: what to trust, where it is to be TLS."""

    port: int
    host: str
    seconds: float = 30.0
    tls: ssl.SSLContext | None = None
    sock: socket.socket = field(init=False)
    rest: bytes = b""

    def __post_init__(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), self.seconds)
        if self.tls is not None:
            self.sock = self.tls.wrap_socket(self.sock, server_hostname=self.host)

    @property
    def end(self) -> int:
        """Its port on this side."""
        return int(self.sock.getsockname()[1])

    def send(self, path: str) -> None:
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())

    def read(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer. Raises OSError, and EOFError where the connection ends before it does."""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}
        length = int(headers["content-length"])
        pieces, size = [self.rest], len(self.rest)
        while size < length:
            pieces.append(self._more())
            size += len(pieces[-1])
        data = b"".join(pieces)
        self.rest = data[length:]
        return int(first.split(" ")[1]), headers, data[:length]

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.send(path)
        return self.read()

    def close(self) -> None:
        self.sock.close()

    def _more(self) -> bytes:
        piece = self.sock.recv(65_536)
        if not piece:
            raise EOFError(f"the connection ended after {self.rest[:200]!r}")
        return piece


class Load:
    """Asks for `paths` (each with the body it must have) until the end of the block. `lost`: what was not answered."""

    def __init__(
        self,
        port: int,
        host: str,
        paths: dict[str, bytes],
        keeping: int = 4,
        making: int = 2,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.port, self.host, self.paths, self.tls = port, host, paths, tls
        self.answers = 0
        self.connections = 0
        self.lost: list[str] = []
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(True,)) for _ in range(keeping)]
        self._threads += [threading.Thread(target=self._run, args=(False,)) for _ in range(making)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, keeps: bool) -> None:
        wire: Wire | None = None
        while not self._over.is_set():
            for path, body in self.paths.items():
                try:
                    if wire is None:
                        wire = Wire(self.port, self.host, tls=self.tls)
                        self.connections += 1
                    status, headers, got = wire.get(path)
                except (OSError, EOFError) as error:
                    self._lose(f"{path}: {error!r}")
                    wire = None
                    continue
                if (status, got) != (200, body):
                    self._lose(f"{path}: {status}, {len(got)} bytes")
                with self._lock:
                    self.answers += 1
                if not keeps or headers.get("connection") == "close":
                    wire.close()
                    wire = None
        if wire is not None:
            wire.close()

    def _lose(self, what: str) -> None:
        with self._lock:
            self.lost.append(what)
