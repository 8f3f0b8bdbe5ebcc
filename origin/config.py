"""Config: the settings of an origin, one row each.

Here lives the table that `rim origin --help`, the environment and docs/settings are read from, and the value that the
rest of the origin is given. Not here: flags (rim/commands).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

STORES = ("embedded", "kubo")
KUBO_API = "http://127.0.0.1:5001"  # as Kubo listens by itself
KUBO_GATEWAY = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its flag is --name with dashes, its variable `env`."""

    name: str
    type: type
    unit: str
    default: Any
    env: str
    help: str


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "state",
        Path,
        "folder",
        None,
        "RIM_ORIGIN_STATE",
        "Where everything is kept: blocks, keys, tokens. One origin at a time uses it. Back this folder up.",
    ),
    Setting(
        "listen",
        str,
        "host:port",
        "127.0.0.1:7070",
        "RIM_ORIGIN_LISTEN",
        "The address for publishers and nodes. Port 0 takes a free one. Off loopback every read needs a token, and TLS "
        "belongs in front of it.",
    ),
    Setting(
        "store",
        str,
        "embedded|kubo",
        None,
        "RIM_ORIGIN_STORE",
        "What keeps the blocks of releases: packs in the state folder, or a Kubo beside the origin. The folder "
        "remembers it: said once, and moved by `rim origin migrate`.",
    ),
    Setting(
        "kubo_api",
        str,
        "URL",
        None,
        "RIM_ORIGIN_KUBO_API",
        f"Kubo's RPC, with the store kubo ({KUBO_API} unless said; the folder remembers it). Whoever reaches it owns "
        "the Kubo: loopback, or a socket only the origin has.",
    ),
    Setting(
        "kubo_gateway",
        str,
        "URL",
        None,
        "RIM_ORIGIN_KUBO_GATEWAY",
        f"Kubo's gateway, through which blocks are read ({KUBO_GATEWAY} unless said; the folder remembers it).",
    ),
    Setting(
        "gc_interval",
        float,
        "seconds",
        86_400.0,
        "RIM_ORIGIN_GC_INTERVAL",
        "How often blocks that nothing needs are removed by itself; 0: only when `rim gc` asks. Lower it where disk is "
        "short, see rim_origin_collected_bytes_total.",
    ),
    Setting(
        "grace",
        float,
        "seconds",
        8.0,
        "RIM_ORIGIN_GRACE",
        "How long requests under way may take to finish after SIGTERM.",
    ),
    Setting(
        "denylists",
        str,
        "files",
        "",
        "RIM_ORIGIN_DENYLISTS",
        "Denylists (compact format, .deny), comma separated, the last one wins: what they deny is not given out here, "
        "and no publish may hold it. Read again when they change. Edges have lists of their own.",
    ),
    Setting(
        "routers",
        str,
        "urls",
        "",
        "RIM_ORIGIN_ROUTERS",
        "URLs of delegated routers, comma separated, that are told the IPNS record of every site "
        "(PUT /routing/v1/ipns): at its commits, at its renewals, and every four hours.",
    ),
    Setting("json", bool, "", False, "RIM_ORIGIN_JSON", "Say on stdout as one JSON line where the origin listens."),
)


@dataclass(frozen=True, slots=True)
class OriginConfig:
    """The settings in force."""

    state: Path
    listen: str = "127.0.0.1:7070"
    gc_interval: float = 86_400.0
    grace: float = 8.0
    routers: str = ""
    json: bool = False
    store: str | None = None  # None, here and below: as the folder remembers
    kubo_api: str | None = None
    kubo_gateway: str | None = None
    denylists: tuple[Path, ...] = ()

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]") or "127.0.0.1"

    @property
    def port(self) -> int:
        """Raises ValueError when the address has no number for a port."""
        return int(self.listen.rpartition(":")[2])

    @property
    def router_urls(self) -> tuple[str, ...]:
        """Raises ValueError for what is no http(s) URL."""
        urls = tuple(part.strip().rstrip("/") for part in self.routers.split(",") if part.strip())
        for url in urls:
            if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                raise ValueError(f"{url!r} is not an http(s) URL")
        return urls

    @property
    def loopback(self) -> bool:
        """Whether only this machine can speak to the listener."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False
