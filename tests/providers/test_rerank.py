"""The reranker over HTTP, against an endpoint that speaks Cohere's wire format and fails in its ways."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from providers.gate import Gate
from providers.rerank.endpoint import EndpointReranker
from tests.fakes.model_server import FakeModelServer
from tests.providers.endpoint import answering
from utils.errors import ProviderError, ProviderTimeout, ProviderUnavailable

KEY = "rr-very-secret-0123456789"
TEXTS = ["Parking costs 40 euros.", "The library opens at nine.", "Rooms of the library."]


@asynccontextmanager
async def opened(base_url: str, *, timeout_s: float = 10) -> AsyncIterator[EndpointReranker]:
    gate = Gate(4, wait_s=timeout_s, name="reranker")
    reranker = EndpointReranker(base_url=base_url, api_key=SecretStr(KEY), model="rr-1", timeout_s=timeout_s, gate=gate)
    try:
        yield reranker
    finally:
        await reranker.aclose()


async def test_scores_come_back_in_the_order_of_the_texts(server: FakeModelServer) -> None:
    async with opened(server.base_url) as reranker:
        scores = await reranker.rerank("the library opens", TEXTS)
        assert await reranker.rerank("anything", []) == []
    assert scores == pytest.approx([0, 1, 1 / 3])
    [asked] = [request for request in server.requests() if request["kind"] == "rerank"]
    assert asked["body"] == {"model": "rr-1", "query": "the library opens", "documents": TEXTS, "top_n": 3}
    assert asked["headers"]["authorization"] == f"Bearer {KEY}"


async def test_a_passing_failure_is_tried_once_more(server: FakeModelServer) -> None:
    server.configure(faults=[{"kind": "status", "status": 503, "times": 1}])
    async with opened(server.base_url) as reranker:
        assert len(await reranker.rerank("library", TEXTS)) == 3


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ({"kind": "status", "status": 503, "times": -1}, ProviderUnavailable, "503"),
        ({"kind": "status", "status": 401, "times": -1}, ProviderUnavailable, "RERANK_API_KEY"),
        ({"kind": "status", "status": 404, "times": -1}, ProviderUnavailable, "RERANK_MODEL"),
        ({"kind": "drop", "times": -1}, ProviderUnavailable, "broke"),
        ({"kind": "hang", "times": -1}, ProviderTimeout, "RERANK_TIMEOUT"),
    ],
)
async def test_a_failure_is_told_in_our_terms_without_the_key(
    server: FakeModelServer, fault: dict[str, Any], error: type[ProviderError], said: str
) -> None:
    server.configure(faults=[fault])
    async with opened(server.base_url, timeout_s=0.5) as reranker:
        with pytest.raises(error, match=said) as caught:
            await reranker.rerank("library", TEXTS)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"results": None},
        {"results": []},
        {"results": [{"index": 0, "relevance_score": 1.0}]},
        {"results": [{"index": at, "relevance_score": 1.0} for at in (0, 1, 3)]},
        {"results": [{"index": at, "relevance_score": "NaN"} for at in range(3)]},
        {"results": [{"index": at, "score": 1.0} for at in range(3)]},
    ],
)
async def test_an_answer_without_a_score_for_each_text_is_a_failure(answer: object) -> None:
    with answering(lambda asked: answer) as base_url:
        async with opened(base_url) as reranker:
            with pytest.raises(ProviderUnavailable, match="RERANK_BASE_URL"):
                await reranker.rerank("library", TEXTS)
