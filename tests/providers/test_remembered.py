"""Vectors of questions that are not worked out twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from providers.embeddings.caching import CachingEmbedder
from providers.embeddings.openai import OpenAIEmbedder
from tests.fakes.model_server import FakeModelServer
from utils.errors import ProviderUnavailable


@pytest.fixture
async def remote(model_server: FakeModelServer) -> AsyncIterator[OpenAIEmbedder]:
    model_server.reset()
    made = await OpenAIEmbedder.create(
        base_url=model_server.base_url, api_key=SecretStr("k"), model="m", dimension=384, max_retries=0
    )
    yield made
    await made.aclose()


def remembering(remote: OpenAIEmbedder, **changes: Any) -> CachingEmbedder:
    return CachingEmbedder(remote, **{"size": 10, "ttl_s": 3600, **changes})


async def calls_of(server: FakeModelServer, number: int) -> None:
    """Wait until the server has been asked so often."""
    async with asyncio.timeout(5):
        while (await asyncio.to_thread(server.counters))["embeddings"] < number:
            await asyncio.sleep(0.005)


async def test_a_question_asked_again_costs_no_call(remote: OpenAIEmbedder, model_server: FakeModelServer) -> None:
    embedder = remembering(remote)
    first, again = await embedder.embed_query("How much is it?"), await embedder.embed_query("How much is it?")
    assert np.array_equal(first, again)
    assert model_server.counters()["embeddings"] == 1
    assert (embedder.vectors.hits, embedder.vectors.misses, len(embedder.vectors)) == (1, 1, 1)


async def test_equal_questions_at_once_cost_one_call_and_different_ones_get_their_own(
    remote: OpenAIEmbedder, model_server: FakeModelServer
) -> None:
    model_server.configure(embedding_ms=50)
    embedder = remembering(remote)
    vectors = await asyncio.gather(*(embedder.embed_query(f"question {n % 2}") for n in range(20)))
    assert model_server.counters()["embeddings"] == 2
    assert all(np.array_equal(vectors[n], vectors[n % 2]) for n in range(20))
    assert not np.array_equal(vectors[0], vectors[1])


async def test_one_who_leaves_does_not_take_the_vector_from_another(
    remote: OpenAIEmbedder, model_server: FakeModelServer
) -> None:
    model_server.configure(embedding_ms=300)
    embedder = remembering(remote)
    first, second = (asyncio.create_task(embedder.embed_query("q")) for _ in range(2))
    await calls_of(model_server, 1)
    first.cancel()
    assert (await second).shape == (384,)
    assert first.cancelled()


async def test_when_all_have_left_the_call_ends_and_the_next_one_makes_its_own(
    remote: OpenAIEmbedder, model_server: FakeModelServer
) -> None:
    model_server.configure(embedding_ms=60_000)
    embedder = remembering(remote)
    waiting = asyncio.create_task(embedder.embed_query("q"))
    await calls_of(model_server, 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.to_thread(model_server.configure, embedding_ms=0)
    assert (await embedder.embed_query("q")).shape == (384,)
    assert remote.gate.running == 0


async def test_a_failure_is_told_to_all_who_wait_and_not_kept(
    remote: OpenAIEmbedder, model_server: FakeModelServer
) -> None:
    model_server.configure(faults=[{"kind": "status", "status": 500}])
    embedder = remembering(remote)
    told = await asyncio.gather(*(embedder.embed_query("q") for _ in range(3)), return_exceptions=True)
    assert [type(failure) for failure in told] == [ProviderUnavailable] * 3
    assert (await embedder.embed_query("q")).shape == (384,)


async def test_a_kept_vector_cannot_be_changed_by_whoever_got_it(remote: OpenAIEmbedder) -> None:
    vector = await remembering(remote).embed_query("q")
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1


async def test_passages_are_embedded_each_time(remote: OpenAIEmbedder, model_server: FakeModelServer) -> None:
    embedder = remembering(remote)
    for _ in range(2):
        assert (await embedder.embed_passages(["a", "b"])).shape == (2, 384)
    assert model_server.counters()["embeddings"] == 2
    assert (embedder.model, embedder.dimension) == ("m", 384)
