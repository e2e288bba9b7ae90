"""How near tables come to a question by meaning; their vectors are kept."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from utils.errors import ProviderError
from utils.expiring import Expiring
from utils.ports import Embedder, FloatArray

logger = logging.getLogger(__name__)

_MAX_KEPT, _KEPT_S = 5_000, 86_400.0
_AT_ONCE = 4  # texts: what is embedded when the time is over is kept for the next question
_LIMIT_S = 3.0


@dataclass(slots=True)
class TableVectors:
    """The vectors of tables, kept for the process: questions go to few tables again and again."""

    _vectors: Expiring[tuple[str, str], FloatArray] = field(default_factory=lambda: Expiring(_MAX_KEPT, _KEPT_S))

    async def compare(self, question: str, texts: Sequence[str], embedder: Embedder) -> list[float]:
        """The cosine of *question* and each of *texts*, -1 for one that has no vector yet; empty without the model."""
        try:
            async with asyncio.timeout(_LIMIT_S):
                question_vector = await embedder.embed_query(question)
        except (ProviderError, TimeoutError) as exc:
            logger.warning("Tables are chosen by words alone: the embedding model did not answer: %s", exc)
            return []
        with suppress(ProviderError, TimeoutError):
            async with asyncio.timeout(_LIMIT_S):
                await self._embed(texts, embedder)
        vectors = [self._vectors.get((embedder.model, text)) for text in texts]
        return [-1.0 if vector is None else float(vector @ question_vector) for vector in vectors]

    async def _embed(self, texts: Sequence[str], embedder: Embedder) -> None:
        """Embed those that are not known yet."""
        new = [text for text in dict.fromkeys(texts) if self._vectors.get((embedder.model, text)) is None]
        for first in range(0, len(new), _AT_ONCE):
            some = new[first : first + _AT_ONCE]
            for text, vector in zip(some, await embedder.embed_passages(some, urgent=True), strict=True):
                self._vectors.put((embedder.model, text), vector)
