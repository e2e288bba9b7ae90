"""How near tables come to a question by meaning; their vectors are kept."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from utils.errors import ProviderError
from utils.expiring import Expiring
from utils.ports import Embedder, FloatArray

logger = logging.getLogger(__name__)

_MOST_KEPT, _KEPT_S = 5_000, 86_400.0
_MOST_NEW = 24  # texts that one question waits for; the next questions embed the others
_LIMIT_S = 3.0


@dataclass(slots=True)
class TableVectors:
    """Those of a process: the same tables are asked again and again."""

    _known: Expiring[tuple[str, str], FloatArray] = field(default_factory=lambda: Expiring(_MOST_KEPT, _KEPT_S))

    async def compare(self, question: str, texts: Sequence[str], embedder: Embedder) -> list[float]:
        """The cosine of *question* and each of *texts*, -1 for one that has no vector yet; empty without the model."""
        new = [text for text in dict.fromkeys(texts) if self._known.get((embedder.model, text)) is None][:_MOST_NEW]
        try:
            async with asyncio.timeout(_LIMIT_S):
                asked = await embedder.embed_query(question)
                vectors: Sequence[FloatArray] = list(await embedder.embed_passages(new, urgent=True)) if new else []
        except (ProviderError, TimeoutError) as exc:
            logger.warning("Tables are chosen by words alone: the embedding model did not answer.", exc_info=exc)
            return []
        for text, vector in zip(new, vectors, strict=True):
            self._known.put((embedder.model, text), vector)
        known = [self._known.get((embedder.model, text)) for text in texts]
        return [-1.0 if vector is None else float(vector @ asked) for vector in known]
