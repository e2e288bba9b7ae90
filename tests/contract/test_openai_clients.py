"""OpenAI's client for Node, the AI SDK and the SDK of MCP for Node, used against the service."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contract.test_clients import HERE, run
from tests.fakes.speech_server import FakeSpeechServer
from tests.programs import installed
from tests.service import Service

pytestmark = pytest.mark.long

NPM = (
    "openai@7.57.0",
    "ai@7.0.173",
    "@ai-sdk/openai@4.0.118",
    "@ai-sdk/openai-compatible@3.0.92",
    "@modelcontextprotocol/sdk@1.32.2",
)
TITLE = "Student Dormitory"


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that takes and speaks questions."""
    folder = tmp_path_factory.mktemp("speaking")
    with (
        FakeSpeechServer() as speech,
        Service(folder, STT_BASE_URL=speech.base_url, TTS_BASE_URL=speech.base_url) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def seen(service: Service, speaking: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `openai_use.mjs` saw of the service."""
    folder = tmp_path_factory.mktemp("node")
    run(installed("npm"), "install", "--ignore-scripts", "--no-audit", "--no-fund", *NPM, cwd=folder)
    shutil.copy(HERE / "openai_use.mjs", folder)
    asked = (service.url, service.key, speaking.url, speaking.key)
    told: dict[str, Any] = json.loads(run("node", "openai_use.mjs", *asked, cwd=folder).stdout)
    return told


def test_the_client_of_openai_for_node_asks_streams_and_goes_on(seen: dict[str, Any]) -> None:
    told = seen["openai"]
    assert "default" in told["models"]
    [text] = {*told["texts"], *told["completions"], told["again"]}
    assert "IDR 650,000" in text
    for marks in (told["marks"], told["streamedMarks"]):
        assert [one["mark"] for one in marks] == ["[1]"]
        assert TITLE in httpx.get(marks[0]["url"], trust_env=False).text
    assert (told["followed"], told["begun"], told["embedding"]) == ("completed", "in_progress", 384)


def test_refusals_are_the_errors_that_the_client_of_openai_for_node_knows(seen: dict[str, Any]) -> None:
    assert seen["openai"]["refused"] == [
        ["BadRequestError", 400, "bad-input", "tools"],
        ["NotFoundError", 404, "not-found", None],
        ["NotFoundError", 404, "not-found", None],
        ["APIError", 405, "method-not-allowed", None],
        ["NotFoundError", 404, "not-found", None],
        ["AuthenticationError", 401, "unauthorized", None],
    ]


def test_the_client_of_openai_for_node_transcribes_and_speaks(seen: dict[str, Any]) -> None:
    heard = FakeSpeechServer.heard
    assert seen["audio"] == {
        "sound": "RIFF",
        "heard": heard,
        "plain": f"{heard}\n",
        "refused": ["BadRequestError", 400, "bad-input", "response_format"],
    }


def test_the_ai_sdk_answers_with_sources(seen: dict[str, Any]) -> None:
    told, [text] = seen["ai"], {*seen["openai"]["texts"]}
    assert told.pop("embedding") == 384
    for name, one in told.items():
        assert one["texts"] == [text, text], name
        assert one["ended"] == ["stop", "stop"], name
    # Its provider for compatible services reads no annotations.
    assert {name: one["sources"] for name, one in told.items()} == {
        "responses": [TITLE, TITLE],
        "chat": [TITLE, TITLE],
        "compatible": [],
    }


def test_the_sdk_of_mcp_for_node_searches_reads_and_asks(seen: dict[str, Any]) -> None:
    told, [text] = seen["mcp"], {*seen["openai"]["texts"]}
    assert told["tools"] == ["search", "fetch", "ask", "get_answer"]
    assert told["read"] is True
    assert told["answer"] == text
    assert told["resources"] > 3
