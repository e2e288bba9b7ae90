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
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.answerability import Calibration
from retrieval.index import PassageIndex
from utils.context import TenantContext
from utils.errors import ProblemError
from utils.passages import Passage
from utils.ports import Embedder

logger = logging.getLogger(__name__)

SENTENCES = 60  # asked for one estimate, some 2 s of CPU with the embedding model that comes with the service
FEWEST = 20  # in a language, below which the language has no level
FEWEST_DOCUMENTS = 8
_NEAR = 50  # passages that are looked at for one of another document
_LEVEL = 0.1  # of the sentences are farther from every other document
_STEPS = 2.5  # from the level to a sentence's own passage
_CHANGED = 0.25  # of the passages, after which it is estimated anew
_LOOK_EVERY_S = 600.0
_MOST_TENANTS = 10_000
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|\n+")
_SHORTEST, _LONGEST = 30, 400  # characters


@dataclass(slots=True)
class _Kept:
    calibration: Calibration | None
    passages: int
    looked_at_s: float


class Calibrations:
    """The calibration of each tenant for one embedding model, estimated in the background; kept in this process."""

    def __init__(self, index: PassageIndex, embedder: Embedder, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._index, self._embedder, self._clock = index, embedder, clock
        self._kept: dict[str, _Kept] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def of(self, ctx: TenantContext) -> Calibration | None:
        """What is known by now, None before the first estimate and for too few documents; sees to it that it is new.

        Returns at once; an estimate that is due runs in the background.
        """
        kept = self._kept.get(ctx.tenant_id)
        due = kept is None or self._clock() - kept.looked_at_s >= _LOOK_EVERY_S
        if due and ctx.tenant_id not in self._under_way and not self._under_way:
            # One at a time: it shares the embedding model with people who ask.
            task = self._under_way[ctx.tenant_id] = asyncio.create_task(self._renew(ctx))
            task.add_done_callback(lambda _: self._under_way.pop(ctx.tenant_id, None))
        return kept.calibration if kept else None

    async def settle(self) -> None:
        """Wait for the estimates under way."""
        await asyncio.gather(*self._under_way.values())

    async def aclose(self) -> None:
        """Give up what is under way."""
        for task in [*self._under_way.values()]:
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _renew(self, ctx: TenantContext) -> None:
        kept = self._kept.get(ctx.tenant_id)
        try:
            counts = await self._index.counts(ctx)
            ready = counts.passages - counts.pending
            if kept is not None and abs(ready - kept.passages) <= _CHANGED * kept.passages:
                kept.looked_at_s = self._clock()
                return
            found = await estimate(ctx, self._index, self._embedder)
            self._kept[ctx.tenant_id] = _Kept(found, ready, self._clock())
        except ProblemError as exc:
            logger.warning("What is not in the documents could not be calibrated.", exc_info=exc)
            self._kept[ctx.tenant_id] = _Kept(
                kept.calibration if kept else None, kept.passages if kept else 0, self._clock()
            )
        while len(self._kept) > _MOST_TENANTS:
            self._kept.pop(next(iter(self._kept)))


async def estimate(ctx: TenantContext, index: PassageIndex, embedder: Embedder) -> Calibration | None:
    """The calibration that the tenant's documents give with *embedder*; None where they are too few."""
    asked = await _sentences(ctx, index)
    if len(asked) < FEWEST or len({passage.document_id for passage, _ in asked}) < FEWEST_DOCUMENTS:
        return None
    same: dict[str, list[float]] = {}
    foreign: dict[str, list[float]] = {}
    own: list[tuple[str, float]] = []
    for passage, sentence in asked:
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
    levels = _levels(same)
    above = [similarity - levels[language] for language, similarity in own if language in levels]
    step = float(np.median(above)) / _STEPS if above else 0.0
    return Calibration(levels, _levels(foreign), step) if step > 0 else None


def _levels(found: dict[str, list[float]]) -> dict[str, float]:
    return {language: float(np.quantile(each, _LEVEL)) for language, each in found.items() if len(each) >= FEWEST}


async def _sentences(ctx: TenantContext, index: PassageIndex) -> Sequence[tuple[Passage, str]]:
    """Passages with vectors, drawn as their ids fall, which is by chance, each with one of its sentences."""
    chance = random.Random(7)  # noqa: S311 - no secret
    found: list[tuple[Passage, str]] = []
    async for batch in index.export(ctx):
        for stored in batch:
            sentences = [each for each in _SENTENCE.split(stored.passage.text) if _SHORTEST <= len(each) <= _LONGEST]
            if stored.vector is not None and sentences:
                found.append((stored.passage, chance.choice(sentences)))
        if len(found) >= SENTENCES:
            break
    return found[:SENTENCES]
