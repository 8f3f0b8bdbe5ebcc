"""Where a command's settings come from: flags, then RIM_* variables, then rim.toml, then a running `rim up`.

Here lives that order and nothing else. Not here: the settings of an edge (edge/config) or of the origin, which are
processes of their own.

A token is never a flag (it would stand in `ps` and in the shell's history) and never in rim.toml (it would be
committed). The token of a running `rim up` is used with that `rim up`'s origin only, so that a rim.toml found in
someone else's folder cannot send it anywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rim.exits import Refused, Usage
from rim.project import Project
from rim.project import load as read_project

_NO_ORIGIN = "start one with `rim up`, or name one: --origin URL, RIM_ORIGIN, or `origin = ...` in rim.toml"
_ASK_FOR_ONE = (
    "set RIM_TOKEN to a token of this origin: whoever runs it makes one with "
    "`rim token add NAME --scope publish --site SITE`; the first admin token stands in its state folder (admin-token)"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What most commands need to know."""

    origin: str
    token: str
    state: Path  # of this user: memos live below it
    project: Project = field(default_factory=Project)


def state_home() -> Path:
    """The default state folder: RIM_STATE, else rim below XDG_STATE_HOME (XDG base directory specification)."""
    if chosen := os.environ.get("RIM_STATE"):
        return Path(chosen)
    home = os.environ.get("XDG_STATE_HOME")
    return Path(home) / "rim" if home else Path.home() / ".local" / "state" / "rim"


def load(origin: str | None = None, folder: Path | None = None, *, need_token: bool = True) -> Settings:
    """The settings in force here. `folder` is the one being published: its rim.toml comes before the one here."""
    project = read_project(folder)
    state = state_home()
    ring = running(state)
    url = origin or os.environ.get("RIM_ORIGIN") or project.origin or ring.get("origin")
    if not url:
        raise Usage("no origin is known", _NO_ORIGIN)
    if not _is_url(url):
        raise Usage(f"the origin {url!r} is not a URL", "write it as http://HOST:PORT or https://HOST")
    url = url.rstrip("/")
    token = _given_token() or (str(ring.get("token", "")) if url == ring.get("origin") else "")
    if need_token and not token:
        raise Refused(f"no token for {url}", _ASK_FOR_ONE)
    if not token.isascii() or not token.isprintable() or " " in token:
        where = "RIM_TOKEN" if os.environ.get("RIM_TOKEN") else "RIM_TOKEN_FILE"
        raise Usage(f"{where} holds characters that no token has", "set it again, without quotes or line ends")
    return Settings(url, token, state, project)


def _given_token() -> str:
    """RIM_TOKEN, else what the file holds that RIM_TOKEN_FILE names: where secrets are files, as in containers."""
    if token := os.environ.get("RIM_TOKEN"):
        return token
    path = os.environ.get("RIM_TOKEN_FILE")
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise Usage(f"RIM_TOKEN_FILE: {path}: {error.strerror}", "name a file with the token alone in it") from error


def _is_url(text: str) -> bool:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def author() -> str:
    """Whom releases and the log name: RIM_AUTHOR, else the user's name, else nobody."""
    if given := os.environ.get("RIM_AUTHOR"):
        return given
    try:
        import getpass

        return getpass.getuser()
    except (OSError, KeyError):
        return ""  # a container's user id without a name


def running(state: Path) -> Mapping[str, Any]:
    """What a running `rim up` of this state folder wrote of itself; empty when none runs."""
    try:
        ring = json.loads((state / "up.json").read_text(encoding="utf-8"))
        os.kill(int(ring["pid"]), 0)
    except PermissionError:
        return {}  # another user's, or not ours to read
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return ring if isinstance(ring, dict) else {}
