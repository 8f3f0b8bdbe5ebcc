"""Policy: whether a site's Content-Security-Policy lets a page load the worker's script, and a browser the worker.

Here lives as much of CSP Level 3 as that takes: directives, what stands in for one that is not there (§6.8.3), and
sources that mean the site itself. Not here: a policy in a page's `<meta>`, or a site's own name among the sources.
"""

from __future__ import annotations

_SELF = frozenset({"'self'", "*", "http:", "https:"})
_SCRIPTS = ("script-src-elem", "script-src", "default-src")
_WORKERS = ("worker-src", "child-src", "script-src", "default-src")


def forbidding(policy: str) -> str | None:
    """The directive by which this policy (one or more, comma-separated) refuses `/.rim/client.js` or `/.rim/sw.js`."""
    for one in policy.split(","):
        directives: dict[str, list[str]] = {}
        for part in one.split(";"):
            name, *sources = part.lower().split() or [""]
            directives.setdefault(name, sources)
        for fallback in (_SCRIPTS, _WORKERS):
            name = next((name for name in fallback if name in directives), "")
            if name and ("'strict-dynamic'" in directives[name] or _SELF.isdisjoint(directives[name])):
                return name
    return None
