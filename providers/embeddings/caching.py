"""An embedder that does not work out the vector of a question twice."""

import asyncio
from collections.abc import Sequence

from utils.expiring import Expiring
from utils.ports import Embedder, FloatArray


class _Flight:
    """A vector on its way, and how many wait for it."""

    def __init__(self, task: "asyncio.Task[FloatArray]") -> None:
        self.task, self.waiting = task, 0


class CachingEmbedder:
    """*embedder*, its vectors of questions kept for *ttl_s* seconds, at most *size*; passages are not.

    The same question asked while its vector is being worked out waits for that one. A vector depends on the text and
    nothing else, so tenants may share it; it is read-only for that reason.
    """

    def __init__(self, embedder: Embedder, *, size: int, ttl_s: float) -> None:
        self._embedder, self._flights = embedder, dict[str, _Flight]()
        self.vectors: Expiring[str, FloatArray] = Expiring(size, ttl_s)

    @property
    def model(self) -> str:
        """The model's name."""
        return self._embedder.model

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        return self._embedder.dimension

    async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
        """See `Embedder`; vectors of passages are not kept."""
        return await self._embedder.embed_passages(texts, urgent=urgent)

    async def embed_query(self, text: str) -> FloatArray:
        """The vector of a question, shape `(dimension,)`, length 1, not to be changed; raises as the embedder does."""
        if (vector := self.vectors.get(text)) is not None:
            return vector
        flight = self._flights.get(text)
        if flight is None:
            flight = self._flights[text] = _Flight(asyncio.create_task(self._work_out(text)))
        flight.waiting += 1
        try:
            # One who leaves does not take it from the others …
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                # … the last one does. Forgotten at once, so that nobody joins what is being cancelled.
                self._flights.pop(text, None)
                flight.task.cancel()

    async def _work_out(self, text: str) -> FloatArray:
        vector = await self._embedder.embed_query(text)
        vector.setflags(write=False)
        self.vectors.put(text, vector)
        return vector
