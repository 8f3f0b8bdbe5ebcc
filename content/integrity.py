"""Integrity: what browsers check a file by (W3C Subresource Integrity).

Here lives the value's form. Not here: values that others wrote (rim/pages/integrity), or who gets one.
"""

from __future__ import annotations

from base64 import b64encode


def value_of(sha256: bytes) -> str:
    """The value of `integrity` for a file with this SHA-256 (§3.5): what an attribute, a fetch and Workbox take."""
    return "sha256-" + b64encode(sha256).decode("ascii")
