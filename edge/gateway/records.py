"""Records: an IPNS record as it was signed, for who proves it himself.

Here lives that answer. Not here: where records come from (edge/names), what they mean (edge/gateway/roots).
Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/#ipns-record-responses-application-vnd-ipfs-ipns-record
"""

from __future__ import annotations

import time

from content import ipns
from content.block import Block
from content.cid import RAW
from content.release import Asset
from edge.bodies import cut
from edge.gateway.formats import MEDIA_TYPES, Form
from edge.gateway.headers import CORS, saved_as
from edge.gateway.roots import Names, problem_of
from edge.gateway.wanted import Wanted
from edge.http.answer import Answer, Asking
from edge.http.outcome import Outcome
from edge.http.problem import Problem
from edge.http.target import quoted
from edge.names.faults import NameFault
from edge.names.spelling import key_name
from edge.replies import Reply


async def record(wanted: Wanted, names: Names, asking: Asking) -> Reply:
    """The record of the key that is named. Raises Problem."""
    key = key_name(wanted.name) if wanted.namespace == "ipns" else None
    if key is None or wanted.segments:
        raise Problem(400, "Only /ipns/{key} has a record: no path below it, no domain, no CID.")
    try:
        data = await names.record(key)
    except NameFault as fault:
        raise problem_of(fault) from fault
    block = Block.make(RAW, data)
    said = ipns.verify(key, data)
    fresh = max(0, int(min(said.ttl, said.eol - time.time())))
    fields = (
        *CORS,
        ("X-Ipfs-Path", quoted(wanted.path)),
        *((("Vary", "Accept"),) if wanted.asked.by_accept else ()),
        *saved_as(wanted, "attachment", f"{key}.ipns-record"),
    )
    asset = Asset(block.cid, len(data), "", MEDIA_TYPES[Form.RECORD])
    choice = Answer(asset, control=f"public, max-age={fresh}", fields=fields).choose(asking)
    return Reply(choice.status, choice.head, Outcome.HIT, cut(choice, data))
