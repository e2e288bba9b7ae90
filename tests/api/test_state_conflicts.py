"""A turn that another one would hide is refused, and the caller is told so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service import Service
from utils.checkpointer import RedisCheckpointer


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("conflicts") / "data", API_KEY="key-of-the-visitors") as running:
        yield running


def ask(service: Service, conversation_id: str, **headers: str) -> httpx.Response:
    body = {"message": "How do I borrow a book?", "session_id": conversation_id}
    headers["Authorization"] = f"Bearer {service.key}"
    return httpx.post(f"http://127.0.0.1:{service.port}/v1/chat", json=body, headers=headers, timeout=60)


def overtake(data_dir: Path, thread_id: str) -> None:
    """Store a checkpoint that stays newer than whatever the service stores next, as a turn at the same time would."""
    saver = RedisCheckpointer.from_url(f"unix://{data_dir}/valkey.sock", ttl_s=600)
    found = saver.get_tuple({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
    assert found is not None
    checkpoint: Any = found.checkpoint | {"id": "1ff" + found.checkpoint["id"][3:]}
    saver.put(found.config, checkpoint, found.metadata, {})
    saver.close()


def test_a_turn_that_another_one_overtook_is_a_conflict(service: Service) -> None:
    for conversation_id in ("x", "y"):
        assert ask(service, conversation_id).status_code == 200
    overtake(service.data_dir, "x")
    refused = ask(service, "x")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:pustaka:problem:conversation-changed")
    assert "1ff" not in refused.json()["detail"]
    streamed = ask(service, "x", Accept="text/event-stream")
    assert "event: error" in streamed.text
    assert "conversation-changed" in streamed.text
    assert ask(service, "y").status_code == 200
