"""Finding: what is wrong, or looks wrong, with a line that a person wrote in `_headers` or `_redirects`.

Here lives the value, and the reading of lines that both files share. Not here: their grammars (content/headers,
content/redirects), or how a finding is printed (rim/output).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from content.limits import RULE_CHARS

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark on a line (counted from 1). An error keeps the rule out, a warning does not."""

    line: int
    message: str
    level: Literal["error", "warning"] = "error"


def lines(text: str, maximum: int, findings: list[Finding]) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers, indentation kept; ended by LF or CRLF.

    Comments and blank lines are left out. A file over `maximum` bytes yields nothing, a bad line is left out: each with
    a finding.
    """
    size = len(text.encode("utf-8", "replace"))
    if size > maximum:
        message = f"the file has {size:,} bytes, and {maximum:,} are the limit: merge rules with * or placeholders"
        findings.append(Finding(1, message))
        return
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = line.removesuffix("\r").rstrip(" \t")
        if not line or line.lstrip(" \t").startswith("#"):
            continue
        if len(line) > RULE_CHARS:
            message = f"the line has {len(line):,} characters, and {RULE_CHARS:,} are the limit: split the rule"
            findings.append(Finding(number, message))
        elif _CONTROL.search(line):
            findings.append(Finding(number, "a control character: retype the line as plain text"))
        else:
            yield number, line
