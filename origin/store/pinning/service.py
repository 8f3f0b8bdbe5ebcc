"""Service: the pinning services of an origin, where they are and what is pinned at them by itself.

Here lives the value, what is checked about it, and services.json (0600: it holds access tokens). The tokens are given
to their services and to nobody else: no answer, log line or repr of ours has them. Not here: what is pinned where
(store/pinning/table).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from content.limits import RETAINED_MAX
from origin.errors import BadRequest, StateError
from origin.state import replace_file

SERVICES_MAX = 20  # each is a worker, and a label value of metrics
SITES_MAX = 1_000  # named for one service
HINTS_MAX = 20  # Pinning Service API: `origins` has at most 20
HINT_CHARS = 500
ENDPOINT_CHARS = 1_000
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?\Z")  # also a file's name
_TOKEN = re.compile(r"[!-~]{1,8192}\Z")  # what a header can carry; a JWT of a service has under 1,000
_PRINTABLE = re.compile(r"[!-~]+\Z")


@dataclass(frozen=True, slots=True)
class Service:
    """One pinning service. `hints`: multiaddrs of the IPFS node that holds our blocks, sent as `origins`."""

    name: str
    endpoint: str
    token: str = field(repr=False)
    auto: bool = False  # pin live releases by itself
    sites: tuple[str, ...] | Literal["*"] = "*"  # of these sites
    keep: int = 1  # releases of each site: live, then the newest retained ones
    hints: tuple[str, ...] = ()
    leaving: bool = False  # being removed: all our pins at it go first

    def takes(self, site: str) -> bool:
        return self.auto and not self.leaving and (self.sites == "*" or site in self.sites)

    def public(self) -> dict[str, Any]:
        """What may be shown: all but the token."""
        shown = asdict(self)
        del shown["token"]
        return shown

    def changed(self, given: Mapping[str, Any]) -> Service:
        """With what is given in an API body. A token belongs to its endpoint's host: with another one, another token
        has to be given, or who may change a service could have its token sent to himself. Raises BadRequest."""
        known = {name: _READ[name](given[name]) for name in _READ if name in given}
        made = replace(self, **known)
        if "token" not in known and urlsplit(made.endpoint)[:2] != urlsplit(self.endpoint)[:2]:
            raise BadRequest(
                "endpoint: on another host; give its token as well (`rim service set NAME --endpoint URL --token`)",
                "bad_service_token",
            )
        return made

    @classmethod
    def made(cls, name: str, given: Mapping[str, Any]) -> Service:
        """A new one from an API body. Raises BadRequest."""
        if not _NAME.match(name):
            raise BadRequest(f"service name {name[:80]!r}: use 1 to 40 of a-z, 0-9, '.', '_' and '-'", "bad_name")
        return cls(name, _endpoint(given.get("endpoint")), _token(given.get("token"))).changed(given)


class Services:
    """The table on disk and in memory. `origin` is this origin's mark in the `meta` of its pins: two origins that share
    an account know their own by it. It is no secret, and names nothing that anybody could ask for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.origin, self._by_name = _load(path)

    def __repr__(self) -> str:
        return f"<Services {', '.join(self._by_name)}>"

    def __iter__(self) -> Any:
        return iter(sorted(self._by_name.values(), key=lambda service: service.name))

    def put(self, service: Service) -> None:
        """Durable on return; in a thread."""
        if service.name not in self._by_name and len(self._by_name) >= SERVICES_MAX:
            raise BadRequest(f"there are {SERVICES_MAX} pinning services; remove one")
        self._save({**self._by_name, service.name: service})

    def drop(self, name: str) -> None:
        self._save({key: service for key, service in self._by_name.items() if key != name})

    def _save(self, services: dict[str, Service]) -> None:
        rows = [asdict(service) for service in services.values()]
        replace_file(self._path, json.dumps({"origin": self.origin, "services": rows}, indent=1).encode())
        self._by_name = services


def _load(path: Path) -> tuple[str, dict[str, Service]]:
    try:
        found = json.loads(path.read_bytes())
        known = {item.name for item in fields(Service)}
        rows = [{key: _frozen(value) for key, value in row.items() if key in known} for row in found["services"]]
        return str(found["origin"]), {row["name"]: Service(**row) for row in rows}
    except FileNotFoundError:
        return secrets.token_hex(8), {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # Never the error's own words: they may quote the file, and the file holds tokens.
        raise StateError(f"{path} cannot be read ({type(error).__name__}): mend it or put a backup in place") from None


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _endpoint(value: object) -> str:
    """A URL to which `/pins` is added. Over plain HTTP the token could be read on the way, so only on this machine."""
    if not isinstance(value, str) or not value or len(value) > ENDPOINT_CHARS or not _PRINTABLE.match(value):
        raise BadRequest("endpoint: a URL, e.g. https://api.example.com/psa", "bad_endpoint")
    try:
        url = urlsplit(value)
        host, _ = url.hostname or "", url.port
    except ValueError as error:
        raise BadRequest(f"endpoint: {error}", "bad_endpoint") from error
    if url.scheme not in ("https", "http") or not host:
        raise BadRequest("endpoint: a URL of https", "bad_endpoint")
    if url.username is not None or url.query or url.fragment or "?" in value or "#" in value:
        raise BadRequest("endpoint: a URL without user, query and fragment; the token goes apart", "bad_endpoint")
    if url.scheme == "http" and not _loopback(host):
        raise BadRequest(
            "endpoint: https, or the token can be read on its way (http: only on loopback)", "bad_endpoint"
        )
    return value.rstrip("/")


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _token(value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.match(value):
        raise BadRequest("token: the access token of the service, printable ASCII without blanks", "bad_service_token")
    return value


def _auto(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadRequest("auto: true or false")
    return value


def _sites(value: object) -> tuple[str, ...] | Literal["*"]:
    if value == "*":
        return "*"
    return _texts("sites", value, SITES_MAX, 63)


def _keep(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= RETAINED_MAX:
        raise BadRequest(f"keep: a whole number from 1 to {RETAINED_MAX}")
    return value


def _hints(value: object) -> tuple[str, ...]:
    hints = _texts("hints", value, HINTS_MAX, HINT_CHARS)
    if wrong := [hint for hint in hints if not hint.startswith("/") or not _PRINTABLE.match(hint)]:
        raise BadRequest(f"hints: {wrong[0][:80]!r} is no multiaddr (/ip4/203.0.113.7/tcp/4001/p2p/12D3…)")
    return hints


def _texts(name: str, value: object, most: int, chars: int) -> tuple[str, ...]:
    good = isinstance(value, list) and len(value) <= most
    if not isinstance(value, list) or not good or not all(isinstance(v, str) and 0 < len(v) <= chars for v in value):
        raise BadRequest(f"{name}: a list of at most {most:,} texts of at most {chars} characters")
    return tuple(dict.fromkeys(value))


_READ: Mapping[str, Any] = {
    "endpoint": _endpoint,
    "token": _token,
    "auto": _auto,
    "sites": _sites,
    "keep": _keep,
    "hints": _hints,
}
