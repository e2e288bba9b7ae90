"""What `providers/chat/completions.py` takes for granted of `ChatOpenAI`: what it asks of the client it is given."""

from importlib.metadata import version

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from providers.chat.completions import Completions
from providers.openai_wire import OpenAIWire
from tests.fakes.model_server import FakeModelServer

QUESTION = [HumanMessage("When does the office open?")]


async def test_chat_openai_asks_nothing_else_of_its_client(server: FakeModelServer) -> None:
    assert version("langchain-openai") == "1.7.3", "read how ChatOpenAI uses `async_client`, then change this version"
    server.configure(replies={"office": "The office opens at eight."})
    key = SecretStr("k")
    wire = OpenAIWire(server.base_url, key, connect_timeout_s=5)
    model = ChatOpenAI(
        model="m", api_key=key, base_url="http://127.0.0.1:9/v1", async_client=Completions(wire), stream_usage=True
    )
    try:
        answer = await model.ainvoke(QUESTION)
        chunks = [chunk async for chunk in model.astream(QUESTION)]
    finally:
        await wire.aclose()
    assert answer.text == "".join(chunk.text for chunk in chunks) == "The office opens at eight."
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.usage_metadata == next(chunk.usage_metadata for chunk in chunks if chunk.usage_metadata)
    whole, streamed = (request["body"] for request in server.requests())
    assert (whole["model"], whole.get("stream", False), streamed["stream"]) == ("m", False, True)


@pytest.mark.parametrize(
    "usage",
    [
        '"much"', "[1]", "7", "true", '{"prompt_tokens": "many"}', '{"prompt_tokens": 1, "completion_tokens": -5}',
        '{"prompt_tokens": 1.5}', '{"total_tokens": {}}', '{"prompt_tokens": true}', '{"prompt_tokens_details": "x"}',
        '{"prompt_tokens": 1, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": "x"}}',
    ],
)  # fmt: skip
async def test_an_answer_is_kept_whose_usage_alone_is_nonsense(server: FakeModelServer, usage: str) -> None:
    server.configure(replies={"office": "The office opens at eight."})
    wire = OpenAIWire(server.base_url, SecretStr("k"), connect_timeout_s=5)
    model = ChatOpenAI(
        model=f"usage={usage}",
        api_key=SecretStr("k"),
        base_url="http://127.0.0.1:9/v1",
        async_client=Completions(wire),
        stream_usage=True,
    )
    try:
        answer = await model.ainvoke(QUESTION)
        chunks = [chunk async for chunk in model.astream(QUESTION)]
    finally:
        await wire.aclose()
    assert answer.text == "".join(chunk.text for chunk in chunks) == "The office opens at eight."
    assert [each.usage_metadata for each in (answer, *chunks) if each.usage_metadata] == []
