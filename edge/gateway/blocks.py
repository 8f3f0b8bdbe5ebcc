"""Blocks: one block as it stands: raw, or as the JSON or CBOR that it is; and such data as a page for people.

Here live those answers, and which form a codec may be asked in. Nothing is converted (IPIP-524): JSON is not CBOR with
other brackets, and what is asked for by hash should be what the hash proves. Not here: the codecs (content/ipld).
"""

from __future__ import annotations

import asyncio
import json
from html import escape

from content import ipld
from content.cid import CBOR, CID, DAG_CBOR, DAG_JSON, DAG_PB, JSON, RAW
from content.errors import BadNode
from edge.gateway import pages
from edge.gateway.answered import Case, has
from edge.gateway.formats import MEDIA_TYPES, Form
from edge.gateway.headers import isolation, saved_as, tag
from edge.http.problem import Problem
from edge.replies import Reply

CODECS = {Form.DAG_JSON: DAG_JSON, Form.DAG_CBOR: DAG_CBOR, Form.JSON: JSON, Form.CBOR: CBOR}
OWN = {codec: form for form, codec in CODECS.items()}  # a codec's own form
UNIXFS = (RAW, DAG_PB)
_SUFFIX = {Form.RAW: "bin", Form.DAG_JSON: "json", Form.JSON: "json", Form.DAG_CBOR: "cbor", Form.CBOR: "cbor"}
_SHOWN = 128 * 1024  # bytes of data shown on a page; more is for programs


def fits(cid: CID, form: Form) -> bool:
    """Whether a block of this codec is what is asked for, as it stands. A file may hold JSON or CBOR: it is answered as
    the file that it is (edge/gateway/files), and so are plain questions for those."""
    if cid.codec in UNIXFS:
        return form in (Form.JSON, Form.CBOR)
    return ipld.same(cid.codec, CODECS[form])


async def raw(case: Case) -> Reply:
    """The block's bytes, to be proved by whoever gets them."""
    block = await case.reader.block(case.cid)
    fields = saved_as(case.wanted, "attachment", f"{case.cid}.bin")
    return case.bytes_of(block, MEDIA_TYPES[Form.RAW], tag(case.cid, Form.RAW), fields)


async def data(case: Case) -> Reply:
    """JSON or CBOR: as the form that is asked for, or its own; to a browser a page. Raises Problem."""
    asked = case.wanted.asked
    own = OWN.get(case.cid.codec)
    if own is None:
        raise Problem(501, f"What stands here is of codec 0x{case.cid.codec:x}: ask for ?format=raw or car.")
    form = asked.form or own
    if not fits(case.cid, form):
        raise Problem(406, f"This is {own}, and is not converted to {form}: ask for ?format={own}, raw or car.")
    block = await case.reader.block(case.cid)
    if asked.form is None and asked.html:
        name = f"DagIndex-{pages.VERSION}_CID-{case.cid}"
        page = (
            "" if has(case.asking, name) else await asyncio.to_thread(_page, case, own, block.data)
        )  # 0.1 s of a core
        return case.page(name, lambda: page)
    kind = "inline" if own in (Form.JSON, Form.DAG_JSON) else "attachment"
    fields = saved_as(case.wanted, kind, f"{case.cid}.{_SUFFIX[form]}")
    return case.bytes_of(block, MEDIA_TYPES[form], tag(case.cid, form), (*fields, *isolation(case.wanted, "")))


def _page(case: Case, own: Form, block: bytes) -> str:
    wanted = case.wanted
    try:
        text = _shown(case.cid, block)
    except BadNode as error:
        text = f"It cannot be read: {error}"
    facts = f"{own} · {pages.size(len(block))} · " + " · ".join(
        f'<a href="{escape(wanted.own_address)}?format={form}">{form}</a>' for form in (own, Form.RAW, Form.CAR)
    )
    body = f'<h1><small>Data at</small>{pages.way(wanted, wanted.segments)}</h1>\n<p class="facts">{facts}</p>\n'
    return pages.frame(f"Data at {wanted.path}", f"{body}<pre>{escape(text)}</pre>")


def _shown(cid: CID, block: bytes) -> str:
    """The value as indented DAG-JSON."""
    if len(block) > _SHOWN:
        return f"{pages.size(len(block))} are too much for a page."
    value = ipld.encode(DAG_JSON, ipld.decode(cid.codec, block))
    return json.dumps(json.loads(value), indent=2, ensure_ascii=False)
