"""Which names are left out: the default ones, and those of .rimignore."""

from __future__ import annotations

from pathlib import Path

import pytest

from rim.exits import Usage
from rim.ignore import for_folder, is_secret

RULES = """
# a comment
*.log
!keep.log
/build
docs/**/draft.html
cache/
"""

CASES = [
    ("a.log", False, True),
    ("deep/a.log", False, True),
    ("keep.log", False, False),
    ("build", True, True),
    ("deep/build", True, False),
    ("docs/a/b/draft.html", False, True),
    ("docs/draft.html", False, True),
    ("cache", True, True),
    ("cache", False, False),
    ("node_modules", True, True),
    ("deep/.DS_Store", False, True),
    (".well-known", True, False),
    (".rimignore", False, False),
]


@pytest.mark.parametrize(("path", "is_folder", "ignored"), CASES)
def test_gitignore_grammar(tmp_path: Path, path: str, is_folder: bool, ignored: bool) -> None:
    """.rimignore is read as a .gitignore, after the default names."""
    (tmp_path / ".rimignore").write_text(RULES)
    assert for_folder(tmp_path).ignored(path, is_folder) is ignored


@pytest.mark.parametrize("name", [".git", ".hg", ".svn", ".DS_Store", "Thumbs.db", "node_modules"])
def test_default_names(tmp_path: Path, name: str) -> None:
    """Without .rimignore six names are left out, at any depth, and with --no-ignore none is."""
    assert for_folder(tmp_path).ignored(name, True)
    assert for_folder(tmp_path).ignored(f"a/b/{name}", True)
    assert not for_folder(tmp_path).ignored(f"{name}x", True)
    assert not for_folder(tmp_path, ignore=False).ignored(name, True)


def test_a_default_name_can_be_taken_back(tmp_path: Path) -> None:
    """`!node_modules` publishes it after all."""
    (tmp_path / ".rimignore").write_text("!node_modules\n")
    assert not for_folder(tmp_path).ignored("node_modules", True)


def test_rules_that_are_not_utf8(tmp_path: Path) -> None:
    """A .rimignore that cannot be read is no reason to publish everything."""
    (tmp_path / ".rimignore").write_bytes(b"caf\xe9")
    with pytest.raises(Usage, match=r"\.rimignore cannot be read"):
        for_folder(tmp_path)


def test_no_ignore_implies_secrets(tmp_path: Path) -> None:
    """--no-ignore publishes the folder bit for bit, secrets too."""
    assert for_folder(tmp_path).secrets
    assert not for_folder(tmp_path, ignore=False).secrets


def test_secret_names() -> None:
    """The list, without case."""
    assert all(map(is_secret, (".env", ".ENV.Local", "x.pem", "X.KEY", "id_dsa", "id_ecdsa", "ID_RSA")))
    assert not any(map(is_secret, (".env.example", ".environment", "pem", "id_rsa.pub", "turnkey", "app.key.js")))
