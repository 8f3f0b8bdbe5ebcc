"""Faults: every way a question to another node can end without a block, by name.

Here live the names and what kind each is: a true answer, trouble, or a lie. Not here: the asking (edge/peers/client),
or what a fault means for the health of the asked (edge/cache/sources, edge/peers/members).
"""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """Every way a question can end without a block. The value is the metric's label."""

    # True answers, and no blame on the one who gave them.
    NOT_FOUND = "not_found"  # 404, 410 without a word of denial: no such block
    DENIED = "denied"  # 410, 451: it is denied there
    NOT_HELD = "not_held"  # 504: not at hand (only-if-cached), or nobody above could be asked
    LOOP = "loop"  # 508, it had been asked by us on behalf of itself
    # Trouble.
    REFUSED = "refused"  # no connection: nobody listens there, or the name means nothing
    UNREACHED = "unreached"  # no connection in time: nobody says anything there
    SLOW = "slow"  # connected, but no answer's head in time
    STALLED = "stalled"  # the body stopped coming
    OVERDUE = "overdue"  # the whole took too long
    BROKEN = "broken"  # the connection or its HTTP broke
    BUSY = "busy"  # 429, 503
    FORBIDDEN = "forbidden"  # 401, 403: our token is not good there
    STATUS = "status"  # any other status that is not 200, redirects included
    CROWDED = "crowded"  # it answered, and there was no room for it here: trouble of our own
    # Lies: wrong on purpose or by decay, in either case not to be asked again soon.
    WRONG_BYTES = "wrong_bytes"  # 200, and bytes that are not this block's
    SURPLUS = "surplus"  # this block, and more after it
    OTHER_CID = "other_cid"  # an honest block, but another one
    LENGTH = "length"  # fewer bytes than Content-Length said
    TOO_LONG = "too_long"  # past 2 MiB, said or sent
    MEDIA_TYPE = "media_type"  # an HTML page with 200: a captive portal, a default vhost, a parked domain
    ENCODED = "encoded"  # a Content-Encoding that nobody asked for
    MALFORMED = "malformed"  # not HTTP; often the rest of a body that was longer than its Content-Length


TRUE_ANSWERS = frozenset({Fault.NOT_FOUND, Fault.DENIED, Fault.NOT_HELD, Fault.LOOP})

LIES = frozenset(
    {
        Fault.WRONG_BYTES,
        Fault.SURPLUS,
        Fault.OTHER_CID,
        Fault.LENGTH,
        Fault.TOO_LONG,
        Fault.MEDIA_TYPE,
        Fault.ENCODED,
        Fault.MALFORMED,
    }
)

BY_STATUS = {
    401: Fault.FORBIDDEN,
    403: Fault.FORBIDDEN,
    404: Fault.NOT_FOUND,
    410: Fault.NOT_FOUND,
    429: Fault.BUSY,
    451: Fault.DENIED,
    503: Fault.BUSY,
    504: Fault.NOT_HELD,  # RFC 9111 §5.2.1.7 only-if-cached; and a gateway that found no provider
    508: Fault.LOOP,
}


class PeerError(Exception):
    """No block came of it. `fault` says how, `url` who was asked.

    Of an answer, what its head said besides: `rest`, the seconds for which the asked wants to be left alone
    (Retry-After of a 429 or 503); `origin_busy`, that it is the origin that does; `state`, the state of the asked
    (Rim-State).
    """

    def __init__(
        self,
        fault: Fault,
        url: str,
        detail: str = "",
        *,
        rest: float | None = None,
        origin_busy: bool = False,
        state: str = "",
    ) -> None:
        super().__init__(f"{url}: {fault}{f' ({detail})' if detail else ''}")
        self.fault = fault
        self.url = url
        self.rest = rest
        self.origin_busy = origin_busy
        self.state = state

    @property
    def is_lie(self) -> bool:
        return self.fault in LIES
