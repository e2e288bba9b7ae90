"""The OpenAPI document: what generated clients and readers need of it."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

Json = dict[str, Any]
METHODS = ("get", "put", "post", "patch", "delete")


@pytest.fixture(scope="module")
def document(service: Any) -> Json:
    """As the service gives it."""
    found: Json = httpx.get(f"{service.url}/openapi.json", trust_env=False).json()
    return found


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Method, path and description of each."""
    for path, item in document["paths"].items():
        yield from ((method, path, item[method]) for method in METHODS if method in item)


def test_every_operation_has_a_name_of_its_own_that_is_a_verb_and_a_noun(document: Json) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names) > 30
    assert [name for name in names if not re.fullmatch(r"[a-z]+(?:[A-Z][a-z]+)+", name)] == []


def test_the_document_is_valid(document: Json) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_operation_says_what_it_does_for_whom_and_under_which_heading(document: Json) -> None:
    headings = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert all(headings.values())
    assert document["servers"]
    for method, path, operation in operations(document):
        assert set(operation["tags"]) <= set(headings), path
        assert operation["summary"], path
        assert operation["description"], path
        assert "<br/>" not in operation["description"], path
        assert "security" in operation, (method, path)


def test_every_success_is_described_with_its_media_type_its_headers_and_an_example(document: Json) -> None:
    for _, path, operation in operations(document):
        successes = {status: answer for status, answer in operation["responses"].items() if int(status) < 400}
        assert successes, path
        for status, answer in successes.items():
            assert "X-Request-Id" in answer["headers"], path
            assert ("RateLimit" in answer["headers"]) is bool(operation["security"] and {} not in operation["security"])
            assert ("Location" in answer["headers"]) >= (status == "201")
            assert bool(answer.get("content")) is (status not in ("204", "304")), path
            for media_type, content in answer.get("content", {}).items():
                assert content["schema"], path
                assert ("example" in content) is (media_type in ("application/json", "text/event-stream")), path


def test_every_refusal_is_a_problem_with_the_types_that_it_may_have(document: Json) -> None:
    described = document["components"]["responses"]
    for _, path, operation in operations(document):
        refusals = {status: answer for status, answer in operation["responses"].items() if int(status) >= 400}
        assert {"400", "500", "503"} <= set(refusals), path
        for status, answer in refusals.items():
            assert answer == {"$ref": f"#/components/responses/Problem{status}"}
    for answer in described.values():
        assert list(answer["content"]) == ["application/problem+json"]
        assert "Problem types: `" in answer["description"]


def test_pages_of_other_origins_may_send_and_read_every_header(service: Any, document: Json) -> None:
    preflight = {"Origin": "https://portal.example", "Access-Control-Request-Method": "POST"}
    allowed = httpx.options(f"{service.url}/v1/chat", headers=preflight, trust_env=False).headers
    answered = httpx.get(f"{service.url}/health", headers=preflight, trust_env=False).headers
    every = [parameter for _, _, one in operations(document) for parameter in one.get("parameters", [])]
    sent = {parameter["name"] for parameter in every if parameter["in"] == "header"}
    assert sent
    assert {name.lower() for name in sent} <= set(allowed["access-control-allow-headers"].lower().split(", "))
    given = set(document["components"]["headers"])
    assert {name.lower() for name in given} <= set(answered["access-control-expose-headers"].lower().split(", "))


def test_examples_are_what_the_schemas_allow(document: Json) -> None:
    checked = 0
    for _, _, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media_type, content in ((kind, one) for body in bodies for kind, one in body.get("content", {}).items()):
            if media_type != "multipart/form-data" and "example" in content:
                schema = {**content["schema"], "components": document["components"]}
                OAS31Validator(schema).validate(content["example"])
                checked += 1
    assert checked > 35


def test_the_document_keeps_the_order_of_fields(document: Json) -> None:
    chat = document["components"]["schemas"]["ChatOut"]["properties"]
    assert list(chat)[:2] == ["answer", "response"]
