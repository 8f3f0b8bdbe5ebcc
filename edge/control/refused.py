"""Refused: a request to the private listener that is not answered as it wished. Not here: who refuses, and why."""

from __future__ import annotations

from starlette.responses import JSONResponse


class Refused(Exception):
    """A request that is not answered as it wished."""

    def __init__(self, status: int, error: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.headers = headers

    def response(self) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else self.headers
        body = {"error": self.error, "message": str(self)}
        return JSONResponse(body, self.status, {"Cache-Control": "no-store", **headers})
