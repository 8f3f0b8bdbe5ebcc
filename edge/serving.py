"""Serving: the process around one node, from its signals to its exit code.

Here live the loop, the signals, the line that says where the edge listens, and descriptors. Not here: the node
(edge/node), an edge of several processes (edge/processes).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import uvloop

from edge.collector import calm
from edge.config import EdgeConfig
from edge.http.listener import BindError
from edge.leaving import leave
from edge.node import Node
from edge.state import StateError

_DESCRIPTORS = 65_536
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(config: EdgeConfig) -> int:
    """Run one edge until SIGINT or SIGTERM; the process's exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    raise_descriptors()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config))
    except (StateError, BindError) as error:
        print(f"edge {config.name}: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: EdgeConfig) -> None:
    stops = Stops()
    node = Node(config)
    await node.start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, node.reload)
    try:
        await until_either(node.ready(), stops.stop.wait())
        if not stops.stop.is_set():
            _announce(node)
            calm()
        await stops.stop.wait()
    finally:
        await leave(node, stops.hurry)


class Stops:
    """SIGTERM and SIGINT: the first asks for the end, the second for the end at once."""

    def __init__(self) -> None:
        self.stop, self.hurry = asyncio.Event(), asyncio.Event()
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._hear)

    def _hear(self) -> None:
        if not self.stop.is_set():
            self.stop.set()
            return
        self.hurry.set()
        for number in _SIGNALS:  # a third is the kernel's to carry out
            asyncio.get_running_loop().remove_signal_handler(number)


async def until_either(*waits: Coroutine[Any, Any, Any]) -> None:
    """Until one of these is done; the others are ended."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _announce(node: Node) -> None:
    config = node.config
    if config.json:
        line = {"name": config.name, "public": node.public_url, "private": node.private_url, "pid": os.getpid()}
        text = json.dumps(line)
    else:
        text = f"edge {config.name} serves on {node.public_url} (private: {node.private_url})"
    with suppress(OSError):  # whoever started us may have gone; the edge serves all the same
        print(text, flush=True)


def raise_descriptors() -> None:
    """As many descriptors as the system lets us have, up to a bound: every visitor is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if wanted > soft:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
