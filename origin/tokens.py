"""Tokens: who may do what.

Here lives the token table: names, scopes, sites, times, quotas, and only the SHA-256 of each secret (tokens.json,
0600). A secret has 256 random bits, so a plain hash is enough and a slow one would only cost us (OWASP: slow hashes
are for passwords). Looking a hash up in a dict leaks nothing useful by its timing. Not here: reading the header
(origin/app), or what a handler asks for (origin/api).
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from origin.errors import BadRequest, Forbidden, Missing, StateError, Unauthorized
from origin.state import replace_file

SCOPES = ("publish", "purge", "pin", "admin", "edge")
TOKENS_MAX = 10_000
NAME_CHARS = 200

Sites = tuple[str, ...] | Literal["*"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it is kept. `expires` is unix seconds; a quota of None is no quota."""

    id: str
    sha256: str
    name: str
    scopes: tuple[str, ...]
    sites: Sites = "*"
    expires: int | None = None
    quota_bytes: int | None = None  # of the sites it may publish, all live and staged releases together
    quota_sites: int | None = None  # how many of the sites it may publish can exist
    created: int = 0

    def allows(self, scope: str, site: str | None = None) -> bool:
        """Whether it has this scope (admin has all), for this site where one is named."""
        if scope not in self.scopes and "admin" not in self.scopes:
            return False
        return site is None or self.sees(site)

    def sees(self, site: str) -> bool:
        return self.sites == "*" or site in self.sites

    @property
    def is_node(self) -> bool:
        """Whether it may read what only nodes may: by scope edge, or as admin of all sites."""
        return "edge" in self.scopes or ("admin" in self.scopes and self.sites == "*")

    def require(self, scope: str, site: str | None = None) -> None:
        """Raise Forbidden, saying what is lacking, unless it allows this."""
        if not self.allows(scope):
            raise Forbidden(
                f"token {self.name!r} has no scope {scope!r} (it has: {', '.join(self.scopes)})", scope=scope
            )
        if site is not None and not self.sees(site):
            raise Forbidden(f"token {self.name!r} is not for site {site!r}", scope=scope, site=site)

    def public(self) -> dict[str, Any]:
        """What may be shown: all but the hash."""
        shown = asdict(self)
        del shown["sha256"]
        return shown


class Tokens:
    """The table, on disk and in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_hash = {token.sha256: token for token in _load(path)}
        self._changing = threading.Lock()  # handlers save in threads

    def __repr__(self) -> str:
        return f"<Tokens {len(self._by_hash)}>"

    def all(self) -> list[Token]:
        return sorted(self._by_hash.values(), key=lambda token: (token.created, token.id))

    def find(self, secret: str) -> Token:
        """The token of this secret. Raises Unauthorized when it is unknown or past its time."""
        token = self._by_hash.get(_hash(secret))
        if token is None:
            raise Unauthorized("unknown token: it was revoked, or belongs to another origin", "unknown_token")
        if token.expires is not None and token.expires <= time.time():
            raise Unauthorized(f"token {token.name!r} has expired", "expired_token")
        return token

    def add(self, token: Token) -> None:
        with self._changing:
            if len(self._by_hash) >= TOKENS_MAX:
                raise BadRequest(f"there are {TOKENS_MAX:,} tokens; revoke some")
            self._save({**self._by_hash, token.sha256: token})

    def make(self, name: str, scopes: Iterable[str], sites: Sites = "*", **limits: int | None) -> tuple[Token, str]:
        """A new token and its secret, which is shown this once and kept nowhere."""
        token, secret = self.mint(name, scopes, sites, **limits)
        self.add(token)
        return token, secret

    def mint(self, name: str, scopes: Iterable[str], sites: Sites = "*", **limits: int | None) -> tuple[Token, str]:
        """As `make`, but not yet in the table."""
        secret = "rim_" + secrets.token_urlsafe(32)
        now = int(time.time())
        return Token(secrets.token_hex(6), _hash(secret), name, tuple(scopes), sites, created=now, **limits), secret

    def remove(self, token_id: str) -> None:
        with self._changing:
            kept = {digest: token for digest, token in self._by_hash.items() if token.id != token_id}
            if len(kept) == len(self._by_hash):
                raise Missing(f"no token {token_id!r}", "no_token")
            self._save(kept)

    def _save(self, tokens: dict[str, Token]) -> None:
        rows = [asdict(token) for token in tokens.values()]
        replace_file(self._path, json.dumps({"tokens": rows}, indent=1).encode())
        self._by_hash = tokens


def read_request(body: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `Tokens.make` from what a client sent. Raises BadRequest naming the field."""
    name, scopes, sites = body.get("name"), body.get("scopes"), body.get("sites", "*")
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS:
        raise BadRequest("name: a text of 1 to 200 characters is needed")
    if not isinstance(scopes, list) or not scopes or any(scope not in SCOPES for scope in scopes):
        raise BadRequest(f"scopes: a list of {', '.join(SCOPES)}")
    if sites != "*" and (not isinstance(sites, list) or not all(isinstance(site, str) for site in sites)):
        raise BadRequest('sites: a list of site names, or "*"')
    limits = {key: _whole(body, key) for key in ("expires", "quota_bytes", "quota_sites")}
    return {"name": name, "scopes": scopes, "sites": sites if sites == "*" else tuple(sites), **limits}


def _whole(body: dict[str, Any], key: str) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise BadRequest(f"{key}: a number, not negative, or null")
    return int(value)


def _load(path: Path) -> list[Token]:
    try:
        rows = json.loads(path.read_bytes())["tokens"]
        return [_from_row(row) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path} cannot be read: {error}") from error


def _from_row(row: dict[str, Any]) -> Token:
    sites = row["sites"]
    return Token(**{**row, "scopes": tuple(row["scopes"]), "sites": sites if sites == "*" else tuple(sites)})


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
