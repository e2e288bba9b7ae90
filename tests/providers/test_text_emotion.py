"""Emotions from words where the embedding model's endpoint fails or hangs, over real HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from providers.embeddings.openai import OpenAIEmbedder
from providers.speech.text_emotion import TextEmotion
from tests.fakes.model_server import FakeModelServer
from utils.audio import AudioKind, Recording
from utils.errors import ProviderUnavailable
from utils.ports import NEUTRAL

RECORDING = Recording(AudioKind("wav", "audio/wav"), lambda: b"")
SAD = "I feel so sad and lonely."


@pytest.fixture
async def embedder(server: FakeModelServer) -> AsyncIterator[OpenAIEmbedder]:
    made = await OpenAIEmbedder.create(
        base_url=server.base_url, api_key=SecretStr("sk-any"), model="any", dimension=384, max_retries=0
    )
    yield made
    await made.aclose()


def count_calls(server: FakeModelServer) -> int:
    return server.counters().get("embeddings", 0)


async def test_an_endpoint_that_hangs_holds_up_one_question_for_the_limit_and_the_next_ones_not_at_all(
    embedder: OpenAIEmbedder, server: FakeModelServer
) -> None:
    now_s = 0.0
    model = TextEmotion(embedder, limit_s=0.1, clock=lambda: now_s)
    await model.prepare()
    assert await model.recognise(RECORDING, SAD)
    server.configure(embedding_ms=60_000)
    began_s = time.monotonic()
    with pytest.raises(ProviderUnavailable, match=r"longer than 0\.1 s"):
        await model.recognise(RECORDING, SAD)
    assert time.monotonic() - began_s < 10
    server.configure(embedding_ms=0)
    asked = count_calls(server)
    with pytest.raises(ProviderUnavailable, match="is not recognised"):
        await model.recognise(RECORDING, SAD)
    assert count_calls(server) == asked
    now_s += 60
    assert await model.recognise(RECORDING, SAD)


async def test_examples_that_could_not_be_embedded_are_tried_again_later_and_by_no_question(
    embedder: OpenAIEmbedder, server: FakeModelServer
) -> None:
    server.configure(faults=[{"kind": "status", "status": 500}])
    model = TextEmotion(embedder, retry_s=0.2)
    preparing = asyncio.create_task(model.prepare())
    while not count_calls(server):
        await asyncio.sleep(0.01)
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            await model.recognise(RECORDING, SAD)
    assert count_calls(server) == 1
    await preparing
    assert await model.recognise(RECORDING, SAD)


async def test_a_text_without_a_sentence_of_three_words_is_neutral_and_tells_nothing_of_the_model(
    embedder: OpenAIEmbedder, server: FakeModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = 0.0
    model = TextEmotion(embedder, limit_s=0.1, clock=lambda: now_s)
    await model.prepare()
    server.configure(embedding_ms=60_000)
    with pytest.raises(ProviderUnavailable):
        await model.recognise(RECORDING, SAD)
    asked = count_calls(server)
    now_s += 60
    assert await model.recognise(RECORDING, "Thank you.") == NEUTRAL
    assert "recognised again" not in caplog.text
    assert count_calls(server) == asked
    server.configure(embedding_ms=0)
    assert await model.recognise(RECORDING, SAD)
    assert "recognised again" in caplog.text
