"""`rim sw` as a user types it."""

from __future__ import annotations

from pathlib import Path

from tests.rim.conftest import Shell, site_folder


def test_the_switch_as_it_is_typed(user: Shell, tmp_path: Path) -> None:
    """Off, on and status say how it stands in words and in JSON; a publish in between leaves it off, and says so."""
    folder = site_folder(
        tmp_path / "app", {"index.html": "one", "rim.toml": '[service_worker]\ngateways = ["https://g.example"]\n'}
    )
    release = user.result("publish", folder)["release"]
    shown = user.result("sw", "status", "app")
    assert (shown["site"], shown["on"], shown["live"]) == ("app", True, True)
    ((signed),) = shown["signed"]
    assert (signed["release"], signed["gateways"]) == (release, ["https://g.example"])
    words = user.rim("sw", "status", "app").stdout
    assert words.startswith("app: browsers get the service worker\n")
    assert release in words
    off = user.result("sw", "off", "app", "--message", "it throws", "--wait", "all", "--timeout", "5")
    assert (off["on"], off["signed"], off["edges"]) == (False, [], [])
    (folder / "index.html").write_text("two")
    assert "stays switched off: `rim sw on app`" in user.rim("publish", folder).stderr
    assert user.rim("sw", "status", "app").stdout.startswith("app: switched off; browsers that have the service worker")
    assert "worker off" in user.rim("log", "app").stdout
    on = user.rim("sw", "on", "app")
    assert (on.returncode, on.stdout) == (0, "app: browsers get the service worker\n")
    for code, words, arguments in (
        (3, "no site", ("status", "none")),
        (2, "--wait some", ("off", "app", "--wait", "some")),
        (2, "", ("throw", "app")),
    ):
        done = user.rim("sw", *arguments)
        assert (done.returncode, words in done.stderr) == (code, True), done


def test_a_site_that_has_none(user: Shell, tmp_path: Path) -> None:
    """It can be switched off before it comes; on, it says what gives one."""
    user.result("publish", site_folder(tmp_path / "plain", {"index.html": "one"}))
    done = user.rim("sw", "on", "plain")
    assert "the live release has no service worker ([service_worker] in rim.toml gives it one)" in done.stdout
    assert user.result("sw", "off", "plain")["on"] is False
