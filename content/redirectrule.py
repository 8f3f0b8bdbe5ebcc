"""RedirectRule: one line of `_redirects`, what it is allowed to say, and where it leads.

Here live the value, its checks and the filling of its target. Not here: the lines of the file and loops
(content/redirects), or the choice of the rule that matches (content/redirecttable). No target leads to another host
than the one written in the rule, whatever is requested: captures are percent-encoded, and never stand in a host.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from content.cbor import typed
from content.errors import BadNode
from content.limits import RULE_CHARS, RULE_REFERENCES
from content.pattern import Pattern, fill, references

REWRITES = (200, 404)  # the path stays, a file answers
STATUSES = (200, 301, 302, 303, 307, 308, 404)
DEFAULT_STATUS = 301  # Netlify and the IPFS spec; Cloudflare takes 302

PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))  # what is a URL already keeps these, and only the rest is escaped
_REFUSED = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_ABSOLUTE = re.compile(r"(?:https?:)?//([^/?#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*)(:[0-9]{1,5})?\Z")


class BadRule(ValueError):
    """A rule that is refused; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class RedirectRule:
    """A request for `source` (with exactly these query parameters, where there are any) leads to `target`.

    `target` and `source` are as written; `line` is where. `force` lets the rule beat a published file.
    """

    source: str
    target: str
    status: int = DEFAULT_STATUS
    force: bool = False
    query: tuple[tuple[str, str], ...] = ()  # name, and a value or `:capture`
    line: int = 0

    @property
    def is_rewrite(self) -> bool:
        return self.status in REWRITES

    @property
    def is_shell(self) -> bool:
        """Whether this answers every path below with one page: for navigations only, a missing script stays a 404."""
        page = self.target.partition("?")[0].partition("#")[0]
        covers = "*" in _parts(self.source)[1]
        return self.status == 200 and covers and page.endswith((".html", ".htm", "/")) and not references(page)

    @property
    def size(self) -> int:
        """Bytes that the rule takes of a file, at least."""
        texts = (self.source, self.target, *(text for pair in self.query for text in pair))
        return sum(len(text.encode("utf-8", "replace")) + 1 for text in texts)

    @property
    def host(self) -> str | None:
        """The other host that the target names, lower case, or None for this site's own."""
        absolute = _ABSOLUTE.match(self.target)
        return absolute[1].lower() if absolute else None

    def check(self, external: Collection[str]) -> Pattern:
        """The compiled source. Raises BadPattern or BadRule; `external` holds hosts that targets may name, or `*`."""
        pattern = Pattern.parse(self.source)
        if len(self.target) > RULE_CHARS:
            raise BadRule(f"a target of {len(self.target):,} characters: {RULE_CHARS:,} are the limit")
        if found := _REFUSED.search(self.target):
            raise BadRule(f"the target holds {found[0]!r}: write %{ord(found[0]):02X}")
        if self.status not in STATUSES:
            raise BadRule(f"status {self.status}: use one of {', '.join(map(str, STATUSES))}")
        self._check_host(external)
        used = references(_parts(self.target)[1])
        captured = self._check_query(pattern.names)
        if missing := sorted(set(used) - captured):
            raise BadRule(f"the target uses :{missing[0]}, which the source does not capture: add it, or write %3A")
        if len(used) > RULE_REFERENCES:
            raise BadRule(f"the target uses {len(used)} placeholders: {RULE_REFERENCES} are the limit")
        return pattern

    def _check_query(self, names: frozenset[str]) -> frozenset[str]:
        """The names that path and query capture."""
        parameters = [name for name, _ in self.query]
        if "" in parameters or len(parameters) != len(set(parameters)):
            raise BadRule("each query parameter needs a name of its own: name=:capture")
        captures = [value[1:] for _, value in self.query if value.startswith(":")]
        if len(captures) != len(set(captures)) or names & set(captures):
            raise BadRule("the source captures one name twice: give each a name of its own")
        return names.union(captures)

    def _check_host(self, external: Collection[str]) -> None:
        host = self.host
        if host is None:
            if not self.target.startswith("/"):
                raise BadRule(f"'{self.target[:80]}' is no destination: start it with / or https://")
            return
        if self.is_rewrite:
            raise BadRule(f"a {self.status} answers with a file of this site: use a path, or a 301 to another host")
        if not _AUTHORITY.match(host):
            raise BadRule(f"host '{host[:80]}' in the target: ASCII (IDNs as xn--), no placeholder, no user")
        if "*" not in external and host.partition(":")[0] not in external and host not in external:
            raise BadRule(f"the target is on {host}: allow it (rim.toml: [redirects] external), or use a path")

    def captures_query(self, query: str) -> dict[str, str] | None:
        """What the request's query gives; None where its parameters are not exactly the rule's, in any order."""
        given = dict(parse_qsl(query, keep_blank_values=True))
        if given.keys() != {name for name, _ in self.query}:
            return None
        if any(given[name] != unquote(value) for name, value in self.query if not value.startswith(":")):
            return None
        return {value[1:]: given[name] for name, value in self.query if value.startswith(":")}

    def fill(self, captures: Mapping[str, str]) -> str:
        """Where the rule leads: for a rewrite the path of a file, decoded; else a URL reference for Location."""
        origin, rest = _parts(self.target)
        path, mark, extra = re.match(r"([^?#]*)([?#]?)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
        path = fill(path, captures)
        if self.is_rewrite:
            return "/" + unquote(path, errors="replace").lstrip("/\\")
        if not origin:
            path = "/" + path.lstrip("/\\")  # `//host` and `/\host` are other hosts to a browser
        extra = fill(extra, captures, lambda value: quote(value, safe="", errors="replace"))
        return quote(origin + path + mark + extra, safe=PRINTABLE, errors="replace")

    def to_value(self) -> list[Any]:
        """The rule as a list for DAG-CBOR."""
        return [self.source, self.target, self.status, int(self.force), [list(pair) for pair in self.query], self.line]

    @classmethod
    def from_value(cls, value: Any, external: Collection[str]) -> RedirectRule:
        """Read to_value()'s list, as strictly as a line. Raises BadNode."""
        try:
            source, target, status, force, query, line = typed(value, list, "redirect")
            rule = cls(
                source=typed(source, str, "source"),
                target=typed(target, str, "target"),
                status=typed(status, int, "status"),
                force=(0, 1).index(typed(force, int, "force")) == 1,
                query=tuple(_pair(typed(pair, list, "query")) for pair in typed(query, list, "query")),
                line=typed(line, int, "line"),
            )
            rule.check(external)
            return rule
        except ValueError as error:
            raise BadNode(f"redirect: {error}") from error


def _parts(url: str) -> tuple[str, str]:
    """The scheme and host of a URL, and what follows."""
    absolute = _ABSOLUTE.match(url)
    return (absolute[0], url[absolute.end() :]) if absolute else ("", url)


def _pair(value: list[Any]) -> tuple[str, str]:
    name, text = value
    return typed(name, str, "query"), typed(text, str, "query")
