"""Embeddings from any OpenAI-compatible endpoint.

Wire format: https://platform.openai.com/docs/api-reference/embeddings
"""

import asyncio
import base64
from collections.abc import Sequence
from typing import Self

import numpy as np
import openai
from langchain_openai import OpenAIEmbeddings
from pydantic import SecretStr

from providers.openai_errors import CALL_ERRORS, Side, failure_of
from utils.errors import ProviderUnavailable
from utils.ports import FloatArray

# Endpoints bound the texts of a request, some at 32; ingestion sends fewer anyway.
TEXTS_A_REQUEST = 32


class OpenAIEmbedder:
    """`Embedder` over an endpoint; belongs to the event loop it was made in."""

    def __init__(
        self, client: OpenAIEmbeddings, http: openai.DefaultAsyncHttpxClient, *, dimension: int, timeout_s: float
    ) -> None:
        self._client, self._http, self._dimension, self._timeout_s = client, http, dimension, timeout_s

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
    ) -> Self:
        """An embedder for the running event loop only; `aclose` it there.

        *base_url* is the part before `/embeddings`. *timeout_s* bounds a call with all its retries. Without
        *dimension* one call is made to measure it.

        Raises:
            ProviderUnavailable: the endpoint did not answer that call.
            ProviderTimeout: the same, because it took too long.
        """
        # Made here because LangChain's default client is cached over event loops and fails in the second one; on
        # aiohttp because httpx degrades with many calls in flight.
        http = openai.DefaultAioHttpClient(timeout=timeout_s)
        client = OpenAIEmbeddings(
            model=model,
            base_url=base_url,
            api_key=api_key,
            timeout=timeout_s,
            max_retries=max_retries,
            chunk_size=TEXTS_A_REQUEST,
            # It would send token numbers of OpenAI's own tokenizer, which other models do not understand.
            check_embedding_ctx_length=False,
            # The client asks for base64 otherwise, which not every endpoint knows; all know this.
            model_kwargs={"encoding_format": "float"},
            http_async_client=http,
        )
        made = cls(client, http, dimension=dimension or 0, timeout_s=timeout_s)
        if dimension is None:
            await made._measure()
        return made

    @property
    def model(self) -> str:
        """The model's name at the endpoint."""
        return self._client.model

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        return self._dimension

    async def embed_query(self, text: str) -> FloatArray:
        """The vector of a question, shape `(dimension,)`, length 1.

        Raises:
            ProviderUnavailable: the endpoint did not answer, or with something else than such a vector.
            ProviderTimeout: the same, because it took too long.
        """
        vector: FloatArray = (await self.embed_passages([text]))[0]
        return vector

    async def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """The vectors of passages, shape `(len(texts), dimension)`, in order; raises as `embed_query`."""
        if not texts:
            return np.empty((0, self._dimension), np.float32)
        vectors = await self._ask(texts)
        if vectors.shape != (len(texts), self._dimension):
            raise self._not_understood(f"gave vectors of shape {vectors.shape}, not {(len(texts), self._dimension)}")
        return vectors

    async def aclose(self) -> None:
        """Close the connections; in the event loop that used them."""
        await self._http.aclose()

    async def _measure(self) -> None:
        try:
            self._dimension = (await self._ask(["dimension"])).shape[1]
        except BaseException:
            await self.aclose()
            raise

    async def _ask(self, texts: Sequence[str]) -> FloatArray:
        """Unit vectors, a row a text, as the endpoint gave them."""
        try:
            async with asyncio.timeout(self._timeout_s):
                answered = await self._client.aembed_documents(list(texts))
            vectors = np.array([_numbers(value) for value in answered], dtype=np.float32)
        except CALL_ERRORS as exc:
            raise failure_of(exc, Side("embedding model", "EMBEDDING", self.model)).problem from exc
        if vectors.ndim != 2 or not (lengths := np.linalg.norm(vectors, axis=1, keepdims=True)).all():
            raise self._not_understood("gave an empty vector")
        if not np.isfinite(lengths).all():
            raise self._not_understood("gave a vector that is not of numbers")
        unit: FloatArray = vectors / lengths
        return unit

    def _not_understood(self, what: str) -> ProviderUnavailable:
        return ProviderUnavailable(f"The embedding model endpoint {what}: check EMBEDDING_MODEL and its dimension.")


def _numbers(value: object) -> object:
    """An endpoint may answer in base64, little-endian 32-bit floats, whatever it is asked for."""
    return np.frombuffer(base64.b64decode(value), "<f4") if isinstance(value, str) else value
