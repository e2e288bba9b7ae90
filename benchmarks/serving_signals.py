"""Case of the serving benchmark: reload, a worker's end and the service's end under load. No request may fail."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Sequence

import aiohttp

from benchmarks.machine import children_of
from benchmarks.serving_measures import Figure, failed, good
from benchmarks.serving_stage import WORKERS, ServingStage
from benchmarks.visitors import Turn, Visitor, client, percentile

_AT_ONCE, _MODEL_MS = 32, 500
_STEADY_TURNS, _LIMIT_S = 4, 60.0
_REFUSED = aiohttp.ClientConnectorError.__name__


async def signals(stage: ServingStage) -> list[Figure]:
    """SIGHUP, SIGTERM to a worker and SIGTERM to all, with 32 visitors asking all the time.

    A connection that is refused after the last signal is no failure: nothing listens any more, and the client knows it
    has to go elsewhere. All that was connected before must be answered.
    """
    pair = stage.pair()
    questions = await stage.questions(pair)
    stage.model(first_token_ms=_MODEL_MS)
    load = _Load(pair.url, questions)
    asking = asyncio.create_task(load.run())
    await load.flows()
    reloaded_s = await _renewed(pair.pid, lambda: os.kill(pair.pid, signal.SIGHUP), all_of_them=True)
    await load.flows()
    in_reload = load.taken()
    worker = children_of(pair.pid)[0]
    await _renewed(pair.pid, lambda: os.kill(worker, signal.SIGTERM), all_of_them=False)
    await load.flows()
    in_worker_end = load.taken()
    load.ends_when_refused = True
    os.kill(pair.pid, signal.SIGTERM)
    began_s = time.monotonic()
    await asyncio.wait_for(asking, _LIMIT_S)
    has_ended = await asyncio.to_thread(stage.has_ended, "pair", _LIMIT_S)
    in_end = [turn for turn in load.taken() if turn.problem != _REFUSED]
    return [
        failed("SIGHUP to gunicorn", in_reload),
        Figure("    until the old workers have ended", round(reloaded_s, 1), "s"),
        Figure("    p95", percentile([turn.ms for turn in good(in_reload)], 95), "ms"),
        failed("SIGTERM to a worker", in_worker_end),
        failed("SIGTERM to gunicorn", in_end),
        Figure("    still running after it", float(not has_ended), "processes", 0),
        Figure("    until it has ended", round(time.monotonic() - began_s, 1), "s"),
    ]


class _Load:
    """Visitors who ask until nobody listens any more."""

    def __init__(self, url: str, questions: Sequence[str]) -> None:
        self._url, self._questions, self._turns = url, questions, list[Turn]()
        self.ends_when_refused = False

    async def run(self) -> None:
        async with client() as http:
            await asyncio.gather(*(self._visit(http, number) for number in range(_AT_ONCE)))

    async def flows(self) -> None:
        """Wait until every visitor has had several answers: a worker that still starts has nothing to lose."""
        ended = len(self._turns)
        async with asyncio.timeout(_LIMIT_S):
            while len(self._turns) < ended + _STEADY_TURNS * _AT_ONCE:
                await asyncio.sleep(0.05)

    def taken(self) -> list[Turn]:
        """The turns that have ended since this was last asked."""
        turns, self._turns = self._turns, []
        return turns

    async def _visit(self, http: aiohttp.ClientSession, number: int) -> None:
        chance = random.Random(number)
        while True:
            turn = await Visitor(http, self._url).ask(chance.choice(self._questions))
            self._turns.append(turn)
            if turn.problem == _REFUSED and self.ends_when_refused:
                return
            if turn.problem:
                await asyncio.sleep(0.05)  # a broken service is asked on, but not in a busy loop


async def _renewed(master: int, act: Callable[[], None], *, all_of_them: bool) -> float:
    """Do *act* and wait until the workers, or one of them, were replaced; the seconds it took."""
    before, began_s = set(children_of(master)), time.monotonic()
    act()
    while time.monotonic() - began_s < _LIMIT_S:
        await asyncio.sleep(0.1)
        now = set(children_of(master))
        gone = before - now
        if len(now) == WORKERS and (gone == before if all_of_them else len(gone) == 1):
            return time.monotonic() - began_s
    raise RuntimeError(f"After {_LIMIT_S} s the workers are {now}, before {before}.")
