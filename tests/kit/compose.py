"""`docker compose` without Docker, as much of it as a README's first start takes: up, exec and run.

Docker Compose itself (RIM_DOCKER_COMPOSE) reads the file; its services are run by buildah, in the network namespace
that the caller is in, which has all their addresses. HAProxy is the machine's own, for there is no registry to have an
image of it from. Not here: containers (tests/kit/containers); what takes a daemon: restarts, limits, real networks.

    python -m tests.kit.compose compose up -d --wait    # state below RIM_TEST_COMPOSE: volumes, pids, the store
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.kit.containers import STATE, USER, Container, Store, run
from tests.kit.nodes import until
from tests.kit.programs import needed

Service = dict[str, Any]


def services(folder: Path) -> dict[str, Service]:
    """What the file means, by Compose's own word; `secrets` are the paths of their files."""
    file = folder / "compose.yaml"
    whole = json.loads(run([needed("docker-compose"), "-f", file, "--profile", "*", "config", "--format", "json"]))
    found: dict[str, Service] = whole["services"]
    for service in found.values():
        for secret in service.get("secrets", ()):
            secret["file"] = whole["secrets"][secret["source"]]["file"]
    return found


def main(words: list[str]) -> int:
    """The exit code."""
    place = Path(os.environ["RIM_TEST_COMPOSE"])
    project = Project(place, services(Path.cwd()))
    assert words[0] == "compose", words
    verb, *rest = words[1:]
    if verb == "up":
        assert rest[0] == "-d", rest
        project.up([word for word in rest[1:] if word != "--wait"] or project.usual())
        return 0
    flags = {"exec": ["-T"], "run": ["--rm", "-T"]}[verb]
    assert rest[: len(flags)] == flags, rest
    rest = rest[len(flags) :]
    more: dict[str, str] = {}
    while rest[0] == "-v":
        source, target, mode = rest[1].split(":")
        more[target], rest = f"{source}:{mode}", rest[2:]
    name, *inner = rest
    container = project.container(name, more)
    done = container.run(*(inner if verb == "exec" else [*container.entry, *inner]))
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


class Project:
    """The services of one file, and what of them runs."""

    def __init__(self, place: Path, found: dict[str, Service]) -> None:
        self.place, self.services = place, found
        self.store = Store(place / "store")

    def usual(self) -> list[str]:
        """What `up` starts by itself: all that no profile holds back."""
        return [name for name, service in self.services.items() if not service.get("profiles")]

    def up(self, names: Iterable[str]) -> None:
        """Start these, after those that they depend on; on return all are healthy."""
        for name in names:
            self.up(self.services[name].get("depends_on", ()))
            pid = self.place / f"{name}.pid"
            if not pid.exists():
                pid.write_text(str(self._haproxy() if name == "haproxy" else self._start(name)))

    def container(self, name: str, more: dict[str, str] | None = None) -> Container:
        """The service's container, with its volumes and secrets, and these mounts."""
        service = self.services[name]
        mounts = {secret["target"]: f"{secret['file']}:ro" for secret in service.get("secrets", ())}
        for volume in service["volumes"]:
            assert (volume["type"], volume["target"]) == ("volume", STATE)
            mounts[STATE] = str(self._volume(volume["source"]))
        image = f"localhost/{service['image']}"
        return Container(
            self.store, image, name, service["environment"], service["command"], {**mounts, **(more or {})}
        )

    def _start(self, name: str) -> int:
        container = self.container(name)
        assert self.services[name]["healthcheck"]["test"] == container.check
        container.start().ready()
        return container.pid

    def _volume(self, name: str) -> Path:
        """Owned as an engine makes a new one: as the image's folder below it."""
        path = self.place / name
        if not path.exists():
            path.mkdir(mode=0o700)
            os.chown(path, USER, USER)
        return path

    def _haproxy(self) -> int:
        """HAProxy of this machine, with the service's environment, command and health check."""
        service = self.services["haproxy"]
        here = {secret["target"]: secret["file"] for secret in service["secrets"]}
        here |= {volume["target"]: volume["source"] for volume in service["volumes"]}
        given = {name: here.get(value, value) for name, value in service["environment"].items()}
        command = [here.get(word, word) for word in service["command"]]
        with (self.place / "haproxy.log").open("wb") as log:
            process = subprocess.Popen(
                [needed("haproxy"), *command[1:]],
                env={**os.environ, **given},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        kind, *check = service["healthcheck"]["test"]
        assert kind == "CMD"
        until("haproxy is healthy", lambda: subprocess.run(check, capture_output=True).returncode == 0)
        return process.pid


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
