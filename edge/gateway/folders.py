"""Folders: a UnixFS folder's own page, or its listing.

Here lives the choice, and the slash that a folder is asked for with. Not here: the table (edge/gateway/listing), files
(edge/gateway/files).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from content.cid import CID
from content.errors import NotFound
from content.walk import Entry, find, list_dir, stat
from edge.gateway import listing, pages
from edge.gateway.answered import Case, has, redirect
from edge.gateway.files import Made, file
from edge.replies import Reply

INDEX = "index.html"
CheckPage = Callable[[CID], None]  # raises Denied for a page that is
_SLICE = 128  # rows written between two breaths of the event loop


async def folder(case: Case, entry: Entry, check: CheckPage) -> Made:
    """The answer of a folder."""
    wanted = case.wanted
    if not wanted.slash:  # relative links of what is in it would lead astray
        query = wanted.raw_query.decode("latin-1")
        location = f"{wanted.own_address}/{'?' * bool(query)}{query}"
        control = case.shown.fresh()
        fields = (*(("Cache-Control", control),) * bool(control), *case.shown.fields())
        return Made(redirect(301, location, fields))
    page = await _page(case, entry)
    if page is not None:
        check(page.cid)
        return await file(case, page, tag=entry.cid, name=INDEX)
    return Made(await _listing(case, entry))


async def _listing(case: Case, entry: Entry) -> Reply:
    wanted, tag = case.wanted, f"DirIndex-{pages.VERSION}_CID-{entry.cid}"
    if has(case.asking, tag):
        return case.page(tag, str)
    entries = await case.reader.run(list_dir(entry.cid, listing.ENTRIES))
    rows: list[str] = []
    for number, name in enumerate(sorted(entries)[: listing.ROWS], 1):
        rows.append(listing.row(wanted, name, *entries[name]))
        if number % _SLICE == 0:
            await asyncio.sleep(0)
    return case.page(tag, lambda: listing.page(wanted, entry.cid, entries, rows))


async def _page(case: Case, entry: Entry) -> Entry | None:
    try:
        page = await case.reader.run(stat(await case.reader.run(find(entry.cid, [INDEX]))))
    except NotFound:
        return None
    return page if page.kind == "file" else None
