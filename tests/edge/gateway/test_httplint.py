"""Every kind of answer that the gateway sends, as httplint judges it: no error is left."""

from __future__ import annotations

from pathlib import Path

from content.cid import CID, DAG_JSON, RAW
from tests.edge.gateway.play import Stage, play
from tests.edge.http.test_httplint import NOT_OF_PARTS, Kind, errors
from tests.edge.wire import wire

FILES: dict[str, bytes | str] = {
    "page.html": b"<!doctype html><title>page</title>",
    "index/index.html": b"<!doctype html><title>index</title>",
    "folder/größe.txt": b"text",
    "link": "page.html",
    "404.html": b"<!doctype html><title>gone</title>",
    "_redirects": b"/old /page.html 302\n/app/* /page.html 200\n/* /404.html 404\n",
}
HTML = {"Accept": "text/html"}
CAR = {"Accept": "application/vnd.ipld.car; dups=y"}
RAW_BLOCK = {"Accept": "application/vnd.ipld.raw"}
# The gateway specs ask for all CORS fields on each answer, though browsers read two of them in preflights alone.
ASKED_FOR = frozenset({"CORS_PREFLIGHT_ONLY"})
PLAIN, FRONT = "paths.test", "gw.test"


def kinds(root: CID, data: CID) -> list[Kind]:
    own, tag = f"{root}.ipfs.gw.test", f'"{CID.of(RAW, b"text")}"'
    return [
        Kind(200, "/page.html", host=own),
        Kind(200, "/page.html", method="HEAD", host=own),
        Kind(200, f"/ipfs/{root}/page.html", host=PLAIN),
        Kind(200, "/page.html?filename=%C3%A4.html&download=true", host=own),
        Kind(200, "/index/", host=own),
        Kind(301, "/index", host=own),
        Kind(200, "/folder/", HTML, host=own),
        Kind(200, "/folder/", HTML, "HEAD", host=own),
        Kind(304, "/folder/", {"If-None-Match": "*"}, host=own),
        Kind(200, "/link", host=own),
        Kind(206, "/page.html", {"Range": "bytes=0-3"}, host=own),
        Kind(206, "/page.html", {"Range": "bytes=0-3,-2"}, host=own, waived=NOT_OF_PARTS),
        Kind(416, "/page.html", {"Range": "bytes=999-"}, host=own),
        Kind(304, "/folder/gr%C3%B6%C3%9Fe.txt", {"If-None-Match": tag}, host=own),
        Kind(412, "/page.html", {"If-Match": '"old"'}, host=own),
        Kind(200, "/page.html?format=raw", host=own),
        Kind(200, "/folder/gr%C3%B6%C3%9Fe.txt", RAW_BLOCK, host=own),
        Kind(200, "/folder", CAR, "HEAD", host=own),
        Kind(304, "/folder", {**CAR, "If-None-Match": "*"}, host=own),
        Kind(200, "/folder?format=tar", method="HEAD", host=own),
        Kind(406, "/folder?format=dag-cbor", host=own),
        Kind(400, "/folder?format=zip", host=own),
        Kind(400, "/folder?format=car&dag-scope=x", HTML, host=own),
        Kind(302, "/old", host=own),
        Kind(200, "/app/x", host=own),
        Kind(404, "/none", host=own),
        Kind(404, "/none", method="HEAD", host=own),
        Kind(404, f"/ipfs/{root}/none", host=PLAIN),
        Kind(404, f"/ipfs/{root}/none", HTML, host=PLAIN),
        Kind(200, f"/ipfs/{data}", host=PLAIN),
        Kind(200, f"/ipfs/{data}", HTML, host=PLAIN),
        Kind(200, f"/ipfs/{data}?format=json", host=PLAIN),
        Kind(501, f"/ipfs/{data}/a", host=PLAIN),
        Kind(301, f"/ipfs/{root}/page.html", host=FRONT),
        Kind(301, f"/ipfs/?uri=ipfs://{root}", host=FRONT),
        Kind(200, "/", host=FRONT),
        Kind(404, "/x", host=FRONT),
        Kind(400, "/ipfs/QmNone", host=FRONT),
        Kind(404, "/ipns/none.example/", host=PLAIN),
        Kind(204, "/page.html", method="OPTIONS", host=own),
        Kind(405, "/page.html", method="POST", host=own),
        Kind(412, f"/ipfs/{CID.of(RAW, b'none')}", {"Cache-Control": "only-if-cached"}, host=PLAIN),
        Kind(404, f"/ipfs/{CID.of(RAW, b'none')}", host=PLAIN),
    ]


def test_every_kind_of_answer(tmp_path: Path) -> None:
    """Each from where it lies, and from memory."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        data = stage.block(DAG_JSON, b'{"a":1,"b":[2,3]}')
        for _ in range(2):
            for kind in kinds(root, data):
                async with wire(stage.node, kind.host) as connection:
                    await connection.send(connection.request(kind.path, kind.method, kind.fields))
                    got = await connection.read(kind.method)
                assert got.status == kind.status, (kind.title, got.body)
                assert not errors(kind, got) - kind.waived - ASKED_FOR, kind.title

    play(tmp_path, act)
