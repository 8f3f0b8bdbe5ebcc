"""The other commands, against a real origin: one result each, as text and as JSON, and how they refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from content import car
from content.cid import CID
from rim.app import _PANELS
from tests.kit.nodes import RIM, Origin
from tests.rim.conftest import Shell, site_folder


def test_sites_come_and_go(user: Shell) -> None:
    """Added with hosts and settings, listed, changed, removed."""
    added = user.result("site", "add", "blog", "--host", "blog.example.org", "--set", "max_stale=60")
    assert (added["hosts"], added["settings"]) == (["blog.example.org"], {"max_stale": 60})
    again = user.rim("site", "add", "blog")
    assert (again.returncode, "there already" in again.stderr) == (3, True)
    assert "blog.example.org" in user.rim("sites").stdout, "adding it again would have taken its hosts"
    assert "blog.example.org" in user.rim("sites").stdout
    for pair in ("spa=yes", "clean=true", "max_stale=007", "max_stale=1h", "max_stale=-1", "max_stale"):
        assert user.rim("site", "set", "blog", "--set", pair).returncode == 2, "nothing would come of it"
    changed = user.result(
        "site", "set", "blog", "--host", "a.example.org", "--host", "b.example.org", "--set", "max_stale=null"
    )
    assert (changed["hosts"], changed["settings"]) == (["a.example.org", "b.example.org"], {})
    assert user.result("site", "set", "blog", "--host", "")["hosts"] == []
    user.result("site", "rm", "blog")
    assert "blog" not in user.rim("sites").stdout


def test_a_host_belongs_to_one_site(user: Shell) -> None:
    """A host taken by another site is refused with 3, naming that site; a host that is none likewise."""
    user.result("site", "add", "first", "--host", "taken.example.org")
    taken = user.rim("site", "add", "second", "--host", "taken.example.org")
    assert (taken.returncode, "first" in taken.stderr) == (3, True)
    assert user.rim("site", "add", "third", "--host", "https://x/").returncode == 3
    assert user.rim("site", "add", "A B").returncode == 3


def test_releases_and_rollback(user: Shell, tmp_path: Path) -> None:
    """Releases are listed newest first with their messages; rollback takes one by its beginning, or the one before."""
    folder = site_folder(tmp_path / "rolls")
    made = []
    for number in range(3):
        (folder / "index.html").write_text(f"release {number}")
        made.append(user.result("publish", folder, "-m", f"message {number}")["release"])
    listed = user.result("releases", "rolls")["releases"]
    assert [row["release"] for row in listed] == made[::-1]
    assert [row["message"] for row in listed] == ["message 2", "message 1", "message 0"]
    assert user.rim("releases", "rolls").stdout.count("\n*") == 1
    assert user.result("rollback", "rolls")["release"] == made[1]
    assert user.result("rollback", "rolls", made[0][:20])["release"] == made[0]
    assert user.rim("rollback", "rolls").returncode == 3, "there is none before the first"
    assert user.rim("rollback", "rolls", "bafyreizzzz").returncode == 3
    assert [row["live"] for row in user.result("releases", "rolls")["releases"]] == [False, False, True]


PURGES = [([], 2), (["--path", "no-slash"], 2), (["--path", "/a"], 0), (["--prefix", "/a/"], 0), (["--all"], 0)]


@pytest.mark.parametrize(("flags", "code"), PURGES)
def test_purge(user: Shell, tmp_path: Path, flags: list[str], code: int) -> None:
    """By path, prefix or all; nothing named, or what is no path, is a usage error."""
    user.result("publish", site_folder(tmp_path / "purged"))
    assert user.rim("purge", "purged", *flags).returncode == code
    assert user.rim("purge", "unknown-site", "--all").returncode == 3


def test_pins(user: Shell, tmp_path: Path) -> None:
    """A pinned Root survives its site and a collection, an unpinned one does not."""
    root = user.result("publish", site_folder(tmp_path / "pinned"))["root"]
    user.result("pin", root, "--name", "keep")
    assert {"cid": root, "name": "keep"}.items() <= user.result("pins")["pins"][0].items()
    user.result("site", "rm", "pinned")
    user.result("gc")
    assert user.result("pin", root)["pinned"] is True
    user.result("unpin", root)
    assert user.result("gc")["blocks_removed"] > 0
    assert user.rim("pin", root).returncode == 3, "its blocks are gone"
    assert user.rim("pin", "not-a-cid").returncode == 2


def test_export(user: Shell, tmp_path: Path) -> None:
    """The CAR holds the whole Root, verified; to a file it is whole or not there, to a pipe it is the same bytes."""
    root = user.result("publish", site_folder(tmp_path / "out", {"big.bin": b"x" * 3_000_000, "a/b.txt": "b"}))["root"]
    file = tmp_path / "out.car"
    done = user.result("export", "out", "-o", file)
    roots, blocks = car.read(file.read_bytes())
    assert [str(cid) for cid in roots] == [root] == [done["root"]]
    assert (len(blocks), CID.parse(root)) == (done["blocks"], blocks[0].cid)
    piped = subprocess.run([*RIM, "export", "out"], env=user.environment({}), capture_output=True, timeout=60)
    assert (piped.returncode, piped.stdout) == (0, file.read_bytes())
    assert user.rim("export", "out", "--json").returncode == 2, "stdout cannot hold both"
    assert user.rim("export", "unknown", "-o", tmp_path / "x.car").returncode == 3
    assert user.rim("export", "out", "-o", tmp_path / "no" / "x.car").returncode == 1
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"out.car"}


def test_keys_and_status(user: Shell, origin: Origin) -> None:
    """The catalog key is shown as edges take it; status tells of the origin."""
    assert user.rim("key", "show").stdout.strip() == user.result("status")["catalog"]
    assert user.rim("status").stdout.startswith(origin.url)


def test_key_rotation(shell: Shell, tmp_path: Path) -> None:
    """A rotated key has another name, and the old one is known as its predecessor."""
    node = Origin(tmp_path / "o" / "state")
    node.start()
    try:
        shell.env = {"RIM_ORIGIN": node.url, "RIM_TOKEN": node.token}
        old = shell.rim("key", "show").stdout.strip()
        new = shell.result("key", "rotate")["catalog"]
        assert new != old
        shown = shell.result("key", "show")
        assert (shown["catalog"], old in json.dumps(shown["previous"])) == (new, True)
    finally:
        node.stop()


def test_token_times(user: Shell) -> None:
    """--expires takes a time that has passed at once for none, and refuses what is none."""
    token = user.result("token", "add", "brief", "--expires", "0s")["token"]
    done = user.rim("sites", RIM_TOKEN=token)
    assert (done.returncode, "expired" in done.stderr) == (3, True)
    assert user.rim("token", "add", "x", "--expires", "soon").returncode == 2
    assert user.rim("token", "add", "x", "--scope", "all").returncode == 2
    nobody = user.rim("token", "revoke", "nobody")
    assert (nobody.returncode, "`rim token list`" in nobody.stderr) == (3, True)


def test_verify_where_nobody_answers(shell: Shell, tmp_path: Path) -> None:
    """An address that nobody answers at is 1, and nothing is said to be equal."""
    done = shell.rim("verify", "http://127.0.0.1:1/", site_folder(tmp_path / "site"))
    assert (done.returncode, "nothing compared" in done.stdout, "equal" in done.stdout) == (1, True, False)


def test_an_address_that_is_none(shell: Shell, tmp_path: Path) -> None:
    """--listen without a port is a usage error, before any folder is made."""
    done = shell.rim("origin", "--state", tmp_path / "o", "--listen", "foo")
    assert (done.returncode, "HOST:PORT" in done.stderr, (tmp_path / "o").exists()) == (2, True, False)


def test_fsck(shell: Shell, tmp_path: Path) -> None:
    """A sound folder is 0; a flipped bit is 1 and named; a running origin keeps its folder."""
    node = Origin(tmp_path / "o" / "state")
    node.start()
    shell.env = {"RIM_ORIGIN": node.url, "RIM_TOKEN": node.token}
    shell.result("publish", site_folder(tmp_path / "site"))
    in_use = shell.rim("origin", "fsck", "--state", node.state)
    assert (in_use.returncode, in_use.stdout, "in use by" in in_use.stderr) == (1, "", True), "that is no damage"
    node.stop()
    assert shell.result("origin", "fsck", "--state", node.state)["ok"] is True
    pack = next((node.state / "packs").glob("*.car"))
    data = bytearray(pack.read_bytes())
    data[data.index(b"<h1>")] ^= 1
    pack.write_bytes(data)
    bad = shell.rim("origin", "fsck", "--state", node.state)
    assert (bad.returncode, "BAD" in bad.stdout) == (1, True)


def test_watching(user: Shell) -> None:
    """status --watch --json gives a line a second until Ctrl-C, which is 130."""
    process = subprocess.Popen(
        [*RIM, "status", "--watch", "--json"],
        env=user.environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 130
    assert lines[0]["catalog"] == lines[1]["catalog"]


def test_every_command_has_help(shell: Shell) -> None:
    """`rim --help` names every command, and each says what it does and takes --json where it has a result."""
    overview = shell.rim("--help").stdout
    for commands in _PANELS.values():
        for name in commands:
            assert name in overview
            assert shell.rim(name, "--help").returncode == 0
    assert shell.rim("--version").stdout.startswith("rim ")


def test_an_edge_says_what_it_lacks(shell: Shell, tmp_path: Path) -> None:
    """`rim edge` without its settings names the one that is missing."""
    done = shell.rim("edge", "--state", tmp_path / "e", "--name", "e")
    assert done.returncode == 2
    assert "catalog" in done.stderr or "origin" in done.stderr


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completions(shell: Shell, name: str) -> None:
    """A completion script per shell; and completing a line gives the commands."""
    assert "rim" in shell.rim("completions", name).stdout
    done = shell.rim(_RIM_COMPLETE="complete_bash", COMP_WORDS="rim pub", COMP_CWORD="1")
    assert done.stdout.strip() == "publish"


def test_commands_are_found_without_the_others() -> None:
    """Typing one command imports its own module and no other command's."""
    code = "import sys; from rim.app import app_for; app_for(['sites']); print('rim.commands.publish' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_log_tells_who_did_what(user: Shell, tmp_path: Path) -> None:
    """A table for people, JSON lines for programs; author and message are the publisher's, or the command's."""
    folder = site_folder(tmp_path / "logged")
    user.result("publish", folder, "--message", "first words", RIM_AUTHOR="Ada")
    user.result("purge", "logged", "--all", "-m", "a wrong price", RIM_AUTHOR="Bo")
    rows = [json.loads(line) for line in user.rim("log", "logged", "--json").stdout.splitlines()]
    assert [(row["action"], row["author"], row["message"]) for row in rows] == [
        ("stage", "Ada", "first words"),
        ("activate", "Ada", "first words"),
        ("purge", "Bo", "a wrong price"),
    ]
    later = user.rim("log", "logged", "--json", "--since", rows[0]["sequence"], "--limit", "1").stdout
    assert json.loads(later) == rows[1]
    table = user.rim("log", "logged").stdout.splitlines()
    assert table[0].split() == ["SEQUENCE", "TIME", "SITE", "ACTION", "DETAIL", "BY", "MESSAGE"]
    assert table[-1].endswith("a wrong price")
    assert len(table) == 4


def test_releases_show_what_each_alone_holds(user: Shell, tmp_path: Path) -> None:
    """The second release shares a large file with the first, so each alone holds little."""
    folder = site_folder(tmp_path / "costly", {"big.bin": os.urandom(300_000), "page.html": "one"})
    user.result("publish", folder)
    (folder / "page.html").write_text("two")
    user.result("publish", folder)
    rows = user.result("releases", "costly")["releases"]
    assert all(0 < row["alone"] < 20_000 < row["size"] for row in rows)
    assert "ALONE" in user.rim("releases", "costly").stdout


def test_forgetting_an_edge_that_nobody_knows(user: Shell) -> None:
    """Exit 3, and a word on where to look."""
    done = user.rim("edges", "forget", "nobody")
    assert (done.returncode, "rim status" in done.stderr) == (3, True)
    assert user.result("edges", "list")["edges"] == []


def test_edges_are_shown_as_members_of_a_ring() -> None:
    """Region, weight, version, state and sequence of each; of an older Rim what it does not say is left open."""
    from rim.commands.look import ring_table

    common = {"present": True, "expected": True, "bound": True, "region": "eu"}
    edges = [
        {**common, "node": "a", "weight": 2.5, "version": "0.1.0", "state": "ready", "sequence": 9},
        {**common, "node": "b", "weight": 1.0, "version": "0.1.0", "state": "draining", "sequence": 8},
        {**common, "node": "old", "sequence": 9, "bound": False},
    ]
    rows = [line.split(maxsplit=4) for line in ring_table(9, edges).splitlines()]
    assert [row[:4] for row in rows[1:]] == [
        ["a", "eu", "2.5", "0.1.0"],
        ["b", "eu", "1", "0.1.0"],
        ["old", "eu", "1", "?"],
    ]
    assert [" ".join(row[4].split()) for row in rows[1:]] == [
        "present latest",
        "present, draining 8",
        "present, unbound latest",
    ]
