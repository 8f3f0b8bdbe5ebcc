"""Config: what an edge is told at its start.

Here lives one table of settings, from which the command line, its help and docs/settings.md are made, and the value
they become. Not here: what site owners set (content/catalog, Site.settings), nor named limits (edge/http/limits).

A flag wins over its variable, and that over the default. Tokens are never flags: they would stand in `ps`.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from content.errors import BadRecord
from content.ipns import key_of
from content.limits import DENYLISTS, GATEWAY_BYTES
from content.release import is_base_url
from edge.cache.inventory import Policy
from edge.gateway.hosts import GatewayHost, parse_hosts
from edge.gateway.mode import Mode
from edge.http.address import Trusted
from edge.http.rates import Rate
from edge.names.links import read_links
from edge.names.servers import OFF, server_address
from edge.peers.finding import Finding, Way
from edge.peers.ring import Member

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)i?B?\s*\Z", re.IGNORECASE)
PROCESSES_MAX = 64  # of one edge: each has a share of the memory, and asks all others
DRAIN_NOTICE = 3.0  # s; the recipes of deploy/ check an edge's health once a second
DRAIN_MAX = 3_600.0  # s
WEIGHT_BYTES = 10 * 1024**3  # of --cache that weigh 1
WEIGHT_LEAST, WEIGHT_MOST = 0.1, 100.0  # of --weight auto
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


class BadSetting(ValueError):
    """A setting that cannot be meant. The text names it and says what would do."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: its flag is --name with dashes, its variable `env`. `unit` says how the text is read."""

    name: str
    type: type
    unit: str
    default: Any
    env: str
    help: str


SETTINGS: tuple[Setting, ...] = (
    Setting("name", str, "", "", "RIM_NAME", "This edge's name: in the ring, in Cache-Status, in logs. Must differ."),
    Setting(
        "state",
        Path,
        "folder",
        None,
        "RIM_EDGE_STATE",
        "Folder for the stored Head and the disk cache. One edge at a time uses it; nothing in it needs a backup.",
    ),
    Setting("origin", str, "url", "", "RIM_ORIGIN", "The origin's address, as this edge reaches it."),
    Setting("catalog", str, "names", "", "RIM_CATALOG", "IPNS names (k51…) whose Heads are believed, comma separated."),
    Setting(
        "token_file",
        Path,
        "file",
        None,
        "RIM_NODE_TOKEN_FILE",
        "File with the node token (scope edge). Or put the token itself into RIM_NODE_TOKEN; it is never a flag.",
    ),
    Setting("public", str, "host:port", "127.0.0.1:8080", "RIM_PUBLIC", "Where visitors are served."),
    Setting(
        "private",
        str,
        "host:port",
        "127.0.0.1:0",
        "RIM_PRIVATE",
        "Where peers, health, metrics and admin are served. Off loopback it needs a node token.",
    ),
    Setting(
        "peers",
        str,
        "members",
        "",
        "RIM_PEERS",
        "The ring: NAME=URL;region=R;weight=W, comma separated, this edge too, the same list on every edge. Or how its "
        "members are found: origin, by the origin's register; dns://HOST:PORT, every address of a name; "
        "srv://_rim._tcp.NAME, every target of a service.",
    ),
    Setting(
        "private_url",
        str,
        "url",
        "",
        "RIM_PRIVATE_URL",
        "Where peers reach the private listener, for --peers origin: http://10.0.0.7:9000. Unless set: its address.",
    ),
    Setting("region", str, "", "local", "RIM_REGION", "Edges of one region own its blocks together."),
    Setting(
        "weight",
        str,
        "number|auto",
        "auto",
        "RIM_WEIGHT",
        "This edge's share of its region, where no list of --peers says it. auto: as many as it has processes (cores, "
        "where those are fewer) or times 10GiB of --cache, whichever is less; 1 with a list.",
    ),
    Setting(
        "cache", str, "size", "10GiB", "RIM_CACHE", "Disk for blocks. Raise it while rim_disk_evicted_total grows fast."
    ),
    Setting(
        "cache_policy",
        str,
        "s3fifo|lru",
        "s3fifo",
        "RIM_CACHE_POLICY",
        "What leaves a full disk, and what enters it: s3fifo misses and writes less, lru takes all, drops the oldest.",
    ),
    Setting(
        "cache_min_free",
        str,
        "size",
        None,
        "RIM_CACHE_MIN_FREE",
        "Free space that the disk cache leaves on its filesystem. Unless set: 512MiB or 1 % of it, whichever is less.",
    ),
    Setting(
        "memory",
        str,
        "size",
        "512MiB",
        "RIM_MEMORY",
        "Memory for blocks and ready answers. Raise it while rim_memory_evicted_total grows fast.",
    ),
    Setting(
        "gateways",
        str,
        "names",
        "",
        "RIM_GATEWAYS",
        "URLs of trustless gateways, asked last, for content and IPNS records.",
    ),
    Setting(
        "gateway_hosts",
        str,
        "hosts",
        "",
        "RIM_GATEWAY_HOSTS",
        "Hosts of the IPFS gateway, comma separated: gw.example.com with CID.ipfs.gw.example.com below it, or "
        "gw.example.com;paths without; *: paths on every host that is nobody's. Sites come first. Off unless set.",
    ),
    Setting(
        "gateway",
        str,
        "pinned|open|off",
        "pinned",
        "RIM_GATEWAY",
        "What the gateway shows: pinned, what public releases and pins of the origin reach; open, whatever can be had, "
        "also from --gateways; off.",
    ),
    Setting(
        "gateway_url",
        str,
        "url",
        "",
        "RIM_GATEWAY_URL",
        "Where browsers reach the gateway of this edge, e.g. https://gw.example.com. Service workers of sites are told "
        "of it, as a place to take a file from that another edge had wrong. On pages of https it must be https too.",
    ),
    Setting(
        "gateway_tunnels",
        bool,
        "",
        False,
        "RIM_GATEWAY_TUNNELS",
        "CONNECT to a gateway host is granted, and leads to this edge itself: for clients that have it for their HTTP "
        "proxy. Not where a proxy in front keeps anything from anybody: what comes through a tunnel, it does not see.",
    ),
    Setting(
        "dnslink",
        bool,
        "",
        False,
        "RIM_DNSLINK",
        "A host that is no site's and no gateway's is looked up as a DNSLink, and shown as the gateway's mode allows.",
    ),
    Setting(
        "dnslinks",
        str,
        "links",
        "",
        "RIM_DNSLINKS",
        "Domains whose DNSLink is set here and not asked of DNS: DOMAIN=/ipfs/CID or DOMAIN=/ipns/NAME, comma "
        "separated; or the path of a file with one a line. SIGHUP reads the file again.",
    ),
    Setting(
        "ipns_records",
        Path,
        "folder",
        None,
        "RIM_IPNS_RECORDS",
        "Folder with IPNS records of your own, NAME.ipns-record each. Verified like all others; SIGHUP reads it again.",
    ),
    Setting(
        "resolvers",
        str,
        "servers",
        "",
        "RIM_RESOLVERS",
        "Addresses of the DNS servers asked for DNSLinks, comma separated: 9.9.9.9, [2620:fe::fe]:5353. "
        "Unless set: the system's. off: none is asked.",
    ),
    Setting(
        "routers",
        str,
        "urls",
        "",
        "RIM_ROUTERS",
        "URLs of delegated routers (/routing/v1/ipns), asked beside --gateways for the IPNS records of names that are "
        "no site's.",
    ),
    Setting(
        "processes",
        int,
        "",
        1,
        "RIM_PROCESSES",
        "Processes of this edge, one per core; they share ports, memory and disk. SIGHUP restarts them in turn.",
    ),
    Setting(
        "site_domain", str, "", "localhost", "RIM_SITE_DOMAIN", "Every site answers as SITE.DOMAIN beside its hosts."
    ),
    Setting(
        "trusted_proxy",
        str,
        "networks",
        "",
        "RIM_TRUSTED_PROXY",
        "Proxies in front of this edge, comma separated (10.0.0.0/8, 2001:db8::7). What they say of a client's address "
        "is believed, in X-Forwarded-For, Forwarded or a PROXY header; nobody else's word is.",
    ),
    Setting(
        "proxy_protocol",
        bool,
        "",
        False,
        "RIM_PROXY_PROTOCOL",
        "Connections from --trusted-proxy begin with a PROXY header, version 1 or 2; without one they are closed. "
        "Others speak HTTP as ever.",
    ),
    Setting(
        "max_connections",
        int,
        "",
        0,
        "RIM_MAX_CONNECTIONS",
        "Visitors' connections in all, per process; for one more an idle one is closed, or it is answered 503. "
        "0: three quarters of the descriptors that the process may have, at most 32768.",
    ),
    Setting(
        "max_connections_per_client",
        int,
        "",
        0,
        "RIM_MAX_CONNECTIONS_PER_CLIENT",
        "Connections of one client (an IPv4 address, an IPv6 /64), per process; one more is answered 429. 0: no limit, "
        "as many may share an address. A trusted proxy is no client.",
    ),
    Setting(
        "rate_per_client",
        str,
        "rate",
        "",
        "RIM_RATE_PER_CLIENT",
        "Requests of one client, per process: 50/s, or 50/s:200 for 200 at once; beyond it 429. Off unless set.",
    ),
    Setting(
        "rate_per_site",
        str,
        "rate",
        "",
        "RIM_RATE_PER_SITE",
        "Requests for one site, per process, written like --rate-per-client. Off unless set.",
    ),
    Setting(
        "tls_cert",
        Path,
        "file",
        None,
        "RIM_TLS_CERT",
        "Certificate with its chain (PEM): the public listener speaks TLS. SIGHUP reads it and the key again.",
    ),
    Setting("tls_key", Path, "file", None, "RIM_TLS_KEY", "The certificate's key (PEM, no passphrase)."),
    Setting(
        "access_log",
        str,
        "off|combined|json",
        "off",
        "RIM_ACCESS_LOG",
        "One line per answer: combined, as Apache and nginx write it, or json, which has site and outcome too.",
    ),
    Setting(
        "access_log_file",
        Path,
        "file",
        None,
        "RIM_ACCESS_LOG_FILE",
        "Where the access log goes; else to stderr. SIGHUP opens it again, after it was moved away.",
    ),
    Setting(
        "early_hints",
        bool,
        "",
        False,
        "RIM_EARLY_HINTS",
        "Before a document that is not in memory, send its Link fields as 103 Early Hints. Behind a proxy that speaks "
        "HTTP/2 and sends them on, as HAProxy does: some clients of HTTP/1.1 take a 103 for the answer (RFC 8297 §3).",
    ),
    Setting(
        "reload",
        bool,
        "",
        False,
        "RIM_RELOAD",
        "Development: pages reload when another release is live. On loopback only; `rim up --watch` sets it.",
    ),
    Setting(
        "denylists",
        str,
        "names",
        "",
        "RIM_DENYLISTS",
        "Denylists (compact format, .deny): files and URLs, comma separated, the last one wins. What they deny answers "
        "410 or 451 here. The origin's own list comes by itself and overrules them.",
    ),
    Setting(
        "denylist_interval",
        float,
        "seconds",
        300.0,
        "RIM_DENYLIST_INTERVAL",
        "How often the URLs among them are asked for changes. Files are read again within seconds, and at SIGHUP.",
    ),
    Setting(
        "drain_notice",
        str,
        "seconds|auto",
        "auto",
        "RIM_DRAIN_NOTICE",
        "How long an edge that is told to end goes on as before while its health says 503, so that who balances load "
        "over edges sends nobody here any more: longer than the time between two of its checks. auto: 3, and 0 where "
        "visitors come by loopback only.",
    ),
    Setting(
        "drain_deadline",
        float,
        "seconds",
        7.0,
        "RIM_DRAIN_DEADLINE",
        "When an edge that is told to end cuts off what it is still answering, counted from the signal. A second one "
        "does so at once.",
    ),
    Setting("json", bool, "", False, "RIM_EDGE_JSON", "Say on stdout as one JSON line where the edge listens."),
)


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """An edge's settings, read and checked."""

    name: str
    state: Path
    origin: str
    catalog: tuple[str, ...]
    token: str | None = None
    public: str = "127.0.0.1:8080"
    private: str = "127.0.0.1:0"
    peers: tuple[Member, ...] = ()
    finding: Finding | None = None  # another way than `peers`
    private_url: str = ""
    region: str = "local"
    weight: float = 1.0
    cache_bytes: int = 10 * 1024**3
    cache_policy: Policy = "s3fifo"
    cache_min_free: int | None = None  # bytes; None: a small part of the filesystem
    memory_bytes: int = 512 * 1024**2
    gateways: tuple[str, ...] = ()
    gateway_hosts: tuple[GatewayHost, ...] = ()
    gateway: Mode = Mode.PINNED
    gateway_url: str = ""
    gateway_tunnels: bool = False
    dnslink: bool = False
    dnslinks: str = ""
    ipns_records: Path | None = None
    resolvers: tuple[str, ...] = ()
    routers: tuple[str, ...] = ()
    processes: int = 1
    site_domain: str = "localhost"
    trusted_proxy: Trusted = field(default_factory=Trusted)
    proxy_protocol: bool = False
    max_connections: int = 0
    max_connections_per_client: int = 0
    rate_per_client: Rate | None = None
    rate_per_site: Rate | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    access_log: str = "off"
    access_log_file: Path | None = None
    reload: bool = False
    denylists: tuple[str, ...] = ()  # paths and URLs
    denylist_interval: float = 300.0
    early_hints: bool = False
    drain_notice: float | None = None  # s; None: as `notice` has it
    drain_deadline: float = 7.0  # s; docker stop kills after 10
    json: bool = False  # one line of JSON on stdout when ready, instead of a sentence

    def __post_init__(self) -> None:
        if not self.catalog:
            raise BadSetting("catalog: give the name (k51…) of the origin's key, as `rim key show` prints it")
        for name in self.catalog:
            try:
                key_of(name)
            except BadRecord as error:
                raise BadSetting(f"catalog: {error}") from error
        if urlsplit(self.origin).scheme not in ("http", "https") or not urlsplit(self.origin).hostname:
            raise BadSetting(f"origin: {self.origin!r} is not an http(s) URL")
        try:
            Member(self.name, "http://127.0.0.1:1", self.region, self.weight)
        except ValueError as error:
            raise BadSetting(str(error)) from error
        if self.cache_policy not in get_args(Policy):
            raise BadSetting(f"cache-policy: {self.cache_policy!r} is neither s3fifo nor lru")
        if not 1 <= self.processes <= PROCESSES_MAX:
            raise BadSetting(f"processes: {self.processes} is not from 1 to {PROCESSES_MAX}; one per core is enough")
        host, _ = address(self.private, "private")
        self._check_ring(host)
        visitors, _ = address(self.public, "public")
        if self.reload and not is_loopback(visitors):
            raise BadSetting(f"reload: {self.public} is not loopback, and visitors get pages as they were published")
        if self.token is None and not is_loopback(host):
            raise BadSetting(
                f"private: {self.private} is not loopback, so peers must prove themselves: "
                "give a node token (RIM_NODE_TOKEN or --token-file)"
            )
        if len(self.denylists) >= DENYLISTS:  # the Catalog's own is one more
            raise BadSetting(f"denylists: {len(self.denylists)}; at most {DENYLISTS - 1} are looked into")
        if self.denylist_interval < 1:
            raise BadSetting(f"denylist_interval: {self.denylist_interval:g} s; once a second is as often as it goes")
        if not 0 <= (self.drain_notice or 0.0) <= self.drain_deadline <= DRAIN_MAX:
            raise BadSetting(
                f"drain_notice, drain_deadline: {self.notice:g} s and {self.drain_deadline:g} s; the notice comes "
                f"before the deadline, and that is at most {DRAIN_MAX:g} s"
            )
        self._check_front()
        self._check_names()
        self._check_gateway()

    def _check_ring(self, host: str) -> None:
        """Raises BadSetting unless others can be told where to reach this edge."""
        if self.private_url:
            try:
                Member(self.name, self.private_url)
            except ValueError as error:
                raise BadSetting(f"private_url: {error}") from error
            url = urlsplit(self.private_url)
            if self.private_url != f"{url.scheme}://{url.netloc}" or "@" in url.netloc:
                raise BadSetting(f"private_url: {self.private_url!r} is more than http://HOST:PORT")
        elif self.found.way is Way.ORIGIN and host in ("0.0.0.0", "::"):  # noqa: S104 - told apart, not bound
            raise BadSetting(
                f"peers: origin: others cannot be sent to {self.private}: say with --private-url where they reach it"
            )

    def _check_gateway(self) -> None:
        """Raises BadSetting unless somebody answers under the URL that browsers are told."""
        url = self.gateway_url
        if not url:
            return
        if not is_base_url(url) or len(url) > GATEWAY_BYTES:
            raise BadSetting(f"gateway_url: {url!r} is no http(s) URL that /ipfs/CID could be put behind")
        if self.gateway is Mode.OFF or not self.gateway_hosts:
            raise BadSetting(f"gateway_url: no gateway answers as {url}: name its host with --gateway-hosts")

    def _check_names(self) -> None:
        """Raises BadSetting unless what is said of names can be read."""
        try:
            read_links(self.dnslinks)
        except (OSError, ValueError) as error:
            raise BadSetting(f"dnslinks: {error}") from error
        if self.ipns_records is not None and not self.ipns_records.is_dir():
            raise BadSetting(f"ipns_records: {self.ipns_records} is no folder")

    def _check_front(self) -> None:
        """Raises BadSetting unless what is said of proxies, TLS, limits and log fits together."""
        if self.proxy_protocol and not self.trusted_proxy:
            raise BadSetting("proxy_protocol: name the proxies that send the header with --trusted-proxy")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise BadSetting("tls_cert, tls_key: give both or neither")
        for name in ("max_connections", "max_connections_per_client"):
            if getattr(self, name) < 0:
                raise BadSetting(f"{name}: {getattr(self, name)} is no number of connections")
        if self.access_log_file is not None and self.access_log == "off":
            raise BadSetting("access_log_file: say what to write there with --access-log combined or json")

    @property
    def notice(self) -> float:
        """Seconds for which it is told that this edge leaves, before it takes no more."""
        if self.drain_notice is None:
            visitors, _ = address(self.public, "public")
            return 0.0 if is_loopback(visitors) else min(DRAIN_NOTICE, self.drain_deadline)
        return self.drain_notice

    @property
    def found(self) -> Finding:
        """How the members of the ring are found."""
        return self.finding or Finding(members=self.peers)

    def own(self, bound: str) -> Member:
        """This edge as a member: as the list has it, else by its own settings, reached where it is `bound`."""
        mine = Member(self.name, self.private_url or bound, self.region, self.weight)
        return next((member for member in self.peers if member.name == self.name), mine)

    def members(self, private_url: str) -> tuple[Member, ...]:
        """The ring's members with this edge among them."""
        return (*(member for member in self.peers if member.name != self.name), self.own(private_url))

    def __repr__(self) -> str:
        return f"<EdgeConfig {self.name}@{self.region} public {self.public} private {self.private} of {self.origin}>"


def read(flags: Mapping[str, Any], env: Mapping[str, str]) -> EdgeConfig:
    """The config from flags (by a row's name; None, "" or False: not given) and environment. Raises BadSetting."""
    values: dict[str, Any] = {}
    for row in SETTINGS:
        given = flags.get(row.name) or env.get(row.env) or row.default
        try:
            values[row.name] = _value(row, given)
        except ValueError as error:
            raise BadSetting(f"{row.name}: {error}") from error
    for row in SETTINGS:
        if row.name in ("name", "state", "origin") and not values[row.name]:
            raise BadSetting(f"{row.name}: give it with --{row.name} or {row.env}")
    token = _token(values.pop("token_file"), env)
    cache, memory = values.pop("cache"), values.pop("memory")
    finding = values.pop("peers")
    peers = finding.members
    values["finding"] = None if finding.way is Way.LIST else finding
    if values["weight"] is None:  # a list weighs 1 whom it says nothing of, and so does who is not in it
        values["weight"] = 1.0 if finding.way is Way.LIST else weight_of(values["processes"], cache)
    return EdgeConfig(**values, token=token, peers=peers, cache_bytes=cache, memory_bytes=memory)


def weight_of(processes: int, cache: int) -> float:
    """The weight of an edge of so many processes and bytes of disk: its keys must fit the scarcer of the two. 1 for one
    process with 10 GiB, as all settings unset give."""
    cores = min(processes, _cores())
    return round(min(max(min(float(cores), cache / WEIGHT_BYTES), WEIGHT_LEAST), WEIGHT_MOST), 2)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def address(text: str, what: str = "address") -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080` or `[::1]:8080`. Raises BadSetting."""
    host, colon, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise BadSetting(f"{what}: {text!r} is not HOST:PORT")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. A name other than localhost may mean anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def size(text: str) -> int:
    """Bytes in `10GiB`, `512M`, `65536`; units are powers of 1024. Raises ValueError."""
    found = _SIZE.match(text)
    if found is None:
        raise ValueError(f"{text!r} is not a size such as 512MiB or 10G")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def _token(path: Path | None, env: Mapping[str, str]) -> str | None:
    if path is None:
        return env.get("RIM_NODE_TOKEN") or None
    try:
        return path.read_text().strip() or None
    except OSError as error:
        raise BadSetting(f"token-file: {path}: {error.strerror}") from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(url.rstrip("/") for url in _names(text))
    for url in urls:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"{url!r} is not an http(s) URL")
    return urls


def _servers(text: str) -> tuple[str, ...]:
    found = _names(text)
    if found != (OFF,):
        for server in found:
            server_address(server)
    return found


def _value(row: Setting, given: Any) -> Any:
    """What the row's text means; what is no text stays as it is."""
    if row.unit in _READERS and isinstance(given, str):
        return _READERS[row.unit](given)
    if row.type is bool and isinstance(given, str):
        return given.lower() in ("yes", "true", "1", "on")
    return given if given is None else row.type(given)


def _mode(text: str) -> Mode:
    try:
        return Mode(text.strip().lower())
    except ValueError:
        raise ValueError(f"{text!r} is none of {', '.join(Mode)}") from None


def _log_form(text: str) -> str:
    """A switch until 0.1: what turned it on means json, as that was the form."""
    form = {"yes": "json", "true": "json", "1": "json", "on": "json"}.get(text.lower(), text.lower())
    form = {"no": "off", "false": "off", "0": "off"}.get(form, form)
    if form not in ("off", "combined", "json"):
        raise ValueError(f"{text!r} is none of off, combined, json")
    return form


_READERS: dict[str, Callable[[str], Any]] = {
    "url": lambda text: text.rstrip("/"),
    "size": size,
    "members": Finding.read,
    "number|auto": lambda text: None if text.strip().lower() == "auto" else float(text),
    "servers": _servers,
    "urls": _urls,
    "names": _names,
    "networks": Trusted.read,
    "rate": lambda text: Rate.read(text) if text else None,
    "off|combined|json": _log_form,
    "hosts": parse_hosts,
    "pinned|open|off": _mode,
    "seconds|auto": lambda text: None if text.strip().lower() == "auto" else float(text),
}
