"""An embedding model that cannot be had any more, while an index made with it is still there."""

from collections.abc import Sequence

from utils.errors import ProviderUnavailable
from utils.ports import FloatArray


class UnavailableEmbedder:
    """`Embedder` that refuses every call: passages are then found by their words."""

    def __init__(self, model: str, dimension: int) -> None:
        self.model, self.dimension = model, dimension

    async def embed_query(self, text: str) -> FloatArray:
        """Raises ProviderUnavailable."""
        raise self._make_refusal()

    async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
        """Raises ProviderUnavailable."""
        raise self._make_refusal()

    def _make_refusal(self) -> ProviderUnavailable:
        return ProviderUnavailable(f"The embedding model {self.model} does not come with the service any more.")
