"""Child: one process of an edge, from the word of its parent to its end.

Here lives what a node's life is when a parent starts and ends it. Not here: the node (edge/node), the parent's side
(edge/processes/parent).

    made ready → GO → serves → DRAIN: takes no more connections, gives its part of the disk free → RELEASED
    → the answers that are due, and one more on each open connection → ends
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import uvloop

from edge.collector import calm
from edge.config import EdgeConfig
from edge.http.listener import BindError
from edge.leaving import leave
from edge.node import Node
from edge.processes.part import inherited
from edge.processes.place import DRAIN, GO, READY_TO_GO, RELEASED, SERVING, STAND_DOWN, STAND_IN, Channel, Place
from edge.serving import Stops, raise_descriptors, until_either
from edge.state import StateError


def serve(config: EdgeConfig, place: Place) -> int:
    """Run one process of an edge; its exit code."""
    place.die_with_parent()
    logging.basicConfig(
        level=logging.WARNING, format=f"%(asctime)s %(levelname)s %(name)s [{place.index}]: %(message)s"
    )
    raise_descriptors()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config, place))
    except (StateError, BindError) as error:
        print(f"edge {config.name}, process {place.index}: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: EdgeConfig, place: Place) -> None:
    loop = asyncio.get_running_loop()
    stops, go, drain = Stops(), asyncio.Event(), asyncio.Event()
    stop = stops.stop
    channel = Channel(place.channel)

    def stand_in(index: int, stands: bool) -> None:
        sock = inherited(os.dup(place.public[index])) if stands else None
        tasks.append(loop.create_task(node.public.stand_in(index, sock)))

    def hear() -> None:
        words = channel.hear()
        for word in words:
            if word >= STAND_IN:
                stand_in(word & 0x3F, word < STAND_DOWN)
        if GO in words:
            go.set()
        if DRAIN in words:
            drain.set()
        if not words:
            loop.remove_reader(channel)
            stop.set()

    node = Node(config, place=place)
    node.prepare()
    has_left = False  # its place: the edge goes on without it
    tasks: list[asyncio.Task[None]] = []
    loop.add_reader(channel, hear)
    try:
        channel.say(READY_TO_GO)
        await until_either(go.wait(), stop.wait())
        if not stop.is_set():
            await node.go()
            await until_either(node.ready(), stop.wait())
        if not stop.is_set():
            channel.say(SERVING)
            calm()
            await until_either(drain.wait(), stop.wait())
        if not stop.is_set():
            await node.release()
            channel.say(RELEASED)
            has_left = True
            await until_either(node.drained(), stop.wait())
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)
        await (node.stop() if has_left else leave(node, stops.hurry))
        loop.remove_reader(channel)
        channel.close()
