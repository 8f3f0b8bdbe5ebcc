"""Limits of names: what one name, and all of them, may cost. Each has its reason, and is tested in tests/edge/names.

Not here: the size of a record (content/limits, IPNS_RECORD), which holds wherever a record comes in.
"""

from __future__ import annotations

from typing import Final

HOPS: Final = 32  # names in a row until one leads to /ipfs/: the figure of the DNSLink gateway spec
PATH_BYTES: Final = 2_048  # of a content path that a name leads to: longer ones serve nobody
NAMES_KEPT: Final = 4_096  # of each kind; with a record of 400 bytes each that is under 2 MiB
LOOKUPS: Final = 256  # under way at a time; one more is told to come again. A silent server holds one for 5 s
RESOLVE: Final = 15.0  # s for a whole chain of names: each of 32 slow ones may take 5
SEEDS: Final = 10_000  # records of the operator's folder that are read
LINKS: Final = 10_000  # rows of the operator's map

DNS_TIMEOUT: Final = 2.0  # s for one server; then the next one is asked
DNS_LIFETIME: Final = 5.0  # s for all of them, as a stub resolver's default
DNS_ANSWER: Final = 8 * 1024  # bytes of an answer: DNSLinks take some hundred, and 64 KiB take 0.5 s to read (seen)
DNS_ALIASES: Final = 8  # CNAMEs in a row that we follow ourselves, behind a server that does not
TTL_MIN: Final = 5.0  # s that an answer is kept although its TTL says less: a TTL of 0 is no licence to ask per request
TTL_MAX: Final = 86_400.0  # s after which an answer is asked for again although its TTL says more (RFC 8767, 4)
NEGATIVE_MAX: Final = 60.0  # s that a "no such name" is kept; a record that was just set is found within it
STALE_MAX: Final = 3 * 86_400.0  # s that the last good answer is served while DNS fails (RFC 8767, 5: 1 to 3 days)
FAILURE_KEPT: Final = 5.0  # s that a failure is kept: the next visitor does not ask again (RFC 9520, 3.2)
PATIENCE: Final = 1.8  # s that a lookup gets before the last good answer is served in its place (RFC 8767, 5)
RECHECK: Final = 30.0  # s between two tries while the last good answer is served (RFC 8767, 5)

TTL_UNSET: Final = 60.0  # s that a record without a TTL, or the lack of one, is kept (delegated routing spec)
OWN_RECHECK: Final = 1.0  # s between two looks for the record of a site that the Head says has moved on
SOURCE_SECONDS: Final = 5.0  # for one source of records: a router that hangs costs this, and no more
OTHERS_GRACE: Final = 0.3  # s that other sources get once one has answered: a higher sequence may be among them
REFRESH_AHEAD: Final = 0.2  # of a TTL: a name that is asked for in this last part of it is looked up beside the answer
