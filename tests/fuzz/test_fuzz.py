"""Every target over its corpus, and for ten seconds under libFuzzer with a seed that is printed.

Not here: the targets and what they assert (tests/fuzz/targets), or the long runs (docs/reliability.md).
"""

from __future__ import annotations

import importlib.util
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import IN_CI
from tests.fuzz import corpus
from tests.fuzz.steps import bound, counting
from tests.fuzz.table import TARGETS

SECONDS = 10
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", TARGETS)
def test_corpus(name: str) -> None:
    """Each input holds every invariant, quickly and thoroughly, within its steps. In a process of its own: a target may
    lower limits of content/ for itself."""
    command = [sys.executable, "-m", "tests.fuzz.test_fuzz", name]  # -m: a package of the venv brings a `tests` too
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 10


@pytest.mark.parametrize("name", TARGETS)
def test_fuzz(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Ten seconds from the corpus on: nothing is found. The same seed goes the same way (python -m tests.fuzz)."""
    if importlib.util.find_spec("atheris") is None:
        said = "missing: atheris (pip install -e '.[dev]'; it has wheels for Linux on x86-64)"
        if IN_CI:
            pytest.fail(said, pytrace=False)
        pytest.skip(said)
    seed = secrets.randbelow(2**31 - 1) + 1
    options = [f"-seed={seed}", f"-max_total_time={SECONDS}", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, *options], cwd=ROOT, capture_output=True, text=True, errors="replace"
    )
    assert done.returncode == 0, f"python -m tests.fuzz {name} -seed={seed}\n{done.stdout}\n{done.stderr[-8000:]}"
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert runs is not None, done.stderr[-2000:]
    assert int(runs[1]) > 0
    with capfd.disabled():
        print(f"\nfuzz {name}: {int(runs[1]):,} executions in {SECONDS} s, -seed={seed}", end="")


def replay(name: str) -> int:
    """Run a corpus through its target, as libFuzzer would; how many inputs it has."""
    module, inputs = TARGETS[name].load(), corpus.read(name)
    for data in inputs:
        try:
            module.check(data, False)
            with counting() as steps:
                module.check(data, True)
            steps.check(bound(module, data))
        except Exception as error:
            error.add_note(f"input {data.hex()}")
            raise
    return len(inputs)


if __name__ == "__main__":
    print(replay(sys.argv[1]))
