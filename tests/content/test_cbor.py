"""The DAG-CBOR of control blocks: links, kinds, and a decoder that no input crashes or swells."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.cbor import decode, encode, link, optional_link, typed
from content.cid import CID, DAG_CBOR, RAW
from content.errors import BadNode

A = CID.of(RAW, b"a")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5) | st.just(A),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_values_come_back_in_one_form(value: Any) -> None:
    """What is encoded is read again, links as bytes; the keys' order of the map does not matter."""
    block = encode({"kind": "x", "v": 1, "value": value})
    assert block.cid.codec == DAG_CBOR
    assert decode(block.data, "x")["value"] == value
    assert encode({"value": value, "v": 1, "kind": "x"}) == block


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    """Bytes of no meaning are BadNode, nothing else."""
    with pytest.raises(BadNode):
        decode(noise, "x")


def test_kind_and_version_are_asked_for() -> None:
    """A block of another kind is refused; one of a later version says that this node is too old."""
    for value in ([], {"v": 1}, {"kind": "y", "v": 1}, {"kind": ["x"], "v": 1}):
        with pytest.raises(BadNode, match="not a x"):
            decode(encode(value).data, "x")  # type: ignore[arg-type]
    with pytest.raises(BadNode, match="upgrade this node"):
        decode(encode({"kind": "x", "v": 2}).data, "x")


def test_links_and_types() -> None:
    """A link is bytes that parse as a CID; a bool is not an int."""
    assert link(bytes(A)) == A
    assert isinstance(link(bytes(A)), CID)
    assert optional_link(None) is None
    assert typed(5, int, "n") == 5
    for wrong in (None, str(A), b"", b"no", bytes(A) + b"x"):
        with pytest.raises(BadNode):
            link(wrong)
    for value, kind in ((True, int), (5, str), (None, dict)):
        with pytest.raises(BadNode, match="the field"):
            typed(value, kind, "the field")


HOSTILE = {
    "2 MiB of arrays in arrays": "b'\\x81' * (2 << 20)",
    "2 MiB of maps in maps": "b'\\xa1\\x61a' * 699_000",
    "an array of 2^64 - 1": "b'\\x9b' + b'\\xff' * 8",
    "an array of 2^62": "b'\\x9b\\x3f' + b'\\xff' * 7",
    "a map of 2^64 - 1": "b'\\xbb' + b'\\xff' * 8",
    "a string of 2^64 - 1": "b'\\x7b' + b'\\xff' * 8",
    "bytes of 2^64 - 1": "b'\\x5b' + b'\\xff' * 8",
    "arrays that each promise all that is left": "b'\\x9a\\x00\\x0f\\xff\\xff' * 400_000",
    "2 MiB of empty arrays": "b'\\x9a\\x00\\x1f\\xff\\x00' + b'\\x80' * 0x1FFF00",
    "endless tags": "b'\\xd8\\x2a' * (1 << 20)",
    "indefinite lengths": "b'\\x9f' * (2 << 20)",
}
PROGRAM = """
import resource
from content.cbor import decode
from content.errors import BadNode
data = {data}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode(data, "x")
except BadNode:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_input_is_refused_and_not_a_crash(data: str) -> None:
    """In a process of its own: no signal, BadNode, and memory bounded by a small multiple of the block.

    The decoder is native code, where such input has crashed or swelled others (CVE-2026-35480 and its kin). The worst
    is two million empty lists, which Python holds in 64 bytes each.
    """
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(data=data)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 256
