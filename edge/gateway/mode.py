"""Mode: what a gateway shows, as the operator sets it.

Here lives the word alone, so that the table of settings, which every command reads, costs no more than this. Not here:
what follows from it (edge/gateway/access).
"""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """What the operator set."""

    PINNED = "pinned"
    OPEN = "open"
    OFF = "off"
