"""Scripts: the JavaScript of this folder, as it goes to browsers.

Here live the reading, the stripping and the names. Not here: what the scripts do, which stands in them, nor the stub
that names one of them (edge/site/browser/stub).

A script is written to be read: what is stripped is lines that are comments, indentation, and spaces beside punctuation.
So no statement depends on a comment, no template literal spans lines, and a division has a space behind its sign: what
has none begins a regular expression. A minifier would save a few hundred bytes more, and nobody could compare what runs
with what was written.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

JAVASCRIPT: Final = "text/javascript; charset=utf-8"
TYPES: Final = "text/plain; charset=utf-8"  # of TypeScript's declarations, which no media type is registered for
_PREFIX: Final = "/.rim/worker-"
_WORKER = re.compile(re.escape(_PREFIX) + r"[0-9a-f]+\.js\Z")
_LITERAL = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|/(?![ /=])(?:[^/\\\[]|\\.|\[[^\]]*\])+/)"""
)
_SPACED = re.compile(r" ?([{}()\[\]=,;:?&|<>!*]) ?")
_HEX: Final = 12  # digits of the worker's hash in its name, as bundlers take 8


@cache
def source(name: str) -> bytes:
    """A file of this folder as it is sent."""
    text = files(__package__).joinpath(name).read_text("utf-8")
    return text.encode() if name.endswith(".d.ts") else stripped(text).encode()


@cache
def worker_path() -> str:
    """Where the worker of this version is. Its name is its content's, so it is never asked for twice."""
    return f"{_PREFIX}{sha256(source('worker.js')).hexdigest()[:_HEX]}.js"


def is_worker_path(path: str) -> bool:
    """Whether a worker of some version is meant."""
    return _WORKER.match(path) is not None


def stripped(text: str) -> str:
    """The script without its comment lines, empty lines, indentation and what else of spaces means nothing.

    >>> stripped("// why\\nif (a) {\\n  b('c, d', e);\\n}\\n")
    "if(a){\\nb('c, d',e);\\n}\\n"
    """
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{_squeezed(line)}\n" for line in lines if line and not line.startswith("//"))


def _squeezed(line: str) -> str:
    """A line without spaces beside punctuation, but within strings, templates and regular expressions. Plus and minus
    keep theirs: two of them in a row would be another operator."""
    pieces = _LITERAL.split(line)  # every second one is a literal
    return "".join(piece if at % 2 else _SPACED.sub(r"\1", piece) for at, piece in enumerate(pieces))
