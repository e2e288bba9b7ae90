"""The embedder over HTTP against endpoints that fail or answer in their own way."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from providers.embeddings.openai import TEXTS_A_REQUEST, OpenAIEmbedder
from tests.fakes.model_server import FakeModelServer
from tests.providers.endpoint import answering
from utils.errors import ProviderTimeout, ProviderUnavailable

KEY = "sk-very-secret-0123456789"


@asynccontextmanager
async def opened(base_url: str, **options: Any) -> AsyncIterator[OpenAIEmbedder]:
    embedder = await OpenAIEmbedder.create(base_url=base_url, api_key=SecretStr(KEY), model="any", **options)
    try:
        yield embedder
    finally:
        await embedder.aclose()


def endpoint(vector_of: Callable[[int], object]) -> AbstractContextManager[str]:
    """The base URL of an endpoint that gives text number n the embedding `vector_of(n)`, whatever it is asked for."""

    def answer(asked: dict[str, Any]) -> object:
        data = [{"object": "embedding", "index": n, "embedding": vector_of(n)} for n in range(len(asked["input"]))]
        return {"object": "list", "data": data, "model": "any", "usage": None}

    return answering(answer)


def in_base64(numbers: list[float]) -> str:
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


@pytest.mark.parametrize("encode", [list, in_base64])
async def test_both_encodings_of_a_vector_are_read_and_brought_to_length_one(
    encode: Callable[[list[float]], object],
) -> None:
    with endpoint(lambda n: encode([3.0, 4.0, float(n)])) as base_url:
        async with opened(base_url) as embedder:
            assert embedder.dimension == 3
            assert await embedder.embed_query("any") == pytest.approx([0.6, 0.8, 0])
            second = (await embedder.embed_passages(["a", "b"]))[1]
            assert second == pytest.approx(np.array([3, 4, 1]) / 26**0.5)


@pytest.mark.parametrize("odd", [[], [0.0, 0.0], [1.0], ["x", "y"], [float("nan"), 1.0], None, "not base64!"])
async def test_an_answer_that_is_no_vector_of_the_dimension_is_the_endpoints_failure(odd: object) -> None:
    with endpoint(lambda n: odd) as base_url:
        async with opened(base_url, dimension=2) as embedder:
            with pytest.raises(ProviderUnavailable, match="EMBEDDING"):
                await embedder.embed_query("any")


async def test_with_a_dimension_given_nothing_is_asked_at_the_start(server: FakeModelServer) -> None:
    async with opened(server.base_url, dimension=7) as embedder:
        assert embedder.dimension == 7
    assert server.counters().get("embeddings", 0) == 0


async def test_texts_are_sent_as_they_are_with_the_key_in_requests_of_bounded_size(server: FakeModelServer) -> None:
    texts = [f"text {n}" for n in range(TEXTS_A_REQUEST + 1)]
    async with opened(server.base_url, dimension=384) as embedder:
        assert len(await embedder.embed_passages(texts)) == len(texts)
    requests = server.requests()
    assert [text for request in requests for text in request["body"]["input"]] == texts
    assert len(requests) == 2
    assert requests[0]["headers"]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 429}, {"kind": "status", "status": 500}])
async def test_a_passing_failure_is_tried_again(server: FakeModelServer, fault: dict[str, object]) -> None:
    server.configure(faults=[fault])
    async with opened(server.base_url, dimension=384) as embedder:
        assert (await embedder.embed_query("any")).shape == (384,)
    assert server.counters()["embeddings"] == 2


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ({"kind": "status", "status": 401}, ProviderUnavailable, "EMBEDDING_API_KEY"),
        ({"kind": "status", "status": 404}, ProviderUnavailable, "EMBEDDING_MODEL"),
        ({"kind": "status", "status": 503}, ProviderUnavailable, "503"),
        ({"kind": "drop"}, ProviderUnavailable, "connection"),
        ({"kind": "hang"}, ProviderTimeout, "in time"),
    ],
)
async def test_a_lasting_failure_is_told_in_our_terms_without_the_key(
    server: FakeModelServer, fault: dict[str, object], error: type[Exception], says: str
) -> None:
    timeout_s = 1 if error is ProviderTimeout else 60
    async with opened(server.base_url, dimension=384, timeout_s=timeout_s, max_retries=0) as embedder:
        server.configure(faults=[fault | {"times": -1}])
        with pytest.raises(error, match=says) as raised:
            await embedder.embed_passages(["any"])
    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is not None


async def test_the_timeout_bounds_all_tries_together(server: FakeModelServer) -> None:
    async with opened(server.base_url, dimension=384, timeout_s=0.5, max_retries=3) as embedder:
        server.configure(faults=[{"kind": "hang", "times": -1}])
        with pytest.raises(ProviderTimeout):
            await embedder.embed_query("any")
    assert server.counters()["embeddings"] == 1


async def test_without_a_dimension_an_endpoint_that_is_away_is_told_at_once() -> None:
    with endpoint(lambda n: [1.0]) as base_url:
        pass  # gone again, so nothing listens there
    with pytest.raises(ProviderUnavailable, match="EMBEDDING_BASE_URL"):
        await OpenAIEmbedder.create(base_url=base_url, api_key=SecretStr(KEY), model="any", max_retries=0)
