"""States: where a member is in its life, in the words that nodes tell each other.

Here live the words, and what one of another version means. Not here: whether a member is well (edge/peers/members), or
when this node goes from one to the next (edge/node).
"""

from __future__ import annotations

from enum import StrEnum

HEADER = "Rim-State"  # on answers of a node that is not ready
WIRE = 1  # the version of the language between nodes


class State(StrEnum):
    """A member's own word. Only who is ready owns blocks; who is joining or draining is asked for what it holds."""

    JOINING = "joining"
    READY = "ready"
    DRAINING = "draining"
    GONE = "gone"

    @property
    def is_here(self) -> bool:
        """Whether it may be asked for what it holds."""
        return self is not State.GONE

    @classmethod
    def read(cls, text: str | None) -> State:
        """The state of this word; ready where none is said. What a newer version calls something else is no state in
        which it would surely fill for others: it is asked for what it holds."""
        if not text:
            return cls.READY
        try:
            return cls(text.strip().lower())
        except ValueError:
            return cls.JOINING
