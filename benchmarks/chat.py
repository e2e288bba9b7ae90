"""What a chat turn costs beyond the model: the service against a bare floor, in one run on one machine.

    python -m benchmarks.chat            about two minutes, one of them for the vectors of the documents

Both call the same fake model over HTTP and keep history in the same Valkey. Four cases: first turns one at a time,
conversations of five turns one at a time, the same with 32 visitors at once, and 50 first turns at once on a model that
takes 2 s, while /health is asked fifty times a second. A first turn of the service costs one model call, a follow-up
two (it rewrites the question first); the floor always makes one. `added` is a turn's time less that of a bare model
call made one at a time.

A turn fails when it is not a 200 or when the model's echo shows that something of the conversation was lost. Exit code
1 when a turn failed, when the 50 take 5 s or more, or when the 95th percentile of /health is 10 ms or more.
"""

import argparse
import json
import sys
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from benchmarks.machine import cpu_s, describe_machine, resident_mb
from benchmarks.probe import Probe
from benchmarks.stage import Stage, Target, configure_model, set_stage
from benchmarks.visitors import NOT_ASKED, Turn, Visitor, client, hold_conversations, percentile

_ROOT = Path(__file__).resolve().parent.parent
_SLOW_MODEL_MS, _LONGEST_S, _HEALTH_P95_MS = 2000, 5.0, 10.0
_MIN_QUESTIONS = 10


@dataclass(frozen=True, slots=True)
class Case:
    """How many talk at once, and how long."""

    name: str
    at_once: int
    conversations: int
    turns: int
    model_ms: int = 0


CASES = (
    Case("first turns, one at a time", 1, 200, 1),
    Case("conversations of 5 turns, one at a time", 1, 40, 5),
    Case("conversations of 5 turns, 32 at once", 32, 96, 5),
    Case("first turns, 50 at once, model of 2 s", 50, 50, 1, _SLOW_MODEL_MS),
)


@dataclass(frozen=True, slots=True)
class Result:
    """One case on one target. `added_*` in milliseconds per turn, CPU of the target without Valkey's."""

    target: str
    turns: int
    failed: dict[str, int]
    refused: int  # answered "not in the documents" without a model call; not in the times
    seconds: float
    turns_per_s: float
    p50_ms: float
    p95_ms: float
    added_p50_ms: float
    added_p95_ms: float
    cpu_ms_per_turn: float
    valkey_cpu_ms_per_turn: float
    resident_mb: float
    health_p95_ms: float | None


async def measure(target: Target, case: Case, questions: list[str], *, bare_ms: list[float]) -> Result:
    """Run *case*; *bare_ms* are the times of model calls made without any service."""
    await _talk(target, Case("warm-up", case.at_once, case.at_once, 1), questions)
    pids, probe = target.processes(), Probe(f"{target.url}/health") if case.model_ms else None
    cpu_before, valkey_before, began = cpu_s(pids), cpu_s([target.valkey_pid]), time.perf_counter()
    async with probe or nullcontext():
        turns = await _talk(target, case, questions)
    seconds = time.perf_counter() - began
    spent, valkey = cpu_s(pids) - cpu_before, cpu_s([target.valkey_pid]) - valkey_before
    refused = sum(turn.problem == NOT_ASKED for turn in turns)
    ms = [turn.ms for turn in turns if turn.problem != NOT_ASKED]
    return Result(
        target=target.name,
        turns=len(turns),
        failed=dict(Counter(turn.problem for turn in turns if turn.problem not in ("", NOT_ASKED))),
        refused=refused,
        seconds=round(seconds, 2),
        turns_per_s=round(len(turns) / seconds, 1),
        p50_ms=percentile(ms, 50),
        p95_ms=percentile(ms, 95),
        added_p50_ms=round(percentile(ms, 50) - percentile(bare_ms, 50), 2),
        added_p95_ms=round(percentile(ms, 95) - percentile(bare_ms, 95), 2),
        cpu_ms_per_turn=round(spent * 1000 / len(turns), 2),
        valkey_cpu_ms_per_turn=round(valkey * 1000 / len(turns), 2),
        resident_mb=round(resident_mb(pids), 1),
        health_p95_ms=percentile(probe.samples_ms, 95) if probe else None,
    )


async def run(stage: Stage, questions: list[str]) -> dict[str, list[Result]]:
    """Every case on the floor and on the service, in turn."""
    answerable = await _answerable(stage.service, questions)
    results: dict[str, list[Result]] = {}
    for case in CASES:
        configure_model(stage.model_url, first_token_ms=case.model_ms)
        bare_ms = await _bare_calls(stage.model_url, 3 if case.model_ms else 200)
        results[case.name] = [
            await measure(target, case, answerable, bare_ms=bare_ms) for target in (stage.floor, stage.service)
        ]
        show(case.name, results[case.name])
    return results


def show(name: str, results: list[Result]) -> None:
    """Print one case: a line a target, and what the service costs for one of the floor."""
    floor, service = results
    print(f"\n{name}")
    for result in results:
        health = f", /health p95 {result.health_p95_ms} ms" if result.health_p95_ms is not None else ""
        print(
            f"  {result.target:8} {result.turns} turns in {result.seconds} s ({result.turns_per_s}/s), "
            f"failed {result.failed or 0}, refused {result.refused}; p50 {result.p50_ms} p95 {result.p95_ms} ms, "
            f"added {result.added_p50_ms} and {result.added_p95_ms}; "
            f"CPU {result.cpu_ms_per_turn} + {result.valkey_cpu_ms_per_turn} ms a turn; {result.resident_mb} MB{health}"
        )
    print(f"  ratio    {ratios(floor, service)}")


def ratios(floor: Result, service: Result) -> dict[str, float | None]:
    """The service's figures by the floor's; None where the floor's is too small to divide by."""
    names = ("added_p50_ms", "added_p95_ms", "cpu_ms_per_turn", "turns_per_s")
    pairs = {name: (getattr(service, name), getattr(floor, name)) for name in names}
    return {name: round(ours / theirs, 2) if theirs > 0.05 else None for name, (ours, theirs) in pairs.items()}


def broken_claims(results: dict[str, list[Result]]) -> list[str]:
    """What this benchmark says must hold and does not."""
    broken = [
        f"{name}: {one.target} failed {one.failed}" for name, both in results.items() for one in both if one.failed
    ]
    slow = results[CASES[-1].name][1]
    if slow.seconds >= _LONGEST_S:
        broken.append(f"50 chats on a 2 s model took {slow.seconds} s, not under {_LONGEST_S}")
    if slow.health_p95_ms is None or slow.health_p95_ms >= _HEALTH_P95_MS:
        broken.append(f"/health p95 was {slow.health_p95_ms} ms meanwhile, not under {_HEALTH_P95_MS}")
    return broken


async def _talk(target: Target, case: Case, questions: list[str]) -> list[Turn]:
    return await hold_conversations(
        target.url, questions, at_once=case.at_once, conversations=case.conversations, turns=case.turns
    )


async def _answerable(service: Target, questions: list[str]) -> list[str]:
    """The questions that reach the model: one the service refuses costs it nothing and would flatter it."""
    kept = []
    async with client() as http:
        for question in questions:
            if not (await Visitor(http, service.url).ask(question)).problem:
                kept.append(question)
    if len(kept) < _MIN_QUESTIONS:
        raise RuntimeError(f"Only {len(kept)} of {len(questions)} questions reached the model.")
    return kept


async def _bare_calls(model_url: str, count: int) -> list[float]:
    """Milliseconds of model calls one at a time, without the first, which pays for the connection."""
    body, times = {"model": "fake", "messages": [{"role": "user", "content": "Hello"}]}, list[float]()
    async with client() as http:
        for _ in range(count + 1):
            began = time.perf_counter()
            async with http.post(f"{model_url}/chat/completions", json=body) as reply:
                await reply.read()
            times.append((time.perf_counter() - began) * 1000)
    return times[1:]


def main() -> int:
    """Run it all, print it, keep it."""
    parser = argparse.ArgumentParser(description="Added latency and CPU of a chat turn, against a bare floor.")
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "results" / "chat.json")
    args = parser.parse_args()
    machine = describe_machine()
    print(f"{machine['processor']}, {machine['cores']} cores, load {machine['load_before']}", flush=True)
    questions = json.loads((_ROOT / "tests" / "samples" / "questions.json").read_text())["questions"]
    with set_stage(_ROOT / "samples") as stage:
        results = uvloop.run(run(stage, [item["question"] for item in questions if not item["cross_lingual"]]))
    kept = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "cases": {
            name: {"ratio": ratios(*both), **{one.target: asdict(one) for one in both}}
            for name, both in results.items()
        },
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(kept, indent=2) + "\n")
    broken = broken_claims(results)
    print("\n" + ("\n".join(f"MISSED: {claim}" for claim in broken) or "All claims hold."))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
