"""Answer: what a pinning service says, read with suspicion.

Here live the PinStatus of the IPFS Pinning Service API, its reading from JSON, and the cleaning of a service's words
before anybody sees them. A service is a stranger: what it sends may be false, huge, or meant for our terminal. Not
here: the requests (store/pinning/client).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from content.cid import CID
from content.errors import BadCID

QUEUED, PINNING, PINNED, FAILED = STATUSES = ("queued", "pinning", "pinned", "failed")
NAME_BYTES = 255  # of a pin's name, in the API
ID_CHARS = 500  # of a request's id: the API has no limit, and services send UUIDs or CIDs
DELEGATES_MAX = 20  # as the API says
SAID_CHARS = 300  # of what a service says of a failure


class BadAnswer(Exception):
    """The service's answer is not what the API says: too big, no JSON, of another shape, without an end."""


@dataclass(frozen=True, slots=True)
class PinStatus:
    """A pin at a service. `created` is kept as text: it is the cursor of the next page."""

    requestid: str
    status: str
    cid: CID
    name: str
    created: str
    meta: dict[str, str]
    delegates: tuple[str, ...]  # addresses of the nodes that will fetch the blocks
    said: str  # what it says of a failure

    @property
    def moment(self) -> datetime:
        """When it was created; a time without a zone is UTC. Raises BadAnswer."""
        try:
            moment = datetime.fromisoformat(self.created)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        except ValueError:
            raise BadAnswer(f"`created` is no time: {cleaned(self.created)[:40]}") from None


def read_list(value: Any) -> tuple[int, list[PinStatus]]:
    """The answer of GET /pins: how many there are in all, and these. Raises BadAnswer."""
    if not isinstance(value, dict) or not isinstance(value.get("results"), list):
        raise BadAnswer("no list of pins")
    count = value.get("count")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise BadAnswer("`count` is no number")
    return count, [read_status(item) for item in value["results"]]


def read_status(value: Any) -> PinStatus:
    """A PinStatus. Raises BadAnswer."""
    if not isinstance(value, dict) or not isinstance(value.get("pin"), dict):
        raise BadAnswer("no PinStatus")
    pin, status = value["pin"], value.get("status")
    if status not in STATUSES:
        raise BadAnswer(f"an unknown status {cleaned(str(status)[:40])!r}")
    try:
        cid = CID.parse(_text(pin, "cid")).v1
    except BadCID:
        raise BadAnswer("a pin whose CID is none") from None
    delegates = value.get("delegates") or []
    meta = pin.get("meta") or {}
    info = value.get("info") or {}
    if not isinstance(delegates, list) or not isinstance(meta, dict) or not isinstance(info, dict):
        raise BadAnswer("delegates, meta or info of another shape")
    return PinStatus(
        requestid=_id(value),
        status=str(status),
        cid=cid,
        name=str(pin.get("name") or ""),
        created=_text(value, "created"),
        meta={str(key): str(text) for key, text in meta.items()},
        delegates=tuple(cleaned(str(address)[:SAID_CHARS]) for address in delegates[:DELEGATES_MAX]),
        said=cleaned(str(info.get("status_details") or "")),
    )


def read_reason(value: Any) -> str:
    """Why a request was refused, in the service's own words: {"error": {"reason", "details"}}, or nothing."""
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return ""
    words = (error.get("reason"), error.get("details"))
    return cleaned(": ".join(word[:SAID_CHARS] for word in words if isinstance(word, str) and word))


def cleaned(text: str) -> str:
    """Without line ends and control characters, and no longer than anybody reads."""
    return "".join(char if char.isprintable() else " " for char in text[:SAID_CHARS]).strip()


def _id(value: dict[str, Any]) -> str:
    text = _text(value, "requestid")
    if len(text) > ID_CHARS or not text.isprintable() or text in (".", ".."):  # it becomes a segment of a path
        raise BadAnswer("a `requestid` that cannot be used")
    return text


def _text(value: dict[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str) or not text:
        raise BadAnswer(f"`{name}` is no text")
    return text
