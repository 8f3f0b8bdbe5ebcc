"""Rules: how a release answers beyond its files, out of `_headers`, `_redirects` and rim.toml.

Here lives their reading into the plain value that a Release carries, with a finding for each line that cannot be meant.
Not here: the grammars (content/headers, content/redirects), rim.toml itself (rim/project), or what an edge does then.

`[[cache]]` and `[cors]` become header rules behind those of `_headers`, each taking out what was said before it: one
name set twice would be joined, and rim.toml is the last word. Of two `[[cache]]` that match, the later counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from content import headers, linting, redirects
from content.errors import BadNode
from content.glob import matches
from content.headers import HeaderOp, HeaderRule, HeaderTable
from content.naming import is_hash_named
from content.passed import is_passed
from content.redirects import RedirectTable
from rim.exits import Usage
from rim.findings import ERROR, WARNING, Finding, refuse_errors
from rim.policy import forbidding
from rim.precache import choose, is_complete
from rim.project import Precache, Project, Tagged
from rim.schema.table import PRECACHE_BYTES

HEADERS = "_headers"
REDIRECTS = "_redirects"


@dataclass(frozen=True, slots=True)
class RulesFound:
    """`rules` is the Release's value: `headers`, `redirects`, `html`, `error`, `precache`, `worker`, `pin`; what is
    empty, or as it is by default, is absent."""

    rules: Mapping[str, Any]
    findings: tuple[Finding, ...] = ()
    immutable: tuple[str, ...] = ()  # globs
    tags: tuple[Tagged, ...] = ()

    def is_immutable(self, path: str) -> bool:
        """Whether the file under this path (`/a.js`) never changes: by its name, or as rim.toml says."""
        return is_hash_named(path, self.immutable)

    def tags_of(self, path: str) -> tuple[str, ...]:
        """The tags of the file under this path: those of every `[[tags]]` that means it, each once."""
        return tuple(dict.fromkeys(tag for row in self.tags if matches(row.path, path) for tag in row.tags))


def check_rules(folder: Path, project: Project, files: Mapping[str, int]) -> RulesFound:
    """The rules of a release that is to be published. Raises Usage naming file and line of the first errors."""
    found = find_rules(project, folder, files)
    refuse_errors(found.findings)
    return found


def find_rules(project: Project, folder: Path, files: Mapping[str, int]) -> RulesFound:
    """The rules, and all that is wrong with them. `files`: path (`/a.html`) → size in bytes. Raises Usage where a file
    cannot be read."""
    finder = _Finder(project, folder, files)
    precached, headers_ = finder.precache(), finder.headers()
    rules = {
        "headers": headers_,
        "redirects": finder.redirects(),
        "html": _html(project),
        "error": finder.error_page(),
        "precache": precached,
        "worker": finder.worker(precached, headers_),
        "pin": project.pin,
    }
    kept = {name: value for name, value in rules.items() if value}
    return RulesFound(kept, tuple(finder.findings), project.immutable, project.tags)


class _Finder:
    """One look at one folder."""

    def __init__(self, project: Project, folder: Path, files: Mapping[str, int]) -> None:
        self._project = project
        self._folder = folder
        self._files = files
        self._toml = str(project.file)
        self.findings: list[Finding] = []

    def headers(self) -> list[Any]:
        text = self._read(HEADERS)
        rules, findings = headers.parse(text)
        self._take(HEADERS, findings)
        rules += _of_project(self._project)
        value = HeaderTable(rules).to_value()
        try:
            HeaderTable.from_value(value)
        except BadNode as error:  # the file alone is within the limits; with rim.toml's rules it is not
            self._say(self._toml, 0, ERROR, f"{error}, counting [cors] and [[cache]]: merge some with *")
        return value

    def redirects(self) -> list[Any]:
        text = self._read(REDIRECTS)
        rules, findings = redirects.parse(text, external=self._project.external)
        self._take(REDIRECTS, [*findings, *redirects.loops(rules, self._answers)])
        return RedirectTable(rules).to_value()

    def error_page(self) -> str | None:
        page = self._project.error_page
        if page is not None and page not in self._files:
            line = self._project.lines.get("error_page", 0)
            self._say(self._toml, line, ERROR, f"error_page names {page}, and {self._folder} holds no such file")
        return page

    def precache(self) -> dict[str, Any]:
        wanted = self._project.precache
        if wanted is None:
            if self._project.worker is None:
                return {}
            wanted = Precache(None, PRECACHE_BYTES, self._project.worker.line)
        page = self._project.error_page
        # The worker never shows what it leaves alone, so it stores none of it.
        paths, said = choose(wanted, self._touched(page), [] if page is None else [page])
        key = "precache" if wanted.globs is None else "precache.globs"
        for level, words in said:
            self._say(self._toml, wanted.line, level, f"{key}: {words}")
        return {"paths": paths, "bytes": sum(self._files[path] for path in paths)} if paths else {}

    def worker(self, precached: Mapping[str, Any], table: list[Any]) -> dict[str, Any]:
        wanted = self._project.worker
        if wanted is not None and (directive := _forbidding(table)) is not None:
            words = f"Content-Security-Policy of /: {directive} refuses scripts or workers of the site's own"
            self._say(self._toml, wanted.line, WARNING, f"{words}, and the worker is one: add 'self'")
        if wanted is None:
            if self._project.html.worker:
                words = "html.worker without a worker: add [service_worker], or take it out"
                self._say(self._toml, self._project.html.line, WARNING, words)
            return {}
        complete = is_complete(precached.get("paths", ()), self._touched())
        value = {"check": wanted.check, "gateways": list(wanted.gateways), "complete": complete}
        return {**value, "pass": list(wanted.passed)} if wanted.passed else value

    def _touched(self, page: str | None = None) -> Mapping[str, int]:
        """The files that the worker does not leave alone, and this one."""
        passed = () if self._project.worker is None else self._project.worker.passed
        return {path: size for path, size in self._files.items() if path == page or not is_passed(path, passed)}

    def _answers(self, path: str) -> bool:
        """Whether a file answers this path, so that only a forced redirect applies."""
        if path.endswith("/"):
            return path + "index.html" in self._files
        return path in self._files or (self._project.clean_urls and path + ".html" in self._files)

    def _read(self, name: str) -> str:
        path = self._folder / name
        try:
            return path.read_bytes().decode()  # as text, a lone CR would end a line, and the grammar knows no such
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise Usage(f"{path} cannot be read: {error}", "make it a readable UTF-8 file, or remove it") from error

    def _take(self, name: str, findings: Iterable[linting.Finding]) -> None:
        for finding in sorted(findings, key=lambda finding: finding.line):
            self._say(str(self._folder / name), finding.line, finding.level, finding.message)

    def _say(self, file: str, line: int, level: str, message: str) -> None:
        self.findings.append(Finding(file, line, level, message))


def _forbidding(table: list[Any]) -> str | None:
    """The directive that keeps the site's own worker away, as the first page has it."""
    try:
        ops = HeaderTable.from_value(table).of("/")
    except BadNode:
        return None  # told already
    policy = next((op.value for op in ops if op.name.lower() == "content-security-policy"), None)
    return None if policy is None else forbidding(policy)


def _html(project: Project) -> dict[str, Any]:
    if not project.clean_urls and project.trailing_slash == "auto":
        return {}
    return {"clean": project.clean_urls, "slash": project.trailing_slash}


def _of_project(project: Project) -> list[HeaderRule]:
    """[cors] and [[cache]] as header rules."""
    said = [(rule.path, "Cache-Control", rule.control) for rule in project.cache]
    if project.cors is not None:
        said += [(path, "Access-Control-Allow-Origin", project.cors.origin) for path in project.cors.paths]
    return [HeaderRule(path, (HeaderOp(name), HeaderOp(name, value))) for path, name, value in said]
