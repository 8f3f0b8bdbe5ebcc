"""Checking: everything about a folder that can be told without publishing it.

Here lives the list of looks that `rim check` takes, each a function from the folder to findings. Not here: the rules'
own faults (rim/rules), those of rim.toml (rim/project), or how findings are printed (rim/commands/check).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from content.errors import ContentError
from content.glob import matches
from content.limits import BLOCK_MADE, FILE_LEAVES
from content.naming import is_hash_named, is_nearly_hash_named
from content.redirects import RedirectTable
from rim.exits import Stop
from rim.findings import ERROR, WARNING, Finding
from rim.ignore import Filter, for_folder, is_secret
from rim.pages.publishing import faults_of
from rim.project import Project
from rim.references import Reference, references
from rim.rules import RulesFound, find_rules
from rim.scan import Scan, walk

_PAGES_MAX = 2_000  # pages that are read for references
_PAGE_BYTES = 1 << 20
_PAGES = (".html", ".htm")
_REPEATED = 3  # pages that are named for one missing file; a template's fault would be told a thousand times


@dataclass(slots=True)
class Report:
    """What was found."""

    files: Mapping[str, int] = field(default_factory=dict)  # path → bytes
    findings: list[Finding] = field(default_factory=list)
    by_name: list[str] = field(default_factory=list)  # immutable: a hash in the name
    by_rule: list[str] = field(default_factory=list)  # immutable: rim.toml says so
    nearly: list[str] = field(default_factory=list)  # look like it, and are revalidated

    def count(self, level: str) -> int:
        return sum(finding.level == level for finding in self.findings)

    def value(self) -> dict[str, Any]:
        """The object that `rim check --json` prints."""
        return {
            "files": len(self.files),
            "bytes": sum(self.files.values()),
            "errors": self.count(ERROR),
            "warnings": self.count(WARNING),
            "findings": [finding.value() for finding in self.findings],
            "immutable": {"by_name": self.by_name, "by_rule": self.by_rule, "nearly": self.nearly},
        }


def examine_folder(folder: Path, project: Project, findings: list[Finding]) -> Report:
    """Look at everything. `findings`: those of rim.toml, which come first. Raises Usage where there is no folder."""
    report = Report(findings=list(findings))
    found = Scan(str(folder))
    try:
        sizes = walk(str(folder), Filter(for_folder(folder).ignored, secrets=False), found)
    except (ContentError, Stop) as error:  # a name or file that no release can hold
        report.findings.append(Finding(str(folder), 0, ERROR, str(error)))
        return report
    report.files = {"/" + path: stat[0] for path, stat in sizes.items()} | {"/" + path: 0 for path in found.links}
    rules = find_rules(project, folder, report.files)
    report.findings += rules.findings
    report.findings += [*_names(folder, report.files), *_globs(project, report.files)]
    if not report.count(ERROR):
        accept = Filter(for_folder(folder).ignored, secrets=False)
        report.findings += faults_of(folder, accept, rules, project)
    report.findings += _missing(_Answers(folder, project, rules, report.files, set(found.links)))
    for path in sorted(report.files):
        if is_hash_named(path):
            report.by_name.append(path)
        elif rules.is_immutable(path):
            report.by_rule.append(path)
        elif is_nearly_hash_named(path):
            report.nearly.append(path)
    return report


def _names(folder: Path, files: Mapping[str, int]) -> Iterator[Finding]:
    """Secrets, files that are too large, and names that differ in their case alone."""
    spellings: dict[str, str] = {}
    for path in sorted(files):
        name = str(folder) + path
        if is_secret(path.rpartition("/")[2]):
            yield Finding(name, 0, ERROR, "looks like a secret: move it away, or name it in .rimignore")
        if files[path] > FILE_LEAVES * BLOCK_MADE:
            yield Finding(name, 0, ERROR, "is over 1 TiB, the limit of one file: split it")
        other = spellings.setdefault(path.casefold(), path)
        if other != path:
            yield Finding(name, 0, WARNING, f"differs from {other} in case alone: many disks cannot hold both")


def _globs(project: Project, files: Mapping[str, int]) -> Iterator[Finding]:
    """Globs that mean nothing, or pages that would never change again."""
    line = project.lines.get("immutable", 0)
    named = [("immutable", line, text) for text in project.immutable]
    for key, at, text in [*named, *(("tags.path", row.line, row.path) for row in project.tags)]:
        if not any(matches(text, path) for path in files):
            yield Finding(str(project.file), at, WARNING, f'{key}: no file is meant by "{text}"')
    for text in project.immutable:
        page = next((path for path in files if path.endswith(_PAGES) and matches(text, path)), None)
        if page is not None:
            words = f'immutable: "{text}" means the page {page}: who has seen it would not see it change for a year'
            yield Finding(str(project.file), line, WARNING, words)


class _Answers:
    """Which paths of the site answer, as far as the folder tells."""

    def __init__(
        self, folder: Path, project: Project, rules: RulesFound, files: Mapping[str, int], links: set[str]
    ) -> None:
        self.folder = folder
        self.files = files
        self._project = project
        self._redirects = RedirectTable.from_value(rules.rules.get("redirects", []))
        self._links = ["/" + path for path in links]

    def has(self, reference: Reference) -> bool:
        path = reference.path
        page = path if path.endswith("/") else path + "/"
        if path in self.files or page + "index.html" in self.files:
            return True
        if self._project.clean_urls and path.rstrip("/") + ".html" in self.files:
            return True
        if reference.is_link and self._project.spa:
            return True  # a route of the page itself
        if any(path.startswith(link + "/") for link in self._links):
            return True  # below a linked folder: not followed here
        return path.startswith("/.rim/") or self._redirects.match(path) is not None


def _missing(answers: _Answers) -> Iterator[Finding]:
    """References of pages to files that are not there."""
    told: dict[str, int] = {}
    pages = [path for path in sorted(answers.files) if path.endswith(_PAGES) and answers.files[path] <= _PAGE_BYTES]
    for page in pages[:_PAGES_MAX]:
        file = answers.folder / page[1:]
        try:
            html = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # publishing it will say so
        for reference in references(page, html):
            if answers.has(reference):
                continue
            told[reference.path] = told.get(reference.path, 0) + 1
            if told[reference.path] <= _REPEATED:
                yield Finding(str(file), reference.line, WARNING, f"refers to {reference.path}, which is not there")
