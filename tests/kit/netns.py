"""Rooms: network namespaces of one's own, each with an address and a wire to one switch, for nodes that can be cut off.

Here live the hub (a bridge in a namespace of its own, so that nothing of the machine's network is touched), the rooms,
and what befalls their wires: loss, silence, partition, the cable pulled. Delay is not here: netem is missing in many
kernels (tests/kit/toxics delays). Needs root, ip, nsenter and iptables; skips, saying what is missing; in CI that is a
failure.

    with Net() as net, net.inside():                # this thread, and all that it starts, is in the hub
        a, b = net.room(), net.room()
        subprocess.Popen(a.command("rim", "edge", …, "--public", f"{a.address}:8080"))
        net.part([a], [b]); net.heal()

Names carry the pid of who made them. Leaving takes them away with every process in them; what a killed play left behind
goes when the next begins.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType

import pytest

from tests.kit.programs import program

_HELD = Path("/run/netns")  # where ip-netns(8) names them
_NAME = re.compile(r"rim(\d+)-")
_NEWNET = 0x40000000  # CLONE_NEWNET of setns(2)
_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class Room:
    """One namespace: `eth0` with its address, and a loopback."""

    name: str
    address: str

    def command(self, *words: str) -> list[str]:
        """This command, to run in the room; its pid stays the process's own."""
        return [_needed("nsenter"), f"--net={_HELD / self.name}", *words]

    def run(self, *words: str) -> str:
        """Run it to its end. Raises AssertionError with what it said when it fails."""
        return _run(*self.command(*words))


@dataclass
class Net:
    """A hub with rooms around it. Use it as a context. Whoever calls from the hub comes from its first address; what
    serves there listens at `counter`, its second, so that a room can be cut off from that and still be visited."""

    hub: Room = field(default_factory=lambda: Room(f"rim{os.getpid()}-{next(_NUMBERS)}", "10.77.0.1"))
    counter: str = "10.77.0.2"
    rooms: list[Room] = field(default_factory=list)

    def __enter__(self) -> Net:
        _refuse_without_means()
        sweep()
        try:
            _add(self.hub.name)
            self.hub.run(_needed("ip"), "link", "add", "br0", "type", "bridge")
            self._wire(self.hub, "br0")
            self.hub.run(_needed("ip"), "address", "add", f"{self.counter}/16", "dev", "br0")
        except AssertionError as error:
            self._remove()
            _missing(str(error))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._remove()

    def room(self) -> Room:
        """One more room, wired to the hub."""
        number = len(self.rooms) + 1
        room = Room(f"{self.hub.name}-{number}", f"10.77.{number}.1")
        ip = _needed("ip")
        _add(room.name)
        self.rooms.append(room)
        veth = ["link", "add", f"to{number}", "type", "veth", "peer", "name", "eth0", "netns", room.name]
        self.hub.run(ip, *veth)
        self.hub.run(ip, "link", "set", f"to{number}", "master", "br0", "up")
        self._wire(room, "eth0")
        return room

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread is in the hub, and so is what it starts: threads and processes."""
        with Path("/proc/thread-self/ns/net").open() as before, (_HELD / self.hub.name).open() as hub:
            _enter(hub.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    # What befalls the wires. All of it goes with heal().

    def part(self, some: Sequence[Room], others: Sequence[Room]) -> None:
        """No packet passes between these and those, and nobody is told: packets vanish."""
        for one in some:
            for other in others:
                self._drop(one, "-s", other.address)
                self._drop(other, "-s", one.address)

    def cut_off(self, rooms: Sequence[Room]) -> None:
        """Nothing that comes from the counter reaches these."""
        for room in rooms:
            self._drop(room, "-s", self.counter)

    def silence(self, room: Room) -> None:
        """Nothing that comes here is heard: dead to all others without a FIN."""
        self._drop(room, "-i", "eth0")

    def lose(self, room: Room, share: float) -> None:
        """This share of the packets that come here is lost."""
        self._drop(room, "-i", "eth0", "-m", "statistic", "--mode", "random", "--probability", str(share))

    def pull(self, room: Room) -> None:
        """The cable is pulled."""
        self.hub.run(_needed("ip"), "link", "set", self._plug(room), "down")

    def heal(self) -> None:
        """Every wire is well again."""
        for room in self.rooms:
            room.run(_needed("iptables"), "-w", "-F", "INPUT")
            self.hub.run(_needed("ip"), "link", "set", self._plug(room), "up")

    def _plug(self, room: Room) -> str:
        return f"to{self.rooms.index(room) + 1}"

    def _drop(self, room: Room, *packets: str) -> None:
        room.run(_needed("iptables"), "-w", "-A", "INPUT", *packets, "-j", "DROP")

    def _wire(self, room: Room, device: str) -> None:
        ip = _needed("ip")
        room.run(ip, "address", "add", f"{room.address}/16", "dev", device)
        room.run(ip, "link", "set", device, "up")
        room.run(ip, "link", "set", "lo", "up")

    def _remove(self) -> None:
        for room in [*self.rooms, self.hub]:
            remove(room.name)


def sweep() -> None:
    """Take away what plays left behind that are no more."""
    for path in _HELD.iterdir() if _HELD.is_dir() else []:
        owner = _NAME.match(path.name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            remove(path.name)


def remove(name: str) -> None:
    """End every process in a namespace, and take its name away."""
    if not (_HELD / name).exists():
        return
    for pid in subprocess.run([_needed("ip"), "netns", "pids", name], capture_output=True, text=True).stdout.split():
        if int(pid) != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    subprocess.run([_needed("ip"), "netns", "delete", name], capture_output=True)


def _add(name: str) -> None:
    _run(_needed("ip"), "netns", "add", name)


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise AssertionError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _needed(name: str) -> str:
    return program(name) or f"/usr/sbin/{name}"


def _refuse_without_means() -> None:
    if os.geteuid() != 0:
        _missing("network namespaces need root")
    if absent := [name for name in ("ip", "nsenter", "iptables") if program(name) is None]:
        _missing(f"missing: {', '.join(absent)} (Debian: iproute2, util-linux, iptables)")


def _missing(said: str) -> None:
    """A hole in the machine: in CI a failure, elsewhere a skip that says so."""
    if os.environ.get("CI"):
        pytest.fail(said, pytrace=False)
    pytest.skip(said)
