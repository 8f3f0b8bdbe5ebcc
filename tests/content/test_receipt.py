"""Receipts: signed by one key, for one node, sequence, catalog and body."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import receipt

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SAID = ("edge-1", 7, "k51x", b"{}")


def test_the_text_is_what_the_page_says() -> None:
    """So that others can make one."""
    assert receipt._text(*SAID) == (
        b'["rim-receipt","edge-1",7,"k51x","44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"]'
    )


@pytest.mark.parametrize(
    "other", [("edge-2", *SAID[1:]), ("edge-1", 8, *SAID[2:]), (*SAID[:2], "k51y", b"{}"), SAID[:3]]
)
def test_only_what_was_signed_verifies(other: tuple[str, int, str]) -> None:
    """Another node, sequence, catalog or body: no."""
    made = receipt.headers(KEY, *SAID)
    key, signature = made["Rim-Node-Key"], made["Rim-Receipt"]
    assert receipt.verifies(key, signature, *SAID)
    assert not receipt.verifies(key, signature, *other)


@pytest.mark.parametrize("key", ["", "x", "é", "A" * 43, "A" * 44, "!" * 43])
def test_what_is_no_key_verifies_nothing(key: str) -> None:
    """Any text may come in a header; and one key has one spelling."""
    made = receipt.headers(KEY, *SAID)
    assert not receipt.verifies(key, made["Rim-Receipt"], *SAID)
    assert not receipt.verifies(made["Rim-Node-Key"] + "=", made["Rim-Receipt"], *SAID)
    assert not receipt.verifies(made["Rim-Node-Key"], key, *SAID)
