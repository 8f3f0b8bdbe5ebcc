"""Publishing pages: what [html] makes of a scan and of the rules, in the middle of a publish or of a check.

Here lives the order: pages are read, edited, and turned into header rules. Not here: any of these (its neighbours), or
a publish (rim/publisher).

Whatever changes in a folder may change the hash that some page carries, so with [html] a folder in which anything
changed is looked at whole; one in which nothing did is as the last build left it. Road not taken: which folders the
pages of a folder load from, kept beside each print. It saves listing a folder whose every file is in the memo anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from content.headers import HeaderTable
from content.redirects import RedirectTable
from rim.findings import Finding
from rim.ignore import Filter, for_folder
from rim.listing import Listing
from rim.memo import Memo
from rim.output import Advance
from rim.pages.edits import Edits
from rim.pages.folder import Folder, Manners
from rim.pages.hints import hints
from rim.pages.rewriting import pages_size, rewrite
from rim.project import Html, Project
from rim.reading import Changed
from rim.rules import RulesFound, check_rules
from rim.scan import Scan, scan, twice


@dataclass(frozen=True, slots=True)
class Pages:
    """What came of them: the rules with what pages add, that alone (as a Release has it), and what is wrong."""

    ruled: RulesFound
    hints: Sequence[Any] = ()
    findings: tuple[Finding, ...] = ()


def wanted_of(project: Project, *, bit_for_bit: bool) -> Html:
    """What is asked of pages; bit for bit, none is given other bytes."""
    return replace(project.html, integrity=False, worker=False) if bit_for_bit else project.html


def recipe_of(project: Project, wanted: Html) -> tuple[object, ...]:
    """What pages become depends on, beside files (rim/last)."""
    return (wanted, project.clean_urls, project.trailing_slash) if _asks(wanted) else ()


def is_stale(scan: Scan, wanted: Html) -> bool:
    """Whether this scan, made beside the last build, has to be made whole."""
    return _asks(wanted) and scan.last is not None and bool(scan.closely)


def take_pages(
    scan: Scan, ruled: RulesFound, project: Project, wanted: Html, memo: Memo, bar: Callable[[int], Advance]
) -> Pages:
    """Edit the scan's pages in place, and add header rules. Raises Changed or Usage, as reading does."""
    if not _asks(wanted):
        return Pages(ruled)
    if scan.last is not None:
        return Pages(_with(ruled, scan.last.hints), scan.last.hints)
    given = ruled.rules.get("headers", [])
    tables = HeaderTable.from_value(given), RedirectTable.from_value(ruled.rules.get("redirects", []))
    folder = Folder(scan, Manners(project.clean_urls, project.trailing_slash, *tables))
    done = rewrite(scan.files, folder, wanted, memo, bar(pages_size(scan.files)))
    scan.files = done.files
    findings, added = done.findings, list[Any]()
    if wanted.preload:
        rules, notes = hints(done.seen, folder, given)
        findings, added = [*findings, *notes], [rule.to_value() for rule in rules]
    return Pages(_with(ruled, added), added, tuple(findings))


def edits_of(folder: Path, project: Project, *, ignore: bool) -> Mapping[str, Edits]:
    """What a publish of this folder inserts, by path. Raises Usage, Failed or Refused, as a publish would."""
    wanted = wanted_of(project, bit_for_bit=not ignore)
    if not wanted.rewrites:
        return {}
    accept, memo = for_folder(folder, ignore=ignore, allow_secret=True), Memo(None)
    try:
        found = scan(str(folder), accept, memo, _silent)
        take_pages(found, check_rules(folder, project, Listing(str(folder), accept)), project, wanted, memo, _silent)
    except Changed as error:
        raise twice(error) from error
    finally:
        memo.close()
    return {file.path: file.edits for file in found.files if file.edits}


def faults_of(folder: Path, accept: Filter, ruled: RulesFound, project: Project) -> tuple[Finding, ...]:
    """What is wrong with pages, for `rim check`. Raises Usage, Failed or Refused."""
    if not _asks(project.html):
        return ()
    memo = Memo(None)
    try:
        return take_pages(
            scan(str(folder), accept, memo, _silent), ruled, project, project.html, memo, _silent
        ).findings
    except Changed as error:
        raise twice(error) from error
    finally:
        memo.close()


def _silent(total: int) -> Advance:
    return lambda count: None


def _asks(wanted: Html) -> bool:
    return wanted.rewrites or wanted.preload


def _with(ruled: RulesFound, added: Sequence[Any]) -> RulesFound:
    """The rules with these before the site's own, which so have the last word."""
    if not added:
        return ruled
    return replace(ruled, rules={**ruled.rules, "headers": [*added, *ruled.rules.get("headers", [])]})
