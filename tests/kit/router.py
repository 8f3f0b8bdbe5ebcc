"""A delegated router on loopback that keeps the IPNS records it is given, in a thread of its own.

Here lives what plays need of one: it can fail, refuse, hang, and tell what it was asked. Not here: IPNS.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RECORD_TYPE = "application/vnd.ipfs.ipns-record"


@dataclass
class Told:
    """What the router has, and how it behaves."""

    url: str = ""
    records: dict[str, bytes] = field(default_factory=dict)  # by the name in the path
    put: list[tuple[str, bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)  # of the next PUTs; then 200
    hang: threading.Event | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, ready: Callable[[], bool], seconds: float = 30) -> None:
        with self.changed:
            assert self.changed.wait_for(ready, seconds), [name for name, _ in self.put]


@contextmanager
def router() -> Iterator[Told]:
    """A router until the block ends."""
    told = Told()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == RECORD_TYPE
            if told.hang is not None:
                told.hang.wait(60)
            name = self.path.removeprefix("/routing/v1/ipns/")
            with told.changed:
                status = told.statuses.pop(0) if told.statuses else 200
                told.put.append((name, body))
                if status == 200:
                    told.records[name] = body
                told.changed.notify_all()
            self._answer(status, b"")

        def do_GET(self) -> None:
            body = told.records.get(self.path.removeprefix("/routing/v1/ipns/"))
            self._answer(404 if body is None else 200, body or b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", RECORD_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        told.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield told
        finally:
            if told.hang is not None:
                told.hang.set()
            server.shutdown()
            thread.join()
