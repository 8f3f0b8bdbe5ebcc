"""Which names of a folder are published, which are left out, and which are refused because they look like secrets.

Here lives that rule, for one name at a time. Not here: the walk (rim/scan). The grammar of .rimignore is gitignore's,
by pathspec; without that file the default rules are looked up in a set, and pathspec is not imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from rim.exits import Usage

LEFT_OUT = frozenset({".git", ".hg", ".svn", ".DS_Store", "Thumbs.db", "node_modules"})
_SECRETS = (".env", ".env.*", "*.pem", "*.key", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519")
_NO_SECRETS = frozenset({".env.example"})
RULES = ".rimignore"


@dataclass(frozen=True, slots=True)
class Filter:
    """`ignored(relative path, is a folder)`; `secrets`: whether to look for them at all; `rules`: equal where two
    filters take the same names."""

    ignored: Callable[[str, bool], bool]
    secrets: bool = True
    rules: str = ""


def is_secret(name: str) -> bool:
    """Whether a file of this name most likely holds a key or a password. Names are compared without case."""
    lower = name.lower()
    if lower in _NO_SECRETS or not (lower.startswith((".env", "id_")) or lower.endswith((".pem", ".key"))):
        return False
    return any(fnmatchcase(lower, pattern) for pattern in _SECRETS)


def for_folder(folder: Path, *, ignore: bool = True, allow_secret: bool = False) -> Filter:
    """The filter of this folder. Without `ignore` everything is published, bit for bit. Raises Usage."""
    if not ignore:
        return Filter(lambda path, is_folder: False, secrets=False, rules="all")
    try:
        text = (folder / RULES).read_text(encoding="utf-8")
    except FileNotFoundError:
        return Filter(_by_name, secrets=not allow_secret, rules="names")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(
            f"{folder / RULES} cannot be read: {error}", "make it a readable UTF-8 file, or remove it"
        ) from error
    return Filter(_by_rules(text), secrets=not allow_secret, rules=f"rules {text}")


def _by_name(path: str, is_folder: bool) -> bool:
    return path.rpartition("/")[2] in LEFT_OUT


def _by_rules(text: str) -> Callable[[str, bool], bool]:
    """The default names as rules before the folder's own, so that `!node_modules` takes one back."""
    from pathspec import GitIgnoreSpec

    try:
        spec = GitIgnoreSpec.from_lines([*sorted(LEFT_OUT), *text.splitlines()])
    except ValueError as error:
        raise Usage(f"{RULES}: {error}", "write it as a .gitignore") from error
    return lambda path, is_folder: spec.match_file(path + "/" if is_folder else path)
