"""Pages: what the gateway's own pages look like. No script, nothing from elsewhere, light and dark.

Here lives the frame that they share: style, head, the way from the root as links. Not here: the rows of a folder
(edge/gateway/listing), when a page is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from html import escape

from edge.gateway.hosts import Kind
from edge.gateway.wanted import Wanted
from edge.http.target import quoted

STYLE = """
:root { color-scheme: light dark; --line: #8883; --soft: #777; --link: #0b5fae; --back: #fcfcfb; --row: #0000000a;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
@media (prefers-color-scheme: dark) {
  :root { --soft: #9a9a9a; --link: #82b7f2; --back: #17181a; --row: #ffffff0d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2.5rem 1.25rem 4rem; background: var(--back); }
h1 { margin: 0 0 .25rem; font-size: 1.05rem; font-weight: 600; overflow-wrap: anywhere; line-height: 1.7; }
h1 small { display: block; font-size: .8rem; font-weight: 500; color: var(--soft); }
p { margin: .4rem 0; }
.facts { color: var(--soft); font-size: .875rem; margin-bottom: 1.5rem; overflow-wrap: anywhere; }
a { color: var(--link); text-decoration: none; border-radius: .2rem; }
a:hover { text-decoration: underline; } a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-size: .75rem; font-weight: 500; color: var(--soft); }
th, td { padding: .5rem .75rem; border-bottom: 1px solid var(--line); vertical-align: baseline; }
tbody tr:hover { background: var(--row); }
td:first-child { width: 60%; overflow-wrap: anywhere; }
th:last-child, td:last-child { text-align: right; white-space: nowrap; }
.ipfs-hash { font: .8rem/1 ui-monospace, SFMono-Regular, Menlo, monospace; color: var(--soft); white-space: nowrap; }
pre { margin: 1rem 0; padding: 1rem; border: 1px solid var(--line); border-radius: .5rem; overflow: auto;
  font: .85rem/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
code { font: .9em ui-monospace, SFMono-Regular, Menlo, monospace; overflow-wrap: anywhere; }
@media (max-width: 40rem) { th:nth-child(2), td:nth-child(2) { display: none; } body { padding-top: 1.25rem; } }
"""
VERSION = sha256(STYLE.encode()).hexdigest()[:12]  # a part of the tags of pages: another look, another tag


def frame(title: str, body: str) -> str:
    """A whole page. `title` is text, `body` HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="robots" content="noindex">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def way(wanted: Wanted, segments: Sequence[str]) -> str:
    """The content path as links, each part to where it leads. On a host with subdomains below it these are paths of
    the host itself, which knows all roots; on a DNSLink host its own, for it knows no other."""
    base, first = _root(wanted)
    parts = [f'/{wanted.namespace}/<a href="{escape(first)}">{escape(wanted.name)}</a>']
    at = base
    for segment in segments:
        at += f"/{quoted(segment)}"
        parts.append(f'<a href="{escape(at)}">{escape(segment)}</a>')
    return "/".join(parts)


def _root(wanted: Wanted) -> tuple[str, str]:
    """What paths of this root begin with in its way, and the address of the root itself."""
    if wanted.place.kind is Kind.DNSLINK:
        return f"//{wanted.name}", f"//{wanted.name}/"
    base = f"/{wanted.namespace}/{quoted(wanted.name)}"
    if wanted.place.kind is Kind.SUBDOMAIN:
        base = f"//{wanted.place.field}{base}"
    return base, base


def hash_link(wanted: Wanted, cid: str, name: str) -> str:
    """A link to content by its hash alone. A DNSLink host shows nothing but its own: there the hash is explained
    elsewhere."""
    if wanted.place.kind is Kind.DNSLINK:
        aim = f'href="https://cid.ipfs.tech/#{cid}" target="_blank" rel="noreferrer noopener"'
    else:
        host = f"//{wanted.place.field}" if wanted.place.kind is Kind.SUBDOMAIN else ""
        aim = f'href="{escape(f"{host}/ipfs/{cid}?filename={quoted(quoted(name))}")}"'
    return f'<a class="ipfs-hash" translate="no" {aim}>{cid[:8]}…{cid[-6:]}</a>'


def error(status: int, phrase: str, detail: str) -> str:
    """A refusal, as people read it."""
    return frame(f"{status} {phrase}", f"<h1>{status} {escape(phrase)}</h1>\n<p>{escape(detail)}</p>")


def size(count: int) -> str:
    """Bytes, for people: 999 B, 1.5 KiB, 23 MiB."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"
