"""Half an hour of ordinary use over two workers: what memory they come to, and whether anything fails.

    python -m benchmarks.serving_soak [--minutes 30]

Four hundred conversations with a turn a minute each, ten readers of streams, and one who leaves each second answer in
the middle. Every turn's echo shows whether the model was sent the whole conversation. Memory is what belongs to the
workers alone and what Redis says it uses, every quarter of a minute. Exit code 1 if a turn failed, or if the workers
have more than a twentieth more in the last fifth of the time than after its first third.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from statistics import median

import aiohttp
import uvloop

from benchmarks.machine import describe_machine
from benchmarks.processes import ROOT
from benchmarks.serving_load import Load, crowd, keep_asking
from benchmarks.serving_measures import failures
from benchmarks.serving_stage import ServingStage, set_serving_stage
from benchmarks.serving_streams import private_mb
from benchmarks.stage import Target
from benchmarks.visitors import API_KEY, Turn, client

_CONVERSATIONS, _EVERY_S, _READERS, _LOOK_S = 400, 60.0, 10, 15.0
_MAX_GROWTH = 1.05


async def soak(stage: ServingStage, seconds: float) -> tuple[list[Turn], list[tuple[float, float, float]]]:
    """The turns; and the curve: seconds since the start, MB of the workers, MB of Redis."""
    pair = stage.pair()
    questions = await stage.questions(pair)
    stage.model(first_token_ms=300, gap_ms=20, tokens=60)
    curve: list[tuple[float, float, float]] = []
    beside = [
        asyncio.create_task(_watch(stage, pair, curve)),
        asyncio.create_task(_leave_early(pair, questions)),
    ]
    talks = crowd(pair.url, questions, conversations=_CONVERSATIONS, every_s=_EVERY_S, seconds=seconds)
    streams = keep_asking(pair.url, questions, Load(_READERS, seconds, spread_s=2, streamed=True))
    numbered, streamed = await asyncio.gather(talks, streams)
    for task in beside:
        task.cancel()
    await asyncio.wait(beside)
    return [turn for _, turn in numbered] + streamed, curve


async def _watch(stage: ServingStage, pair: Target, curve: list[tuple[float, float, float]]) -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while True:
        memory = await asyncio.to_thread(stage.redis.client.info, "memory")
        workers_mb = await asyncio.to_thread(private_mb, pair)
        curve.append((round(loop.time() - began_s), round(workers_mb, 1), round(memory["used_memory"] / 1e6, 1)))
        print(f"{curve[-1][0]:6.0f} s: workers {workers_mb:.0f} MB, Redis {curve[-1][2]:.0f} MB", flush=True)
        await asyncio.sleep(_LOOK_S)


async def _leave_early(pair: Target, questions: Sequence[str]) -> None:
    """Read the beginning of an answer a second, and go."""
    headers = {"X-API-Key": API_KEY, "Accept": "text/event-stream"}
    async with client() as http:
        for number in range(10**9):
            body = {"message": questions[number % len(questions)], "session_id": None}
            with suppress(aiohttp.ClientError):
                async with http.post(f"{pair.url}/v1/chat", json=body, headers=headers) as reply:
                    await reply.content.readany()
            await asyncio.sleep(1)


def growth(curve: Sequence[tuple[float, float, float]]) -> float:
    """How often the workers' memory of the middle fifth of the time goes into that of the last."""
    fifth = max(1, len(curve) // 5)
    middle, last = curve[len(curve) // 3 :][:fifth], curve[-fifth:]
    return median(mb for _, mb, _ in last) / median(mb for _, mb, _ in middle)


def main() -> int:
    """Soak, print, keep."""
    parser = argparse.ArgumentParser(description="Half an hour of ordinary use, with the memory it takes.")
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args().minutes
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the servers would outlive us
    machine = describe_machine()
    with set_serving_stage() as stage:
        turns, curve = uvloop.run(soak(stage, minutes * 60))
    failed, grown = failures(turns), growth(curve)
    kept = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "minutes": minutes,
        "turns": len(turns),
        "failed": dict(failed),
        "growth": round(grown, 3),
        "curve": curve,
    }
    if minutes >= 30:
        (ROOT / "benchmarks" / "results" / "serving_soak.json").write_text(json.dumps(kept) + "\n")
    print(f"{len(turns)} turns, failed {dict(failed) or 0}; workers' memory × {grown:.3f}, at most {_MAX_GROWTH}")
    return 1 if failed or grown > _MAX_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
