"""From a question to the passages that may answer it."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from retrieval.index import PassageIndex
from utils.context import TenantContext
from utils.errors import ProviderError
from utils.passages import Hit
from utils.ports import Embedder, FloatArray, StoreObserver, UnobservedStores

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """Passages for a question, best first, maybe none.

    `degraded` says what was missing when the ranking is worse than it could be, None otherwise.
    """

    hits: Sequence[Hit]
    degraded: str | None


@dataclass(frozen=True, slots=True)
class Retriever:
    """Hybrid search: the question's vector from *embedder*, both rankings from *index*."""

    embedder: Embedder
    index: PassageIndex
    stores: StoreObserver = field(default_factory=UnobservedStores)

    async def search(self, ctx: TenantContext, question: str, *, limit: int) -> Found:
        """The best passages of the caller's tenant, at most *limit*.

        When the embedder fails they are found by their words alone, and `degraded` says so.
        """
        vector, degraded = await self._vector(question)
        began_s, succeeded = time.perf_counter(), False
        try:
            hits = await self.index.search(ctx, question, vector, limit=limit)
            succeeded = True
        finally:
            self.stores.took("index", "search", time.perf_counter() - began_s, succeeded=succeeded)
        return Found(hits, degraded)

    async def _vector(self, question: str) -> tuple[FloatArray | None, str | None]:
        try:
            return await self.embedder.embed_query(question), None
        except ProviderError as exc:
            logger.warning("Searching by words alone: the embedding model failed.", exc_info=exc)
            return None, "The embedding model did not answer: passages were found by their words alone."
