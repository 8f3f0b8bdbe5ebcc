"""Servers: processes on a core of their own, and the CPU that they use.

Here live the start and end of a server's processes, their core, and their time. Not here: which servers there are
(kit/peers), what is sent to them (kit/load).

CPU is utime + stime of /proc/PID/stat over the server's processes and all below them, threads included: what the kernel
does for a connection inside the server's own calls (send, receive, the loopback's softirq) is in it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kit import ROOT

SERVER_CORE, LOAD_CORE = 0, 1
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """Something that answers HTTP. `base` is http://127.0.0.1:PORT, `host` the Host field it is asked with."""

    name: str
    base: str
    host: str
    pids: tuple[int, ...]  # whose CPU counts; what they start counts too
    config: str = ""  # as it was given to it

    def cpu(self) -> float:
        """Seconds of CPU used so far."""
        return sum(cpu_of(pid) for pid in family(self.pids))

    def clock(self) -> float:
        """The same to the nanosecond, of processes that stay: for what takes less than a tick."""
        return sum(time.clock_gettime(_clock_of(pid)) for pid in family(self.pids))

    def rss(self) -> int:
        """Bytes of memory resident now."""
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in family(self.pids))


def family(pids: Sequence[int]) -> set[int]:
    """These processes and all below them."""
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid in found:
            continue
        found.add(pid)
        for task in _tasks(pid):
            with suppress(OSError):
                waiting += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used; 0 of one that is not there."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _clock_of(pid: int) -> int:
    """The clock of a process's CPU: clock_getcpuclockid(3), as Linux numbers it."""
    return (~pid << 3) | 2


def busy(core: int) -> float:
    """Seconds that a core was not idle, ever: what is more than the server's own CPU was somebody else's."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            return (user + nice + system + irq + softirq + steal) / _TICKS
    raise SystemExit(f"this machine has no core {core}: the benches need two, one for the server and one for the load")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """For processes of Rim: the tree that the bench stands in is what runs."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **(more or {})}


@contextmanager
def spawned(
    command: Sequence[str], *, log: Path, core: int | None = SERVER_CORE, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on one core (None: on any), ended by SIGINT and then by force; stderr goes to `log`."""
    pinned = on_core(core)
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*pinned, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(env),
            start_new_session=True,  # Ctrl-C is the bench's, which ends what it began in order
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def on_core(core: int | None) -> list[str]:
    """What stands before a command that is to have a core, and most of it where we may say so (root)."""
    most = [needed("nice"), "-n", "-15"] if os.geteuid() == 0 else []
    return most if core is None else [*most, needed("taskset"), "-c", str(core)]


def at_once(pid: int) -> None:
    """From now on this process and all below it run the moment they have something to do, whatever else runs on the
    machine: for tails of latency, which are otherwise the machine's own. Where we may say so (root)."""
    if os.geteuid() == 0:
        for member in family((pid,)):
            for task in _tasks(member):
                with suppress(OSError):
                    os.sched_setscheduler(int(task), os.SCHED_RR, os.sched_param(1))


def pin(pid: int, core: int) -> None:
    """Move a process that runs, all its threads, to a core."""
    for task in _tasks(pid):
        with suppress(OSError):
            os.sched_setaffinity(int(task), {core})


def needed(program: str) -> str:
    """The path of a program. Exits, saying what to install, where the machine lacks it."""
    found = os.environ.get(f"RIM_{program.upper()}") or shutil.which(program) or shutil.which(f"/usr/sbin/{program}")
    if not found:
        package = {"varnishd": "varnish", "h2load": "nghttp2-client", "ipfs": "Kubo 0.43, named in RIM_IPFS"}
        raise SystemExit(f"{program} is missing: install {package.get(program, program)}")
    return found


def until_listening(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 30.0) -> None:
    """Wait until somebody takes connections on this port. Exits with the log where the process ends first."""

    def answers() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    until(lambda: process.poll() is not None or answers(), f"port {port}", seconds)
    if process.poll() is not None:
        raise SystemExit(f"{process.args} ended:\n{log.read_text(errors='replace')}")


def until(true: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Ask again until it is so. Exits after `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds:.0f} s for: {what}")
        time.sleep(0.02)


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
