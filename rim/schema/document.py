"""The JSON schema of rim.toml, out of the table; rim.schema.json beside this file is its text, shipped for editors.

Here lives the form (draft 7, which Taplo reads). Not here: the keys (rim/schema/table).

    python -m rim schema > rim/schema/rim.schema.json
"""

from __future__ import annotations

import json
from typing import Any

from rim.schema.table import KEYS, TABLES, Key, Table


def document() -> dict[str, Any]:
    """The schema as a value."""
    properties = {key.name: _property(key) for key in KEYS if not key.table}
    for table in TABLES:
        if table.name:
            properties[table.name] = _table(table)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "rim.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def text() -> str:
    """The schema as it is shipped and printed."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _table(table: Table) -> dict[str, Any]:
    keys = [key for key in KEYS if key.table == table.name]
    inner: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key.name: _property(key) for key in keys},
    }
    if needed := [key.name for key in keys if key.needed]:
        inner["required"] = needed
    if table.is_list:
        return {"description": table.help, "type": "array", "items": inner}
    return {"description": table.help, **inner}


def _property(key: Key) -> dict[str, Any]:
    return {"description": key.help, **key.kind.schema}
