"""Commands about rim.toml: a first one, its schema, the password of its previews, and what is wrong with a folder."""

from __future__ import annotations

from rim import output
from rim.exits import OK


def schema() -> int:
    """Print the JSON schema of rim.toml, for editors: rim schema > rim.schema.json"""
    from rim.schema.document import text

    output.result(text().rstrip("\n"))
    return OK
