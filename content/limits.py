"""Every limit of the content vocabulary: one name, one value, one reason.

Held where bytes come in; each is tested at its value and one past it (tests/content/test_limits.py).
Limits of HTTP listeners live in edge/http, of the command line in rim/.
"""

from __future__ import annotations

from content.errors import LimitExceeded

KiB = 1024
MiB = 1024 * KiB

BLOCK_MADE = 1 * MiB  # payload of a chunk we make: unixfs-v1-2025 (IPIP-499)
BLOCK_ACCEPTED = 2 * MiB  # boxo and the Bitswap spec: 2 MiB is what every peer will carry
IDENTITY_DIGEST = 128  # boxo verifcid: longer identity CIDs are data in disguise
NODE_LINKS = 1024  # links of a file node: unixfs-v1-2025 (IPIP-499)
HAMT_FANOUT = 256  # what we make; read: any power of two up to HAMT_FANOUT_MAX
HAMT_FANOUT_MAX = 1024  # UnixFS spec, MUST; CVE-2023-23625
HAMT_THRESHOLD = 256 * KiB  # a directory block above this becomes a HAMT, by block size (IPIP-499)
DAG_DEPTH = 1024  # boxo 0.42.1
NODE_DEPTH = 1024  # lists and maps in each other in one DAG-CBOR or DAG-JSON node: go-ipld-prime
NODE_VALUES = 65_536  # values of one such node that are read: a tenth of a second
NODE_ITEMS = 262_144  # items of one such node that are looked through for its links: as long
PB_LINKS = 65_536  # links of a dag-pb node: 2 MiB of links that lead anywhere; shorter ones are data in disguise
BLOCKS_BEFORE_FIRST_BYTE = 16_384  # nodes looked at before an answer starts
WALK_PENDING = 262_144  # links that wait while one is followed, in a CAR or TAR: 20 MiB of CIDs
CAR_SEEN = 262_144  # blocks that a CAR without doubles remembers, for anyone: 22 MiB; past it, ask for dups=y
CAR_SEEN_TRUSTED = 16_777_216  # for whoever bears a token: the export of a site of any size
FILE_LEAVES = 1_048_576  # leaves of one file that are listed: 1 TiB as we chunk it
CAR_HEADER = 64 * KiB  # GHSA-9x4h-8wgm-8xfg: a header length is attacker's data
CAR_SECTION = BLOCK_ACCEPTED + 4 * KiB  # a block, its CID and nothing else
IPNS_RECORD = 10 * KiB  # IPNS spec, checked before parsing
RSA_BITS_MIN = 2_048  # of an IPNS key: go-libp2p
RSA_BITS_MAX = 8_192  # go-libp2p; a check costs more than linearly
SYMLINK_HOPS = 8  # as Linux's MAXSYMLINKS family, smaller: a site needs one or two

PATH_BYTES = 1_024  # a published path, UTF-8
NAME_BYTES = 255  # one segment of it, as every file system
RELEASE_ENTRIES = 1_000_000
TREE_LEAF = 32 * KiB  # a prolly tree node never grows past this
TREE_DEPTH = 16
RETAINED_MAX = 200  # releases of a site that are ever kept
RETAINED_LAST = 20  # a release stays while among the last 20 ...
RETAINED_DAYS = 30  # ... or younger than this
FLOORS_MAX = 4_096  # purges a site remembers one by one; past it they fold into one for the whole site
ALIASES_MAX = 200  # previews of a site at a time
PRECACHED_MAX = 1_000  # files that a service worker fetches unasked: their paths stand in the Release block
MANIFEST_BYTES = 4 * MiB  # of a manifest's entries: one rule of 64 KiB for 1,000 files would make 64 MB of it (seen)
GATEWAYS_MAX = 8  # that a manifest names: each is asked once, of a file that nobody had right
SIGNED_MAX = 2  # manifests of a site: of live, and of what is rolled out
GATEWAY_BYTES = 256  # of a gateway's base URL
PASSED_MAX = 16  # paths of a site that its service worker leaves alone: they stand in the stub
PASSED_BYTES = 128  # of such a path
TRIED_MAX = 5  # releases that were rolled out and taken back, kept for the tabs that got them
SITE_NAME_BYTES = 63  # one DNS label, RFC 1035
HOST_BYTES = 253  # RFC 1035
MESSAGE_BYTES = 4 * KiB  # a release's message and author
SETTINGS_BYTES = 16 * KiB
GLOB_BYTES = 512  # a glob of rim.toml; a match costs path × this, bit by bit
PASSWORD_BYTES = KiB  # a secret that is hashed
SCRYPT_N = 1 << 15  # of a foreign publisher's hash: 32 MiB and about 100 ms a try, at R = 8 (RFC 7914)
SCRYPT_R = 8
SCRYPT_P = 2
REDIRECT_BYTES = 64 * KiB  # a _redirects file: web-redirects-file spec, "Max File Size"
HEADERS_BYTES = 64 * KiB  # a _headers file: as much
RULES_MAX = 2_000  # rules of one such file: what Cloudflare takes of static redirects
RULE_CHARS = 2_000  # characters of a line of it: what Cloudflare takes in _headers
RULE_REFERENCES = 8  # captures that one target or value uses: each can be as long as the path
HEADER_REFERENCES = 100  # captures that all values of a _headers file use: they may all land in one answer
REDIRECT_HOPS = 5  # redirects in a row before a warning; browsers give up at 20

DENYLIST_LINE = 2 * MiB  # with its end: compact denylist format, "File syntax"
DENYLIST_HEADER = 1 * MiB  # the same, "Header"; past it there is none, and its lines are rules
DENYLIST_BYTES = 512 * MiB  # of one list: eight times today's badbits of a million lines
DENYLIST_ENTRIES = 4_000_000  # rules of one list: some 220 MiB, at 56 B each
DENYLIST_ALIKE = 1_024  # hashes of one list that begin with the same two bytes: of 4,000,000 it is some 61
DENYLIST_PATHS = 100_000  # rules of one list that name a path or a domain: some 500 B each
DENYLIST_TERMS = 65_536  # different statuses and reasons, and changes between rules and `!` rules, of one list
DENYLISTS = 64  # lists of a node: each is looked into for each block that is not at hand
DENIED_ROWS = 10_000  # rules of the Catalog's own: every node has them with the Head; more belong into a list


def check(limit: str, value: int, maximum: int) -> None:
    """Raise LimitExceeded, naming the limit, when value is over maximum."""
    if value > maximum:
        raise LimitExceeded(limit, value, maximum)
