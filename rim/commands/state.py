"""Commands about an origin's whole state, on the machine that has its folder: check it, back it up, restore it."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from rim import output
from rim.commands.options import AsJson
from rim.exits import OK, Failed, Refused, Usage

StateFolder = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="The origin's folder; or RIM_ORIGIN_STATE.")
]
_STDIO = "-"


def fsck(state: StateFolder = None, as_json: AsJson = False) -> int:
    """Read every block of a stopped origin, and name what is damaged or missing."""
    from origin.errors import StateError
    from origin.fsck import fsck

    lines: list[str] = []
    try:
        code = fsck(origin_state(state), lines.append if as_json else None)
    except StateError as error:
        raise Failed(str(error), "name an origin's folder with --state; one that is in use: stop its origin") from error
    if not as_json:
        return code
    bad = [line.removeprefix("BAD").strip() for line in lines if line.startswith("BAD")]
    output.result("", {"ok": code == OK, "findings": bad, "lines": lines}, as_json=True)
    return code


def backup(
    target: Annotated[str, typer.Argument(metavar="FILE|-", help="Where to; - is stdout.", show_default=False)],
    state: StateFolder = None,
    as_json: AsJson = False,
) -> int:
    """Write an origin as one archive, also while it runs: keys, tokens, log, Head, pins and every block that is kept.

    The archive holds private keys and tokens: who has it can sign for the sites.
    Its mode is 0600; encrypt it before it leaves the machine, e.g.
    rim origin backup - | age -r KEY > FILE

    Every block is hashed on its way, and FILE is there only when all of it is.
    """
    from origin.backup import Backup

    if target == _STDIO and as_json:
        raise Usage("--json and the archive cannot both have stdout", "give a FILE for the archive")
    folder, bars = origin_state(state), output.Bars()
    if target != _STDIO and Path(target).resolve().is_relative_to(folder.resolve()):
        raise Usage(
            f"{target} is inside the origin's own folder", "put the archive on another disk, or at least beside"
        )
    done: Backup
    with _failures("the archive was not written"), _closing(bars), bars.phase("backup") as bar:
        from origin.backup import backup

        with _sink(target) as file:
            done = backup(folder, file, bar)
    text = (
        f"{target}  sequence {done.sequence}  {output.count(done.sites, 'site')}  {output.count(done.pins, 'pin')}  "
        f"{output.count(done.blocks, 'block')}  {output.size(done.size)}"
    )
    if target == _STDIO:
        output.note(text.removeprefix("-  "))
        return OK
    value = {name: getattr(done, name) for name in ("catalog", "sequence", "sites", "pins", "blocks", "bytes", "size")}
    output.result(text, {"file": target, **value}, as_json=as_json)
    return OK


def restore(
    archive: Annotated[str, typer.Argument(metavar="FILE|-", help="The archive; - is stdin.", show_default=False)],
    state: StateFolder = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="The catalog key of now, if it was rotated after the backup was made."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Make an origin of an archive, in a folder that is empty or not there yet: all of it, or nothing.

    Every block is hashed, and all that the Head names must be there. The last step
    is a commit ahead of whatever was signed since the backup: once the origin runs,
    edges follow it to what this command says is live. Publishes, purges and
    denials made since the backup are not in it.
    """
    from origin.log import By
    from rim.settings import author

    folder, bars = origin_state(state), output.Bars()
    with _failures(f"nothing was restored; {folder} is as it was"), _closing(bars), bars.phase("restore") as bar:
        from origin.restore import restore

        successor = None if key is None else key.read_bytes()
        with _source(archive) as (file, size):
            done = restore(file, folder, By(author()), bar(size), successor)
    sites = sorted(done.world.sites.values(), key=lambda site: site.name)
    rows: list[dict[str, Any]] = [
        {
            "site": site.name,
            "live": None if site.live is None else str(site.live.release),
            "time": None if site.live is None else site.live.time,
            "ipns": site.ipns,
        }
        for site in sites
    ]
    value = {
        "state": str(folder),
        "made": done.made,
        "catalog": done.catalog,
        "sequence": done.world.sequence,
        "before": done.before,
        "blocks": done.blocks,
        "bytes": done.bytes,
        "store": "embedded",
        "was": done.was,
        "sites": rows,
    }
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(done.made))
    lines = [
        f"restored  {folder}  as of {when}  {output.count(done.blocks, 'block')}  {output.size(done.bytes)}",
        f"catalog   {done.catalog}  sequence {done.world.sequence} (was {done.before})",
    ]
    if rows:
        table = [(r["site"], r["live"], "" if r["time"] is None else output.moment(r["time"])) for r in rows]
        lines.append(output.table(table, ("SITE", "LIVE", "PUBLISHED")))
    output.result("\n".join(lines), value, as_json=as_json)
    if done.was != "embedded":
        output.note(f"all blocks are in the folder now; `rim origin migrate --to {done.was}` moves them back")
    if not as_json:
        output.note("start it with `rim origin`: edges then go to these releases; `rim status` shows how far they are")
    return OK


def migrate(
    to: Annotated[str, typer.Option("--to", metavar="embedded|kubo", help="The store to move to.", show_default=False)],
    kubo_api: Annotated[
        str | None, typer.Option("--kubo-api", metavar="URL", help="Kubo's RPC; or RIM_ORIGIN_KUBO_API.")
    ] = None,
    kubo_gateway: Annotated[
        str | None, typer.Option("--kubo-gateway", metavar="URL", help="Kubo's gateway; or RIM_ORIGIN_KUBO_GATEWAY.")
    ] = None,
    remove_old: Annotated[
        bool, typer.Option("--remove-old", help="Read and hash every block in the new store; then remove the old ones.")
    ] = False,
    state: StateFolder = None,
    as_json: AsJson = False,
) -> int:
    """Move all blocks of a stopped origin to another store; killed or failed, the same command goes on.

    The folder opens with the old store until all is there, and with the new one from
    then on. Old blocks stay until the same command is run with --remove-old.
    """
    from origin.config import STORES, OriginConfig

    if to not in STORES:
        raise Usage(f"--to {to}", f"give {' or '.join(STORES)}")
    folder, bars = origin_state(state), output.Bars()
    api = kubo_api or os.environ.get("RIM_ORIGIN_KUBO_API")
    gateway = kubo_gateway or os.environ.get("RIM_ORIGIN_KUBO_GATEWAY")
    config = OriginConfig(folder, store=to, kubo_api=api, kubo_gateway=gateway)
    with _failures("run this again to go on"), _closing(bars), bars.phase("migrate") as bar:
        from origin.migrate import migrate

        done = migrate(folder, config, bar, remove_old)
    text = (
        f"{folder}  store {done.store}  {output.count(done.roots, 'root')}  {output.count(done.blocks, 'block')}  "
        f"{done.brought} brought" + ("  old ones removed" if done.removed else "")
    )
    value = {name: getattr(done, name) for name in ("store", "brought", "blocks", "roots", "removed")}
    output.result(text, {"state": str(folder), **value}, as_json=as_json)
    if not done.removed and done.brought:
        output.note(f"the old blocks are still there; `rim origin migrate --to {to} --remove-old` removes them")
    return OK


def origin_state(flag: Path | None) -> Path:
    """The origin's folder: the flag's, the environment's, or that of `rim up`."""
    given = flag or os.environ.get("RIM_ORIGIN_STATE")
    if given:
        return Path(given)
    from rim.settings import state_home

    return state_home() / "origin"


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """What can go wrong with a whole state, as the end of a command."""
    from origin.archive import BadArchive
    from origin.errors import BackupError, OriginError, StateError

    try:
        yield
    except BadArchive as error:
        raise Refused(f"the archive cannot be used: {error}", f"{what}; take another archive") from error
    except BackupError as error:
        raise Refused(str(error), what) from error
    except (StateError, OriginError) as error:
        raise Failed(str(error), what) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Failed(f"{where}{error.strerror or error}", f"{what}; mend that, then run this again") from error


@contextmanager
def _closing(bars: output.Bars) -> Iterator[None]:
    try:
        yield
    finally:
        bars.close()


@contextmanager
def _sink(target: str) -> Iterator[BinaryIO]:
    """Where the archive goes: stdout, or a file that has its name when it is whole and on the disk."""
    if target == _STDIO:
        if sys.stdout.isatty():
            raise Usage("an archive is no text for a terminal", "give a FILE, or send stdout somewhere")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise Usage(f"{target} is no file", "name the archive, or give - for stdout")
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.rename(temporary, path)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """What a backup to this name left when it was killed: nobody holds its lock."""
    for part in path.parent.glob(f".{_escaped(path.name)}.*.part"):
        with suppress(OSError), open(part, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


@contextmanager
def _source(archive: str) -> Iterator[tuple[BinaryIO, int]]:
    """The archive, and how long it is (0: nobody knows)."""
    if archive == _STDIO:
        if sys.stdin.isatty():
            raise Usage("an archive does not come from a terminal", "give a FILE, or send it to stdin")
        yield sys.stdin.buffer, 0
        return
    if Path(archive).is_dir():
        raise Usage(f"{archive} is a folder", "give the archive that `rim origin backup` wrote")
    with open(archive, "rb") as file:
        yield file, os.fstat(file.fileno()).st_size
