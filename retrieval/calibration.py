"""How near a question comes to documents that do not answer it: estimated for each tenant from its own documents.

A sentence of a passage is asked as if it were a question. The nearest passage of any other document is about as near as
passages come to a question whose own document is not there: where documents have nothing to do with each other the
median over sentences was .782, .811, .804, .839, that over real questions about absent articles .783, .808, .803, .836
(xquad_en, xquad_es, squad_en, idk_id). Documents of one institution have much to do with each other, and the median is
.03 to .05 too high. So the level is the 10th percentile, which moves half as much, and the step is taken from how much
nearer a sentence is to its own passage. `benchmarks/absent.py` measures what comes of it.
"""

import asyncio
import logging
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np

from auth.principal import Principal
from retrieval.answerability import Calibration
from retrieval.index import PassageIndex
from utils.errors import ProblemError
from utils.loops import describe_failure, repeat
from utils.passages import Passage
from utils.ports import Embedder

logger = logging.getLogger(__name__)

SENTENCES = 60  # asked for one estimate, some 2 s of CPU with the embedding model that comes with the service
FEWEST = 20  # in a language, below which the language has no level
MIN_DOCUMENTS = 8
_NEAR = 50  # passages that are looked at for one of another document
_LEVEL = 0.1  # of the sentences are farther from every other document
_STEPS = 2.5  # from the level to a sentence's own passage
_CHANGED = 0.25  # of the passages, after which it is estimated again
_LOOK_EVERY_S = 600.0
_HOLD_S = 120.0  # for so long others leave an estimate to the process that makes it: then it may have ended
FOLLOW_S = 5.0  # for so long processes may differ in what they go by
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|\n+")
_SHORTEST, _LONGEST = 30, 400  # characters


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a tenant's documents gave while so many *passages* had vectors; None where the documents were too few."""

    calibration: Calibration | None
    passages: int
    made_at: datetime


class Estimates(Protocol):
    """The newest estimate of each tenant for one index and its model: the one that all processes go by.

    Every method raises `StoreUnavailable` where they are away.
    """

    async def list_made_since(self, moment: datetime | None) -> Mapping[str, Estimate]:
        """The estimates made after *moment*, by tenant id, maybe with older ones among them; all of them for None."""

    async def claim(self, ctx: Principal, last: Estimate | None, *, hold_s: float) -> bool:
        """Whether this process is to make the one that comes after *last*, as no other is then for *hold_s* seconds.

        Not where another process is to, nor where there is a newer one than *last*.
        """

    async def keep(self, ctx: Principal, calibration: Calibration | None, passages: int) -> Estimate:
        """Let all processes go by this one."""


class Calibrations:
    """The calibration of each tenant for one index and its embedding model, estimated in the background.

    One process estimates and the others take over what *estimates* keeps. Here, too, there is one of every tenant, some
    1 kB: where SQL is away, a question goes by the last that was seen.
    """

    def __init__(
        self,
        index: PassageIndex,
        embedder: Embedder,
        estimates: Estimates,
        *,
        follow_s: float = FOLLOW_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index, self._embedder, self._estimates = index, embedder, estimates
        self._follow_s, self._clock = follow_s, clock
        self._latest: dict[str, Estimate] = {}
        self._look_at_s: dict[str, float] = {}  # by tenant, when to see whether an estimate is due
        self._renewing: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._logged = ""

    def get(self, ctx: Principal) -> Calibration | None:
        """What is known by now, None before the first estimate and for too few documents; sees to it that it is new.

        Returns at once; an estimate that is due runs in the background.
        """
        is_due = self._clock() >= self._look_at_s.get(ctx.tenant_id, float("-inf"))
        if is_due and (self._renewing is None or self._renewing.done()):
            # One at a time: it shares the embedding model with people who ask.
            self._renewing = asyncio.create_task(self._renew(ctx))
        last = self._latest.get(ctx.tenant_id)
        return last.calibration if last else None

    async def follow(self) -> None:
        """Take over all there are, and until `aclose`, every *follow_s* seconds, those that others made since."""
        await self.look()
        follow_s = self._follow_s
        looking = repeat("Reading calibrations", self.look, get_poll_s=lambda: follow_s, delay_s=follow_s)
        self._following = asyncio.create_task(looking)

    async def look(self) -> None:
        """Take over what other processes have made since; where that cannot be seen, what is known stays."""
        newest = max((each.made_at for each in self._latest.values()), default=None)
        try:
            result = await self._estimates.list_made_since(newest)
        except Exception as exc:  # whatever broke, newer ones must go on being seen
            reason = describe_failure(exc)
            if reason != self._logged:
                logger.warning("Cannot read the calibrations of other processes: %s", reason)
            self._logged = reason
            return
        self._logged = ""
        for tenant_id, each in result.items():
            last = self._latest.get(tenant_id)
            if last is None or each.made_at > last.made_at:
                self._latest[tenant_id] = each

    async def settle(self) -> None:
        """Wait for the estimate under way."""
        if self._renewing is not None:
            await self._renewing

    async def aclose(self) -> None:
        """Give up what is under way."""
        tasks = [task for task in (self._renewing, self._following) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self, ctx: Principal) -> None:
        pause_s = _HOLD_S
        try:
            if await self._is_new(ctx):
                pause_s = _LOOK_EVERY_S
        except ProblemError as exc:
            logger.warning("The calibration of refusals failed.", exc_info=exc)
        finally:
            self._look_at_s[ctx.tenant_id] = self._clock() + pause_s

    async def _is_new(self, ctx: Principal) -> bool:
        """Whether what is known is new enough, which it is after an estimate; not while that is another process's."""
        last = self._latest.get(ctx.tenant_id)
        counts = await self._index.counts(ctx)
        ready = counts.passages - counts.pending
        if last is not None and abs(ready - last.passages) <= _CHANGED * last.passages:
            return True
        if not await self._estimates.claim(ctx, last, hold_s=_HOLD_S):
            return False
        estimate_made = await estimate(ctx, self._index, self._embedder)
        self._latest[ctx.tenant_id] = await self._estimates.keep(ctx, estimate_made, ready)
        return True


async def estimate(ctx: Principal, index: PassageIndex, embedder: Embedder) -> Calibration | None:
    """The calibration that the tenant's documents give with *embedder*; None where they are too few."""
    samples = await _draw_sentences(ctx, index)
    if len(samples) < FEWEST or len({passage.document_id for passage, _ in samples}) < MIN_DOCUMENTS:
        return None
    same: dict[str, list[float]] = {}
    foreign: dict[str, list[float]] = {}
    own: list[tuple[str, float]] = []
    for passage, sentence in samples:
        vector = await embedder.embed_query(sentence)
        nearest: dict[str, float] = {}
        for hit in await index.search(ctx, "", vector, limit=_NEAR):
            if hit.dense is None:
                continue
            if hit.passage.passage_id == passage.passage_id:
                own.append((passage.language, hit.dense))
            elif hit.passage.document_id != passage.document_id:
                nearest[hit.passage.language] = max(hit.dense, nearest.get(hit.passage.language, -1.0))
        for language, similarity in nearest.items():
            (same if language == passage.language else foreign).setdefault(language, []).append(similarity)
    levels = _estimate_levels(same)
    above = [similarity - levels[language] for language, similarity in own if language in levels]
    step = float(np.median(above)) / _STEPS if above else 0.0
    return Calibration(levels, _estimate_levels(foreign), step) if step > 0 else None


def _estimate_levels(result: dict[str, list[float]]) -> dict[str, float]:
    return {language: float(np.quantile(each, _LEVEL)) for language, each in result.items() if len(each) >= FEWEST}


async def _draw_sentences(ctx: Principal, index: PassageIndex) -> Sequence[tuple[Passage, str]]:
    """Passages with vectors, drawn as their ids fall, which is by chance, each with one of its sentences."""
    chance = random.Random(7)  # noqa: S311 - no secret
    result: list[tuple[Passage, str]] = []
    async for batch in index.export(ctx):
        for stored in batch:
            sentences = [each for each in _SENTENCE.split(stored.passage.text) if _SHORTEST <= len(each) <= _LONGEST]
            if stored.vector is not None and sentences:
                result.append((stored.passage, chance.choice(sentences)))
        if len(result) >= SENTENCES:
            break
    return result[:SENTENCES]
