"""bench/latency: how long a hit takes at a given rate, Rim beside nginx; and Rim beside itself while something happens.

    python bench/latency.py [--rounds 5] [--seconds 3] [--share 0.3 --share 0.7] [--only site|flip|fills|rebuild]...

Here lives what is asked at which rate, and what happens meanwhile. Not here: the open loop (kit/pace), servers (kit).

The real site, every file in turn, from an edge that is hot and from tuned nginx, at shares of what the slower of the
two can do in a closed loop. Rounds alternate A B B A; a round in which the load was not what it should have been is
done again, up to three times. Then Rim alone, quiet rounds beside disturbed ones: a working set that is hot while
releases flip, while a site that nobody has asked for is fetched, and after a start with a broken index.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kit import peers, sites
from kit.load import Load, run
from kit.pace import Paced, paced
from kit.servers import Server, at_once, until
from kit.side import asker, compare, expect_hits, machine

from content.cid import CID, RAW
from edge.cache.shelf import name_of

GOAL, DISTURBED_GOAL = 1.5, 2.0  # of the peer's p99; of the quiet p99
TRIES = 3
SHARES = (0.3, 0.7)
BLOCKS = 30_000  # files of the site that is asked for cold
PLACED = 300_000  # blocks of the index that is broken
FILLS = 3_000  # cold files at hand for each second of a storm; more are not fetched in one
RATE = 2_000.0  # of a disturbed edge: it has room for what disturbs it, and all clients have soon joined
SET = [f"/set/{number}.jpg" for number in range(sites.WORKING_SET)]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rounds that count."""

    peer: Paced
    rim: Paced

    @property
    def ratio(self) -> float:
        return self.rim.p99 / self.peer.p99


def main() -> int:
    arguments = _arguments()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="rim-bench-", dir=arguments.work) as name:
        work = Path(name)
        lines = [line for part in arguments.only or PARTS for line in PARTS[part](work / part, arguments)]
    print(f"\n{'':26} {'rate':>8} {'peer p50, p99':>18} {'rim p50, p99':>18}   ratio of p99 (range)     goal")
    print("\n".join(lines))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How long a hit takes at a given rate.")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of rounds, in the order A B B A (5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round, its ramp not counted (3)")
    parser.add_argument("--share", type=float, action="append", help="of the slower one's peak (0.3 and 0.7)")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part only; may be repeated")
    parser.add_argument("--work", type=Path, help="where states are kept meanwhile")
    return parser.parse_args()


def beside_nginx(work: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """The real site."""
    folder = sites.real_site()
    targets = sites.targets(folder)
    with ExitStack() as stack:
        rim = stack.enter_context(peers.rim(work / "rim", folder)).server
        nginx = stack.enter_context(peers.nginx(work / "nginx", folder))
        compare(nginx, rim, targets, ({}, {}))
        expect_hits(rim, targets, {})
        peaks = {server.name: _peak(server, targets, work) for server in (nginx, rim)}
        print("peaks, closed loop:", ", ".join(f"{name} {peak:,.0f}/s" for name, peak in peaks.items()), flush=True)
        for server in (nginx, rim):
            at_once(server.pids[0])
        for share in arguments.share or SHARES:
            rate = share * min(peaks.values())

            def side(server: Server, number: int, rate: float = rate) -> Paced:
                from_here = number * 997 % len(targets)  # another part of the site in each pair
                return paced(server, targets[from_here:] + targets[:from_here], rate, arguments.seconds, work)

            pairs = _pairs(arguments.rounds, lambda n: side(nginx, n), lambda n: side(rim, n))
            yield _row(f"site, {share:.0%} of the peak", rate, pairs, GOAL)


def flips(work: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """Another release is live every half second: what is hot stays hot, under other names."""
    with _hot(work, 5_000) as ring:
        folder = work / "site"
        releases = []
        for text in ("one", "another"):
            (folder / "changed.html").write_text(text)
            releases.append(ring.rim("publish", str(folder), "--site", peers.SITE, "--encode", "none")["release"])

        def flip(stop: threading.Event) -> None:
            number = 0
            while not stop.wait(0.5):
                ring.rim("rollback", peers.SITE, releases[number % 2])
                number += 1

        yield _disturbed("while releases flip", ring, work, arguments, flip, "rim_head_swaps_total")


def fills(work: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """Files that nobody has asked for yet are asked for, by eight clients as fast as they come."""
    with _hot(work, BLOCKS, "--cache", "64MiB") as ring:  # too small to warm: what is asked for comes from the origin
        pages = [target for target in sites.targets(work / "site") if target not in SET]

        def storm(stop: threading.Event) -> None:
            ring.rim("purge", peers.SITE, "--prefix", "/section-", "--wait", "all")  # all are cold again
            unasked = itertools.cycle(pages)
            cold = work / "cold.txt"
            while not stop.is_set():
                cold.write_text("".join(f"{target}\n" for target in itertools.islice(unasked, FILLS)))
                run(ring.server, Load(turns=cold, connections=8), 1)

        proof = 'rim_blocks_loaded_total{source="origin"}'
        yield _disturbed("while cold files are asked", ring, work, arguments, storm, proof)


def rebuild(work: Path, arguments: argparse.Namespace) -> Iterator[str]:
    """Starts with a broken index: what is hot again is asked for while the index is made anew. Most of its blocks are
    put there as files, for the walk at a start looks at names and sizes alone; so it lasts longer than a round."""
    with _hot(work, 5_000) as ring:
        ring.restart(lambda state: _place_blocks(state / "blocks"))
        until(lambda: ring.metric("rim_disk_blocks") >= PLACED, "the blocks in the index", 120)
        _heat(ring.server)
        blocks = ring.metric("rim_disk_blocks")

        def spoil(state: Path) -> None:
            (state / "blocks" / "cache.db").write_bytes(b"no database" * 1_000)

        def broken(number: int) -> Paced:
            ring.restart(spoil)
            _heat(ring.server)
            seen = whole(number)
            held = ring.metric("rim_disk_blocks")
            print(f"    {held:,.0f} of {blocks:,.0f} blocks in the index when the round was over", flush=True)
            until(lambda: ring.metric("rim_disk_blocks") >= blocks, "the index", 120)
            return seen if held < blocks else replace(seen, rate=0.0)  # it was whole too soon: the round does not count

        def whole(number: int) -> Paced:
            return paced(ring.server, SET, RATE, arguments.seconds, work)

        yield _row("while the index is rebuilt", RATE, _pairs(arguments.rounds, whole, broken), DISTURBED_GOAL)


def _place_blocks(folder: Path) -> None:
    """Files with names and sizes as blocks have them."""
    for number in range(PLACED):
        path = folder / name_of(CID.of(RAW, b"%d" % number).store_key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)


@contextmanager
def _hot(work: Path, files: int, *more: str) -> Iterator[peers.Ring]:
    """A ring whose edge has the working set of a site of so many files in memory; the site is at `work`/site."""
    work.mkdir(parents=True)
    shutil.copytree(sites.sized_site(files), work / "site")
    with peers.rim(work / "rim", work / "site", *more) as ring:
        _heat(ring.server)
        yield ring


def _heat(server: Server) -> None:
    ask = asker(server)
    for target in SET:
        ask(target, {})
    expect_hits(server, SET, {})


def _disturbed(
    what: str,
    ring: peers.Ring,
    work: Path,
    arguments: argparse.Namespace,
    disturb: Callable[[threading.Event], None],
    proof: str,
) -> str:
    """Quiet rounds beside disturbed ones. `proof`: a number of the edge's that rises while it is disturbed."""

    def quiet(number: int) -> Paced:
        return paced(ring.server, SET, RATE, arguments.seconds, work, patience=4)

    def disturbed(number: int) -> Paced:
        stop, begun, faults = threading.Event(), ring.metric(proof), list[BaseException]()

        def run_until_stopped() -> None:
            try:
                disturb(stop)
            except BaseException as fault:  # a SystemExit would end this thread alone, and the round be a quiet one
                faults.append(fault)

        thread = threading.Thread(target=run_until_stopped)
        thread.start()
        try:
            seen = quiet(number)
        finally:
            stop.set()
            thread.join()
        moved = ring.metric(proof) - begun
        print(f"    {proof} rose by {moved:,.0f}", flush=True)
        if faults or moved <= 0:
            raise SystemExit(f"{what}: this round was not disturbed to its end: {faults or proof + ' did not move'}")
        return seen

    return _row(what, RATE, _pairs(arguments.rounds, quiet, disturbed), DISTURBED_GOAL)


def _peak(server: Server, targets: Sequence[str], work: Path) -> float:
    """Requests per second of a closed loop."""
    turns = work / "peak.txt"
    turns.write_text("".join(f"{target}\n" for target in targets))
    counted = run(server, Load(turns=turns), 3)
    return counted.requests / counted.seconds


def _pairs(count: int, peer: Callable[[int], Paced], rim: Callable[[int], Paced]) -> list[Pair]:
    """Pairs of rounds in the order A B B A, of which both rounds count."""
    done = []
    for number in range(count):
        order = (peer, rim) if number % 2 == 0 else (rim, peer)
        pair = [_counted(side, number) for side in order]
        if all(seen.counts for seen in pair):
            done.append(Pair(*(pair if number % 2 == 0 else pair[::-1])))
    return done


def _counted(side: Callable[[int], Paced], number: int) -> Paced:
    for _ in range(TRIES):
        seen = side(number)
        print(f"  {seen}", flush=True)
        if seen.counts:
            break
    return seen


def _row(what: str, rate: float, pairs: Sequence[Pair], goal: float) -> str:
    if not pairs:
        return (
            f"{what:26} {rate:8,.0f}  no pair of rounds counts: the machine is too busy, or this rate too high for it"
        )
    ratios = [pair.ratio for pair in pairs]
    middle = statistics.median(ratios)
    times = [
        f"{statistics.median(getattr(pair, side).p50 for pair in pairs) / 1e3:.2f}, "
        f"{statistics.median(getattr(pair, side).p99 for pair in pairs) / 1e3:.2f} ms"
        for side in ("peer", "rim")
    ]
    spread = f"{middle:.2f} ({min(ratios):.2f} – {max(ratios):.2f}) of {len(pairs)}"
    verdict = "met" if middle <= goal else "not met"
    return f"{what:26} {rate:8,.0f} {times[0]:>18} {times[1]:>18}   {spread:25} ≤ {goal:g}×: {verdict}"


PARTS: dict[str, Callable[[Path, argparse.Namespace], Iterator[str]]] = {
    "site": beside_nginx,
    "flip": flips,
    "fills": fills,
    "rebuild": rebuild,
}


if __name__ == "__main__":
    sys.exit(main())
