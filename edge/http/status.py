"""Status: status lines, written once.

Here lives nothing but them. Reason phrases are RFC 9110 §15's.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

STATUS_LINE: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
