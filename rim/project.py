"""Project: what rim.toml says of a site, read, checked and frozen.

Here lives the way from the file to that value, with a finding for each thing that cannot be meant. Not here: what may
stand in it (rim/schema), what becomes of it in a release (rim/rules), or which setting wins (rim/settings).

The file of the published folder counts, else that of the working directory; one of them, never both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rim.exits import Usage
from rim.findings import ERROR, Finding, refuse_errors

if TYPE_CHECKING:
    from rim.tomlfile import TomlFile

FILE = "rim.toml"
_A_TOKEN = "must not be here, files beside a site get committed: take it out and set RIM_TOKEN"  # noqa: S105
_ONE = ("retention", "service_worker", "precache", "html", "cors", "redirects", "preview", "skew")  # tables, not lists
_Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CacheRule:
    """`[[cache]]`: the Cache-Control of a path pattern (content/pattern). `line`: where it stands."""

    path: str
    control: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Cors:
    """`[cors]`: who may read the answers of these path patterns."""

    origin: str
    paths: tuple[str, ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Tagged:
    """`[[tags]]`: the tags of the files that a glob means (content/glob)."""

    path: str
    tags: tuple[str, ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Precache:
    """`[precache]`: what these globs mean (None: what rim/precache chooses), up to so many bytes together."""

    globs: tuple[str, ...] | None
    max_bytes: int
    line: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """`[service_worker]`: for how many seconds a release is taken for the newest, which gateways may be asked, and
    which paths are left alone (`pass`, a word that Python keeps for itself)."""

    check: int
    gateways: tuple[str, ...] = ()
    line: int = 0
    passed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Html:
    """`[html]`: what a publish writes into pages (`integrity`, `worker`) or takes from them (`preload`)."""

    integrity: bool = False
    worker: bool = False
    preload: bool = False
    line: int = field(default=0, compare=False, repr=False)

    @property
    def rewrites(self) -> bool:
        """Whether pages may be published with other bytes than the folder has."""
        return self.integrity or self.worker


@dataclass(frozen=True, slots=True)
class Project:
    """A rim.toml. What is not given is None, empty, or the default that docs/rim-toml.md names."""

    file: Path | None = None  # where it was read; None: there is none
    site: str | None = None
    origin: str | None = None
    dir: str | None = None  # relative to the file's folder
    encode: str | None = None
    spa: bool | None = None
    hosts: tuple[str, ...] | None = None  # None: leave those that the site has
    clean_urls: bool = False
    trailing_slash: str = "auto"
    error_page: str | None = None
    immutable: tuple[str, ...] = ()
    gate: int | None = None  # edges; None: all
    retention: Mapping[str, int] | None = None  # last, days, bytes: those given
    cache: tuple[CacheRule, ...] = ()
    tags: tuple[Tagged, ...] = ()
    worker: Worker | None = None  # None: no worker for this site
    precache: Precache | None = None
    html: Html = Html()
    cors: Cors | None = None
    external: tuple[str, ...] = ()  # hosts that _redirects may name
    preview: Mapping[str, str | int] | None = None  # password (a hash), expires (seconds)
    pin: bool = False
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)  # where the keys above all tables stand

    @property
    def folder(self) -> Path | None:
        """The build folder that `dir` names, None where it names none."""
        return self.file.parent / self.dir if self.file is not None and self.dir is not None else None

    def site_settings(self) -> dict[str, Any]:
        """What the file says of the Site, as its settings at the origin have it: only what is given."""
        return {} if self.retention is None else {"retention": dict(self.retention)}


def load(folder: Path | None = None) -> Project:
    """The project of the folder, else of the working directory. Raises Usage naming file and line."""
    project, findings = examine(folder)
    refuse_errors(findings)
    return project


def examine(folder: Path | None = None) -> tuple[Project, list[Finding]]:
    """The same, with all that is wrong with it as findings. Raises Usage where the file cannot be opened."""
    path = locate(folder)
    if path is None:
        return Project(), []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"{path} cannot be read: {error}", "make it a readable UTF-8 file, or remove it") from error
    return read(text, path)


def locate(folder: Path | None) -> Path | None:
    """The rim.toml that counts, None where there is none."""
    places = [] if folder is None else [folder / FILE]
    return next((path for path in (*places, Path(FILE)) if path.is_file()), None)


def read(text: str, path: Path) -> tuple[Project, list[Finding]]:
    """The project that this text says, and what is wrong with it; what is wrong is left out of the project."""
    from rim.tomlfile import BadToml, parse

    try:
        file = parse(text)
    except BadToml as error:
        message = f'this is no TOML: {error}; a line is `key = value`, e.g. site = "docs"'
        return Project(path), [Finding(str(path), error.line, ERROR, message)]
    reader = _Reader(file, str(path))
    project = reader.project(path)
    return project, sorted(reader.findings, key=lambda finding: finding.line)


class _Reader:
    """One reading of one file."""

    def __init__(self, file: TomlFile, name: str) -> None:
        self._file = file
        self._name = name
        self.findings: list[Finding] = []

    def project(self, path: Path) -> Project:
        """Everything the file says, through the table of keys."""
        from rim.schema.table import CHECK_SECONDS, PRECACHE_BYTES

        top = self._top()
        one = {name: next(self._tables(name), None) for name in _ONE}
        worker, precache, cors = one["service_worker"], one["precache"], one["cors"]
        if worker is not None and not worker.pop("enabled", True):
            worker = None
        if worker is not None:
            worker = {"check": CHECK_SECONDS, "passed": worker.pop("pass", ()), **worker}
        return Project(
            path,
            **top,
            retention=_without_line(one["retention"]),
            cache=tuple(CacheRule(**values) for values in self._tables("cache")),
            tags=tuple(Tagged(**values) for values in self._tables("tags")),
            worker=None if worker is None else Worker(**worker),
            precache=None if precache is None else Precache(**{"globs": None, "max_bytes": PRECACHE_BYTES, **precache}),
            html=Html(**(one["html"] or {})),
            cors=None if cors is None else Cors(**{"paths": ("/*",), **cors}),
            external=(one["redirects"] or {}).get("external", ()),
            preview=_without_line(one["preview"]),
            pin=(one["skew"] or {}).get("pin", False),
            lines={name: self._file.line("", name) for name in top},
        )

    def _top(self) -> _Values:
        """The keys above all tables, and a word about those that nobody knows."""
        from rim.schema.table import TABLES, keys_of

        tables = {table.name for table in TABLES if table.name}
        known = keys_of("")
        values = {key: value for key, value in self._file.values.items() if key not in tables}
        return self._values("", values, 0, [*known, *tables])

    def _tables(self, name: str) -> Iterator[_Values]:
        """The tables of this name that are whole, each with its line."""
        from rim.schema.table import TABLES, keys_of

        if name not in self._file.values:
            return
        table = next(table for table in TABLES if table.name == name)
        given = self._file.values[name]
        found = given if table.is_list else [given]
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self._say(self._file.line("", name), f"{name} is a table: write {table.head} on a line of its own")
            return
        keys = keys_of(name)
        for number, item in enumerate(found):
            before = len(self.findings)
            values = self._values(name, item, number, list(keys))
            line = self._file.line(name, "", number)
            for key in keys.values():
                if key.needed and key.name not in item:
                    self._say(line, f"{table.head} lacks {key.name}, e.g. {key.name} = {key.example}")
            if len(self.findings) == before:
                yield {**values, "line": line}

    def _values(self, table: str, given: Mapping[str, Any], number: int, known: list[str]) -> _Values:
        from content.errors import ContentError
        from rim.schema.table import keys_of

        keys, values = keys_of(table), dict[str, Any]()
        for name, value in given.items():
            line = self._file.line(table, name, number)
            full = f"{table}.{name}" if table else name
            if name not in keys:
                self._say(line, f"{full} {_A_TOKEN}" if name == "token" else _unknown(full, name, known))
                continue
            try:
                values[name] = keys[name].kind.read(value)
            except (ValueError, ContentError) as error:
                self._say(line, f"{full} {error}" if isinstance(error, ValueError) else f"{full}: {error}")
        return values

    def _say(self, line: int, message: str) -> None:
        self.findings.append(Finding(self._name, line, ERROR, message))


def _unknown(full: str, name: str, known: list[str]) -> str:
    from rim.schema.near import meant
    from rim.schema.table import KEYS

    homes = [key.full for key in KEYS if key.name == name]
    return f"unknown key {full}" + (f"; {homes[0]} is one" if homes else meant(name, known))


def _without_line(values: _Values | None) -> _Values | None:
    return None if values is None else {name: value for name, value in values.items() if name != "line"}
