"""Owners in turn, over real sockets: who is asked when the first is slow, silent, full, resting, leaving or ourselves.

The asker is a real node; the owners are peers that do as told. Budgets are long unless the play is about one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from content.block import Block
from content.cid import RAW
from edge.cache.loader import Source, Unavailable
from edge.peers import client as peer_client
from edge.peers import room
from edge.peers.budget import Budgets
from edge.peers.latency import LEAST
from edge.peers.members import BELIEVED, ORIGIN, STRIKES
from edge.peers.ring import Member, Ring
from edge.peers.room import Room
from edge.peers.states import State
from tests.kit.evilpeer import EvilPeer
from tests.kit.house import PATIENT, House, Node, house, source

BLOCKS = [Block.make(RAW, b"owned %d " % number * 50) for number in range(40)]
HASTY = Budgets(connect=10, silence=0.05, doubt=0.25, headers=60, patience=60, stall=60, total=120)


@dataclass
class Stage:
    """A node that asks, and two that own: blocks of `mine` have first and second in this order."""

    house: House
    node: Node
    first: EvilPeer
    second: EvilPeer
    mine: list[Block]

    def know_latencies(self, seconds: float = 0.001) -> None:
        """As if so many questions had been answered before."""
        for _ in range(LEAST):
            self.node.loader.sources.asker.latencies("eu").add(seconds)

    @property
    def hedges(self) -> dict[str, int]:
        return dict(self.node.loader.sources.hedges)

    def asked_of(self, peer: EvilPeer, block: Block) -> list[str]:
        """How a peer was asked for a block: "fill" or "held"."""
        return [
            "held" if asked.headers.get("cache-control") == "only-if-cached" else "fill"
            for asked in peer.asked
            if asked.cid == str(block.cid)
        ]


def play(folder: Path, scene: Callable[[Stage], Awaitable[None]], budgets: Budgets = PATIENT) -> None:
    """Run a scene; the node itself comes last in every order, so that it is only ever the asker."""

    async def run() -> None:
        held = {block.cid: block for block in BLOCKS}
        async with house(folder, "eu", blocks=BLOCKS) as stage, EvilPeer(held) as first, EvilPeer(held) as second:
            node = stage.nodes["a"]
            node.loader.sources.peer_budgets = budgets
            tiny = Member("a", node.url, "eu", 1e-9)
            ring = Ring([tiny, Member("first", first.url, "eu"), Member("second", second.url, "eu")])
            node.loader.ring = ring
            mine = [block for block in BLOCKS if ring.order(block.cid.store_key, "eu")[0].name == "first"]
            assert len(mine) >= 8
            await scene(Stage(stage, node, first, second, mine))

    asyncio.run(run())


async def until(what: Callable[[], bool]) -> None:
    while not what():
        await asyncio.sleep(0.001)


# A hedge.


def test_a_slow_owner_is_outrun_by_the_second_that_holds_it(tmp_path: Path) -> None:
    """After the measured p95 the second choice is asked for what it holds; its answer wins, the other is let go."""

    async def scene(stage: Stage) -> None:
        stage.know_latencies()
        block = stage.mine[0]
        stage.first.tricks[str(block.cid)] = "wait"
        assert await source(stage.node, block) is Source.PEER
        assert stage.asked_of(stage.second, block) == ["held"]
        assert stage.hedges == {"yes": 1}
        assert not stage.node.loader.client.is_full(stage.first.url)
        await until(lambda: any(asked.path == "/healthz" for asked in stage.first.asked))
        # It answers for its health at once: it only waits for somebody itself, which is no fault
        assert await source(stage.node, stage.mine[1]) is Source.PEER
        assert stage.asked_of(stage.first, stage.mine[1]) == ["fill"]
        assert not stage.house.origin.asked

    play(tmp_path, scene)


def test_a_hedge_never_fills(tmp_path: Path) -> None:
    """The second lacks the block: nobody is asked to fetch it twice, and the owner is waited for."""

    async def scene(stage: Stage) -> None:
        stage.know_latencies()
        block = stage.mine[0]
        stage.first.tricks[str(block.cid)] = "wait"
        stage.second.tricks[str(block.cid)] = "not_held"
        asking = asyncio.create_task(source(stage.node, block))
        await until(lambda: bool(stage.asked_of(stage.second, block)))
        stage.first.release()
        assert await asking is Source.PEER
        assert stage.asked_of(stage.second, block) == ["held"]
        assert stage.hedges == {"no": 1}
        assert not stage.house.origin.asked

    play(tmp_path, scene)


def test_nobody_is_hedged_before_it_is_known_what_late_is(tmp_path: Path) -> None:
    """A cold ring asks each block of one owner: the origin sends it once, however slow it is."""

    async def scene(stage: Stage) -> None:
        block = stage.mine[0]
        stage.first.tricks[str(block.cid)] = "late"  # it answers when it has been asked for its health
        stage.first.trick = "late"
        assert await source(stage.node, block) is Source.PEER
        assert not stage.second.asked

    play(tmp_path, scene, HASTY)


def test_one_in_ten_is_hedged_at_most(tmp_path: Path) -> None:
    """With the reserve spent, a slow owner is waited for."""

    async def scene(stage: Stage) -> None:
        stage.know_latencies()
        retries = stage.node.loader.sources.asker.retries
        while retries.spend():
            pass
        denied = retries.denied
        assert denied == 1
        block = stage.mine[0]
        stage.first.tricks[str(block.cid)] = "wait"
        asking = asyncio.create_task(source(stage.node, block))
        await until(lambda: retries.denied > denied)
        stage.first.release()
        assert await asking is Source.PEER
        assert not stage.second.asked
        assert stage.hedges == {}

    play(tmp_path, scene)


def test_nobody_is_hedged_when_our_own_loop_stood_still(tmp_path: Path) -> None:
    """What is late then is we: the answer may lie in our own socket, and is looked for a moment more."""

    async def scene(stage: Stage) -> None:
        assert await source(stage.node, stage.mine[1]) is Source.PEER  # the connection is there
        stage.know_latencies()
        asking = asyncio.create_task(source(stage.node, stage.mine[0]))
        while not stage.node.loader.client._under_way:
            await asyncio.sleep(0)
        time.sleep(0.1)  # the fault that is played
        assert await asking is Source.PEER
        assert not stage.second.asked

    play(tmp_path, scene)


# Doubt.


def test_an_owner_silent_on_two_connections_is_replaced_and_skipped(tmp_path: Path) -> None:
    """The next in order fills; the silent one is asked nothing more until it says that it is well."""

    async def scene(stage: Stage) -> None:
        stage.first.trick = "hang"
        assert await source(stage.node, stage.mine[0]) is Source.PEER
        assert stage.asked_of(stage.second, stage.mine[0]) == ["fill"]
        for block in stage.mine[1:5]:
            assert await source(stage.node, block) is Source.PEER
            assert not stage.asked_of(stage.first, block)
        await until(lambda: stage.node.loader.members.ejected() == ("first",))  # its health question ended in vain
        assert not stage.house.origin.asked

    play(tmp_path, scene, HASTY)


def test_an_owner_that_was_only_slow_is_asked_again(tmp_path: Path) -> None:
    """It answers for its health late: it lives, the suspicion is over, and the delay is held against it once."""

    async def scene(stage: Stage) -> None:
        stage.first.trick = "wait"
        assert await source(stage.node, stage.mine[0]) is Source.PEER
        assert stage.asked_of(stage.second, stage.mine[0]) == ["fill"]
        assert not stage.node.loader.members.is_well("first")
        stage.first.trick = "honest"
        stage.first.release()
        await until(lambda: stage.node.loader.members.is_well("first"))
        assert await source(stage.node, stage.mine[1]) is Source.PEER
        assert stage.asked_of(stage.first, stage.mine[1]) == ["fill"]

    play(tmp_path, scene, HASTY)


def test_who_stood_still_himself_doubts_nobody_for_as_long(tmp_path: Path) -> None:
    """Our own loop was held up for half a second lately, as a crowd does to every node at once: an owner that is silent
    for longer than others are is waited for, and fills. (Found by bench/herd: a block left the origin three times.)"""

    async def scene(stage: Stage) -> None:
        stage.node.loader.client.strain.lag = lambda: 0.5
        stage.first.trick = "wait"
        asking = asyncio.create_task(source(stage.node, stage.mine[0]))
        await until(lambda: any(asked.path == "/healthz" for asked in stage.first.asked))
        assert asking not in (await asyncio.wait((asking,), timeout=2 * HASTY.doubt))[0]
        stage.first.trick = "honest"
        stage.first.release()
        assert await asking is Source.PEER
        assert not stage.asked_of(stage.second, stage.mine[0])

    play(tmp_path, scene, HASTY)


def test_who_stands_still_after_he_asked_doubts_nobody_for_as_long(tmp_path: Path) -> None:
    """The crowd came when the question had left already. (Found by bench/herd: a block left the origin twice.)"""

    async def scene(stage: Stage) -> None:
        stage.first.trick = "wait"
        asking = asyncio.create_task(source(stage.node, stage.mine[0]))
        await until(lambda: any(asked.path == "/healthz" for asked in stage.first.asked))
        stage.node.loader.client.strain.lag = lambda: 0.5
        assert asking not in (await asyncio.wait((asking,), timeout=2 * HASTY.doubt))[0]
        assert stage.node.loader.members.word("first") == ""
        stage.first.trick = "honest"
        stage.first.release()
        assert await asking is Source.PEER
        assert not stage.asked_of(stage.second, stage.mine[0])

    play(tmp_path, scene, HASTY)


def test_an_owner_that_waits_for_a_slow_origin_is_waited_for(tmp_path: Path) -> None:
    """It answers for its health, again and again: no doubt, no second question, and nothing held against it."""

    async def scene(stage: Stage) -> None:
        block = stage.mine[0]
        stage.first.tricks[str(block.cid)] = "wait"
        asking = asyncio.create_task(source(stage.node, block))
        await until(lambda: sum(asked.path == "/healthz" for asked in stage.first.asked) >= 2)
        stage.first.release()
        assert await asking is Source.PEER
        assert not stage.second.asked
        assert stage.node.loader.members.word("first") == ""

    play(tmp_path, scene, HASTY)


def test_an_owner_that_dies_while_it_is_waited_for_is_not_waited_for_to_the_end(tmp_path: Path) -> None:
    """Its health was well at first, and then it is silent there too: the next in order is asked."""

    async def scene(stage: Stage) -> None:
        block = stage.mine[0]
        stage.first.tricks[str(block.cid)] = "hang"
        asking = asyncio.create_task(source(stage.node, block))
        await until(lambda: any(asked.path == "/healthz" for asked in stage.first.asked))
        stage.first.trick = "hang"
        assert await asking is Source.PEER
        assert stage.asked_of(stage.second, block) == ["fill"]

    play(tmp_path, scene, HASTY)


@contextlib.contextmanager
def unreachable() -> Iterator[str]:
    """An address where nobody takes a connection, and nobody refuses it: its queue is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_an_owner_that_cannot_be_reached_costs_one_question_its_connect_budget(tmp_path: Path) -> None:
    """No answer to the SYN: the next in order is asked, and the first is suspect from then on."""

    async def scene(stage: Stage) -> None:
        node, ring = stage.node, stage.node.loader.ring
        with unreachable() as url:
            node.loader.ring = Ring(
                Member("first", url, "eu") if member.name == "first" else member for member in ring.members
            )
            for block in stage.mine[:5]:
                assert await source(node, block) is Source.PEER
            assert node.loader.client.counts.faults == {"unreached": 1}
            assert not stage.house.origin.asked

    play(tmp_path, scene, Budgets(connect=0.2, silence=30, doubt=45, headers=60, stall=60, total=120))


# Full, resting, leaving, ourselves.


def test_past_its_share_of_questions_a_peer_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many under way to one peer: the next in order is asked, nobody waits for a free place."""
    monkeypatch.setattr(peer_client, "AT_ONCE", 2)

    async def scene(stage: Stage) -> None:
        waiting = [str(block.cid) for block in stage.mine[:2]]
        stage.first.tricks |= dict.fromkeys(waiting, "wait")
        asking = [asyncio.create_task(source(stage.node, block)) for block in stage.mine[:2]]
        await until(lambda: len(stage.first.asked) == 2)
        assert await source(stage.node, stage.mine[2]) is Source.PEER
        assert stage.asked_of(stage.second, stage.mine[2]) == ["fill"]
        stage.first.release()
        assert set(await asyncio.gather(*asking)) == {Source.PEER}
        assert await source(stage.node, stage.mine[3]) is Source.PEER
        assert stage.asked_of(stage.first, stage.mine[3]) == ["fill"]

    play(tmp_path, scene)


def test_an_owner_that_asks_for_rest_gets_it_and_no_strike(tmp_path: Path) -> None:
    """503 with Retry-After: the next in order is asked until the time is over, and nothing is held against it."""

    async def scene(stage: Stage) -> None:
        stage.first.trick = "resting"
        for block in stage.mine[:4]:
            assert await source(stage.node, block) is Source.PEER
        assert len(stage.first.asked) == 1
        members = stage.node.loader.members
        assert 7 <= members.resting("first") <= 1.5 * 7
        assert members.ejected() == ()
        stage.first.trick = "honest"
        stage.house.now[0] += 1.5 * 7
        assert await source(stage.node, stage.mine[4]) is Source.PEER
        assert stage.asked_of(stage.first, stage.mine[4]) == ["fill"]

    play(tmp_path, scene)


def test_a_busy_origin_is_left_alone_by_who_only_heard_of_it(tmp_path: Path) -> None:
    """An owner says that the origin is busy: nobody above is asked, others for what they hold, and the visitor is told
    when to come again. The owner is well."""

    async def scene(stage: Stage) -> None:
        lacking, lying = stage.mine[:2]
        stage.first.trick = "origin_busy"
        stage.second.tricks[str(lacking.cid)] = "not_held"
        with pytest.raises(Unavailable) as caught:
            await source(stage.node, lacking)
        assert caught.value.rest == 7
        assert not caught.value.absent
        assert stage.asked_of(stage.second, lacking) == ["held"]
        assert await source(stage.node, lying) is Source.PEER  # the second holds it
        assert stage.asked_of(stage.second, lying) == ["held"]
        members = stage.node.loader.members
        assert members.resting("first") == 0
        assert members.is_well("first")
        assert not stage.house.origin.asked

    play(tmp_path, scene)


def test_who_says_for_ever_that_the_origin_is_busy_is_found_out(tmp_path: Path) -> None:
    """A word is believed for a second, then the origin is asked; each time that it gives the block is a strike."""

    async def scene(stage: Stage) -> None:
        stage.first.trick, stage.second.trick = "origin_busy", "not_held"
        blocks = iter(stage.mine)
        for found_out in range(1, STRIKES + 1):
            with pytest.raises(Unavailable):
                await source(stage.node, next(blocks))
            stage.house.now[0] += BELIEVED
            assert await source(stage.node, next(blocks)) is Source.ORIGIN
            assert len(stage.house.origin.asked) == found_out
            assert stage.node.loader.members.resting(ORIGIN) == 0
        assert stage.node.loader.members.ejected() == ("first",)

    play(tmp_path, scene)


def test_who_says_that_the_origin_has_not_what_it_gives_is_ejected(tmp_path: Path) -> None:
    """A liar, or a stranger at a member's address: 404 is no answer of one who is well when the origin has it."""

    async def scene(stage: Stage) -> None:
        stage.first.trick = "absent"
        assert await source(stage.node, stage.mine[0]) is Source.ORIGIN
        assert stage.node.loader.members.ejected() == ("first",)
        assert await source(stage.node, stage.mine[1]) is Source.PEER
        assert stage.asked_of(stage.second, stage.mine[1]) == ["fill"]

    play(tmp_path, scene)


def test_who_waits_for_room_here_is_not_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner's answers have no room because its others take it all: the next in order is asked, and it stays well."""

    async def scene(stage: Stage) -> None:
        hanging, *blocks = stage.mine[: STRIKES + 2]
        stage.node.loader.client.room = Room(3 * len(hanging.data))
        stage.first.tricks[str(hanging.cid)] = "hang_in_body"
        asking = asyncio.create_task(source(stage.node, hanging))
        await until(lambda: stage.node.loader.client.room.taken > 0)
        monkeypatch.setattr(room, "WAIT", 0.01)
        for block in blocks:
            assert await source(stage.node, block) is Source.PEER
            assert stage.asked_of(stage.first, block) == stage.asked_of(stage.second, block) == ["fill"]
        assert stage.node.loader.members.ejected() == ()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    play(tmp_path, scene)


def test_a_busy_gateway_outside_says_nothing_of_the_origin(tmp_path: Path) -> None:
    """Whatever reason it names, it is the one that is left alone."""

    async def scene(stage: Stage) -> None:
        stage.node.loader.ring = Ring([Member("a", stage.node.url, "eu")])
        stage.node.loader.sources.gateways = (stage.first.url,)
        stage.first.trick, stage.house.origin.trick = "origin_busy", "busy"
        for block in stage.mine[:2]:
            with pytest.raises(Unavailable) as caught:
                await source(stage.node, block)
            assert caught.value.rest is None
        members = stage.node.loader.members
        assert (members.resting(ORIGIN), len(stage.first.asked)) == (0, 1)
        assert members.resting(stage.first.url) >= 7

    play(tmp_path, scene)


def test_an_owner_that_leaves_is_replaced_and_its_word_passed_on(tmp_path: Path) -> None:
    """It does not hold the block and fills nothing any more: the next in order does, not the origin's asker."""
    heard: list[tuple[str, State]] = []

    async def scene(stage: Stage) -> None:
        stage.node.loader.sources.asker.on_state = lambda name, state: heard.append((name, state))
        stage.first.trick = "draining"
        assert await source(stage.node, stage.mine[0]) is Source.PEER
        assert stage.asked_of(stage.second, stage.mine[0]) == ["fill"]
        assert heard == [("first", State.DRAINING), ("second", State.READY)]
        assert not stage.house.origin.asked

    play(tmp_path, scene)


def test_who_joins_or_leaves_is_asked_for_what_it_holds_last(tmp_path: Path) -> None:
    """The origin is away and the ring lacks the block: a member that is leaving is asked too, and only for what it
    holds."""

    async def scene(stage: Stage) -> None:
        block = stage.mine[0]
        stage.first.trick = stage.second.trick = "not_held"
        await stage.house.origin.stop()
        async with EvilPeer({block.cid: block}) as leaving:
            stage.node.loader.sources.holding = (Member("leaving", leaving.url, "eu", state=State.DRAINING),)
            assert await source(stage.node, block) is Source.PEER
            assert stage.asked_of(leaving, block) == ["held"]
            assert stage.asked_of(stage.second, block) == ["held"]

    play(tmp_path, scene)


def test_a_member_that_is_ourselves_under_another_name_is_asked_once(tmp_path: Path) -> None:
    """It answers 508, for our name is in the chain; from then on its keys are ours to fill."""

    async def scene(stage: Stage) -> None:
        node = stage.node
        ghost = Member("ghost", node.url, "eu")
        node.loader.ring = Ring([Member("a", node.url, "eu"), ghost])
        theirs = [block for block in BLOCKS if node.loader.ring.order(block.cid.store_key, "eu")[0] == ghost]
        assert len(theirs) > 5
        for block in theirs:
            assert await source(node, block) is Source.ORIGIN
        assert node.loader.client.counts.faults == {"loop": 1}
        assert stage.house.left_origin() == {str(block.cid): 1 for block in theirs}
        assert node.loader.members.ejected() == ()

    play(tmp_path, scene)


def test_a_ring_of_one_asks_the_origin_once(tmp_path: Path) -> None:
    """Nobody else is there; it asks neither itself nor anybody twice."""

    async def scene(stage: Stage) -> None:
        stage.node.loader.ring = Ring([stage.node.member])
        await asyncio.gather(*(source(stage.node, block) for block in BLOCKS for _ in range(5)))
        assert stage.house.left_origin() == {str(block.cid): 1 for block in BLOCKS}
        assert not stage.node.asked

    play(tmp_path, scene)


def test_with_all_peers_dead_the_right_bytes_come_without_a_storm(tmp_path: Path) -> None:
    """Each dead one is tried STRIKES times in all, one block after the other; the origin is asked once a block."""

    async def scene(stage: Stage) -> None:
        await stage.first.stop()
        await stage.second.stop()
        for block in BLOCKS:
            assert await source(stage.node, block) is Source.ORIGIN
        assert stage.house.left_origin() == {str(block.cid): 1 for block in BLOCKS}
        assert stage.node.loader.client.counts.faults == {"refused": 6}

    play(tmp_path, scene)
