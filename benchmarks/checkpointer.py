"""What conversation state costs: our saver on plain Redis against those that LangGraph users have to choose from.

    python -m benchmarks.checkpointer            about a quarter of an hour on two cores
    python -m benchmarks.checkpointer --quick    about a minute: 10 and 50 turns, 8 conversations at once, nothing kept

All run the same chat (checkpointer_chat.py), each in a process of its own with an empty store of its own: one
conversation of 10, 50 and 200 turns and 64 of them at once, with each durability LangGraph knows. Warm turns are the
last ones of a saver that has had the whole conversation; cold turns, gets and lists are those of a saver that has never
seen it but is connected. Figures are medians of up to seven turns and the least of fifteen reads, and of one
conversation at a time the least of five rounds, in which the Redis savers take turns: other work on the machine only
ever adds. CPU is the time processors spent, in the client's process and in the server's. Round trips and bytes are
counted on the wire, in turns that are not timed. 64 conversations go on as long as --memory-gb holds them all, with the
figures of their last turns; 512 at once are for ours alone.

The peers' packages are installed for this benchmark alone: see checkpointer_peers.txt. One that is missing is named
"not run". Exit code 1 when a bar of checkpointer_bars.py is missed or ours failed.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

from langgraph.types import Durability

from benchmarks.checkpointer_bars import AT_ONCE, DURABILITIES, LENGTHS, MANY, Bar, bars, key
from benchmarks.checkpointer_measures import Job, run_job
from benchmarks.checkpointer_peers import HOW_TO_INSTALL
from benchmarks.checkpointer_report import report
from benchmarks.checkpointer_savers import KINDS, OURS, REDIS_PEERS
from benchmarks.machine import describe_machine

_RESULTS = Path(__file__).resolve().parent / "results"
_MANY_TURNS = 7
Results = dict[str, dict[str, Any]]


class Run:
    """All jobs, one after the other; `results` by saver and case."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._lengths, self._at_once = tuple(args.turns), args.at_once
        self._memory_gb, self._durabilities, self._rounds = args.memory_gb, args.durability, args.rounds
        self.savers = list(args.only or KINDS)
        self.results: Results = {}
        self.not_run: dict[str, str] = {}

    def all(self) -> None:
        """Run them."""
        for round_ in range(self._rounds):
            for name in self.savers:
                for job in self._again(name) if round_ else self._jobs(name):
                    if name not in self.not_run:
                        self._take(job, _in_new_process(job))

    def _again(self, name: str) -> Iterator[Job]:
        if name in {kind.name for kind in (OURS, *REDIS_PEERS)}:
            yield Job(name, self._durabilities[0], 1, self._lengths)

    def _jobs(self, name: str) -> Iterator[Job]:
        for durability in self._durabilities:
            yield Job(name, durability, 1, self._lengths)
        if self._at_once > 1:
            for durability in self._durabilities:
                fitting = tuple(turns for turns in self._lengths if self._fits(name, durability, turns))
                # How a crowd fares with the other durabilities shows at the shortest length.
                yield Job(name, durability, self._at_once, fitting if durability == DURABILITIES[0] else fitting[:1])
            if name == OURS.name and self._at_once == AT_ONCE:
                yield Job(name, cast(Durability, DURABILITIES[0]), MANY, (_MANY_TURNS,))

    def _fits(self, name: str, durability: str, turns: int) -> bool:
        rows = self.results.get(name, {}).get(key(durability, 1), {}).get("rows", {})
        return turns in rows and rows[turns]["kb"] * self._at_once <= self._memory_gb * 1e6

    def _take(self, job: Job, outcome: dict[str, Any]) -> None:
        if why := outcome.get("not_run"):
            self.not_run[job.saver] = f"{why}; {HOW_TO_INSTALL}"
            print(f"{job.saver}: not run: {self.not_run[job.saver]}", flush=True)
            return
        cases = self.results.setdefault(job.saver, {})
        _keep_least(outcome, cases.get(key(job.durability, job.at_once), {}).get("rows", {}))
        cases[key(job.durability, job.at_once)] = outcome
        failed = f"; failed {len(outcome['failed'])}: {outcome['failed'][0]}" if outcome["failed"] else ""
        print(f"{job.saver}, {key(job.durability, job.at_once)}, {job.lengths} turns{failed}", flush=True)


def _keep_least(outcome: dict[str, Any], before: dict[int, dict[str, float]]) -> None:
    for turns, row in outcome["rows"].items():
        for figure, value in before.get(turns, {}).items():
            row[figure] = min(row[figure], value)


def _in_new_process(job: Job) -> dict[str, Any]:
    # A fresh interpreter: what one saver leaves on the heap would slow the next one down.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(run_job, job).result()
        except BrokenProcessPool as exc:
            return {"store": "", "rows": {}, "failed": [repr(exc)]}


def claims(run: Run, lengths: Sequence[int], at_once: int) -> list[Bar]:
    """The bars, and one for each of our cases that nothing failed in it."""
    rows = {name: {case: one["rows"] for case, one in cases.items()} for name, cases in run.results.items()}
    found = list(bars(rows, tuple(lengths), at_once))
    for case, outcome in run.results.get(OURS.name, {}).items():
        found.append(Bar(f"failures, {case}", len(outcome["failed"]), 0))
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Cost of conversation state: our saver against its peers.")
    parser.add_argument("--quick", action="store_true", help="a short look; the bars are for the full run")
    parser.add_argument("--only", action="append", choices=list(KINDS), help="run this saver (may be repeated)")
    parser.add_argument("--durability", action="append", choices=DURABILITIES, help="run this mode (may be repeated)")
    parser.add_argument("--turns", type=int, nargs="+", help=f"lengths, at least 20 apart; {LENGTHS}")
    parser.add_argument("--at-once", type=int, help=f"conversations at once, 1 for one alone; {AT_ONCE}")
    parser.add_argument("--rounds", type=int, default=5, help="of one conversation at a time, to keep the least of")
    parser.add_argument("--memory-gb", type=float, default=2.0, help="what many conversations may take up in a server")
    parser.add_argument("--out", type=Path, help="the file of results; the table is beside it")
    args = parser.parse_args()
    args.turns = args.turns or (LENGTHS[:2] if args.quick else LENGTHS)
    args.at_once = args.at_once or (8 if args.quick else AT_ONCE)
    args.durability = args.durability or (DURABILITIES[:1] if args.quick else DURABILITIES)
    if args.turns[0] < 10 or any(later - earlier < 20 for earlier, later in pairwise(args.turns)):
        parser.error("--turns: the first 10 or more, each at least 20 more than the one before")
    return args


def main() -> int:
    """Run it all, print it, keep it."""
    args = _arguments()
    machine = describe_machine()
    print(f"{machine['processor']}, {machine['cores']} cores, load {machine['load_before']}", flush=True)
    run = Run(args)
    run.all()
    found = claims(run, args.turns, args.at_once)
    kept = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "versions": {name: KINDS[name].version() for name in run.results},
        "not_run": run.not_run,
        "bars": [bar.kept() for bar in found],
        "savers": run.results,
    }
    table = report(kept, [bar.line() for bar in found])
    print(f"\n{table}")
    is_whole = tuple(args.turns) == LENGTHS and args.at_once == AT_ONCE and not args.only
    out = args.out or (_RESULTS / "checkpointer.json" if is_whole else None)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(kept, indent=2) + "\n")
        out.with_suffix(".md").write_text(table)
    if not is_whole:
        print("A part of the benchmark: its bars are for the whole one, and decide nothing here.")
        return 1 if any(case["failed"] for case in run.results.get(OURS.name, {}).values()) else 0
    return 0 if all(bar.is_reached for bar in found) else 1


if __name__ == "__main__":
    sys.exit(main())
