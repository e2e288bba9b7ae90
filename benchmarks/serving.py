"""What the service holds out: CPU of a turn, turns a second, slow models, streams, crowds, signals, against floors.

    python -m benchmarks.serving                          all but the long case, about six minutes
    python -m benchmarks.serving --only streams signals
    python -m benchmarks.serving --long                   also ten thousand conversations for five minutes

Everything asks the same fake model over HTTP, for chat and for embeddings; the load comes from this process alone, the
health checks from a third one. Rate limits are off. A turn fails when it is not a 200, when its stream breaks off, or
when the model's echo shows that something of the conversation was lost. `added` is a turn's time less that of a bare
call of the model. The service runs as one process with the stores that come along (`single`), or as two workers of
gunicorn on Debian's Redis and a fake Qdrant server (`pair`). Exit code 1 when a bar is missed.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from benchmarks.machine import describe_machine, python_loop_ms
from benchmarks.processes import ROOT
from benchmarks.serving_measures import Figure
from benchmarks.serving_signals import signals
from benchmarks.serving_stage import ServingStage, set_serving_stage
from benchmarks.serving_streams import open_streams, streams
from benchmarks.serving_turns import (
    crowd_of_ten_thousand,
    first_turns,
    follow_ups,
    slow_model,
    thousand_at_once,
    two_workers,
)

Case = Callable[[ServingStage], Awaitable[list[Figure]]]
CASES: dict[str, Case] = {
    "first-turns": first_turns,
    "follow-ups": follow_ups,
    "two-workers": two_workers,
    "slow-50": slow_model(50, bar_ms=60),
    "slow-200": slow_model(200, bar_ms=200),
    "thousand": thousand_at_once,
    "streams": streams,
    "open-streams": open_streams,
    "crowd": crowd_of_ten_thousand,
    "signals": signals,  # the last one, as it ends the two workers
}
LONG = ("crowd",)
_CASE_LIMIT_S = 600.0


async def run(stage: ServingStage, names: Sequence[str]) -> dict[str, list[Figure]]:
    """The figures of the cases; a case that breaks off has one figure, which fails."""
    results: dict[str, list[Figure]] = {}
    for name in names:
        loop_ms = python_loop_ms()
        try:
            async with asyncio.timeout(_CASE_LIMIT_S):
                results[name] = await CASES[name](stage)
        except (RuntimeError, TimeoutError, OSError) as exc:
            results[name] = [Figure(f"broke off: {type(exc).__name__}: {str(exc)[:300]}", 1, "case", 0)]
        for when, lasted_ms in (("before", loop_ms), ("after", python_loop_ms())):
            results[name].append(Figure(f"a loop in Python, {when} this", lasted_ms, "ms"))
        show(name, results[name])
    return results


def show(name: str, figures: Sequence[Figure]) -> None:
    """Print one case."""
    print(f"\n{name}", flush=True)
    for figure in figures:
        bar = "" if figure.bar is None else f"{figure.must_be} {figure.bar:g}: {'pass' if figure.holds else 'FAIL'}"
        print(f"  {figure.name:<58} {figure.value:>10g} {figure.unit:<12} {bar}", flush=True)


def parse(arguments: Sequence[str] | None = None) -> tuple[list[str], Path]:
    """The names of the cases to run, in their order, and where their figures go."""
    parser = argparse.ArgumentParser(description="What the service holds out, against floors in the same run.")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--long", action="store_true", help="also what takes more than a minute or two")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "serving.json")
    args = parser.parse_args(arguments)
    chosen = args.only or [name for name in CASES if args.long or name not in LONG]
    return [name for name in CASES if name in chosen], args.out


def keep(path: Path, machine: dict[str, object], results: dict[str, list[Figure]]) -> None:
    """Write the figures; those of cases that did not run now stay as they were, with their time and machine."""
    kept = json.loads(path.read_text()) if path.exists() else {"cases": {}}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for name, figures in results.items():
        lines = [{**asdict(figure), "name": figure.name.strip(), "holds": figure.holds} for figure in figures]
        kept["cases"][name] = {"measured_at": now, "load_before": machine["load_before"], "figures": lines}
    kept["machine"] = machine
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=2) + "\n")


def main() -> int:
    """Run what was asked for, print it, keep it."""
    names, path = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the servers would outlive us
    machine = describe_machine()
    print(f"{machine['processor']}, {machine['cores']} cores, load {machine['load_before']}", flush=True)
    with set_serving_stage() as stage:
        results = uvloop.run(run(stage, names))
    keep(path, machine, results)
    missed = [figure for figures in results.values() for figure in figures if not figure.holds]
    print("\n" + ("\n".join(f"MISSED: {figure.name.strip()}" for figure in missed) or "Every bar holds."))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
