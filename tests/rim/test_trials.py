"""Previews, rollouts and promotes as a user types them, and rules that are refused before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.nodes import Origin, until
from tests.rim.conftest import Shell, site_folder


def published(user: Shell, tmp_path: Path, name: str) -> Path:
    """A site with one release live."""
    folder = site_folder(tmp_path / name, {"index.html": "one"})
    user.result("publish", folder)
    return folder


def refused(user: Shell, code: int, words: str, *arguments: object) -> None:
    """It ends so, and says this."""
    done = user.rim(*arguments)
    assert (done.returncode, words in done.stderr) == (code, True), f"{arguments}: {done.returncode}\n{done.stderr}"


def live(user: Shell, site: str) -> str:
    return next(row["release"] for row in user.result("releases", site)["releases"] if row["live"])


def test_a_preview_is_shown_again_promoted_and_removed(user: Shell, tmp_path: Path) -> None:
    """The same again is unchanged but for its end; live moves with promote alone, bit for bit."""
    folder = published(user, tmp_path, "shown")
    first = live(user, "shown")
    (folder / "index.html").write_text("two")
    shown = user.result("publish", folder, "--preview", "pr-1", "--expires", "1h")
    assert (shown["preview"], live(user, "shown")) == ("pr-1", first)
    (row,) = user.result("previews", "list", "shown")["previews"]
    assert (row["name"], row["release"], row["protected"]) == ("pr-1", shown["release"], False)
    again = user.result("publish", folder, "--preview", "pr-1", "--expires", "7d")
    assert (again["unchanged"], again["release"], again["blocks_sent"]) == (True, shown["release"], 0)
    (later,) = user.result("previews", "list", "shown")["previews"]
    assert later["expires"] > row["expires"]
    assert user.result("publish", folder, "--preview", "pr-1", "--expires", "never")["unchanged"]
    assert "never" in user.rim("previews", "list", "shown").stdout
    promoted = user.result("promote", "shown", "pr-1")
    assert (promoted["release"], promoted["previous"], live(user, "shown")) == (
        shown["release"],
        first,
        shown["release"],
    )
    assert user.rim("promote", "shown", "pr-1").stdout.startswith("unchanged")
    user.result("previews", "rm", "shown", "pr-1")
    refused(user, 3, "no preview", "previews", "rm", "shown", "pr-1")
    refused(user, 3, "there is: none", "promote", "shown", "pr-1")


def test_a_preview_makes_its_site(user: Shell, tmp_path: Path) -> None:
    """The first thing of a site may be a preview; nothing is live then, and promoting makes it so."""
    folder = site_folder(tmp_path / "fresh", {"index.html": "one"})
    shown = user.result("publish", folder, "--preview", "try")
    assert user.result("releases", "fresh")["releases"] == []
    refused(user, 3, "nothing live", "rollout", "fresh", "try", "--percent", "5")
    user.result("promote", "fresh", "try")
    assert live(user, "fresh") == shown["release"]


def test_a_preview_that_is_over_is_not_promoted(user: Shell, origin: Origin, tmp_path: Path) -> None:
    """An end in the past ends with 3, and says what to do; it does not come to life."""
    folder = published(user, tmp_path, "over")
    (folder / "index.html").write_text("two")
    user.result("publish", folder, "--preview", "pr-1", "--expires", "1s")
    until(
        "its end",
        lambda: user.rim("previews", "list", "over").stdout.find("over") > 0 or "pr-1" not in _list(user, "over"),
    )
    done = user.rim("promote", "over", "pr-1")
    assert done.returncode == 3
    assert "--preview pr-1" in done.stderr


def _list(user: Shell, site: str) -> list[str]:
    return [row["name"] for row in user.result("previews", "list", site)["previews"]]


NAMES = ["A", "a_b", "-a", "a-", "a--b", "xn", "a.b", "a/b", "", "a" * 60]


@pytest.mark.parametrize("name", NAMES)
def test_a_preview_name_that_is_no_label(user: Shell, tmp_path: Path, name: str) -> None:
    """Exit 2, and nothing is published."""
    folder = site_folder(tmp_path / "labels", {"index.html": "one"})
    refused(user, 2, "preview name", "publish", folder, f"--preview={name}")
    refused(user, 3, "labels", "releases", "labels")


FLAGS = [
    (("--expires", "1h"), "--preview NAME"),
    (("--password",), "--preview NAME"),
    (("--preview", "a", "--expires", "soon"), "12h, 7d or never"),
    (("--preview", "a", "--expires", "0s"), "12h, 7d or never"),
    (("--preview", "a", "--password"), "RIM_PREVIEW_PASSWORD"),
]


@pytest.mark.parametrize(("flags", "words"), FLAGS)
def test_flags_of_a_preview(user: Shell, tmp_path: Path, flags: tuple[str, ...], words: str) -> None:
    """What they lack is said, with 2."""
    refused(user, 2, words, "publish", site_folder(tmp_path / "flags"), *flags)


def test_a_password_is_kept_as_its_hash(user: Shell, tmp_path: Path) -> None:
    """The list says that there is one; nobody says which."""
    folder = site_folder(tmp_path / "secret", {"index.html": "one"})
    done = user.rim("publish", folder, "--preview", "pr-1", "--password", "--json", RIM_PREVIEW_PASSWORD="open sesame")
    assert (done.returncode, "sesame" in done.stdout + done.stderr) == (0, False)
    (row,) = user.result("previews", "list", "secret")["previews"]
    assert row["protected"] is True
    assert "sesame" not in str(row)
    assert "scrypt" not in str(row)


def test_a_rollout_from_start_to_end(user: Shell, tmp_path: Path) -> None:
    """Started from a preview, shown, widened, aborted; begun again and promoted; a publish beside it is refused."""
    folder = published(user, tmp_path, "rolling")
    first = live(user, "rolling")
    assert "no rollout" in user.rim("rollout", "rolling").stdout
    refused(user, 3, "no rollout", "rollout", "rolling", "--abort")
    refused(user, 3, "no rollout", "rollout", "rolling", "--percent", "5")
    refused(user, 2, "--percent P", "rollout", "rolling", "pr-1")
    refused(user, 2, "above 0", "rollout", "rolling", "pr-1", "--percent", "0")
    refused(user, 2, "above 0", "rollout", "rolling", "pr-1", "--percent", "101")
    refused(user, 2, "alone", "rollout", "rolling", "pr-1", "--abort")
    refused(user, 3, "no preview of that name", "rollout", "rolling", "pr-1", "--percent", "5")
    (folder / "index.html").write_text("two")
    shown = user.result("publish", folder, "--preview", "pr-1")["release"]
    begun = user.result("rollout", "rolling", "pr-1", "--percent", "10")
    assert (begun["release"], begun["percent"]) == (shown, 10)
    assert user.result("rollout", "rolling")["rollout"]["percent"] == 10
    assert user.result("rollout", "rolling", "--percent", "50.5")["percent"] == 50.5
    (folder / "index.html").write_text("three")
    refused(user, 3, "promote it or abort it", "publish", folder)
    assert live(user, "rolling") == first
    user.result("rollout", "rolling", "--abort")
    assert user.result("rollout", "rolling")["rollout"] is None
    assert user.result("rollout", "rolling", "pr-1", "--percent", "100")["release"] == shown
    assert user.result("promote", "rolling", "pr-1")["release"] == shown
    assert user.result("rollout", "rolling")["rollout"] is None
    refused(user, 3, "live already", "rollout", "rolling", "pr-1", "--percent", "5")


PURGES: list[tuple[tuple[str, ...], int, str]] = [
    (("--soft",), 2, "nothing to purge"),
    (("--soft", "--browsers"), 2, "says how, not what"),
    (("--soft", "--path", "/a"), 0, ""),
    (("--soft", "--all"), 0, ""),
    (("--browsers",), 0, ""),
    (("--browsers", "--all"), 0, ""),
    (("--tag", "docs"), 0, ""),
    (("--tag", "docs", "--prefix", "a"), 2, "is no path"),
]


@pytest.mark.parametrize(("flags", "code", "words"), PURGES)
def test_purge_flags(user: Shell, tmp_path: Path, flags: tuple[str, ...], code: int, words: str) -> None:
    """What they do together, and what they lack."""
    published(user, tmp_path, "purged")
    refused(user, code, words, "purge", "purged", *flags)


def test_no_rollback_past_what_is_kept(user: Shell, tmp_path: Path) -> None:
    """A release that [retention] let go is gone: 3, naming what there is."""
    folder = published(user, tmp_path, "short")
    first = live(user, "short")
    (folder / "rim.toml").write_text("[retention]\nlast = 1\ndays = 0\n")
    for word in ("two", "three"):
        (folder / "index.html").write_text(word)
        user.result("publish", folder)
    kept = [row["release"] for row in user.result("releases", "short")["releases"]]
    assert first not in kept
    refused(user, 3, "", "rollback", "short", first)
    refused(user, 3, "", "rollback", "short")
    assert live(user, "short") == kept[0]


WRONG: list[tuple[dict[str, str | bytes], str, str]] = [  # files beside index.html, where it is wrong, what is said
    ({"rim.toml": "clean_url = true\n"}, "rim.toml:1", "clean_urls"),
    ({"rim.toml": 'site = "wrong"\n\ntrailing_slash = "no"\n'}, "rim.toml:3", "trailing_slash"),
    ({"rim.toml": 'error_page = "/lost.html"\n'}, "rim.toml:1", "holds no such file"),
    ({"_redirects": "# loop\n/a /b\n/b /a\n"}, "_redirects:2", "without end"),
    ({"_redirects": "/x https://evil.example/y\n"}, "_redirects:1", "allow it"),
    ({"_redirects": "/x //evil.example/y\n"}, "_redirects:1", "allow it"),
    ({"_redirects": "/x /\\evil.example\n"}, "_redirects:1", "%5C"),
    ({"_redirects": "/x https://ok.example/ 200\n"}, "_redirects:1", "file of this site"),
    ({"_redirects": "/a/* /b/:splat\n" + "/x" * 52_000}, "_redirects:1", "limit"),
    ({"_headers": "/*\n  X-A: caf\u00e9\n"}, "_headers:2", "ASCII"),
    ({"_headers": b"/*\r\n  X-A: a\rSet-Cookie: b\r\n"}, "_headers:2", "control"),
    ({"_headers": "/*\n  Set-Cookie: a=b\n"}, "_headers:2", "edge's own"),
    ({"_headers": "/*\n  X: " + "y" * 102_400}, "_headers:1", "limit"),
]


@pytest.mark.parametrize(("files", "where", "words"), WRONG)
def test_rules_that_are_wrong_change_nothing(
    user: Shell, tmp_path: Path, files: dict[str, str | bytes], where: str, words: str
) -> None:
    """Exit 2 with file and line and what to do, for publish, for a preview and for a dry run; the site is as it was."""
    folder = published(user, tmp_path, "wrong")
    before = user.result("sites")["sites"]
    (folder / "index.html").write_text("two")
    site_folder(folder, files)
    for more in ((), ("--preview", "pr-1"), ("--dry-run",)):
        done = user.rim("publish", folder, *more)
        assert (done.returncode, where in done.stderr, words in done.stderr) == (2, True, True), done.stderr
    assert user.result("sites")["sites"] == before
    assert _list(user, "wrong") == []
