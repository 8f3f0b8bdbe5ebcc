"""The rooms of the test kit: what one says is heard in another, and what befalls their wires befalls them alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.netns import Net, Room, remove

_ECHO = """
import socket, sys
with socket.create_server((sys.argv[1], 7)) as listener:
    print("ready", flush=True)
    while True:
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"here")
"""


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with Net() as net, net.inside():
        yield net


@pytest.fixture(scope="module")
def rooms(net: Net) -> Iterator[list[Room]]:
    rooms, echoes = [net.room() for _ in range(3)], []
    for room in rooms:
        command = room.command(sys.executable, "-c", _ECHO, room.address)
        echoes.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    try:
        for echo in echoes:
            assert echo.stdout is not None
            assert echo.stdout.readline() == b"ready\n"
        yield rooms
    finally:
        for echo in echoes:
            echo.kill()
            echo.communicate()


@pytest.fixture(autouse=True)
def healed(net: Net) -> Iterator[None]:
    yield
    net.heal()


def hears(room: Room, seconds: float = 10) -> bool:
    try:
        with socket.create_connection((room.address, 7), seconds) as sock:
            return sock.recv(4) == b"here"
    except TimeoutError:
        return False


def between(one: Room, other: Room) -> bool:
    """Whether one room hears the other."""
    ask = f"import socket; socket.create_connection(({other.address!r}, 7), 0.5)"
    return subprocess.run(one.command(sys.executable, "-c", ask), capture_output=True).returncode == 0


def test_the_hub_and_the_rooms_hear_each_other(rooms: list[Room]) -> None:
    assert all(hears(room) for room in rooms)
    assert between(rooms[0], rooms[1])


def test_a_partition_is_between_those_it_parts(net: Net, rooms: list[Room]) -> None:
    net.part(rooms[:1], rooms[1:2])
    assert [between(rooms[0], rooms[1]), between(rooms[1], rooms[0])] == [False, False]
    assert [between(rooms[0], rooms[2]), between(rooms[2], rooms[1]), hears(rooms[0])] == [True] * 3
    net.heal()
    assert between(rooms[0], rooms[1])


def test_silence_and_a_pulled_cable_are_not_a_refusal(net: Net, rooms: list[Room]) -> None:
    net.silence(rooms[0])
    assert [hears(rooms[0], 0.3), hears(rooms[1])] == [False, True]
    net.heal()
    net.pull(rooms[0])
    assert [hears(rooms[0], 0.3), hears(rooms[1])] == [False, True]
    net.heal()
    assert hears(rooms[0])


def test_loss_is_mended_by_tcp(net: Net, rooms: list[Room]) -> None:
    net.lose(rooms[0], 0.3)
    assert hears(rooms[0], 60)


def test_the_machines_own_network_is_not_touched(net: Net, rooms: list[Room]) -> None:
    """Another thread that never went inside sees nothing of it; this one did, with its own loopback."""
    assert {name for _, name in socket.if_nameindex()} >= {"lo", "br0", "to1", "to2", "to3"}
    outside = Path(f"/proc/{os.getppid()}/ns/net").readlink()
    assert Path("/proc/thread-self/ns/net").readlink() != outside
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(hears(rooms[0])))
    thread.start()
    thread.join()
    assert seen == [True]  # a thread is where it was started from


def test_what_a_killed_play_left_is_taken_away_by_the_next(tmp_path: Path) -> None:
    """SIGKILL to a play with a process in a room: nothing of it is there once another has begun."""
    left = """
import os, subprocess, sys
from tests.kit.netns import Net
net = Net().__enter__()
room = net.room()
child = subprocess.Popen(room.command("sleep", "600"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(room.name, child.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    said = subprocess.run([sys.executable, "-c", left], capture_output=True, text=True).stdout.split()
    name, pid = said[0], int(said[1])
    try:
        assert Path("/run/netns", name).exists()
        with Net():
            assert not Path("/run/netns", name).exists()
            assert not Path(f"/proc/{pid}/ns/net").exists()
    finally:
        remove(name)
