"""Listing: a folder without a page of its own, as a table of its entries.

Here live the rows, and how many of them. Not here: the frame of the page (edge/gateway/pages), or when a folder
is listed (edge/gateway/folders).

Sizes are what the folder says of its entries (Tsize): to prove them would take a block of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from content.cid import CID
from edge.gateway import pages
from edge.gateway.wanted import Wanted

ENTRIES = 100_000  # of a folder that is listed at all: some 30 MB while its page is made
ROWS = 20_000  # of them shown: a page of some 8 MB, about what a browser takes in its stride

Entries = Mapping[str, tuple[CID, int]]


def page(wanted: Wanted, cid: CID, entries: Entries, rows: Sequence[str]) -> str:
    """The page of a folder, its rows made already."""
    total = sum(tsize for _, tsize in entries.values())
    facts = f"{_count(len(entries))} · {pages.size(total)} · {pages.hash_link(wanted, str(cid), _title(wanted))}"
    more = f"<p>… and {len(entries) - ROWS:,} more entries</p>" if len(entries) > ROWS else ""
    body = (
        f"<h1><small>Index of</small>{pages.way(wanted, wanted.segments)}</h1>\n"
        f'<p class="facts">{facts}</p>\n'
        '<table>\n<thead><tr><th scope="col">Name</th><th scope="col">Hash</th><th scope="col">Size</th></tr></thead>\n'
        f"<tbody>\n{_parent(wanted) if wanted.segments else ''}{''.join(rows)}</tbody>\n</table>\n{more}"
    )
    return pages.frame(f"Index of {wanted.path}", body)


def row(wanted: Wanted, name: str, cid: CID, tsize: int) -> str:
    """One entry."""
    address = wanted.address(*wanted.segments, name)
    return (
        f'<tr><td><a href="{escape(address)}">{escape(name)}</a></td>'
        f"<td>{pages.hash_link(wanted, str(cid), name)}</td><td>{pages.size(tsize)}</td></tr>\n"
    )


def _parent(wanted: Wanted) -> str:
    address = wanted.address(*wanted.segments, "..")
    return f'<tr><td><a href="{escape(address)}">..</a></td><td></td><td></td></tr>\n'


def _title(wanted: Wanted) -> str:
    return wanted.segments[-1] if wanted.segments else wanted.name


def _count(number: int) -> str:
    return f"{number:,} {'entry' if number == 1 else 'entries'}"
