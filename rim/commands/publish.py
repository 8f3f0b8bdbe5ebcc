"""`rim publish`: flags in, one line out. How it is done: rim/publisher."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rim.commands.options import AsJson, OriginUrl, Spa, Timeout, Wait

if TYPE_CHECKING:
    from rim.job import Job, Show
    from rim.publisher import Publisher
    from rim.settings import Settings

_PREVIEW_SECONDS = 30 * 86_400


def publish(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The folder; else rim.toml's `dir`.", show_default=False)
    ] = None,
    site: Annotated[str | None, typer.Option(help="The site; else rim.toml's, else the folder's name.")] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="Why; shown by `rim releases`.")] = "",
    preview: Annotated[
        str | None, typer.Option(metavar="NAME", help="Show it under NAME--HOST; what is live stays as it is.")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="AGE|never", help="When the preview ends, e.g. 12h; else as rim.toml says, or 30d."),
    ] = None,
    password: Annotated[
        bool, typer.Option("--password", help="The preview asks for one: RIM_PREVIEW_PASSWORD, else typed now.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what changes on stderr, then publish.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and publish nothing.")] = False,
    wait: Wait = None,
    timeout: Timeout = 60.0,
    gate: Annotated[
        int | None,
        typer.Option(metavar="K", help="Live once K edges of each region hold it; else rim.toml's gate, else all."),
    ] = None,
    encode: Annotated[str | None, typer.Option(metavar="none|fast|balanced|best", help="How hard to compress.")] = None,
    spa: Spa = None,
    no_warm: Annotated[
        bool, typer.Option("--no-warm", help="Do not wait for edges to fetch it before it is live.")
    ] = False,
    no_ignore: Annotated[
        bool, typer.Option("--no-ignore", help="Publish the folder bit for bit, secrets too.")
    ] = False,
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Publish a folder without files.")] = False,
    allow_secret: Annotated[bool, typer.Option("--allow-secret", help="Publish files that look like secrets.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Change bytes under paths once served as immutable.")] = False,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Publish a folder: only what changed is sent, and it is live everywhere at once."""
    from rim import output, project
    from rim.exits import OK
    from rim.job import Job
    from rim.settings import load
    from rim.waiting import check_gate, check_wait

    place = chosen(folder or project.load().folder)
    settings = load(origin, place)
    name = site_name(place, site, settings)
    job = Job(
        folder=place,
        site=name,
        project=settings.project,
        show=_show(preview, name, expires, password, settings),
        message=message,
        encode=encode_level(encode, settings),
        spa=spa_rule(spa, settings),
        warm=not no_warm,
        ignore=not no_ignore,
        allow_empty=allow_empty,
        allow_secret=allow_secret or no_ignore,
        force=force,
        wait=check_wait(wait),
        timeout=timeout,
        gate=check_gate(gate, settings.project.gate),
    )
    if no_ignore and job.project.html.rewrites:
        output.note("--no-ignore publishes pages bit for bit, so [html] of rim.toml inserts nothing into them")
    with publishing(job, settings) as publisher:
        if dry_run:
            changes = publisher.changes(measured=True)
            output.result(changes.text(), changes.value(), as_json=as_json)
            return OK
        if diff:
            output.note(publisher.changes().text())
        outcome = publisher.publish()
    if outcome.remark:
        output.note(outcome.remark)
    if outcome.folder_root and not (outcome.unchanged or as_json):
        output.note(f"root {outcome.root}; the folder's own, before [html]: {outcome.folder_root}")
    text = " ".join(outcome.urls[:1]) or f"{outcome.site} is at {outcome.release}"
    output.result(f"unchanged: {text}" if outcome.unchanged else text, outcome.value(), as_json=as_json)
    return outcome.code


def _show(name: str | None, site: str, expires: str | None, password: bool, settings: Settings) -> Show | None:
    """The preview that flags and rim.toml ask for. Raises Usage."""
    from content.catalog import BadName, check_alias
    from rim.exits import Usage
    from rim.job import Show
    from rim.schema.kinds import DURATION

    if name is None:
        if expires is not None or password:
            raise Usage("--expires and --password are a preview's", "name it: --preview NAME")
        return None
    try:
        check_alias(name, site)
    except BadName as error:
        raise Usage(str(error), "name it e.g. after a branch: --preview fix-login") from error
    said = settings.project.preview or {}
    until: int | None = int(said["expires"]) if "expires" in said else _PREVIEW_SECONDS
    if expires is not None:
        try:
            until = None if expires == "never" else int(DURATION.read(expires))
        except ValueError as error:
            raise Usage(f"--expires {error}", "give e.g. 12h, 7d or never") from error
    hashed = str(said["password"]) if "password" in said else None
    if password:
        from rim.secret import hashed_secret

        hashed = hashed_secret()
    return Show(name, until, hashed)


@contextmanager
def publishing(job: Job, settings: Settings) -> Iterator[Publisher]:
    """A publisher with its connection, memo and bars, all closed at the end."""
    from rim.client import Origin, Rejected, stopped
    from rim.memo import Memo
    from rim.output import Bars
    from rim.publisher import Publisher

    bars, memo = Bars(), Memo(settings.state / "publish")
    try:
        with Origin(settings.origin, settings.token) as origin:
            yield Publisher(job, origin, bars, memo)
    except Rejected as error:
        stopped(error)
    finally:
        bars.close()
        memo.close()


def site_name(folder: Path, flag: str | None, settings: Settings) -> str:
    """The flag, else rim.toml's `site`, else the folder's name as a DNS label. Raises Usage."""
    from content.catalog import BadName, check_site_name
    from rim.exits import Usage
    from rim.urls import label

    name = flag or settings.project.site or label(folder.name)
    try:
        return check_site_name(str(name))
    except BadName as error:
        raise Usage(str(error), 'name the site: --site NAME, or `site = "NAME"` in rim.toml') from error


def encode_level(flag: str | None, settings: Settings) -> str:
    """The flag, else rim.toml's `encode`, else balanced. Raises Usage."""
    from rim.encode import LEVELS
    from rim.exits import Usage

    level = flag or settings.project.encode or "balanced"
    if level not in LEVELS:
        raise Usage(f"--encode {level}", f"give one of {', '.join(LEVELS)}")
    return str(level)


def spa_rule(flag: bool | None, settings: Settings) -> bool | None:
    """The flag, else rim.toml's `spa`, else None: as the site's own settings say."""
    return settings.project.spa if flag is None else flag


def chosen(folder: Path | None) -> Path:
    """The folder that was given or that rim.toml names. Raises Usage when there is none."""
    from rim.exits import Usage

    if folder is None:
        raise Usage("no folder is given", 'name it, or set `dir = "dist"` in rim.toml; `rim init` writes one')
    return existing(folder)


def existing(folder: Path) -> Path:
    """The folder, absolute, with links on the way resolved. Raises Usage when there is none."""
    from rim.exits import Usage

    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise Usage(f"{folder} {what}", "name the folder that holds the site's files")
    return folder.resolve()
