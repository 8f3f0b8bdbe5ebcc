"""Scripts: the JavaScript of this folder, as it goes to browsers.

Here live the reading, the stripping and the names. Not here: what the scripts do, which stands in them, nor the stub
that names one of them (edge/site/browser/stub).

A script is written to be read: what is stripped is lines that are comments, indentation, spaces beside punctuation, and
ends of lines and statements that punctuation stands for. So no statement depends on a comment, none is empty, no
template literal spans lines, and a division has a space behind its sign: what has none begins a regular expression. A
minifier would save a few hundred bytes more, and nobody could compare what runs with what was written: names stay. Only
`const` is sent as `let`, which says the same of what is never assigned again.
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
_SIGNED = re.compile(r"(?<![+-]) ?([+-]) ?(?![+-])")
# Ends of lines that end no statement, and the signs that do where a brace does too (ECMA-262 §12.10).
_ENDS = re.compile(r";\n(?=\})|(?<=[;{(,\[])\n|\n(?=[})\]])")
_CONST = re.compile(r"\bconst\b")
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
    "if(a){b('c, d',e)}\\n"
    """
    lines = (line.strip() for line in text.splitlines())
    return _ENDS.sub("", "".join(f"{_squeezed(line)}\n" for line in lines if line and not line.startswith("//")))


def _squeezed(line: str) -> str:
    """A line without spaces beside punctuation, but within strings, templates and regular expressions. Plus and minus
    keep theirs beside each other: two of them in a row would be another operator."""
    pieces = _LITERAL.split(line)  # every second one is a literal
    return "".join(piece if at % 2 else _tight(piece) for at, piece in enumerate(pieces))


def _tight(text: str) -> str:
    tight = _SIGNED.sub(r"\1", _SPACED.sub(r"\1", text)).replace(";}", "}")
    return _CONST.sub("let", tight)
