"""Containers without a registry and without a daemon: a base made by debootstrap, images and containers by buildah.

Here live the base, a store of images, and one container as a process that can be killed and started again with its
volume. Not here: the image's recipe (deploy/container), or which containers make a ring (the plays in tests/deploy).

`buildah run --isolation chroot` gives a container the image's files, environment and user. It shares the machine's
network and process ids and mounts the root read-write: what takes namespaces is shown by a play of its own
(tests/deploy/test_container).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kit.nodes import until
from tests.kit.programs import needed

ROOT = Path(__file__).resolve().parents[2]
USER = 10001  # the image's
STATE = "/var/lib/rim"
_UNNEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/lib/apt/lists")


def run(command: Sequence[object], **env: str) -> str:
    """Its stdout. Raises AssertionError with all that it said when it fails."""
    done = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **env},
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_quietly(command: Sequence[str]) -> bool:
    """Whether it ends with 0."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).returncode == 0


def base(folder: Path) -> Path:
    """A root of Debian's minimal packages and Python; RIM_BASE_ROOTFS names one that is there already.

    Unpacked is enough: the packages' own set-up scripts take a minute of fsync, and nothing here needs what they do.
    """
    if named := os.environ.get("RIM_BASE_ROOTFS"):
        return Path(named)
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    place = folder / "base"
    wanted = ["--foreign", "--variant=minbase", "--include=python3,python3-venv"]
    run([needed("debootstrap"), *wanted, release["VERSION_CODENAME"].strip('"'), place])
    for package in (place / "var/cache/apt/archives").glob("*.deb"):
        run(["dpkg-deb", "-x", package, place])
        package.unlink()
    run(["rm", "-r", *(place / name for name in ("debootstrap", *_UNNEEDED) if (place / name).exists())])
    return place


@dataclass
class Store:
    """Images and containers of one run, in a folder of its own."""

    folder: Path
    driver: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for driver in ("overlay", "vfs"):  # where overlays cannot be mounted, whole copies
            self.driver = driver
            try:
                name = self.buildah("from", "scratch")
                self.buildah("mount", name)
                self.buildah("rm", name)
            except AssertionError:
                continue
            return

    @property
    def engine(self) -> list[str]:
        """The command, with which store it works on: what deploy/container/build takes as ENGINE."""
        words = ("--root", self.folder / f"{self.driver}/root", "--runroot", self.folder / f"{self.driver}/run")
        return [needed("buildah"), *map(str, words), "--storage-driver", self.driver]

    def buildah(self, *words: object) -> str:
        return run([*self.engine, *words]).strip()

    def take(self, root: Path, name: str) -> None:
        """An image of this root."""
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, f"{root}/", "/")
        self.buildah("commit", "--quiet", container, name)
        self.buildah("rm", container)

    def build(self, python: str, base: str, tag: str) -> None:
        """deploy/container/build, as a user runs it, for the base's Python. `python`: one with pip and setuptools."""
        probe = self.buildah("from", base)
        version = "import sys; print('%d.%d' % sys.version_info[:2])"
        told = self.buildah("run", "--isolation", "chroot", probe, "--", "python3", "-c", version)
        self.buildah("rm", probe)
        given = {"ENGINE": " ".join(self.engine), "PYTHON": python, "BASE": base, "PYTHON_VERSION": told, "TAG": tag}
        script = ROOT / "deploy" / "container" / "build"
        run([script, "--isolation", "chroot", "--pull=never"], **given)

    def config(self, image: str) -> dict[str, Any]:
        """What the image says of itself, in Docker's words."""
        told: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", image))["Docker"]
        return told


@dataclass
class Container:
    """One container: a command in an image, with an environment and mounts. Started again, it has its volumes."""

    store: Store
    image: str
    name: str
    env: Mapping[str, str]
    command: Sequence[str]
    mounts: Mapping[str, str] = field(default_factory=dict)  # path in the container → source[:options]
    prefix: Sequence[str] = ()  # a command that the engine is started by: in another network, say
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        known = self.store.buildah("containers", "--format", "{{.ContainerName}}").split()
        if self.name not in known:
            self.store.buildah("from", "--name", self.name, self.image)
        self.id = self.name
        for target in self.mounts:  # the image's own volume would now and then be mounted above the one given
            self.store.buildah("config", "--volume", f"{target}-", self.id)
        config = self.store.config(self.image)["config"]
        self.entry: list[str] = config["Entrypoint"]
        self.check: list[str] = config["Healthcheck"]["Test"]

    @property
    def log(self) -> Path:
        return self.store.folder / f"{self.name}.log"

    def _run(self, words: Sequence[str]) -> list[str]:
        env = [word for name, value in self.env.items() for word in ("--env", f"{name}={value}")]
        mounts = [
            word
            for target, source in self.mounts.items()
            for word in ("-v", f"{source.partition(':')[0]}:{target}" + (":ro" if source.endswith(":ro") else ""))
        ]
        return [*self.prefix, *self.store.engine, "run", "--isolation", "chroot", *env, *mounts, self.id, "--", *words]

    def start(self) -> Container:
        """Start it; it may not be ready yet."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._run([*self.entry, *self.command]), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def run(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Another command in it, as `docker exec` and `docker run` give one: not by the entry point."""
        return subprocess.run(
            self._run(words), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )

    def healthy(self) -> bool:
        """What its health check says, as the image's own words run it."""
        kind, *words = self.check
        assert kind == "CMD", "no shell is needed"
        return self.run(*words).returncode == 0

    def ready(self, seconds: float = 90) -> Container:
        """Wait until it is healthy."""
        until(f"{self.name} listens", lambda: self._lives() and self.listens(), seconds)
        until(f"{self.name} is healthy", lambda: self._lives() and self.healthy(), seconds)
        return self

    def listens(self) -> bool:
        """Whether the address it serves at takes connections: a cheap question before the health check's."""
        role = "RIM_ORIGIN_LISTEN" if self.command == ["origin"] else "RIM_PUBLIC"
        host, _, port = self.env[role].rpartition(":")
        return run_quietly([*self.prefix, "bash", "-c", f"exec 3<>/dev/tcp/{host}/{port}"])

    def _lives(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended: {self.log.read_text(errors='replace')[-2000:]}"
        return True

    @property
    def pid(self) -> int:
        """Of the process in it, seen from outside: the first one below the engine that is not the engine's."""
        assert self.process is not None
        pid = self.process.pid
        while Path(f"/proc/{pid}/comm").read_text().startswith(("buildah", "memfd:")):
            tasks = Path(f"/proc/{pid}/task").iterdir()
            pid = next(int(number) for task in tasks for number in (task / "children").read_text().split())
        return pid

    def kill(self) -> None:
        """SIGKILL to the process in it, and wait."""
        self._end(signal.SIGKILL)

    def stop(self, seconds: float = 30) -> int:
        """What `docker stop` does: SIGTERM, and the exit code of the process in it."""
        return self._end(signal.SIGTERM, seconds)

    def _end(self, number: signal.Signals, seconds: float = 30) -> int:
        if self.process is None or self.process.poll() is not None:
            return 0 if self.process is None else self.process.returncode
        os.kill(self.pid, number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"{self.name} did not end within {seconds} s of {number.name}") from None
