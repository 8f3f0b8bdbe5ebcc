"""The real programs that tests start, and where they are: RIM_IPFS, RIM_CHROMIUM … name one, else it is on the PATH.

Not here: starting them (tests/kit/kubo and its neighbours).
"""

from __future__ import annotations

import os
import shutil

_NAMES = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "haproxy": ("haproxy", "/usr/sbin/haproxy"),  # no user's PATH on Debian has the folder
    "ip": ("ip", "/usr/sbin/ip"),
    "iptables": ("iptables", "/usr/sbin/iptables"),
    "nginx": ("nginx", "/usr/sbin/nginx"),
}


def program(name: str) -> str | None:
    """The path of this program, None where the machine lacks it. The environment's word wins, even a wrong one."""
    named = os.environ.get(f"RIM_{name.upper().replace('-', '_')}")
    if named:
        return shutil.which(named)
    return next((found for found in map(shutil.which, _NAMES.get(name, (name,))) if found), None)


def needed(name: str) -> str:
    """The path of a program that a test has already said it needs (`@pytest.mark.needs`)."""
    found = program(name)
    assert found is not None, f"{name} is missing: mark the test with @pytest.mark.needs({name!r})"
    return found
