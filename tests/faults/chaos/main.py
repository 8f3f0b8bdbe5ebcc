"""The command line of the chaos run.

Here live its arguments and what it prints. Exit code: 0; 1 where an invariant was violated; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence

from tests.faults.chaos.audit import HEALED
from tests.faults.chaos.run import Result, play
from tests.faults.chaos.schedule import KINDS, make

SECONDS = 12.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the seeds that were asked for."""
    asked = _read(arguments)
    seeds = range(asked.seed, asked.seed + asked.runs)
    kinds = tuple(asked.kinds.split(",")) if asked.kinds else tuple(KINDS)
    if asked.plan:
        for seed in seeds:
            print("\n".join(make(seed, asked.seconds, kinds).lines()))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing may be left behind
    results: list[Result] = []
    try:
        for seed in seeds:
            print(f"seed {seed}, {asked.seconds:g} s", flush=True)
            plan = make(seed, asked.seconds, kinds)
            listener = print if asked.verbose else lambda line: None
            results.append(asyncio.run(play(plan, listener=listener, patience=asked.patience)))
            _print(results[-1])
    except KeyboardInterrupt:
        return 130
    if len(results) > 1:
        _total(results)
    return 1 if any(result.violations for result in results) else 0


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.faults.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of faults; starting and the quiet come on top")
    parser.add_argument("--runs", type=int, default=1, help="so many seeds, counted up from the first")
    parser.add_argument("--patience", type=float, default=HEALED, help="s in which the ring must be whole again")
    parser.add_argument("--kinds", default="", help=f"only these kinds of fault: {', '.join(KINDS)}")
    parser.add_argument("--verbose", action="store_true", help="tell what happens while it does")
    parser.add_argument("--plan", action="store_true", help="print the plan and do nothing")
    return parser.parse_args(arguments)


def _print(result: Result) -> None:
    print(f"  {line(result)}", flush=True)
    if result.violations:
        print("\n".join(["  --- history", *(f"  {line}" for line in result.told)]))
        print("\n".join(["  --- violations", *(f"  {text}" for text in result.violations)]), flush=True)


def line(result: Result) -> str:
    told = {
        "verified": result.counts["verified"], "violations": len(result.violations),
        "kills": dict(result.kills), "acknowledged": result.acknowledged, "unknown": result.unknown,
        "kinds": len([kind for kind in result.faults if kind in KINDS]), "faults": dict(result.faults),
        "answers": dict(result.errors), "unanswered": dict(result.lost),
        "healed_s": round(result.healed, 1), "took_s": round(result.seconds, 1),
    }  # fmt: skip
    return json.dumps(told)


def _total(results: list[Result]) -> None:
    whole = Result(results[0].plan)
    for result in results:
        whole.violations += result.violations
        for mine, its in (
            (whole.counts, result.counts), (whole.kills, result.kills), (whole.faults, result.faults),
            (whole.errors, result.errors), (whole.lost, result.lost),
        ):  # fmt: skip
            mine.update(its)
        whole.acknowledged += result.acknowledged
        whole.unknown += result.unknown
        whole.healed = max(whole.healed, result.healed)
        whole.seconds += result.seconds
    failed = [result.plan.seed for result in results if result.violations]
    print(f"{len(results)} seeds; with violations: {failed or 'none'}\n  {line(whole)}")
    rows = Counter({kind: whole.faults[kind] for kind in KINDS})
    print("  " + ", ".join(f"{kind} {count}" for kind, count in rows.most_common()))
    sys.stdout.flush()
