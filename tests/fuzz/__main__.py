"""`python -m tests.fuzz TARGET [options]`: run one target for as long as libFuzzer's options say.

    python -m tests.fuzz car -max_total_time=10
    python -m tests.fuzz unixfs -runs=10000000 -seed=7 -artifact_prefix=crashes/

The corpus of the repository goes in; what is found goes to a folder of its own (`--keep FOLDER` keeps it). The seed is
printed, and the same seed with the same code and corpus goes the same way.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import atheris

from tests.fuzz import corpus
from tests.fuzz.steps import bound, counting
from tests.fuzz.table import STEPS_EVERY, TARGETS, Module, Target
from tests.fuzz.taking import dice


def main(arguments: list[str]) -> None:
    if not arguments or arguments[0] not in TARGETS:
        raise SystemExit(f"{__doc__}\nTargets: {', '.join(TARGETS)}")
    target, options = TARGETS[arguments[0]], arguments[1:]
    kept = None
    if "--keep" in options:
        at = options.index("--keep")
        kept, options = Path(options[at + 1]), options[:at] + options[at + 2 :]
    if not any(option.startswith("-seed=") for option in options):
        options = [*options, f"-seed={secrets.randbelow(2**31 - 1) + 1}"]
    with atheris.instrument_imports(include=list(_rooms(target)), exclude=list(_others(target))):
        module = target.load()
    with _folders(kept) as (found, known):
        corpus.unpack(target.name, known)
        raise SystemExit(_in_child(lambda: run(target, module, [*options, str(found), str(known)])))


@contextmanager
def _folders(kept: Path | None) -> Iterator[tuple[Path, Path]]:
    """Where what is found goes, and where libFuzzer reads what is known."""
    with tempfile.TemporaryDirectory(prefix="rim-fuzz-") as folder:
        found = kept or Path(folder) / "found"
        found.mkdir(parents=True, exist_ok=True)
        yield found, Path(folder) / "known"


def _in_child(work: Callable[[], None]) -> int:
    """Do it in a child, since libFuzzer ends its process without a word to Python; the exit code."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child has it too, and says its last words
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _rooms(target: Target) -> set[str]:
    return {name.partition(".")[0] for name in target.instrumented}


def _others(target: Target) -> Iterator[str]:
    """Every module that is not this target's. atheris looks at the first name of `include` only, and an edge counted
    where nobody attacks costs as much as one that is."""
    top = Path(__file__).parents[2]
    for room in _rooms(target):
        for path in (top / room).rglob("*.py"):
            name = ".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__")
            if name not in target.instrumented:
                yield name


def run(target: Target, module: Module, options: list[str]) -> None:
    """Hand over to libFuzzer, which ends the process itself."""
    fixed = [f"-max_len={target.longest}", "-timeout=60", "-rss_limit_mb=512", "-print_final_stats=1"]
    command = [sys.argv[0], *fixed, *options]
    print(f"fuzz {target.name}: {' '.join(options)}", flush=True)

    def one(data: bytes) -> None:
        thorough = dice(data) % STEPS_EVERY == 0
        with counting() if thorough else nullcontext() as steps:
            module.check(data, thorough)
        if steps is not None:
            steps.check(bound(module, data))

    atheris.Setup(command, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
