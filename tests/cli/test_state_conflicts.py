"""A turn that another one would hide is refused, and the caller is told so."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.model_server import FakeModelServer
from tests.service import Service
from utils.checkpointer import RedisCheckpointer

pytestmark = pytest.mark.long


@pytest.fixture
def slow_model(model_server: FakeModelServer) -> Iterator[FakeModelServer]:
    """Takes so long for its answer that something can happen meanwhile."""
    model_server.reset()
    model_server.configure(first_token_ms=1200)
    yield model_server
    model_server.reset()


def ask(service: Service, conversation_id: str, **headers: str) -> httpx.Response:
    body = {"message": "How do I borrow a book?", "session_id": conversation_id}
    headers["Authorization"] = f"Bearer {service.key}"
    return httpx.post(f"http://127.0.0.1:{service.port}/v1/chat", json=body, headers=headers, timeout=60)


def overtake(data_dir: Path, thread_id: str) -> None:
    """Go on from the newest checkpoint, as a turn that got past the lease would."""
    saver = RedisCheckpointer.from_url(f"unix://{data_dir}/valkey.sock", ttl_s=600)
    found = saver.get_tuple({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
    assert found is not None
    checkpoint: Any = found.checkpoint | {"id": "1ff" + found.checkpoint["id"][3:]}
    saver.put(found.config, checkpoint, found.metadata, {})
    saver.close()


def overtaken(service: Service, model: FakeModelServer, conversation_id: str, **headers: str) -> httpx.Response:
    """What a second turn is answered that another one overtakes while the model is at work."""
    assert ask(service, conversation_id).status_code == 200
    asked = len(model.requests())
    with ThreadPoolExecutor(1) as other:
        turn = other.submit(ask, service, conversation_id, **headers)
        until = time.monotonic() + 30
        while len(model.requests()) == asked:
            assert time.monotonic() < until, "the model was not asked"
        overtake(service.data_dir, conversation_id)
        return turn.result()


def test_a_turn_that_another_one_overtook_is_a_conflict(
    service_with_model: Service, slow_model: FakeModelServer
) -> None:
    refused = overtaken(service_with_model, slow_model, "overtaken")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:pustaka:problem:conversation-changed")
    assert "1ff" not in refused.json()["detail"]
    streamed = overtaken(service_with_model, slow_model, "overtaken-stream", Accept="text/event-stream")
    assert "event: error" in streamed.text
    assert "conversation-changed" in streamed.text
    assert ask(service_with_model, "not-overtaken").status_code == 200
