"""The routes in OpenAI's shapes, used by its own client, for two tenants."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from openai import OpenAI

from tests.api.conftest import assert_opens, connect
from tests.fakes.model_server import FakeModelServer
from tests.security.test_scopes import make_former_key
from tests.service import Service, ask

QUESTION = "How much does a dormitory room cost?"
ASKED: Any = [{"role": "user", "content": QUESTION}]


@pytest.fixture
def bot(client: httpx.Client) -> Iterator[str]:
    """A bot of the default tenant."""
    bot_id = f"b{uuid4().hex}"
    assert client.post("/v1/tenant/bots", json={"id": bot_id, "name": "Housing"}).status_code == 201
    yield bot_id
    client.delete(f"/v1/tenant/bots/{bot_id}")


def test_the_models_are_the_bots_that_the_key_may_talk_to(
    service: Service, client: httpx.Client, caller: OpenAI, stranger: OpenAI, bot: str
) -> None:
    named = {model.id: model for model in caller.models.list()}
    assert named["default"].owned_by == named[bot].owned_by == "default"
    assert abs(named[bot].created - time.time()) < 60
    assert caller.models.retrieve(bot) == named[bot]
    theirs = {model.id: model.owned_by for model in stranger.models.list()}
    assert theirs["default"] == "acme"
    assert bot not in theirs
    with pytest.raises(openai.NotFoundError, match=bot):
        stranger.models.retrieve(bot)
    with make_former_key(service, "default", bot) as key, connect(service, key) as bound:
        assert [model.id for model in bound.models.list()] == [bot]
        with pytest.raises(openai.NotFoundError):
            bound.chat.completions.create(model="default", messages=ASKED)
        with pytest.raises(openai.NotFoundError):
            bound.models.retrieve("default")
    client.patch(f"/v1/tenant/bots/{bot}", json={"enabled": False}, headers={"If-Match": "*"})
    assert bot not in {model.id for model in caller.models.list()}


def test_a_completion_is_the_answer_of_chat_with_links_at_its_marks(
    client: httpx.Client, caller: OpenAI, bot: str
) -> None:
    expected = ask(client, QUESTION, uuid4().hex).json()
    said = caller.chat.completions.create(model=bot, messages=ASKED, temperature=0.1, max_tokens=50, user="ada")
    message = said.choices[0].message
    assert (said.model, said.choices[0].finish_reason, message.content) == (bot, "stop", expected["answer"])
    [annotation] = message.annotations or []
    assert_opens(annotation.url_citation, message.content)
    extra = said.model_extra or {}
    assert (extra["answered"], extra["citations"]) == (True, expected["citations"])
    assert extra["confidence"] == "high"
    assert client.get(f"/v1/runs/{extra['run_id']}").json()["bot_id"] == bot


def test_an_answer_that_may_be_beside_the_question_says_so_in_every_shape(caller: OpenAI) -> None:
    question = "Which animals are allowed in the halls without any restriction?"
    asked: Any = [{"role": "user", "content": question}]
    whole = caller.chat.completions.create(model="default", messages=asked).model_extra or {}
    last = list(caller.chat.completions.create(model="default", messages=asked, stream=True))[-1].model_extra or {}
    told = caller.responses.create(model="default", input=question).model_extra or {}
    assert [(one["answered"], one["confidence"]) for one in (whole, last, told)] == [(True, "low")] * 3


def test_the_chunks_of_a_stream_come_to_the_same(caller: OpenAI) -> None:
    whole = caller.chat.completions.create(model="default", messages=ASKED)
    chunks = list(caller.chat.completions.create(model="default", messages=ASKED, stream=True))
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    found = [one.to_dict() for one in whole.choices[0].message.annotations or []]
    assert (deltas[-1].model_extra or {})["annotations"] == found != []
    assert whole.usage is not None
    assert whole.usage.total_tokens == 0, "quotes cost none"
    *_, last = caller.chat.completions.create(
        model="default", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    assert (last.choices, last.usage) == ([], whole.usage)
    assert (chunks[-1].model_extra or {})["citations"] == (whole.model_extra or {})["citations"]


def test_messages_before_the_last_are_the_past_of_a_new_conversation(
    service_with_model: Service, writer: OpenAI, model_server: FakeModelServer
) -> None:
    roles = ("user", "assistant")
    before: list[Any] = [{"role": roles[turn % 2], "content": f"Said {turn} [1]"} for turn in range(24)]
    before[22]["content"] = [{"type": "text", "text": "In two"}, {"type": "text", "text": "parts"}]
    system = {"role": "system", "content": "Talk like a pirate."}
    said = writer.chat.completions.create(model="default", messages=[system, *before, *ASKED])
    assert said.usage is not None
    assert said.usage.prompt_tokens > said.usage.completion_tokens > 5
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens
    told = model_server.requests()[-1]["body"]["messages"]
    assert "pirate" not in str(told)
    assert [one["content"] for one in told[-3:]] == ["In two\nparts", "Said 23", QUESTION]
    assert len(told) < 24
    with service_with_model.client() as client:
        kept = client.get(f"/v1/conversations/{(said.model_extra or {})['conversation_id']}").json()["messages"]
        earlier = [*(f"Said {turn} [1]" for turn in range(4, 22)), "In two\nparts", "Said 23 [1]"]
        assert [one["content"] for one in kept[:-2]] == earlier
    long = [{"role": "user", "content": "x" * 30_000}, {"role": "assistant", "content": "y" * 20_000}]
    writer.chat.completions.create(model="default", messages=[*long, *ASKED])  # type: ignore[list-item]
    assert "xxx" not in str(model_server.requests()[-1]["body"]["messages"])


def test_words_that_are_void_end_the_stream_with_an_error_and_the_run_goes_on(
    service_with_model: Service, writer: OpenAI, model_server: FakeModelServer
) -> None:
    model_server.configure(faults=[{"kind": "truncate", "after_tokens": 3}])
    chunks = iter(writer.chat.completions.create(model="default", messages=ASKED, stream=True))
    run_id = next(chunks).id.removeprefix("chatcmpl-")
    with pytest.raises(openai.APIError, match=f"GET /v1/runs/{run_id}") as failed:
        list(chunks)
    assert failed.value.code == "not-ready"
    with service_with_model.client() as client:
        service_with_model.wait_for(lambda: client.get(f"/v1/runs/{run_id}").json()["status"] != "processing")
        result = client.get(f"/v1/runs/{run_id}").json()["result"]
        assert result["fallback_reason"] == "model-unavailable"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"extra_body": {"best_of": 2}}, "best_of"),
        ({"messages": []}, "messages"),
        ({"messages": [*ASKED, {"role": "assistant", "content": "A room"}]}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 5_001}]}, "messages"),
        ({"messages": [{"role": "tool", "content": "4", "tool_call_id": "1"}, *ASKED]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0.type"),
    ],
)
def test_what_a_bot_does_not_do_is_refused_by_name(caller: OpenAI, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        caller.chat.completions.create(**{"model": "default", "messages": ASKED, **changed})
    assert (refused.value.code, refused.value.param) == ("bad-input", field)
    assert refused.value.type == "invalid_request_error"


def test_nothing_of_another_tenant_is_found(
    service: Service, other_client: httpx.Client, caller: OpenAI, stranger: OpenAI, bot: str
) -> None:
    mine = caller.chat.completions.create(model=bot, messages=ASKED).model_extra or {}
    with pytest.raises(openai.NotFoundError) as refused:
        stranger.chat.completions.create(model=bot, messages=ASKED)
    assert refused.value.code == "not-found"
    theirs = stranger.chat.completions.create(model="default", messages=ASKED).model_extra or {}
    ids = {one["document_id"] for one in mine["citations"]}
    assert not ids & {one["document_id"] for one in theirs["citations"]}
    assert other_client.get(f"/v1/runs/{mine['run_id']}").status_code == 404
    assert other_client.get(f"/v1/conversations/{mine['conversation_id']}?bot_id={bot}").status_code == 404
    with connect(service, "ak_live_aaaaaaaa_" + "b" * 43) as nobody, pytest.raises(openai.AuthenticationError) as named:
        nobody.models.list()
    assert (named.value.code, named.value.type) == ("unauthorized", "authentication_error")
