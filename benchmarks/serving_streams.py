"""Cases of the serving benchmark whose answers are streamed: fifty streams at a time, and two thousand open ones."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import fetch
from benchmarks.serving_load import Load, ask_all_at_once, keep_asking
from benchmarks.serving_measures import Figure, Spending, failed, good
from benchmarks.serving_stage import ServingStage
from benchmarks.serving_turns import ask_readily
from benchmarks.stage import Target
from benchmarks.visitors import Turn, percentile

_TOKENS, _GAP_MS = 100, 20
_OPEN, _OPEN_TOKENS, _OPEN_GAP_MS = 2000, 60, 1000
_CONVERSATIONS = 10_000
_OPEN_LIMIT_S = 40.0
_WATCHED_S = 10.0
Questions = Sequence[str]


async def streams(stage: ServingStage) -> list[Figure]:
    """Fifty streams of a hundred tokens at a time: when the first token comes, and what a token costs."""
    pair = stage.pair()
    questions = await stage.questions(pair)
    stage.model(tokens=_TOKENS, gap_ms=_GAP_MS)
    load = Load(50, seconds=9, spread_s=_TOKENS * _GAP_MS / 1000, streamed=True)
    first_ms = percentile([turn.first_token_ms for turn in await _bare_streams(stage)], 50)
    figures = []
    for target in (stage.floor(), pair):
        is_floor, name = target is not pair, f"50 streams, {target.name}"
        await keep_asking(target.url, questions, Load(10, seconds=0.5, streamed=True))
        async with Spending(target, others=stage.others_pids()) as spent:
            turns = await keep_asking(target.url, questions, load)
        added = [turn.first_token_ms - first_ms for turn in good(turns)]
        us_a_token = spent.cpu_s * 1e6 / (len(turns) * _TOKENS)
        figures += [
            Figure(f"{name}: first token added p50", percentile(added, 50), "ms"),
            Figure(f"{name}: first token added p95", percentile(added, 95), "ms", None if is_floor else 100),
            Figure(f"{name}: CPU, the turn included", round(us_a_token, 1), "µs a token", None if is_floor else 300),
            failed(name, turns),
            *([] if is_floor else spent.health(name)),
        ]
    return figures


async def _bare_streams(stage: ServingStage) -> list[Turn]:
    """What a first token takes with nothing between: the floor, one stream at a time."""
    return await keep_asking(stage.floor().url, ["How much does a room cost?"], Load(1, seconds=5, streamed=True))


async def open_streams(stage: ServingStage) -> list[Figure]:
    """Ten thousand conversations in Redis and two thousand open streams: memory and CPU of the two workers."""
    pair = stage.pair()
    questions = await stage.questions(pair)
    filled = await ask_readily(pair, questions, max(0, _CONVERSATIONS - _conversations(stage)))
    await ask_all_at_once(pair.url, questions, 100, streamed=True)
    stage.model(tokens=_OPEN_TOKENS, gap_ms=_OPEN_GAP_MS)
    store_before, before = _store_mb(stage), private_mb(pair)
    opening = asyncio.create_task(_open_within(pair, questions, spread_s=_OPEN_LIMIT_S * 0.6))
    most = await _until_all_are_open(stage)
    async with Spending(pair, others=stage.others_pids()) as spent:
        await asyncio.sleep(_WATCHED_S)
    held_mb = private_mb(pair) - before
    turns = await opening
    tokens_a_s = most * 1000 / _OPEN_GAP_MS
    return [
        Figure("conversations in Redis", _conversations(stage), "", _CONVERSATIONS, "at least"),
        Figure("    memory of Redis", round(store_before, 1), "MB"),
        *([failed("filling", filled)] if filled else []),
        Figure("open streams at the same time", most, "streams", _OPEN, "at least"),
        Figure("    memory a stream", round(held_mb * 1000 / most, 1), "kB"),
        Figure("    memory of the workers", round(before + held_mb), "MB"),
        Figure("    CPU while they are open", round(spent.cpu_s / spent.seconds, 2), "cores"),
        Figure("    CPU", round(spent.cpu_s / spent.seconds / tokens_a_s * 1e6, 1), "µs a token"),
        failed("open streams", turns),
        *spent.health("open streams"),
    ]


async def _open_within(target: Target, questions: Questions, *, spread_s: float) -> list[Turn]:
    # Now and then the documents hold no answer to a question with a visitor's mark in it, and there is no stream.
    load = Load(_OPEN + _OPEN // 50, seconds=spread_s + 0.5, spread_s=spread_s, streamed=True)
    return await keep_asking(target.url, questions, load)


async def _until_all_are_open(stage: ServingStage) -> int:
    """Wait until the model streams as many answers as there are visitors; how many it is at last."""
    most, deadline = 0, asyncio.get_running_loop().time() + _OPEN_LIMIT_S
    while most < _OPEN and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.25)
        counted = await asyncio.to_thread(fetch, f"{stage.model_url.removesuffix('/v1')}/__counters")
        most = max(most, counted["under_way"])
    return most


def _conversations(stage: ServingStage) -> int:
    return sum(1 for _ in stage.redis.client.scan_iter("checkpoint:*", count=1000))


def _store_mb(stage: ServingStage) -> float:
    return float(stage.redis.client.info("memory")["used_memory"]) / 1e6


def private_mb(target: Target) -> float:
    """Memory that belongs to the target's processes alone, in MB of 10^6 bytes; shared pages count in part."""
    return sum(_pss_kb(pid) for pid in target.processes()) * 1024 / 1e6


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
