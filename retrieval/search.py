"""From a question to the passages that may answer it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.index import PassageIndex
from utils.context import TenantContext
from utils.errors import ProviderError
from utils.passages import Hit
from utils.ports import Embedder, FloatArray

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

    async def search(self, ctx: TenantContext, question: str, *, limit: int) -> Found:
        """The best passages of the caller's tenant, at most *limit*.

        When the embedder fails they are found by their words alone, and `degraded` says so.
        """
        vector, degraded = await self._vector(question)
        return Found(await self.index.search(ctx, question, vector, limit=limit), degraded)

    async def _vector(self, question: str) -> tuple[FloatArray | None, str | None]:
        try:
            return await self.embedder.embed_query(question), None
        except ProviderError as exc:
            logger.warning("Searching by words alone: the embedding model failed.", exc_info=exc)
            return None, "The embedding model did not answer: passages were found by their words alone."
