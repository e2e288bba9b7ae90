"""Embeddings from any OpenAI-compatible endpoint.

Wire format: https://platform.openai.com/docs/api-reference/embeddings
"""

import base64
from collections.abc import Sequence
from functools import partial
from typing import Self

import numpy as np
from pydantic import SecretStr

from providers.answer_limits import VECTORS
from providers.gate import Gate
from providers.openai_errors import CALL_ERRORS, EndpointInfo, describe_failure
from providers.openai_wire import MAX_CONNECTIONS, OpenAIWire
from providers.retries import CallFailed, CallLimits, retry
from utils.errors import ProviderUnavailable
from utils.ports import FloatArray

# Endpoints bound the texts of a request, some at 32; ingestion sends fewer anyway.
TEXTS_A_REQUEST = 32
_CONNECT_TIMEOUT_S = 5.0


class OpenAIEmbedder:
    """`Embedder` over an endpoint; belongs to the event loop it was made in."""

    def __init__(self, wire: OpenAIWire, model: str, *, dimension: int, limits: CallLimits, gate: Gate) -> None:
        self._wire, self._dimension, self._limits, self.gate = wire, dimension, limits, gate
        self._side = EndpointInfo("embedding model", "EMBEDDING", model)

    @classmethod
    async def create(
        cls,
        *,
        base_url: str,
        api_key: SecretStr,
        model: str,
        dimension: int | None = None,
        timeout_s: float = 30.0,
        max_retries: int = 2,
        gate: Gate | None = None,
    ) -> Self:
        """An embedder for the running event loop only; `aclose` it there.

        *base_url* is the part before `/embeddings`. *timeout_s* bounds a request with all its retries. Without
        *dimension* one call is made to measure it. *gate* bounds the calls at once; without it the connections do.

        Raises:
            ProviderUnavailable: the endpoint did not answer that call.
            ProviderTimeout: the same, because it took too long.
        """
        wire = OpenAIWire(base_url, api_key, connect_timeout_s=min(_CONNECT_TIMEOUT_S, timeout_s))
        limits = CallLimits(timeout_s=timeout_s, max_retries=max_retries)
        gate = gate or Gate(MAX_CONNECTIONS, wait_s=timeout_s, name="embedding model")
        embedder = cls(wire, model, dimension=dimension or 0, limits=limits, gate=gate)
        if dimension is None:
            await embedder._measure()
        return embedder

    @property
    def model(self) -> str:
        """The model's name at the endpoint."""
        return self._side.model

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        return self._dimension

    async def embed_query(self, text: str) -> FloatArray:
        """The vector of a question, shape `(dimension,)`, length 1.

        Raises:
            ProviderUnavailable: the endpoint did not answer, or with something else than such a vector.
            ProviderTimeout: the same, because it took too long.
            ProviderBusy: too many calls were under way for too long; nothing was asked.
        """
        vector: FloatArray = (await self.embed_passages([text]))[0]
        return vector

    async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
        """The vectors of passages, shape `(len(texts), dimension)`, in order; raises as `embed_query`."""
        if not texts:
            return np.empty((0, self._dimension), np.float32)
        starts = range(0, len(texts), TEXTS_A_REQUEST)
        return np.concatenate([await self._embed_batch(texts[start : start + TEXTS_A_REQUEST]) for start in starts])

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._wire.aclose()

    async def _measure(self) -> None:
        try:
            self._dimension = (await self._ask(["dimension"])).shape[1]
        except BaseException:
            await self.aclose()
            raise

    async def _embed_batch(self, texts: Sequence[str]) -> FloatArray:
        vectors = await self._ask(texts)
        if vectors.shape != (len(texts), self._dimension):
            raise self._make_refusal(f"gave vectors of shape {vectors.shape}, not {(len(texts), self._dimension)}")
        return vectors

    async def _ask(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors, a row a text, as the endpoint gave them."""
        # Not base64, which is shorter, but not every endpoint knows it; all know this.
        body = {"model": self.model, "input": list(texts), "encoding_format": "float"}
        try:
            async with self.gate.hold_place():
                ask = partial(self._wire.ask, "/embeddings", body, VECTORS)
                answered = await retry(ask, self._side, self._limits, self.gate.observer)
                if isinstance(tokens := (answered.get("usage") or {}).get("prompt_tokens"), int):
                    self.gate.observer.note_tokens(input_tokens=tokens, output_tokens=0)
            vectors = np.array([_read_numbers(item["embedding"]) for item in answered["data"]], dtype=np.float32)
        except CallFailed as exc:
            raise exc.failure.problem from exc.__cause__
        except CALL_ERRORS as exc:
            raise describe_failure(exc, self._side).problem from exc
        if vectors.ndim != 2 or not (lengths := np.linalg.norm(vectors, axis=1, keepdims=True)).all():
            raise self._make_refusal("gave an empty vector")
        if not np.isfinite(lengths).all():
            raise self._make_refusal("gave a vector that is not of numbers")
        unit: FloatArray = vectors / lengths
        return unit

    def _make_refusal(self, what: str) -> ProviderUnavailable:
        return ProviderUnavailable(
            f"The endpoint of the embedding model {what}: check EMBEDDING_MODEL and its dimension."
        )


def _read_numbers(value: object) -> object:
    """An endpoint may answer in base64, little-endian 32-bit floats, whatever it is asked for."""
    return np.frombuffer(base64.b64decode(value), "<f4") if isinstance(value, str) else value
