"""The routes in OpenAI's shapes, called by somebody who tries to break them: each refusal is of its shape."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.fakes.model_server import FakeModelServer
from tests.service import Service

COMPLETIONS, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
SPEECH, TRANSCRIPTIONS = "/v1/audio/speech", "/v1/audio/transcriptions"
QUESTION = "How much does a dormitory room cost?"
ANSWER_ID = "a" * 32
JSON = {"Content-Type": "application/json"}


def assert_refused(refused: httpx.Response, status: int, param: str | None = None) -> None:
    """It is an error as OpenAI's clients read it, which says something."""
    assert refused.status_code == status, refused.text
    assert refused.headers["content-type"] == "application/json"
    assert set(told := refused.json()) == {"error"}, told
    assert set(error := told["error"]) == {"message", "type", "param", "code"}, error
    assert len(error["message"]) > 10
    assert error["type"] in ("invalid_request_error", "authentication_error")
    assert error["param"] == param, error


@pytest.mark.parametrize("path", [COMPLETIONS, RESPONSES, EMBEDDINGS, SPEECH])
@pytest.mark.parametrize(
    ("body", "headers", "status", "param"),
    [
        (b"", {}, 400, "body"),
        (b"{", {}, 400, None),
        (b"null", {}, 400, "body"),
        (b"[" * 50_000, {}, 400, None),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, {}, 400, None),
        (b'{"a": 1, "a": 2}', {}, 400, None),
        (b"\xff\xfe{}", {}, 400, None),
        (b'{"model": NaN}', {}, 400, None),
        (b'{"model": 1e999}', {}, 400, None),
        (b'{"model": ' + b"9" * 5_000 + b"}", {}, 400, None),
        (b"x" * 2_000_000, {}, 413, None),
        (b"{}", {"Content-Type": "text/plain"}, 415, None),
        (b"{}", {"Content-Encoding": "gzip"}, 415, None),
        (b"{}", {"Authorization": "Bearer ak_live_\u00ff"}, 401, None),
        (b"{}", {"Authorization": "Basic eDp5"}, 401, None),
    ],
)  # fmt: skip
def test_a_body_that_is_none_is_refused_in_openai_s_shape(
    service: Service, path: str, body: bytes, headers: dict[str, str], status: int, param: str | None
) -> None:
    sent = {**JSON, "Authorization": f"Bearer {service.key}", **headers}
    encoded = {name: value.encode("latin-1") for name, value in sent.items()}
    assert_refused(httpx.post(service.url + path, content=body, headers=encoded, trust_env=False), status, param)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", COMPLETIONS, 405),
        ("DELETE", f"{RESPONSES}/resp_{ANSWER_ID}", 405),
        ("PUT", EMBEDDINGS, 405),
        ("POST", "/v1/models", 405),
        ("GET", SPEECH, 405),
        ("GET", TRANSCRIPTIONS, 405),
        ("POST", "/v1/audio/translations", 404),
        ("POST", TRANSCRIPTIONS, 404),
        ("GET", f"{COMPLETIONS}/chatcmpl-1", 404),
        ("GET", f"{RESPONSES}/resp_{ANSWER_ID}/input_items", 404),
        ("POST", "/v1/completions", 404),
        ("POST", "/v1/moderations", 404),
        ("GET", "/v1/models/a%2Fb", 404),
        ("GET", "/v1/models/" + "x" * 3_000, 404),
        ("GET", "/v1/models/%F0%9F%98%80%FF%0A", 404),
        ("GET", f"{RESPONSES}/resp_..%2F..%2Fx_{ANSWER_ID}", 404),
        ("POST", f"{RESPONSES}/resp_visitor-42_{ANSWER_ID}/cancel", 404),
    ],
)
def test_an_address_or_method_that_is_not_served_is_refused_in_openai_s_shape(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    assert_refused(client.request(method, path, content=b"{}", headers=JSON), status)


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"model": 3}, "model"),
        ({"model": "a\0b"}, "model"),
        ({"model": "x" * 201}, "model"),
        ({f"unknown_{number}": number for number in range(3_000)}, "unknown_0"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"messages": {"0": {}}}, "messages"),
        ({"messages": [None]}, "messages.0"),
        ({"messages": [{"role": ["user"], "content": QUESTION}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "x"}] * 1_001}, "messages"),
        ({"messages": [{"role": "user", "content": f"\0{QUESTION}"}]}, "messages"),
        ({"messages": [{"role": "user", "content": None}]}, "messages"),
        ({"messages": [{"role": "user", "content": []}]}, "messages"),
        ({"messages": [{"role": "user", "content": {"text": QUESTION}}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [None]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages.0.content.0.type"),
        ({"metadata": json.loads("[" * 90 + "]" * 90)}, None),
    ],
)
def test_parts_of_messages_that_are_none_are_refused_by_where_they_stand(
    client: httpx.Client, changed: dict[str, Any], param: str | None
) -> None:
    asked = {"model": "default", "messages": [{"role": "user", "content": QUESTION}], **changed}
    assert_refused(client.post(COMPLETIONS, json=asked), 400, param)


@pytest.mark.parametrize(
    ("changed", "status", "param"),
    [
        ({"input": 3}, 400, "input"),
        ({"input": ""}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": [QUESTION]}, 400, "input.0"),
        ({"input": f"{QUESTION}\0"}, 400, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, 400, "input.0.content.0.type"),
        ({"input": [{"type": "item_reference", "id": None}]}, 400, "input.0.id"),
        ({"input": [{"type": "item_reference", "id": f"msg_{ANSWER_ID}"}]}, 404, "input"),
        ({"previous_response_id": "resp_\0"}, 400, "previous_response_id"),
        ({"previous_response_id": "x" * 201}, 400, "previous_response_id"),
        ({"previous_response_id": f"resp_../x_{ANSWER_ID}"}, 404, "previous_response_id"),
        ({"background": "yes"}, 400, "background"),
        ({"tools": [{"type": "mcp", "server_url": "http://169.254.169.254"}]}, 400, "tools"),
    ],
)
def test_input_that_is_none_is_refused_by_where_it_stands(
    client: httpx.Client, changed: dict[str, Any], status: int, param: str
) -> None:
    assert_refused(client.post(RESPONSES, json={"model": "default", "input": QUESTION, **changed}), status, param)


def test_a_key_for_one_request_serves_no_other(client: httpx.Client, other_client: httpx.Client) -> None:
    once = {"Idempotency-Key": uuid4().hex}
    asked = {"model": "default", "messages": [{"role": "user", "content": QUESTION}]}
    first, again = (client.post(COMPLETIONS, json=asked, headers=once) for _ in range(2))
    assert first.json() == again.json()
    other = {**asked, "messages": [{"role": "user", "content": "When does the library open?"}]}
    assert_refused(client.post(COMPLETIONS, json=other, headers=once), 422)
    assert other_client.post(COMPLETIONS, json=asked, headers=once).json()["id"] != first.json()["id"]
    long = client.post(COMPLETIONS, json=asked, headers={"Idempotency-Key": "x" * 5_000})
    assert_refused(long, 400, "Idempotency-Key")


@pytest.mark.parametrize(
    ("path", "asked", "ended"),
    [
        (COMPLETIONS, {"messages": [{"role": "user", "content": QUESTION}]}, "cancelled"),
        (RESPONSES, {"input": QUESTION}, "cancelled"),
        (RESPONSES, {"input": QUESTION, "background": True}, "completed"),
    ],
)
def test_who_leaves_a_stream_ends_its_run_unless_it_is_in_the_background(
    service_with_model: Service, model_server: FakeModelServer, path: str, asked: dict[str, Any], ended: str
) -> None:
    model_server.reset()
    model_server.configure(gap_ms=100)
    with service_with_model.client() as client:
        with client.stream("POST", path, json={"model": "default", "stream": True, **asked}) as response:
            run = f"/v1/runs/{response.headers['X-Run-Id']}"
            next(response.iter_raw())
        service_with_model.wait_for(lambda: client.get(run).json()["status"] != "processing")
        assert client.get(run).json()["status"] == ended
    model_server.reset()
