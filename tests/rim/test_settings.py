"""Where settings come from, in which order, and where a token never goes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rim import settings
from rim.exits import Refused, Usage


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the machine's counts, and the working directory is empty."""
    for name in [name for name in os.environ if name.startswith("RIM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def running(tmp_path: Path, pid: int | None = None) -> None:
    state = tmp_path / "home" / "rim"
    state.mkdir(parents=True)
    ring = {"pid": pid or os.getpid(), "origin": "http://127.0.0.1:1", "token": "of-the-ring"}
    (state / "up.json").write_text(json.dumps(ring))


def test_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag, then RIM_ORIGIN, then rim.toml, then a running `rim up`."""
    running(tmp_path)
    monkeypatch.setenv("RIM_TOKEN", "t")
    assert settings.load().origin == "http://127.0.0.1:1"
    Path("rim.toml").write_text('origin = "http://toml:2"')
    assert settings.load().origin == "http://toml:2"
    monkeypatch.setenv("RIM_ORIGIN", "http://env:3/")
    assert settings.load().origin == "http://env:3"
    assert settings.load("http://flag:4").origin == "http://flag:4"


def test_the_folders_own_rim_toml_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishing a folder reads the rim.toml in it, else the one where the command runs."""
    monkeypatch.setenv("RIM_TOKEN", "t")
    Path("rim.toml").write_text('origin = "http://here:1"')
    assert settings.load(folder=tmp_path).origin == "http://here:1"
    (tmp_path / "rim.toml").write_text('origin = "http://there:2"')
    assert settings.load(folder=tmp_path).origin == "http://there:2"


def test_no_origin() -> None:
    """Without any the command says three ways to name one."""
    with pytest.raises(Usage, match="no origin") as caught:
        settings.load()
    assert "rim up" in caught.value.hint
    assert "RIM_ORIGIN" in caught.value.hint


def test_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token the command says how to get one, and ends with 3."""
    monkeypatch.setenv("RIM_ORIGIN", "http://127.0.0.1:1")
    with pytest.raises(Refused, match="no token") as caught:
        settings.load()
    assert "rim token add" in caught.value.hint


def test_the_rings_token_goes_to_the_ring_only(tmp_path: Path) -> None:
    """A rim.toml found in somebody's folder cannot send the token of a running `rim up` elsewhere."""
    running(tmp_path)
    assert settings.load().token == "of-the-ring"
    Path("rim.toml").write_text('origin = "http://attacker:2"')
    with pytest.raises(Refused):
        settings.load()


def test_a_ring_that_is_gone_is_not_used(tmp_path: Path) -> None:
    """An up.json whose process is dead names nothing."""
    running(tmp_path, pid=2**22 + 1)
    with pytest.raises(Usage, match="no origin"):
        settings.load()


@pytest.mark.parametrize("text", ["site = ", 'token = "t"'])
def test_a_rim_toml_that_cannot_be_meant(text: str) -> None:
    """Broken TOML is named; a token in it is refused, since files beside a site get committed."""
    Path("rim.toml").write_text(text)
    with pytest.raises(Usage, match=r"rim\.toml"):
        settings.load("http://a:1")


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://a", "https:/x", "http://"])
def test_an_origin_that_is_no_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An origin without scheme or host is refused before anything is sent."""
    monkeypatch.setenv("RIM_TOKEN", "t")
    with pytest.raises(Usage, match="not a URL"):
        settings.load(url)


def test_a_token_with_a_line_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that would break the request's header is refused by name of its variable, not shown."""
    monkeypatch.setenv("RIM_TOKEN", "secret\r\nX: y")
    with pytest.raises(Usage, match="RIM_TOKEN") as caught:
        settings.load("http://a:1")
    assert "secret" not in str(caught.value)


def test_a_token_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RIM_TOKEN_FILE is read where RIM_TOKEN is not set; one that is not there is named, and so is garbage."""
    file = tmp_path / "token"
    monkeypatch.setenv("RIM_TOKEN_FILE", str(file))
    with pytest.raises(Usage, match=r"RIM_TOKEN_FILE: .*: No such file"):
        settings.load("http://a:1")
    file.write_text("of-the-file\n")
    assert settings.load("http://a:1").token == "of-the-file"
    file.write_text("two words\n")
    with pytest.raises(Usage, match="RIM_TOKEN_FILE") as caught:
        settings.load("http://a:1")
    assert "two" not in str(caught.value)
    monkeypatch.setenv("RIM_TOKEN", "of-the-environment")
    assert settings.load("http://a:1").token == "of-the-environment"
