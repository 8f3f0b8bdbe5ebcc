"""A ring of three under deaths: any edge killed, the origin killed, an edge restarted while the origin is dead.

Actors: an origin, three edges as processes, visitors. Faults are real kills.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.nodes import Cluster, cluster, until


def make_site(folder: Path, version: int, files: int = 40) -> Path:
    """A page that names its hashed chunks, and the chunks: all names change with the version."""
    rng = random.Random(version)
    assets = folder / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    for old in assets.iterdir():
        old.unlink()
    names = [f"chunk-{rng.getrandbits(24):06x}a1.js" for _ in range(files)]
    for name in names:
        (assets / name).write_text(f"// {version} {name}\n" + "x" * rng.randrange(100, 50_000))
    page = "".join(f'<script type="module" src="/assets/{name}"></script>\n' for name in names)
    (folder / "index.html").write_text(f"<!doctype html><title>{version}</title>\n{page}")
    (folder / "big.bin").write_bytes(rng.randbytes(3 * 1024 * 1024 + 17))
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {"/" + p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Cluster]:
    whole = cluster(tmp_path, 3)
    try:
        yield whole
    finally:
        whole.stop()


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_any_one_edge_killed_all_files_still_answer(ring: Cluster, tmp_path: Path, victim: int) -> None:
    """SIGKILL one edge: the other two answer every file, those it owned included."""
    folder = make_site(tmp_path / "site", 1)
    ring.publish(folder, "site", "--encode", "none")
    ring.edges[victim].kill()
    for edge in (e for n, e in enumerate(ring.edges) if n != victim):
        for path, data in files_of(folder).items():
            answer = edge.get("site", path)
            assert (answer.status, answer.body == data) == (200, True), (edge.name, path, answer.status, answer.headers)


def test_origin_killed_everything_once_seen_still_answers(ring: Cluster, tmp_path: Path) -> None:
    """SIGKILL the origin: each edge serves what was seen; an edge restarted meanwhile serves at once what it holds."""
    folder = make_site(tmp_path / "site", 2)
    ring.publish(folder, "site", "--encode", "none")
    files = files_of(folder)
    for edge in ring.edges:
        for path in files:
            assert edge.get("site", path).status == 200
    ring.origin.kill()
    for edge in ring.edges:
        for path, data in files.items():
            assert edge.get("site", path).body == data, (edge.name, path)
    back = ring.edges[1]
    back.kill()
    ring.edges[0].kill()  # so that nothing can come from a peer
    ring.edges[2].kill()
    back.start()
    for path, data in files.items():
        answer = back.get("site", path)
        assert answer.body == data, (path, answer.status, answer.headers)
    ring.origin.start()
    make_site(folder, 3)
    ring.publish(folder, "site", "--encode", "none", "--timeout", "20")
    until("the edge follows the restarted origin", lambda: b"<title>3</title>" in back.get("site", "/").body)


def test_a_page_load_during_a_flip_never_misses_a_chunk(ring: Cluster, tmp_path: Path) -> None:
    """Visitors load a page and its chunks round-robin over the edges while ten releases flip: no 404, no mix."""
    folder = make_site(tmp_path / "site", 10, files=8)
    ring.publish(folder, "site", "--encode", "none")
    turn = itertools.cycle(ring.edges)
    stop, misses, loads = threading.Event(), [], []

    def visitor() -> None:
        while not stop.is_set():
            page = next(turn).get("site", "/").body.decode()
            chunks = [part.split('"')[0] for part in page.split('src="')[1:]]
            title = page.split("<title>")[1].split("<")[0]
            for chunk in chunks:
                answer = next(turn).get("site", chunk)
                if answer.status != 200 or not answer.body.startswith(f"// {title} ".encode()):
                    misses.append((title, chunk, answer.status, answer.headers))
            loads.append(title)

    crowd = [threading.Thread(target=visitor) for _ in range(4)]
    for one in crowd:
        one.start()
    try:
        for version in range(11, 21):
            make_site(folder, version, files=8)
            ring.publish(folder, "site", "--encode", "none")
    finally:
        stop.set()
        for one in crowd:
            one.join()
    print(f"{len(loads)} page loads over {len(set(loads))} releases, {len(misses)} missed chunks")
    assert not misses, misses[:3]
    assert len(set(loads)) >= 5
