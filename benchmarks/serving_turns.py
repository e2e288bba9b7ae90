"""Cases of the serving benchmark whose answers come whole: CPU of a turn, turns a second, a slow model, a crowd."""

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from statistics import median

from benchmarks.processes import ROOT
from benchmarks.serving_breakdown import by_part
from benchmarks.serving_load import Load, ask_all_at_once, crowd, keep_asking
from benchmarks.serving_measures import Figure, Spending, failed, good
from benchmarks.serving_stage import ServingStage
from benchmarks.stage import Target
from benchmarks.visitors import Turn, client, hold_conversations, percentile

_AT_ONCE, _ROUNDS, _PAIR_TURNS = 32, 12, 600
_SLOW_MS = 2000
Questions = Sequence[str]


async def ask_readily(target: Target, questions: Questions, count: int) -> list[Turn]:
    """*count* first turns, `_AT_ONCE` at a time."""
    return await hold_conversations(target.url, list(questions), at_once=_AT_ONCE, conversations=count, turns=1)


async def first_turns(stage: ServingStage) -> list[Figure]:
    """CPU of a turn in one process at 32 at once, whose it is, and how often that of the floor and the bare graph.

    They take turns, and the least of each counts, or the median of the ratios of each round: what else goes on where
    processors are shared only ever adds, and here it was up to two thirds.
    """
    single, floor = stage.single(), stage.floor()
    questions = await stage.questions(single)
    for target in (floor, single):
        await ask_readily(target, questions, 64)
    measured = Rounds()
    async with graphs(stage.model_url) as measure_graphs:
        for _ in range(_ROUNDS):
            await measured.ask(stage, floor, questions, 300)
            await measured.ask(stage, single, questions, 100)
            for kind, cpu_ms in (await measure_graphs()).items():
                measured.cpu_ms[kind].append(cpu_ms)
    stage.begin_sampling()
    await ask_readily(single, questions, 600)
    parts = by_part(stage.end_sampling())
    least = {name: round(min(each), 2) for name, each in measured.cpu_ms.items()}
    turn_ms = least[single.name]
    return [
        Figure("one process, 32 at once: CPU", turn_ms, "ms a turn", 14),
        Figure("    median of the rounds", round(median(measured.cpu_ms[single.name]), 2), "ms a turn"),
        *(Figure(f"    {part}", round(share * turn_ms, 2), "ms a turn") for part, share in parts.items()),
        Figure("its Valkey: CPU", least["store"], "ms a turn"),
        Figure("turns", round(max(measured.turns_a_second), 1), "a second"),
        Figure("floor: CPU", least[floor.name], "ms a turn"),
        Figure("    of the floor's", round(turn_ms / least[floor.name], 1), "times"),
        Figure("bare graph, ChatOpenAI, saver in memory: CPU", least["bare"], "ms a turn"),
        Figure("    of the bare graph's", measured.times(single.name, "bare"), "times", 2.2),
        Figure("our graph and model client, saver in memory: CPU", least["ours"], "ms a turn"),
        Figure("    with its embedding call", least["ours_embedding"], "ms a turn"),
        Figure("    of our graph's with that", measured.times(single.name, "ours_embedding"), "times"),
        failed("one process", measured.turns),
        *measured.health("one process"),
    ]


@dataclass
class Rounds:
    """What rounds of turns took, by whose: CPU milliseconds of a turn. `spendings` are those of the service."""

    cpu_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    turns_a_second: list[float] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    spendings: list[Spending] = field(default_factory=list)

    def times(self, one: str, other: str) -> float:
        """How often the other's CPU goes into the one's of the same round; the median."""
        return round(median(mine / its for mine, its in zip(self.cpu_ms[one], self.cpu_ms[other], strict=True)), 2)

    async def ask(self, stage: ServingStage, target: Target, questions: Questions, count: int) -> None:
        """A round of first turns."""
        is_floor = target is stage.floor()
        async with Spending(target, others=stage.others_pids(), probes=not is_floor) as spent:
            turns = await ask_readily(target, questions, count)
        self.cpu_ms[target.name].append(spent.cpu_s / count * 1000)
        if not is_floor:
            self.cpu_ms["store"].append(spent.store_cpu_s / count * 1000)
            self.turns_a_second.append(count / spent.seconds)
            self.turns += turns
            self.spendings.append(spent)

    def health(self, name: str) -> list[Figure]:
        """How /health did over all rounds: one of them has but forty samples."""
        idle_cores = median(spent.idle_cores for spent in self.spendings)
        health_ms = [ms for spent in self.spendings for ms in spent.health_ms]
        return replace(self.spendings[0], idle_cores=idle_cores, health_ms=health_ms).health(name)


@asynccontextmanager
async def graphs(model_url: str) -> AsyncIterator[Callable[[], Awaitable[dict[str, float]]]]:
    """A process that runs graphs alone; called, it measures a round of each."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.serving_graph", model_url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    asks, says = program.stdin, program.stdout

    async def measure() -> dict[str, float]:
        asks.write(b"\n")
        figures: dict[str, float] = json.loads(await says.readline())
        return figures

    try:
        yield measure
    finally:
        asks.close()
        await program.wait()


async def follow_ups(stage: ServingStage) -> list[Figure]:
    """CPU of the turns of conversations of five: all but the first ask the model twice."""
    single = stage.single()
    questions = await stage.questions(single)
    async with Spending(single, others=stage.others_pids()) as spent:
        turns = await hold_conversations(single.url, questions, at_once=_AT_ONCE, conversations=96, turns=5)
    return [
        Figure("conversations of 5 turns: CPU", round(spent.cpu_s / len(turns) * 1000, 2), "ms a turn"),
        failed("conversations of 5 turns", turns),
    ]


async def two_workers(stage: ServingStage) -> list[Figure]:
    """Turns a second over two workers and shared stores: the best of a few rounds, as in `first_turns`."""
    pair = stage.pair()
    questions = await stage.questions(pair)
    await ask_readily(pair, questions, 200)
    rounds = [await _pair_round(stage, pair, questions) for _ in range(5)]
    spent, own_s, _ = min(rounds, key=lambda each: each[0].seconds)
    turns = [turn for _, _, asked in rounds for turn in asked]
    usual_s = median(each.seconds for each, _, _ in rounds)
    beside_s = {"Redis": spent.store_cpu_s, **spent.others_cpu_s, "client": own_s}
    return [
        Figure("two workers: turns", round(_PAIR_TURNS / spent.seconds, 1), "a second", 130, "at least"),
        Figure("    median of the rounds", round(_PAIR_TURNS / usual_s, 1), "a second"),
        Figure("    CPU", round(spent.cpu_s / _PAIR_TURNS * 1000, 2), "ms a turn", 14),
        *(Figure(f"    {name}: CPU", round(s / _PAIR_TURNS * 1000, 2), "ms a turn") for name, s in beside_s.items()),
        Figure("    p95", percentile([turn.ms for turn in good(turns)], 95), "ms"),
        failed("two workers", turns),
        *spent.health("two workers"),
    ]


async def _pair_round(stage: ServingStage, pair: Target, questions: Questions) -> tuple[Spending, float, list[Turn]]:
    """What `_PAIR_TURNS` turns took of the service, and of this process in CPU seconds; and the turns."""
    async with Spending(pair, others=stage.others_pids()) as spent:
        own_s = time.process_time()
        turns = await ask_readily(pair, questions, _PAIR_TURNS)
        own_s = time.process_time() - own_s
    return spent, own_s, turns


def slow_model(at_once: int, bar_ms: float) -> Callable[[ServingStage], Awaitable[list[Figure]]]:
    """The case of *at_once* turns always in flight on a model that takes 2 s."""

    async def case(stage: ServingStage) -> list[Figure]:
        pair, load = stage.pair(), Load(at_once, seconds=8, spread_s=_SLOW_MS / 1000)
        questions = await stage.questions(pair)
        stage.model(first_token_ms=_SLOW_MS)
        bare_ms = await bare_calls(stage.model_url, 5)
        figures = []
        for target in (stage.floor(), pair):
            name, is_floor = f"{at_once} in flight, {target.name}", target is not pair
            await keep_asking(target.url, questions, replace(load, seconds=0.5, spread_s=0.1))
            async with Spending(target, others=stage.others_pids()) as spent:
                turns = await keep_asking(target.url, questions, load)
            times = [turn.ms - median(bare_ms) for turn in good(turns)]
            figures += [
                Figure(f"{name}: added p50", percentile(times, 50), "ms"),
                Figure(f"{name}: added p95", percentile(times, 95), "ms", None if is_floor else bar_ms),
                Figure(f"{name}: CPU", round(spent.cpu_s / len(turns) * 1000, 2), "ms a turn"),
                failed(name, turns),
                *([] if is_floor else spent.health(name)),
            ]
        return figures

    return case


async def thousand_at_once(stage: ServingStage) -> list[Figure]:
    """A thousand first turns begun in the same moment, on a model that takes 2 s."""
    pair = stage.pair()
    questions = await stage.questions(pair)
    stage.model(first_token_ms=_SLOW_MS)
    figures = []
    for target in (stage.floor(), pair):
        bar = 100.0 if target is pair else None
        async with Spending(target, others=stage.others_pids()) as spent:
            turns = await ask_all_at_once(target.url, questions, 1000)
            seconds = max(turn.ms for turn in turns) / 1000
        name = f"1000 at once, {target.name}"
        figures += [
            Figure(f"{name}: turns", round(len(good(turns)) / seconds, 1), "a second", bar, "at least"),
            Figure(f"{name}: the last after", round(seconds, 2), "s"),
            failed(name, turns),
            *(spent.health(name) if target is pair else []),
        ]
    return figures


async def crowd_of_ten_thousand(stage: ServingStage) -> list[Figure]:
    """Ten thousand conversations with a turn every 90 s each, for five minutes, on a model that takes 1 s a call."""
    pair = stage.pair()
    questions = await stage.questions(pair)
    stage.model(first_token_ms=1000)
    bare_ms = median(await bare_calls(stage.model_url, 5))
    async with Spending(pair, others=stage.others_pids()) as spent:
        numbered = await crowd(pair.url, questions, conversations=10_000, every_s=90, seconds=300)
    turns = [turn for _, turn in numbered]
    # A follow-up asks the model twice: it makes the question stand alone first.
    added = [turn.ms - bare_ms * (1 if number == 1 else 2) for number, turn in numbered if not turn.problem]
    return [
        Figure("10,000 conversations: turns", round(len(turns) / spent.seconds, 1), "a second"),
        Figure("    added p50", percentile(added, 50), "ms"),
        Figure("    added p95", percentile(added, 95), "ms"),
        Figure("    CPU", round(spent.cpu_s / len(turns) * 1000, 2), "ms a turn"),
        Figure("    CPU", round(spent.cpu_s / spent.seconds, 2), "cores"),
        Figure("    Redis: CPU", round(spent.store_cpu_s / len(turns) * 1000, 2), "ms a turn"),
        Figure("    memory of the workers", round(spent.resident_mb), "MB"),
        failed("10,000 conversations", turns),
        *spent.health("10,000 conversations"),
    ]


async def bare_calls(model_url: str, count: int) -> list[float]:
    """Milliseconds of model calls begun together, after one that pays for the connections."""
    body = {"model": "fake", "messages": [{"role": "user", "content": "Hello"}]}

    async def call() -> float:
        began = time.perf_counter()
        async with http.post(f"{model_url}/chat/completions", json=body) as reply:
            await reply.read()
        return (time.perf_counter() - began) * 1000

    async with client() as http:
        await asyncio.gather(*(call() for _ in range(count)))
        return list(await asyncio.gather(*(call() for _ in range(count))))
