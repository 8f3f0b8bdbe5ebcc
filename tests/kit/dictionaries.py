"""Asking as a browser that has an old file as its dictionary (RFC 9842).

Here lives the question, and waiting until an edge has made a difference. Not here: browsers that ask by themselves
(tests/browser/test_deltas, tests/kit/visits).
"""

from __future__ import annotations

import time
from base64 import b64encode
from hashlib import sha256

from tests.kit.nodes import Answer
from tests.kit.ring import Up

ENCODINGS = "gzip, deflate, br, zstd, dcb, dcz"  # Chromium's


def ask(up: Up, site: str, path: str, digest: bytes) -> Answer:
    """As who has a dictionary with this digest."""
    said = {"Accept-Encoding": ENCODINGS, "Available-Dictionary": f":{b64encode(digest).decode()}:"}
    return up.get(site, path, headers=said)


def make(up: Up, site: str, path: str, old: bytes) -> None:
    """Have the difference made. On a busy machine it may be there only after the second for which an edge has a visitor
    wait; then the next visitor gets it. So a play that counts bytes does not depend on speed."""
    until = time.monotonic() + 60
    while ask(up, site, path, sha256(old).digest()).headers.get("content-encoding") != "dcz":
        assert time.monotonic() < until, path
        time.sleep(0.05)
