"""The table of rim.toml: every key, in the order of docs/rim-toml.md and of what `rim init` writes.

Here live names, kinds, defaults and what each is for. Not here: how a kind is read (rim/schema/kinds).
"""

from __future__ import annotations

from dataclasses import dataclass

from content.limits import RETAINED_DAYS, RETAINED_LAST, RETAINED_MAX
from rim.schema import kinds
from rim.schema.kinds import Kind

LEVELS = ("none", "fast", "balanced", "best")  # of `encode`; rim/encode knows what they do
SLASHES = ("auto", "always", "never")
PRECACHE_BYTES = 5 << 20  # what a visitor downloads unasked
CHECK_SECONDS = 60  # how long a worker takes the release that it has for the newest
_DAYS_MAX = 3_650
_NOBODYS_HASH = f"scrypt$16384$8$1${'A' * 22}${'A' * 43}"  # an example that no password opens


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the file. The top of the file has the name "". `is_list`: written `[[name]]`, any number of times."""

    name: str
    help: str
    is_list: bool = False

    @property
    def head(self) -> str:
        return f"[[{self.name}]]" if self.is_list else f"[{self.name}]"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `example` is TOML: its default where it has one, else something to start from. `needed`: a table that is
    there at all must have it."""

    table: str
    name: str
    kind: Kind
    example: str
    help: str
    has_default: bool = True
    needed: bool = False

    @property
    def full(self) -> str:
        """As a message names it: `retention.last`."""
        return f"{self.table}.{self.name}" if self.table else self.name


TABLES: tuple[Table, ...] = (
    Table("", "The site, and how it is published and answered."),
    Table("retention", "Which releases the origin keeps: one that any of `last` and `days` names."),
    Table("cache", "Cache-Control of some paths.", is_list=True),
    Table("tags", "Tags of some files, for `rim purge --tag`.", is_list=True),
    Table("service_worker", "A worker in the visitor's browser that keeps the site, verifies it, and answers offline."),
    Table("precache", "What the service worker of Rim fetches before it is asked."),
    Table("html", "What a publish writes into pages, or takes from them. The folder itself is never changed."),
    Table("cors", "Which other origins may read answers."),
    Table("redirects", "What `_redirects` may do."),
    Table("preview", "Who may see previews, and for how long."),
    Table("skew", "Tabs that stay open over a deploy."),
)

KEYS: tuple[Key, ...] = (
    Key("", "site", kinds.SITE, '"docs"', "The site's name; else the folder's name.", has_default=False),
    Key(
        "",
        "origin",
        kinds.URL,
        '"https://origin.example.org"',
        "The origin to publish to; RIM_ORIGIN wins. The token is never here: RIM_TOKEN.",
        has_default=False,
    ),
    Key(
        "",
        "dir",
        kinds.FOLDER,
        '"dist"',
        "The build folder, for `rim publish` and `rim check` without DIR; below the folder of this file.",
        has_default=False,
    ),
    Key("", "encode", kinds.choice(*LEVELS), '"balanced"', "How hard text is compressed at publish."),
    Key("", "spa", kinds.FLAG, "false", "Answer navigations to unknown paths with /index.html."),
    Key(
        "",
        "hosts",
        kinds.HOSTS,
        '["docs.example.org"]',
        "Hosts that the site answers to. Given, they replace those it has.",
        has_default=False,
    ),
    Key("", "clean_urls", kinds.FLAG, "false", "Answer /about with /about.html, and send /about.html to /about."),
    Key(
        "",
        "trailing_slash",
        kinds.choice(*SLASHES),
        '"auto"',
        "Slash at the end of a page's path: as the files are (auto), always, or never. The other spelling redirects.",
    ),
    Key(
        "",
        "error_page",
        kinds.FILE,
        '"/404.html"',
        "The file that answers all 404s; else the nearest 404.html.",
        has_default=False,
    ),
    Key(
        "",
        "immutable",
        kinds.GLOBS,
        '["/assets/**"]',
        "Files whose bytes never change under their path, beside those with a hash in their name.",
        has_default=False,
    ),
    Key("", "gate", kinds.GATE, '"all"', "How many edges must hold a release before it is live."),
    Key(
        "retention",
        "last",
        kinds.whole(1, RETAINED_MAX, "a number of releases"),
        str(RETAINED_LAST),
        "The last so many.",
    ),
    Key(
        "retention",
        "days",
        kinds.whole(0, _DAYS_MAX, "a number of days"),
        str(RETAINED_DAYS),
        "Those younger than this.",
    ),
    Key(
        "retention",
        "bytes",
        kinds.SIZE,
        '"2GiB"',
        "Drop the oldest while all together are larger; the live one stays.",
        has_default=False,
    ),
    Key("cache", "path", kinds.PATTERN, '"/api/*"', "Which paths.", has_default=False, needed=True),
    Key(
        "cache",
        "control",
        kinds.CACHE_CONTROL,
        '"public, max-age=60"',
        "What they answer, whatever `_headers` says of them.",
        has_default=False,
        needed=True,
    ),
    Key("tags", "path", kinds.GLOB, '"/docs/**"', "Which files.", has_default=False, needed=True),
    Key("tags", "tags", kinds.TAGS, '["docs"]', "Their tags.", has_default=False, needed=True),
    Key("service_worker", "enabled", kinds.FLAG, "true", "Whether browsers get it; false is as if the table were not."),
    Key(
        "service_worker",
        "check",
        kinds.SPAN,
        '"1m"',
        "How long a visitor's release is taken for the newest without asking; `0s`: each page that is opened asks.",
    ),
    Key(
        "service_worker",
        "gateways",
        kinds.GATEWAYS,
        '["https://trustless-gateway.link"]',
        "IPFS gateways that are asked, with proof, for what no edge can give; they must allow other origins (CORS).",
        has_default=False,
    ),
    Key(
        "service_worker",
        "pass",
        kinds.PASSES,
        '["/api/*"]',
        "Paths that the worker leaves alone, as addresses have them: what a proxy leads elsewhere.",
        has_default=False,
    ),
    Key(
        "precache",
        "globs",
        kinds.GLOBS,
        '["/index.html", "/assets/**"]',
        "Which files; else pages, styles, scripts, fonts, images, as far as max_bytes goes.",
        has_default=False,
    ),
    Key("precache", "max_bytes", kinds.SIZE, '"5MiB"', "What they may be together. Globs that mean more are refused."),
    Key(
        "html",
        "integrity",
        kinds.FLAG,
        "false",
        "Give local scripts, styles and their preloads in pages an `integrity`, where they have none.",
    ),
    Key("html", "worker", kinds.FLAG, "false", "Have every page load `/.rim/client.js`, which registers the worker."),
    Key(
        "html",
        "preload",
        kinds.FLAG,
        "false",
        "Send `Link` fields with pages for the scripts and styles that they load, so that these come sooner.",
    ),
    Key("cors", "origin", kinds.WEB_ORIGIN, '"*"', "Any origin, or this one.", has_default=False, needed=True),
    Key("cors", "paths", kinds.PATTERNS, '["/*"]', "Which paths answer it."),
    Key(
        "redirects",
        "external",
        kinds.HOSTS,
        '["example.org"]',
        "Other hosts that `_redirects` may send visitors to; none else.",
        has_default=False,
    ),
    Key(
        "preview",
        "password",
        kinds.HASH,
        f'"{_NOBODYS_HASH}"',
        "The hash of the password that previews ask for. `rim password` makes one.",
        has_default=False,
    ),
    Key("preview", "expires", kinds.DURATION, '"30d"', "A preview older than this is gone.", has_default=False),
    Key("skew", "pin", kinds.FLAG, "false", "Let a tab stay with the release that it began with."),
)


def keys_of(table: str) -> dict[str, Key]:
    """The keys of a table by name."""
    return {key.name: key for key in KEYS if key.table == table}
