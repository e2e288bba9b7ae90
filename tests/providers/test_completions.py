"""What `providers/chat/completions.py` takes for granted of `ChatOpenAI`: what it asks of the client it is given."""

from importlib.metadata import version

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from providers.chat.completions import Completions, make_plain
from providers.chat.pieces import BROKEN
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


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ('{"city": "Bandung"}', '{"city":"Bandung"}'),
        ({"city": "Bandung"}, '{"city":"Bandung"}'),
        ("", "{}"),
        (' {"x": 1.5} ', '{"x":1.5}'),
        (None, "{}"),
        ("[1]", BROKEN),
        ("null", BROKEN),
        ([1], BROKEN),
        (5, BROKEN),
        ('{"x": NaN}', BROKEN),
        ('{"x": 1e999}', BROKEN),
        (f'{{"x": {"9" * 400}}}', BROKEN),
        ('{"x": "\\ud800"}', BROKEN),
        ('{"x": 1, "x": 2}', BROKEN),
        ('{"x": ' * 900 + "1" + "}" * 900, BROKEN),
        (f'{{"x": [{"0," * 20_000}0]}}', BROKEN),
        (f'{{"a": [{"[1]," * 20_000}!', BROKEN),
        (f'{{"x": "{"x" * 100_000}"}}', BROKEN),
    ],
    ids=range(18),
)
def test_arguments_of_tools_are_json_that_can_be_checked_shown_and_stored(said: object, read: str) -> None:
    call = {"function": {"name": "weather", "arguments": said}}
    plain = make_plain({"choices": [{"message": {"tool_calls": [call]}}]})
    [told] = plain["choices"][0]["message"]["tool_calls"]
    assert told["function"] == {"name": "weather", "arguments": read}


def test_the_first_calls_of_tools_are_read_however_many_there_are() -> None:
    calls = [{"function": {"name": f"tool-{number}", "arguments": "{}"}} for number in range(70)]
    plain = make_plain({"choices": [{"message": {"tool_calls": calls}}]})
    names = [call["function"]["name"] for call in plain["choices"][0]["message"]["tool_calls"]]
    assert names == [f"tool-{number}" for number in range(64)]
