"""`rim publish` against a real origin: what it sends, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from content.cid import CID
from tests.kit.nodes import RIM, Origin, free_port
from tests.rim.conftest import Shell, site_folder

KEYS = {"site", "root", "release", "sequence", "urls", "files", "blocks_sent", "bytes_sent", "phases", "edges"}


def test_the_result(user: Shell, tmp_path: Path) -> None:
    """One object on stdout with the agreed keys, nothing on stderr; without --json one line."""
    folder = site_folder(tmp_path / "result")
    done = user.rim("publish", folder, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert set(result) == KEYS
    assert set(result["phases"]) == {"scan", "encode", "build", "send", "commit", "warm"}
    assert (result["site"], result["files"]) == ("result", 3)
    assert result["blocks_sent"] >= 3
    assert CID.parse(result["root"]).codec == 0x70
    (folder / "new.txt").write_text("new")
    done = user.rim("publish", folder)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)


def test_unchanged_makes_no_commit(user: Shell, origin: Origin, tmp_path: Path) -> None:
    """The same folder again: said, exit 0, the origin's sequence stays."""
    folder = site_folder(tmp_path / "same")
    first = user.result("publish", folder)
    again = user.result("publish", folder)
    assert again["unchanged"] is True
    assert (again["root"], again["release"], again["blocks_sent"]) == (first["root"], first["release"], 0)
    assert user.result("status")["sequence"] == first["sequence"]
    assert user.rim("publish", folder).stdout.startswith("unchanged")


def test_other_rules_or_encodings_are_a_change(user: Shell, tmp_path: Path) -> None:
    """The same files with --spa, or encoded otherwise, are another release."""
    folder = site_folder(tmp_path / "rules")
    first = user.result("publish", folder)
    assert user.result("publish", folder, "--spa")["release"] != first["release"]
    third = user.result("publish", folder, "--spa", "--encode", "none")
    assert "unchanged" not in third
    assert third["root"] == first["root"]


def test_spa_is_the_flag_else_toml_else_the_site(user: Shell, tmp_path: Path) -> None:
    """A site set to spa=true keeps it from publish to publish, until --no-spa or rim.toml says otherwise."""
    folder = site_folder(tmp_path / "shell")

    def spa() -> bool:
        shown = next(site for site in user.result("sites")["sites"] if site["name"] == "shell")
        return shown["live"]["rules"].get("spa") is True

    user.result("publish", folder)
    assert not spa()
    user.result("site", "set", "shell", "--set", "spa=true")
    user.result("publish", folder)
    assert spa()
    user.result("publish", folder, "--no-spa")
    assert not spa()
    (folder / "rim.toml").write_text('site = "shell"\nspa = false\n')
    user.result("publish", folder)
    assert not spa()
    user.result("publish", folder, "--spa")
    assert spa()


def test_only_new_blocks_are_sent(user: Shell, tmp_path: Path) -> None:
    """One changed file of many costs its block, its folders, a branch of the Index and the Release."""
    files = {f"d{n % 7}/f{n}.bin": os.urandom(500) for n in range(300)}
    folder = site_folder(tmp_path / "few", files)
    assert user.result("publish", folder)["blocks_sent"] > 300
    (folder / "d3/f3.bin").write_bytes(b"changed")
    again = user.result("publish", folder)
    assert again["blocks_sent"] <= 7
    assert again["bytes_sent"] < 60_000


def test_large_files_go_in_blocks(user: Shell, tmp_path: Path) -> None:
    """A file of many chunks is sent whole, and a change at its end sends one chunk of it."""
    data = os.urandom(5_500_000)
    folder = site_folder(tmp_path / "large", {"big.bin": data, "long.txt": os.urandom(2_000_000).hex()})
    assert user.result("publish", folder)["bytes_sent"] > len(data)
    (folder / "big.bin").write_bytes(data[:-1] + b"!")
    assert user.result("publish", folder)["bytes_sent"] < 1_100_000
    out = tmp_path / "large.car"
    exported = user.result("export", "large", "-o", out)
    assert out.stat().st_size == exported["bytes"]


def test_dry_run(user: Shell, tmp_path: Path) -> None:
    """--dry-run tells what would be added, changed and removed with bytes, and changes nothing."""
    folder = site_folder(tmp_path / "dry")
    before = user.result("publish", folder)
    (folder / "index.html").write_text("other")
    (folder / "new.txt").write_text("12345")
    (folder / "css/app.css").unlink()
    told = user.result("publish", folder, "--dry-run")
    assert told["added"] == [{"path": "/new.txt", "bytes": 5}]
    assert told["changed"] == [{"path": "/index.html", "bytes": 5}]
    assert [row["path"] for row in told["removed"]] == ["/css/app.css"]
    assert "+ /new.txt" in user.rim("publish", folder, "--dry-run").stdout
    assert user.result("status")["sequence"] == before["sequence"]
    assert "+ /new.txt" in user.rim("publish", folder, "--diff").stderr
    assert user.result("publish", folder)["unchanged"] is True


def test_the_site_is_named_by_flag_toml_or_folder(user: Shell, tmp_path: Path) -> None:
    """--site, then rim.toml in the folder, then the folder's name as a DNS label."""
    folder = site_folder(tmp_path / "My Folder_1!")
    assert user.result("publish", folder)["site"] == "my-folder-1"
    (folder / "rim.toml").write_text('site = "by-toml"\nspa = true\nencode = "none"\n')
    assert user.result("publish", folder)["site"] == "by-toml"
    assert user.result("publish", folder, "--site", "by-flag")["site"] == "by-flag"
    live = next(s for s in user.result("sites")["sites"] if s["name"] == "by-toml")["live"]
    assert live["rules"] == {"spa": True}


ENDS = [
    ("no such folder", ["nowhere"], {}, 2, "does not exist"),
    ("a file", ["a-file"], {}, 2, "is not a folder"),
    ("empty", ["empty"], {}, 3, "--allow-empty"),
    ("secrets", ["secret"], {}, 3, ".env"),
    ("bad site name", ["site", "--site", "A B"], {}, 2, "--site NAME"),
    ("bad level", ["site", "--encode", "hard"], {}, 2, "balanced"),
    ("bad wait", ["site", "--wait", "some"], {}, 2, "all"),
    ("unknown flag", ["site", "--nope"], {}, 2, "--help"),
    ("unknown token", ["site"], {"RIM_TOKEN": "rim_wrong"}, 3, "RIM_TOKEN"),
    ("no token", ["site"], {"RIM_TOKEN": ""}, 3, "rim token add"),
    ("no origin", ["site"], {"RIM_ORIGIN": ""}, 2, "rim up"),
]


@pytest.mark.parametrize(("name", "arguments", "env", "code", "said"), ENDS, ids=[case[0] for case in ENDS])
def test_how_it_ends(
    user: Shell, tmp_path: Path, name: str, arguments: list[str], env: dict[str, str], code: int, said: str
) -> None:
    """Each mistake has its exit code, nothing on stdout, and a line that says what to do next."""
    site_folder(tmp_path / "site")
    site_folder(tmp_path / "empty", {})
    site_folder(tmp_path / "secret", {"index.html": "x", ".env": "KEY=1"})
    (tmp_path / "a-file").write_text("x")
    done = user.rim("publish", tmp_path / arguments[0], *arguments[1:], **env)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 2, "what happened, and what to do next"
    assert "Traceback" not in done.stderr


def test_empty_and_secret_when_allowed(user: Shell, tmp_path: Path) -> None:
    """Both go through when they are meant."""
    assert user.result("publish", site_folder(tmp_path / "nothing", {}), "--allow-empty")["files"] == 0
    folder = site_folder(tmp_path / "open", {".env": "KEY=1", "node_modules/x.js": "1"})
    assert user.result("publish", folder, "--allow-secret")["files"] == 1
    assert user.result("publish", folder, "--no-ignore")["files"] == 2


@pytest.mark.parametrize("closed", ["index.html", "css"])
def test_what_cannot_be_read(user: Shell, tmp_path: Path, closed: str) -> None:
    """A file or folder that this user may not read is exit code 2 and named. Root reads everything, so it gives up that
    capability first."""
    folder = site_folder(tmp_path / "closed")
    (folder / closed).chmod(0)
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if drop and shutil.which("setpriv") is None:
        pytest.skip("missing: setpriv")
    done = subprocess.run(
        [*drop, *RIM, "publish", str(folder)], env=user.environment({}), capture_output=True, text=True, timeout=60
    )
    (folder / closed).chmod(0o700)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert f"{closed}" in done.stderr
    assert "cannot be read: Permission denied" in done.stderr


def test_scopes(user: Shell, tmp_path: Path) -> None:
    """A token for another site, or without publish, is exit code 3; the right one publishes and sees its site."""
    mine = user.result("token", "add", "ci", "--scope", "publish", "--site", "mine")["token"]
    other = user.result("token", "add", "purger", "--scope", "purge")["token"]
    folder = site_folder(tmp_path / "mine")
    assert user.rim("publish", folder, RIM_TOKEN=other).returncode == 3
    assert user.rim("publish", folder, "--site", "yours", RIM_TOKEN=mine).returncode == 3
    assert user.result("publish", folder, RIM_TOKEN=mine)["site"] == "mine"
    listed = user.result("token", "list")["tokens"]
    assert {"ci", "purger"} <= {token["name"] for token in listed}
    assert "rim_" not in json.dumps(listed)
    revoked = next(token["id"] for token in listed if token["name"] == "ci")
    user.result("token", "revoke", revoked)
    assert user.rim("publish", folder, RIM_TOKEN=mine).returncode == 3


def test_origin_down(user: Shell, tmp_path: Path) -> None:
    """Nobody listens: exit code 1 within seconds, with the address."""
    url = f"http://127.0.0.1:{free_port()}"
    done = user.rim("publish", site_folder(tmp_path / "down"), RIM_ORIGIN=url)
    assert done.returncode == 1
    assert url in done.stderr


def test_many_publishers_at_once(user: Shell, tmp_path: Path) -> None:
    """Publishers of different sites never lose against each other, and share a memo."""
    folders = [site_folder(tmp_path / f"p{number}", {"index.html": f"site {number}"}) for number in range(20)]
    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(lambda folder: user.rim("publish", folder), folders))
    assert [run.returncode for run in done] == [0] * 20, [run.stderr for run in done if run.returncode]


def test_two_publishers_of_one_site(user: Shell, tmp_path: Path) -> None:
    """One wins; the other, if it came in between, ends with 3 and says to publish again. Never a mix."""
    one, two = (site_folder(tmp_path / name, {"index.html": name, "x": os.urandom(9)}) for name in ("one", "two"))
    user.result("publish", one, "--site", "race")
    for number in range(3):
        (one / "n").write_text(f"1{number}")
        (two / "n").write_text(f"2{number}")
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda f: user.rim("publish", f, "--site", "race", "--json"), (one, two)))
        codes = [run.returncode for run in done]
        assert 0 in codes
        assert set(codes) <= {0, 3}
        roots = [json.loads(run.stdout)["root"] for run in done if run.returncode == 0]
        live = next(s for s in user.result("sites")["sites"] if s["name"] == "race")["live"]["root"]
        assert live in roots
        assert all("publish again" in run.stderr for run in done if run.returncode == 3)


def test_immutable_paths_are_not_changed(user: Shell, tmp_path: Path) -> None:
    """Other bytes under a hash-named path are refused with 3; --force publishes them."""
    folder = site_folder(tmp_path / "hashed", {"app-1a2b3c4d.js": "one"})
    user.result("publish", folder)
    (folder / "app-1a2b3c4d.js").write_text("two!")
    done = user.rim("publish", folder)
    assert (done.returncode, "--force" in done.stderr) == (3, True)
    user.result("publish", folder, "--force")


def steps_of(user: Shell, folder: Path, log: Path) -> list[str]:
    """The names of the steps of one whole publish."""
    assert user.rim("publish", folder, RIM_STEPS_LOG=str(log)).returncode == 0
    return log.read_text().splitlines()


@pytest.mark.parametrize("how", ["CRASH", "INTERRUPT"])
def test_cut_short_at_every_step(user: Shell, tmp_path: Path, how: str) -> None:
    """Killed or interrupted at each named step: the old release or the new one is live, whole, and the same publish
    succeeds when repeated."""
    name = f"cut-{how.lower()}"
    folder = site_folder(tmp_path / name)
    old = user.result("publish", folder)["root"]
    (folder / "probe").write_text("p")
    steps = steps_of(user, folder, tmp_path / "steps")
    assert {"scan.done", "encode.done", "build.done", "send.done", "stage.done", "activate.done"} <= set(steps)
    live = {old, user.result("publish", folder)["root"]}
    for number in range(1, len(steps) + 1):
        (folder / "n.txt").write_text(f"{how} {number}")
        done = user.rim("publish", folder, **{f"RIM_PUBLISH_{how}_AT": str(number)})
        assert done.returncode == (137 if how == "CRASH" else 130), (steps[number - 1], done.stderr)
        assert "Traceback" not in done.stderr
        now = next(s for s in user.result("sites")["sites"] if s["name"] == name)["live"]["root"]
        again = user.result("publish", folder)
        assert now in {*live, again["root"]}
        assert next(s for s in user.result("sites")["sites"] if s["name"] == name)["live"]["root"] == again["root"]
        live = {again["root"]}
        left = {path.name for path in (user.home / "rim").rglob("*") if path.is_file()}
        assert left <= {"memo.sqlite", "memo.sqlite-wal", "memo.sqlite-shm"}


def test_ctrl_c_by_a_terminal(user: Shell, tmp_path: Path) -> None:
    """SIGINT while a large folder is packed ends at once with 130 and leaves no process."""
    folder = site_folder(tmp_path / "slow", {f"{n}.js": os.urandom(300_000).hex() for n in range(20)})
    process = subprocess.Popen(
        [*RIM, "publish", str(folder), "--encode", "best"],
        env=user.environment({"RIM_STEPS_LOG": str(tmp_path / "log")}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        while "scan.done" not in ((tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_an_unchanged_folder_imports_little() -> None:
    """What a publish imports stays small: none of the server's libraries, no rich, no asyncio."""
    code = (
        "import sys; from rim.app import app_for; app_for(['publish']);"
        "import rim.publisher, rim.memo, rim.commands.publish;"
        "heavy = ('asyncio', 'aiohttp', 'rich', 'uvicorn', 'pathspec', 'cryptography', 'brotli');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
