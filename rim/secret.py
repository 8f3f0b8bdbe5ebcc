"""Secret: the password of a preview, from the environment or typed, as the hash that is all anyone keeps of it.

Here lives the asking, and the salt. Not here: the hash itself (content/password). Never a flag: it would stand in `ps`.
"""

from __future__ import annotations

import os
import sys

from content.password import Password
from rim.exits import Usage

SECRET = "RIM_PREVIEW_PASSWORD"  # noqa: S105 - the variable's name
_SALT_BYTES = 16


def hashed_secret() -> str:
    """The hash of the password in RIM_PREVIEW_PASSWORD, else of one that is typed. Raises Usage."""
    return str(Password.make(os.environ.get(SECRET) or _asked(), os.urandom(_SALT_BYTES)))


def _asked() -> str:
    """The password, typed twice without echo. Raises Usage."""
    if not sys.stdin.isatty():
        raise Usage("there is no terminal to ask for the password on", f"set {SECRET}; a flag would stand in `ps`")
    from getpass import getpass

    secret = getpass("Password of the previews: ")
    if not secret:
        raise Usage("an empty password opens nothing and protects nothing", "type one")
    if getpass("Once more: ") != secret:
        raise Usage("the two differ", "run it again")
    return secret
