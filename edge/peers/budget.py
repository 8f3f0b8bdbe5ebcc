"""Budget: what one question to another node may cost, in seconds and in further questions.

Here live the seconds per phase and the purse that second questions are paid from. Not here: the clocks that hold a
question to them (edge/peers/client, edge/peers/silence), or when a second one is worth asking (edge/peers/hedge).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SHARE = 0.1  # of the questions may be asked a second time
RESERVE = 10.0  # second questions in hand at the start, and at most: a burst, not a habit


@dataclass(frozen=True, slots=True)
class Budgets:
    """Seconds per phase, on the loop's monotonic clock."""

    connect: float = 0.3
    silence: float = 0.2  # from the question, until the silent one is asked for its health ...
    doubt: float = 0.45  # ... until it is doubted, its health unanswered too, and the next in order is asked ...
    headers: float = 1.0  # ... and until the question is given up
    patience: float = 0.0  # or until then, while the asked says that it is alive, and only waits for somebody itself
    stall: float = 2.0  # between two pieces of body
    total: float = 30.0
    trip: float = 0.0  # there and back: all of these have it in them

    def over(self, trip: float) -> Budgets:
        """For a node that far away. A question for its health, on a connection of its own, takes two trips."""
        if not trip:
            return self
        return replace(
            self,
            connect=self.connect + trip,
            silence=self.silence + trip,
            doubt=self.doubt + 3 * trip,
            headers=self.headers + 3 * trip,
            patience=self.patience and self.patience + 3 * trip,
            trip=trip,
        )


PEER = Budgets(patience=6.0)  # an owner may itself have to wait for the origin: its 5 s, and the way back
ORIGIN = Budgets(connect=1.0, headers=5.0)
GATEWAY = Budgets(connect=2.0, headers=15.0)  # a public gateway may have to find providers first


class Retries:
    """The purse of second questions: each first one earns a tenth of one.

    A share of the traffic and not a number per question, as in Finagle and Envoy: when all are slow at once, asking
    twice is what turns slow into down.
    """

    def __init__(self, share: float = SHARE, reserve: float = RESERVE) -> None:
        self._share = share
        self._reserve = reserve
        self._purse = reserve
        self.denied = 0  # ever, for the metric

    def earned(self) -> None:
        """A first question was asked."""
        self._purse = min(self._reserve, self._purse + self._share)

    def spend(self) -> bool:
        """Whether a second one may be asked; it is paid for when so."""
        if self._purse < 1.0:
            self.denied += 1
            return False
        self._purse -= 1.0
        return True
