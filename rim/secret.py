"""Secret: the password of a preview, from the environment or typed, as the hash that is all anyone keeps of it; and the
access token of a pinning service, which the origin keeps.

Here lives the asking, and the salt. Not here: the hash itself (content/password). Never a flag: it would stand in `ps`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from content.password import Password
from rim.exits import Usage

SECRET = "RIM_PREVIEW_PASSWORD"  # noqa: S105 - the variable's name
SERVICE_TOKEN = "RIM_SERVICE_TOKEN"  # noqa: S105 - the variable's name
_SALT_BYTES = 16
_TOKEN_BYTES = 16_384  # more than any token has: a wrong file is told early


def hashed_secret() -> str:
    """The hash of the password in RIM_PREVIEW_PASSWORD, else of one that is typed. Raises Usage."""
    return str(Password.make(os.environ.get(SECRET) or _asked(), os.urandom(_SALT_BYTES)))


def access_token(file: Path | None) -> str:
    """The token in this file (- is stdin), else in RIM_SERVICE_TOKEN, else typed. Raises Usage."""
    if file is not None:
        token = _read(file)
    elif os.environ.get(SERVICE_TOKEN):
        token = os.environ[SERVICE_TOKEN]
    elif sys.stdin.isatty():
        from getpass import getpass

        token = getpass("Access token of the service: ")
    else:
        raise Usage("the service's access token is needed", f"give --token-file FILE (- is stdin), or {SERVICE_TOKEN}")
    if not token.strip():
        raise Usage("an empty access token", f"put the service's token into the file, or into {SERVICE_TOKEN}")
    return token.strip()


def _read(file: Path) -> str:
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(_TOKEN_BYTES + 1)
        else:
            with file.open("rb") as opened:
                data = opened.read(_TOKEN_BYTES + 1)
        text = data.decode("ascii")
    except OSError as error:
        raise Usage(f"{file}: {error.strerror or error}", "give a file that holds the token") from error
    except UnicodeDecodeError as error:
        raise Usage(f"{file}: no token is in it (bytes that are not ASCII)", "give a file that holds it") from error
    if len(data) > _TOKEN_BYTES:
        raise Usage(f"{file}: too long for a token", "give a file that holds only the token")
    return text


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
