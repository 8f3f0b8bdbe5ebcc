"""How a command ends: the exit codes, and the one exception that carries a code, what happened and what to do next.

Here live codes and their meaning. Not here: where errors are printed (rim/output), or the errors of other rooms,
which are translated into these at the border (rim/client, rim/publisher, rim/cli).
"""

from __future__ import annotations

OK = 0
FAILED = 1  # the origin is unreachable, full or dying; a file that changed while read, twice; bytes that differ
USAGE = 2  # no such folder, unreadable file, a name that is not UTF-8, a flag that makes no sense
REFUSED = 3  # token, unknown site, lost race, empty folder, secrets: asked again, the answer is the same
TIMED_OUT = 4  # done, but the edges did not confirm in time
PARTIAL = 5  # done at some nodes only; they are named
INTERRUPTED = 130  # 128 + SIGINT, as every shell counts it


class Stop(Exception):
    """The command ends here. `message` says what happened, `hint` what to do next."""

    code = FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Failed(Stop):
    """Exit 1: something broke on the way; another try may work."""


class Usage(Stop):
    """Exit 2: the command cannot be carried out as it was given."""

    code = USAGE


class Refused(Stop):
    """Exit 3: someone said no, and will again until something changes."""

    code = REFUSED


class TimedOut(Stop):
    """Exit 4: waited for long enough."""

    code = TIMED_OUT


class Partial(Stop):
    """Exit 5: some nodes only."""

    code = PARTIAL
