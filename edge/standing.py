"""Standing: where this edge is in its life, and what it lacks to be asked, in words.

Here live its state and the list of what may be lacking. Not here: what is (a Head, the ring, a disk: each room says its
own), who is told (edge/control/admin, edge/app, the origin through reports), nor when states change (edge/node).
"""

from __future__ import annotations

from collections.abc import Callable

from edge.peers.states import State


class Standing:
    """Joining until it can answer for what it would be asked, then ready, then draining."""

    def __init__(self) -> None:
        self.state = State.JOINING
        self._needs: list[Callable[[], str | None]] = []

    def need(self, lack: Callable[[], str | None]) -> None:
        """From now on it is ready only while this says None; else it says what is lacking, in a few words."""
        self._needs.append(lack)

    def lacks(self) -> tuple[str, ...]:
        """Why nobody should be sent here now; empty: it is ready."""
        said = [word for lack in self._needs if (word := lack())]
        if self.state is State.DRAINING:
            return ("draining", *said)
        return (*said, "joining") if self.state is State.JOINING else tuple(said)

    @property
    def is_ready(self) -> bool:
        return not self.lacks()

    def join(self) -> None:
        """It has what it waited for. One that leaves already does not come back."""
        if self.state is State.JOINING:
            self.state = State.READY

    def leave(self) -> None:
        """From now on it answers what it is asked, and is to be asked no more."""
        self.state = State.DRAINING

    def __repr__(self) -> str:
        return f"<Standing {self.state}{''.join(f', {word}' for word in self.lacks())}>"
