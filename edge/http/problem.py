"""Problem: a refusal or fault that no asset stands behind, and the one form in which it is told.

Here live its status, its words and its header lines. Not here: who decides on it. All are `no-store`: an error kept by
a cache in front outlives its cause (CPDoS).
"""

from __future__ import annotations

from http import HTTPStatus

from edge.http.fields import NOSNIFF


class Problem(Exception):
    """What to tell the client. `detail` is one or two plain sentences, with what to do where that is known."""

    def __init__(
        self, status: int, detail: str, *, headers: tuple[tuple[str, str], ...] = (), html: str | None = None
    ) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.headers = headers
        self.html = html

    @property
    def body(self) -> bytes:
        if self.html is not None:
            return self.html.encode()
        return f"{self.status} {HTTPStatus(self.status).phrase}\n\n{self.detail}\n".encode()

    @property
    def head(self) -> bytes:
        """Header lines, each ended by CRLF, as edge/http/answer writes them."""
        media_type = "text/plain" if self.html is None else "text/html"
        lines = [("content-type", f"{media_type}; charset=utf-8"), ("content-length", str(len(self.body)))]
        lines += [("cache-control", "no-store"), *self.headers]
        return "".join(f"{name}: {value}\r\n" for name, value in lines).encode("latin-1") + NOSNIFF
