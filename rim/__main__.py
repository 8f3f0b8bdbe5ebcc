"""The program `rim`, also as `python -m rim`: the first lines that run.

Here lives one thing: while Python loads our modules a Ctrl-C ends the process at once and silently, as it would a C
program, instead of a traceback from the middle of an import. Not here: everything else (rim/cli).
"""

import _signal  # type: ignore[import-not-found]  # no stubs; the built-in behind `signal`, whose own import takes milliseconds


def main() -> None:
    """Load the command line with SIGINT at its default, then run it with Python's."""
    mine = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler  # not where a shell said to ignore it
    if mine:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from rim.cli import main as run

    try:
        if mine:
            _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
