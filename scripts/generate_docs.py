"""Writes the parts of docs/ that tables in the code already say: settings, metrics, limits, commands, outcomes.

    scripts/generate_docs.py [--check]

Here lives how a table becomes Markdown. Not here: the tables, each beside the code that obeys it. `--check` writes
nothing, shows what is out of date and ends with 1; tests/deploy/test_docs.py does the same.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
MADE = "<!-- Written by scripts/generate_docs.py from the tables in the code: edit those. -->\n"
MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in [list(heads), ["---"] * len(heads), *cells]]
    return "\n".join(lines) + "\n"


# Pages that are generated whole.


def settings() -> str:
    from edge.config import SETTINGS as EDGE
    from origin.config import SETTINGS as ORIGIN

    heads = ("flag", "variable", "kind", "default", "what it does")
    return f"""# Settings

{MADE}
A flag wins over its variable, and that over the default. Sizes take units of 1024: `512MiB`, `10G`. Tokens are never
flags, because flags stand in `ps`.

## Edge

`rim edge`. The node token is read from `RIM_NODE_TOKEN`, or from the file that `--token-file` names.

{table(heads, map(setting, EDGE))}
## Origin

`rim origin`.

{table(heads, map(setting, ORIGIN))}
## Publisher

Every command that speaks to an origin looks, in this order, at its flags, at these variables, at `rim.toml` (in the
published folder, else in the working directory), and at a running `rim up` of the default state folder.

{table(("variable", "rim.toml", "what it does"), PUBLISHER)}"""


def setting(row: Any) -> tuple[str, ...]:
    default = "" if row.default in (None, "", False) else f"`{row.default}`"
    kind = "switch" if row.type is bool else row.unit or {str: "text"}.get(row.type, "number")
    return (f"`--{row.name.replace('_', '-')}`", f"`{row.env}`", kind, default, row.help)


PUBLISHER = (
    ("`RIM_ORIGIN`", "`origin`", "The origin's URL."),
    ("`RIM_TOKEN`", "never", "The token. Files beside a site get committed, so rim.toml may not hold it."),
    ("`RIM_TOKEN_FILE`", "never", "File with the token, where RIM_TOKEN is not set; secrets of containers are files."),
    ("", "`site`", "The site's name; else the folder's name as a DNS label."),
    ("", "`encode`", "`none`, `fast`, `balanced` or `best`: how hard text is compressed at publish."),
    ("", "`spa`", "`true`: navigations to unknown paths are answered with `/index.html`."),
    ("`RIM_STATE`", "", "Where memos and the files of `rim up` are kept; else `$XDG_STATE_HOME/rim`."),
    ("`RIM_AUTHOR`", "", "The author that a release names; else the user's name."),
    ("`RIM_RETRY`", "", "Seconds that an origin which was heard may be away before a command gives up; else 20."),
)


def metrics() -> str:
    from edge.control.metrics import METRICS as EDGE
    from origin.metrics import METRICS as ORIGIN

    edge = ((f"`{row.name}`", row.kind, ", ".join(f"`{label}`" for label in row.labels), row.help) for row in EDGE)
    origin = ((f"`{row.name}`", row.kind, f"`{row.label}`" if row.label else "", row.help) for row in ORIGIN)
    heads = ("metric", "kind", "labels", "what it counts")
    return f"""# Metrics

{MADE}
In the Prometheus text format at `/metrics`: of an edge on its private listener, of the origin on its only one.

## Edge

{table(heads, edge)}
## Origin

{table(heads, origin)}"""


def limits() -> str:
    source = (ROOT / "content" / "limits.py").read_text(encoding="utf-8")
    found = re.findall(r"^([A-Z][A-Z_]+) = (.+?)  # (.+)$", source, re.MULTILINE)
    rows = ((f"`{name}`", f"`{value}`", why) for name, value, why in found)
    return f"""# Limits

{MADE}
What comes in is held against these wherever it comes in. Over a limit it is refused, and the last good state stays.
Listeners have limits of their own for heads, connections and time: [http](http.md#limits-of-a-connection).

{table(("limit", "value", "why"), rows)}"""


def commands() -> str:
    import typer.main

    from rim.app import app_for

    group: Any = typer.main.get_command(app_for(()))  # without a word typed, all commands are in it
    parts = [
        f"""# Commands

{MADE}
Results go to stdout (one line, or one line of JSON with `--json`), progress to stderr and only on a terminal.
Settings that all of them share: [settings](settings.md#publisher).

## Exit codes

{table(("code", "means"), exit_codes())}"""
    ]
    panel = ""
    for name, found in group.commands.items():
        if found.rich_help_panel != panel:
            panel = found.rich_help_panel
            parts.append(f"## {panel}\n")
        parts.extend(command(f"rim {name}", found, "###"))
    return "\n".join(parts)


def exit_codes() -> list[tuple[str, str]]:
    source = (ROOT / "rim" / "exits.py").read_text(encoding="utf-8")
    found = re.findall(r"^[A-Z_]+ = (\d+)(?:  # (.+))?$", source, re.MULTILINE)
    return [(code, why or "done") for code, why in found]


def command(path: str, found: Any, level: str) -> list[str]:
    """A command's heading, help, usage and options; its own commands below it."""
    inner = getattr(found, "commands", {})
    options = [p for p in found.params if p.param_type_name == "option" and not p.hidden]
    parts = [f"{level} {path}\n", f"{found.help or ''}\n"]
    if not inner or options:
        given = [argument(p) for p in found.params if p.param_type_name == "argument"]
        parts.append("```\n" + " ".join([path, *given, *(["[OPTIONS]"] if options else [])]) + "\n```\n")
    if options:
        rows = ((option_name(p), (p.help or "").replace("\\[", "[")) for p in options)
        parts.append(table(("option", "what it does"), rows))
    for name, sub in inner.items():
        parts.extend(command(f"{path} {name}", sub, level + "#"))
    return parts


def argument(found: Any) -> str:
    word = (found.metavar or found.name.upper()).strip("[]") + ("..." if found.nargs == -1 else "")
    return word if found.required else f"[{word}]"


def option_name(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    return f"{names} {option.metavar}" if option.metavar and not option.is_flag else names


# Tables inside pages that people write.


def outcomes() -> str:
    from edge.http.outcome import Outcome, cache_status

    source = (ROOT / "edge" / "http" / "outcome.py").read_text(encoding="utf-8")
    why = dict(re.findall(r'^    [A-Z]+ = "(\w+)"  # (.+)$', source, re.MULTILINE))
    return table(
        ("outcome", "`Cache-Status`", "when"),
        ((f"`{o.value}`", f"`{cache_status(o, 'edge-1')}`", why[o.value]) for o in Outcome),
    )


def connection() -> str:
    import dataclasses

    from edge.http.limits import LIMITS

    text = {
        "head": "bytes of target, field names and values; above: 431",
        "fields": "fields; above: 431",
        "target": "bytes of the request target; above: 414",
        "pipelined": "requests that wait behind one being answered; above: the socket is not read",
        "idle": "seconds without a request; then closed",
        "head_time": "seconds for a head to arrive; then 408",
        "write_stall": "seconds in which the client takes no byte; then closed",
        "linger": "seconds that a client which still sends is heard out behind its last answer",
    }
    return table(
        ("limit", "value", "what"),
        ((f"`{f.name}`", getattr(LIMITS, f.name), text[f.name]) for f in dataclasses.fields(LIMITS)),
    )


def project() -> str:
    """Every key of rim.toml, one table of Markdown for each table of the file."""
    from rim.schema.table import KEYS, TABLES

    parts = []
    for section in TABLES:
        rows = []
        for key in (key for key in KEYS if key.table == section.name):
            needed = "required" if key.needed else f"`{key.example}`" if key.has_default else ""
            example = (
                f"`{key.name} = {key.example}`" if len(key.example) <= 60 else f"`{key.name} = {key.example[:12]}…`"
            )
            rows.append((f"`{key.name}`", key.kind.words, needed, example, key.help))
        heading = f"### `{section.head}`" if section.name else "### Above all tables"
        parts.append(
            f"{heading}\n\n{section.help}\n\n" + table(("key", "holds", "default", "example", "what it does"), rows)
        )
    return "\n".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings,
    "metrics.md": metrics,
    "limits.md": limits,
    "commands.md": commands,
}
TABLES: dict[str, Callable[[], str]] = {"outcomes": outcomes, "connection": connection, "project": project}


def pages() -> dict[Path, str]:
    """Every generated page as it should be."""
    docs = ROOT / "docs"
    made = {docs / name: make() for name, make in PAGES.items()}
    for path in sorted(docs.rglob("*.md")):
        if path in made:
            continue
        text = path.read_text(encoding="utf-8")
        filled = MARK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)
        if "<!-- table: " in text:
            made[path] = filled
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the generated parts of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when something is out of date")
    check = parser.parse_args().check
    stale = 0
    for path, wanted in pages().items():
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if found == wanted:
            continue
        stale += 1
        name = str(path.relative_to(ROOT))
        if check:
            sys.stdout.writelines(
                difflib.unified_diff(found.splitlines(True), wanted.splitlines(True), name, "as the code has it")
            )
        else:
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
