"""`rim check`: what is wrong with a folder, before anybody is asked. What is looked at: rim/checking."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rim import output
from rim.commands.options import AsJson
from rim.exits import OK, USAGE

if TYPE_CHECKING:
    from rim.checking import Report

_NAMED = 10  # how many of many paths a person is shown; --json has all


def check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The folder; else rim.toml's `dir`.", show_default=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 2 on warnings too.")] = False,
    as_json: AsJson = False,
) -> int:
    """Check a folder: rim.toml, _headers, _redirects, references, names. Exit 2 when a publish would be refused."""
    from rim.checking import examine_folder
    from rim.commands.publish import chosen
    from rim.findings import ERROR, WARNING
    from rim.project import examine

    place = chosen(folder if folder is not None else examine()[0].folder)
    project, findings = examine(place)
    report = examine_folder(place, project, findings)
    output.result(_text(report), report.value(), as_json=as_json)
    return USAGE if report.count(ERROR) or (strict and report.count(WARNING)) else OK


def _text(report: Report) -> str:
    """Findings as compilers write them, then a summary."""
    from rim.findings import ERROR, WARNING

    lines = [finding.text for finding in report.findings]
    lines += _listed("immutable, as rim.toml says", report.by_rule)
    lines += _listed("look hash-named and are revalidated; rim.toml's `immutable` takes them", report.nearly)
    total = output.size(sum(report.files.values()))
    lines.append(
        f"{output.count(len(report.files), 'file')}, {total}, {len(report.by_name)} of them immutable by their names; "
        f"{output.count(report.count(ERROR), 'error')}, {output.count(report.count(WARNING), 'warning')}"
    )
    return "\n".join(lines)


def _listed(what: str, paths: Sequence[str]) -> list[str]:
    if not paths:
        return []
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return [f"{what}: {', '.join(paths[:_NAMED])}{more}"]
