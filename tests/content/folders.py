"""Folders on disk and their Roots as we build them: what the tests of building and walking share."""

from __future__ import annotations

import os
import random
from pathlib import Path

from content import unixfs
from content.block import Block
from content.cid import CID
from content.limits import MiB
from content.unixfs import FileBuilder, Node

AWKWARD = [
    *("#hash", "question?", "per%20cent", "a b", " lead", "trail ", "q\"uo'te", "new\nline", "tab\t", "back\\slash"),
    *("ünï-çødé", "日本語", "🎉", "e\u0301 decomposed", "é composed", ".hidden", "...", "-rf", "%", "&amp;"),
    *("*", "~", ":", "CON"),
    *("x" * 255, "é" * 127, "a.b.c", "\u202ertl", "\ufeffbom", "UPPER", "upper"),
]
SIZES = (0, 1, 10, 300, 5000, 5000, MiB - 1, MiB, MiB + 1, 3 * MiB + 5)


class Blocks(dict[CID, Block]):
    """A store of blocks in memory that builders emit into and walks read from; `asked` says what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[CID] = []

    def emit(self, block: Block) -> None:
        self[block.cid] = block

    def get_block(self, cid: CID) -> Block:
        self.asked.append(cid)
        return self[cid]


def publish(folder: Path, blocks: Blocks) -> Node:
    """The Root of this folder, as a publisher makes it: symlinks kept, empty folders and hidden files too."""
    entries: dict[str, Node] = {}
    dirs: list[str] = []
    for base, names, files in os.walk(folder):
        for name in names + files:
            path = Path(base, name)
            key = path.relative_to(folder).as_posix()
            if path.is_symlink():
                entries[key] = unixfs.symlink(os.readlink(path), blocks.emit)
            elif path.is_dir():
                dirs.append(key)
            else:
                entries[key] = publish_file(path, blocks)
    return unixfs.root(entries, blocks.emit, dirs)


def publish_file(path: Path, blocks: Blocks) -> Node:
    builder = FileBuilder(blocks.emit)
    with path.open("rb") as file:
        while chunk := file.read(MiB):
            builder.feed(chunk)
    return builder.finish()


def awkward(folder: Path) -> Path:
    """A folder with every shape that the profile and file systems know: made once, compared whole."""
    (folder / "empty" / "inside").mkdir(parents=True)
    names = folder / "names"
    names.mkdir()
    for name in AWKWARD:
        (names / name).write_text(name)
    (folder / ".hid den").mkdir()
    (folder / ".hid den" / ".file").write_bytes(b"\0\xff")
    random_bytes = random.Random(1).randbytes
    for size in (0, 1, 127, 128, MiB - 1, MiB, MiB + 1, 2 * MiB, 5 * MiB + 77):
        (folder / f"size-{size}").write_bytes(random_bytes(size))
    for name, target in {
        "to-file": "size-1",
        "to-dir": "names",
        "dangling": "no/where",
        "up": "../..",
        "ünï": "日本",
    }.items():
        (folder / name).symlink_to(target)
    return folder


def random_tree(folder: Path, dice: random.Random) -> Path:
    """A random folder: a few levels, odd names, sizes around the borders, links, empty folders, sometimes a HAMT."""
    folder.mkdir()
    folders = [folder]
    for _ in range(dice.randint(0, 12)):
        inner = dice.choice(folders) / _name(dice)
        if not inner.exists() and not inner.is_symlink():
            inner.mkdir()
            folders.append(inner)
    for _ in range(dice.randint(0, 40)):
        path = dice.choice(folders) / _name(dice)
        if path.exists() or path.is_symlink():
            continue
        if dice.random() < 0.1:
            path.symlink_to(_name(dice))
        else:
            path.write_bytes(dice.randbytes(dice.choice(SIZES)))
    if dice.random() < 0.15:
        wide = dice.choice(folders)
        for number in range(dice.randint(1800, 2600)):
            (wide / f"{dice.getrandbits(64):016x}-{'n' * dice.randint(40, 90)}-{number}").write_bytes(b"")
    return folder


def _name(dice: random.Random) -> str:
    if dice.random() < 0.3:
        return dice.choice(AWKWARD)
    return "".join(dice.choice("abcXYZ019._- éñ漢") for _ in range(dice.randint(1, 30))).strip(".") or "dots"
