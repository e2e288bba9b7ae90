"""Responses in OpenAI's shapes, used by its own client: whole, streamed, gone on with, and in the background."""

import json
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from openai import OpenAI

from tests.api.conftest import assert_opens
from tests.fakes.model_server import FakeModelServer
from tests.service import Service, ask

QUESTION = "How much does a dormitory room cost?"
FOLLOWING = "And with a private bathroom?"
BEGINNING = ["created", "in_progress", "output_item.added", "content_part.added"]
END = ["output_text.annotation.added", "output_text.done", "content_part.done", "output_item.done", "completed"]


# What https://www.openresponses.org wants of each response, beside what OpenAI's client reads, and the types of it.
OPEN_RESPONSES: dict[str, Any] = {
    "background": bool,
    "completed_at": int,
    "frequency_penalty": float,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "presence_penalty": float,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": None,
    "safety_identifier": None,
    "service_tier": str,
    "store": bool,
    "temperature": float,
    "top_logprobs": int,
    "top_p": float,
    "truncation": str,
}


def refer_to(item_id: str) -> Any:
    """A question after an answer that is named by its id."""
    return [{"type": "item_reference", "id": item_id}, {"role": "user", "content": FOLLOWING}]


def test_a_response_is_the_answer_of_chat_and_read_again_by_its_tenant_alone(
    client: httpx.Client, caller: OpenAI, stranger: OpenAI
) -> None:
    expected = ask(client, QUESTION, uuid4().hex).json()
    said = caller.responses.create(model="default", input=QUESTION, instructions="Be brief.", temperature=0.1)
    assert (said.status, said.model, said.output_text) == ("completed", "default", expected["answer"])
    assert said.completed_at is not None
    assert said.completed_at >= said.created_at > 0
    [annotation] = said.output[0].content[0].annotations  # type: ignore[union-attr]
    assert_opens(annotation, said.output_text)
    assert (said.model_extra or {})["citations"] == expected["citations"]
    told = json.loads(caller.responses.with_raw_response.create(model="default", input=QUESTION).text)
    types = {name: None if told[name] is None else type(told[name]) for name in OPEN_RESPONSES}
    assert types == OPEN_RESPONSES
    assert caller.responses.retrieve(said.id).output == said.output
    for refused in (
        lambda: stranger.responses.retrieve(said.id),
        lambda: stranger.responses.cancel(said.id),
        lambda: stranger.responses.create(model="default", input=FOLLOWING, previous_response_id=said.id),
        lambda: stranger.responses.create(model="default", input=refer_to(said.output[0].id)),
        lambda: caller.responses.retrieve("resp_1"),
        lambda: caller.responses.retrieve(f"resp_visitor_{said.id.removeprefix('resp_')}"),
    ):
        with pytest.raises(openai.NotFoundError):
            refused()


def test_the_events_of_a_stream_come_in_order_and_to_the_whole(writer: OpenAI, model_server: FakeModelServer) -> None:
    answer = "Ein Zimmer kostet 650.000 Rupiah – „ab“ [1]. [99]"
    model_server.configure(piece_characters=6, gap_ms=30, replies={QUESTION: answer})
    events: list[Any] = list(writer.responses.create(model="default", input=QUESTION, stream=True))
    names = [event.type.removeprefix("response.") for event in events]
    count = names.count("output_text.delta")
    assert count > 3
    assert names == [*BEGINNING, *["output_text.delta"] * count, *END]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type.endswith(".delta"))
    whole, done = events[-1].response, events[names.index("output_text.done")]
    assert whole.output_text == done.text == text
    assert text == answer
    assert whole.usage.input_tokens > whole.usage.output_tokens > 5
    assert {event.item_id for event in events if hasattr(event, "item_id")} == {whole.output[0].id}
    added = events[names.index("output_text.annotation.added")].annotation
    assert [added.to_dict()] == [one.to_dict() for one in whole.output[0].content[0].annotations]
    assert_opens(added, text)
    assert events[0].response.status == "in_progress"


def test_a_response_goes_on_with_the_conversation_of_the_last_one(
    writer: OpenAI, model_server: FakeModelServer
) -> None:
    begun = [
        {"role": "user", "content": [{"type": "input_text", "text": "My name is Ada."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello!"}]},
        {"role": "user", "content": QUESTION},
    ]
    first = writer.responses.create(model="default", input=begun)  # type: ignore[arg-type]
    again = {"Idempotency-Key": uuid4().hex}
    second, repeated = (
        writer.responses.create(model="default", input=FOLLOWING, previous_response_id=first.id, extra_headers=again)
        for _ in range(2)
    )
    told = model_server.requests()[-1]["body"]["messages"]
    assert [one["content"] for one in told if one["role"] == "user"] == ["My name is Ada.", QUESTION, FOLLOWING]
    assert (second.previous_response_id, second.id, second.output) == (first.id, repeated.id, repeated.output)
    referring = [{"role": "user", "content": QUESTION}, *refer_to(second.output[0].id)]
    writer.responses.create(model="default", input=referring)  # type: ignore[arg-type]
    told = model_server.requests()[-1]["body"]["messages"]
    assert told[-2]["content"].startswith("echo")
    third = writer.responses.create(model="default", input="Why?", previous_response_id=second.id)
    ids = {(one.model_extra or {})["conversation_id"] for one in (first, second, third)}
    assert len(ids) == 1
    with pytest.raises(openai.BadRequestError) as refused:
        writer.responses.create(model="default", input="Why?", previous_response_id=first.id)
    assert refused.value.param == "previous_response_id"


def test_a_response_in_the_background_is_read_and_cancelled(
    service_with_model: Service, writer: OpenAI, model_server: FakeModelServer
) -> None:
    model_server.configure(first_token_ms=1_500)
    begun = writer.responses.create(model="default", input=QUESTION, background=True)
    assert (begun.status, begun.background, begun.output) == ("in_progress", True, [])
    assert writer.responses.retrieve(begun.id).status == "in_progress"
    with pytest.raises(openai.ConflictError):
        writer.responses.create(model="default", input=FOLLOWING, previous_response_id=begun.id)
    assert writer.responses.cancel(begun.id).status == "cancelled"
    assert writer.responses.retrieve(begun.id).status == "cancelled"
    model_server.configure(first_token_ms=100)
    other = writer.responses.create(model="default", input=QUESTION, background=True)
    service_with_model.wait_for(lambda: writer.responses.retrieve(other.id).status == "completed")
    assert writer.responses.retrieve(other.id).output_text.startswith("echo")
    assert writer.responses.cancel(other.id).status == "completed"


def test_words_that_are_void_end_the_stream_and_the_response_is_read_later(
    service_with_model: Service, writer: OpenAI, model_server: FakeModelServer
) -> None:
    model_server.configure(faults=[{"kind": "truncate", "after_tokens": 3}])
    events: list[Any] = list(writer.responses.create(model="default", input=QUESTION, stream=True))
    assert (events[-1].type, events[-1].code) == ("error", "not-ready")
    response_id = events[0].response.id
    assert f"/v1/responses/{response_id}" in events[-1].message
    service_with_model.wait_for(lambda: writer.responses.retrieve(response_id).status == "completed")
    assert "echo" not in writer.responses.retrieve(response_id).output_text


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"store": False}, "store"),
        ({"conversation": "visitor-42"}, "conversation"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format.type"),
        ({"input": " "}, "input"),
        ({"input": "x" * 5_001}, "input"),
        ({"input": [{"type": "function_call_output", "call_id": "1", "output": "4"}]}, "input.0.type"),
        (
            {
                "input": [{"role": role, "content": "Hello"} for role in ("user", "assistant", "user")],
                "previous_response_id": "resp_" + "a" * 32,
            },
            "input",
        ),
    ],
)
def test_what_a_bot_does_not_do_is_refused_by_name(caller: OpenAI, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        caller.responses.create(**{"model": "default", "input": QUESTION, **changed})
    assert (refused.value.code, refused.value.param) == ("bad-input", field)
