"""What the service asks of vendors and models, as protocols; the adapters are in `providers/`."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class Embedder(Protocol):
    """Texts to unit vectors; questions and passages are embedded differently by many models."""

    @property
    def model(self) -> str:
        """The model's name: vectors of different models must never be compared."""

    @property
    def dimension(self) -> int:
        """Length of every vector."""

    async def embed_query(self, text: str) -> FloatArray:
        """The vector of a question, shape `(dimension,)`, length 1.

        Raises:
            ProviderUnavailable: the model's endpoint did not answer.
        """

    async def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """The vectors of passages, shape `(len(texts), dimension)`, in order.

        Raises:
            ProviderUnavailable: the model's endpoint did not answer.
        """
