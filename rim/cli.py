"""The door: where a command line comes in, and where its end becomes an exit code.

Here lives what happens to errors. Not here: which commands there are (rim/app), or what they do (rim/commands).

Nothing is imported before main() runs but the exit codes, so that Ctrl-C is 130 from the first moment on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from rim.exits import FAILED, INTERRUPTED, OK, REFUSED, USAGE, Stop


def main() -> NoReturn:
    """The program `rim`. Ends without tearing the interpreter down: all that must be closed is closed by then, and a
    second Ctrl-C would land in the middle of it."""
    code = FAILED
    try:
        _die_with_parent()
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names hold what no locale has
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException:
        import traceback

        traceback.print_exc()  # a fault of ours: os._exit would swallow it
    finally:
        _flush()
        os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """One command line; its exit code. Errors are printed on stderr."""
    from typer import Abort, Exit
    from typer._click.exceptions import ClickException, NoArgsIsHelpError  # typer carries click, not exporting these

    from content.errors import ContentError
    from rim.app import app_for

    try:
        result = app_for(arguments)(list(arguments), prog_name="rim", standalone_mode=False)
        return result if isinstance(result, int) else OK
    except Stop as stop:
        return _say(stop.message, stop.hint, stop.code)
    except Exit as end:
        return int(end.exit_code)
    except (KeyboardInterrupt, Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return _say("stdout was closed", "", FAILED)
    except ContentError as error:  # a limit, or a name that no site can have
        return _say(str(error), "nothing was changed; what was live stays", REFUSED)
    except OSError as error:
        return _say(
            f"{error.filename or 'this machine'}: {error.strerror or error}", "mend that, then run it again", FAILED
        )
    except NoArgsIsHelpError:
        return USAGE  # the help is out already
    except ClickException as error:
        where = getattr(error, "ctx", None)
        return _say(error.format_message(), f"`{where.command_path if where else 'rim'} --help` says more", USAGE)
    except SystemExit as end:  # completion scripts and --help end so
        return end.code if isinstance(end.code, int) else OK


def _say(message: str, hint: str, code: int) -> int:
    """An error, and what to do next."""
    sys.stderr.write(f"rim: {message}\n" + (f"     {hint}\n" if hint else ""))
    return code


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue  # whoever read it is gone


def _die_with_parent() -> None:
    """A node that `rim up` started ends when that `rim up` is gone, however it went (prctl PR_SET_PDEATHSIG)."""
    parent = os.environ.pop("RIM_PARENT", "")
    if not parent:
        return
    import ctypes
    import signal

    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)
    if os.getppid() != int(parent):
        os._exit(FAILED)  # it went before we could say so
