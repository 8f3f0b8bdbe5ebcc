"""What the origin refuses, and how it says so.

Here lives one small tree: each class knows its HTTP status, each instance a code (a word for programs), a sentence for
people, and extra fields of the answer. Not here: faults of bytes (content/errors), which origin/app answers as 422.
Only origin/app turns these into responses.
"""

from __future__ import annotations

from typing import Any


class OriginError(Exception):
    """Something asked of the origin cannot be done. `status` is the answer's, `code` the word for programs."""

    status = 500
    code = "failed"

    def __init__(self, message: str, code: str | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.message = message
        self.extra = extra
        if code is not None:
            self.code = code

    def body(self) -> dict[str, Any]:
        return {"error": self.code, "message": self.message, **self.extra}


class BadRequest(OriginError):
    """The request is not well formed."""

    status = 400
    code = "bad_request"


class Unauthorized(OriginError):
    """No token, an unknown one, or one past its time."""

    status = 401
    code = "unauthorized"


class Forbidden(OriginError):
    """The token is known, but this is not its business (scope, site or quota)."""

    status = 403
    code = "forbidden"


class Missing(OriginError):
    """There is no such site, release, lease, block or pin."""

    status = 404
    code = "not_found"


class Conflict(OriginError):
    """The state is another than the asker thinks: a lost race, a host taken, blocks that are not there yet."""

    status = 409
    code = "conflict"


class Stalled(OriginError):
    """A request whose body stopped coming."""

    status = 408
    code = "stalled"


class TooLarge(OriginError):
    """A request body over its limit."""

    status = 413
    code = "too_large"


class Unprocessable(OriginError):
    """Well-formed bytes that say something false: a bad block, a Root that is not the tree of its Index."""

    status = 422
    code = "unprocessable"


class Busy(OriginError):
    """Too much of it is under way; ask again in a moment."""

    status = 503
    code = "busy"


class Stopping(OriginError):
    """The origin is on its way down; ask again."""

    status = 503
    code = "stopping"


class StoreFull(OriginError):
    """The disk is full; whatever was not acknowledged has been taken back."""

    status = 507
    code = "disk_full"


class StoreFailed(OriginError):
    """The disk failed in another way (EIO); whatever was not acknowledged has been taken back."""

    status = 503
    code = "disk_failed"


class StateError(Exception):
    """The state folder cannot be used: the origin does not start, prints this sentence and exits with 1."""


class BackupError(Exception):
    """A backup or a restore that was not made: the sentence says why, and nothing of it is left behind."""
