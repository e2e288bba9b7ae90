"""The OpenAPI document: what generated clients and readers need of it."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from pydantic import BaseModel

from app import create_app
from config import load_settings
from tests.service import ROOT, ask

Json = dict[str, Any]
JSON = "application/json"
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
            assert ("Location" in answer["headers"]) is (status in ("201", "202")), path
            assert bool(answer.get("content")) is (status not in ("204", "304")), path
            for media_type, content in answer.get("content", {}).items():
                assert content["schema"], path
                assert ("example" in content) is (media_type in ("application/json", "text/event-stream")), path


def test_every_refusal_is_a_problem_with_the_types_that_it_may_have(document: Json) -> None:
    described = document["components"]["responses"]
    for _, path, operation in operations(document):
        refusals = {status: answer for status, answer in operation["responses"].items() if int(status) >= 400}
        assert {"400", "500", "503"} <= set(refusals), path
        shape = "OpenAiError" if operation["tags"] == ["OpenAI"] else "Problem"
        for status, answer in refusals.items():
            assert answer == {"$ref": f"#/components/responses/{shape}{status}"}
    for name, answer in described.items():
        assert list(answer["content"]) == [JSON if name.startswith("OpenAi") else "application/problem+json"]
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


def test_no_two_schemas_have_one_name() -> None:
    assert create_app(load_settings(_env_file=None))  # which has imported all models
    named = [model.__name__ for model in list_models(BaseModel) if model.__module__.startswith("api.")]
    assert len(named) > 150
    assert [name for name, count in Counter(named).items() if count > 1] == [], (
        "the document would show but one of them"
    )


def list_models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Every model below *base*, once."""
    found = {model for child in base.__subclasses__() for model in (child, *list_models(child))}
    yield from found


def test_the_document_keeps_the_order_of_fields(document: Json) -> None:
    chat = document["components"]["schemas"]["ChatOut"]["properties"]
    assert list(chat)[:2] == ["answer", "response"]


# Names that other standards and the guides for integrators give another meaning.
FOREIGN = {
    "Problem": {"status", "timestamp"},  # RFC 9457
    "HealthOut": {"version", "timestamp"},  # what monitors of the guide read
    "MetricsOut": {"sql_attempts"},  # as the maintenance guide has it, and so the next two
    "SessionsOut": {"active_sessions"},
    "ArtifactOut": {"size"},
    "ExecTimeOut": {"total"},  # as the guide has it: seconds
    "StreamedTimeOut": {"total"},
    "LoadedOut": {"document_id"},  # a number to callers of other services
}


def fields(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Schema, name and description of each field of ours that is not deprecated."""
    for schema, described in document["components"]["schemas"].items():
        if schema.startswith("OpenAi"):  # their names are OpenAI's
            continue
        for name, field in described.get("properties", {}).items():
            if not field.get("deprecated") and name not in FOREIGN.get(schema, ()):
                yield schema, name, field


def type_of(field: Json) -> str:
    """What a field holds, apart from null: its type, or that of its items."""
    if "anyOf" in field:
        return " or ".join(sorted({type_of(one) for one in field["anyOf"] if one.get("type") != "null"}))
    if "items" in field:
        return f"list of {type_of(field['items'])}"
    return str((field.get("$ref") and "object") or field.get("type") or "anything")


def test_one_name_has_one_type_everywhere(document: Json) -> None:
    types: dict[str, dict[str, list[str]]] = {}
    for schema, name, field in fields(document):
        types.setdefault(name, {}).setdefault(type_of(field), []).append(schema)
    assert {name: found for name, found in types.items() if len(found) > 1} == {}


# Numbers that count nothing: they say which one, where, or the most.
PLACES = {
    "number", "row", "version", "page", "rank", "start", "end", "total", "limit", "offset", "used", "max_depth",
    "max_pages", "top_k", "bot_version", "model_version", "max_tokens",
}  # fmt: skip


def test_names_say_what_they_hold(document: Json) -> None:
    wrong = [(schema, name) for schema, name, field in fields(document) if not _is_well_named(name, field)]
    assert wrong == []


def _is_well_named(name: str, field: Json) -> bool:
    kind, form = type_of(field), json.dumps(field)
    return (
        bool(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name))
        and not re.search(r"(^|_)state$", name)
        and (not name.endswith("_at") or "date-time" in form)
        and ("date-time" not in form or name.endswith("_at"))
        and (not name.endswith(("_count", "_bytes", "_ms")) or kind in ("integer", "number"))
        and (not name.endswith(("_id", "_url")) or kind == "string")
        and (not name.endswith("_ids") or kind == "list of string")
        and (name != "error" or kind == "object")
        and (kind != "integer" or name in PLACES or name.endswith(("_count", "_s", "_ms", "_bytes", "_rank")))
    )


def test_old_names_stand_beside_the_new_ones_and_say_the_same(client: httpx.Client, document: Json) -> None:
    source = client.post("/v1/tenant/web-sources", json={"url": f"https://{uuid4().hex}.invalid/"}).json()
    said = ask(client, "How much does a dormitory room cost?", uuid4().hex).json()
    client.put(f"/v1/conversations/{said['conversation_id']}/answers/{said['run_id']}/rating", json={"rating": "up"})
    asked = {
        "/v1/tenant/web-sources/{web_source_id}": source["id"],
        "/v1/tenant/datasets": "",
        "/v1/tenant/documents": "",
        "/v1/tenant/ratings": "",
        "/v1/runs/{run_id}": said["run_id"],
        "/v1/conversations/{conversation_id}": said["conversation_id"],
        "/health": "",
    }
    seen = set()
    for path, name in asked.items():
        params = {"verbose": "true"} if path == "/health" else {}
        answer = client.get(re.sub(r"\{.*\}", name, path), params=params).json()
        schema = document["paths"][path]["get"]["responses"]["200"]["content"][JSON]["schema"]
        for old, new, shown in renamed(schema, answer, document["components"]["schemas"]):
            assert (old, shown[old]) == (old, shown[new])
            seen.add(old)
    client.delete(f"/v1/tenant/web-sources/{source['id']}")
    assert {"share_done", "attempts", "document_state", "web_source_id", "total", "pending", "problems"} <= seen


def renamed(schema: Json, shown: Any, schemas: Json) -> Iterator[tuple[str, str, Json]]:
    """Each old name in an answer, the new one, and the object in which they stand."""
    for one in schema.get("anyOf", ()):
        if shown is not None:
            yield from renamed(one, shown, schemas)
    schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if isinstance(shown, list) and "items" in schema:
        for item in shown:
            yield from renamed(schema["items"], item, schemas)
    for name, field in schema.get("properties", {}).items() if isinstance(shown, dict) else ():
        if found := re.match(r"(\w+), as it was called before", field.get("description", "")):
            yield name, found[1], shown
        elif name in shown:
            yield from renamed(field, shown[name], schemas)


def test_every_list_comes_a_part_at_a_time(document: Json) -> None:
    schemas = document["components"]["schemas"]
    lists = [(path, one) for _, path, one in operations(document) if one["operationId"].startswith("list")]
    assert len(lists) >= 5
    for path, operation in lists:
        asked = {parameter["name"] for parameter in operation["parameters"]}
        assert {"limit", "offset", "after"} <= asked, path
        shown = schemas[
            operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        ]
        rest = set(shown["properties"]) - {"total", "limit", "offset", "next"}
        assert len(rest) == 1, path
        assert shown["properties"][rest.pop()]["type"] == "array", path


def test_work_that_goes_on_has_an_address_and_patches_a_condition(document: Json) -> None:
    schemas = document["components"]["schemas"]
    for method, path, operation in operations(document):
        if "202" in operation["responses"]:
            name = operation["responses"]["202"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert "status_url" in schemas[name]["required"], path
        if method == "patch" and path != "/v1/conversations/{conversation_id}":  # its title is one person's own
            assert takes_if_match(operation), path
            assert "415" in operation["responses"], path
            assert "ETag" in operation["responses"]["200"]["headers"], path


def takes_if_match(operation: Json) -> bool:
    return "If-Match" in [parameter["name"] for parameter in operation.get("parameters", ())]


def test_whatever_has_an_etag_is_changed_and_deleted_only_as_it_was_seen(document: Json) -> None:
    tagged = 0
    for path, item in document["paths"].items():
        has_etag = JSON in item.get("get", {}).get("responses", {}).get("200", {}).get("content", {}) and (
            "ETag" in item["get"]["responses"]["200"]["headers"]
        )
        tagged += has_etag
        for method in item.keys() & {"put", "patch", "delete"}:
            assert takes_if_match(item[method]) is has_etag, (method, path)
            assert ("412" in item[method]["responses"]) is has_etag, (method, path)
    assert tagged >= 2


def test_a_condition_that_a_route_does_not_look_at_is_refused(client: httpx.Client, document: Json) -> None:
    tried = [
        (method, re.sub(r"\{[a-z_]+\}", "nothing", path))
        for method, path, operation in operations(document)
        if method != "get" and not takes_if_match(operation)
    ]
    assert len(tried) > 15
    for method, path in tried:
        refused = client.request(method, path, headers={"If-Match": "*"})
        assert refused.status_code == 400, (method, path)
        assert "If-Match" in refused.text, (method, path)


def test_what_has_an_address_tells_its_own_id(document: Json) -> None:
    schemas = document["components"]["schemas"]
    shown = {}
    for method, path, operation in operations(document):
        content = operation["responses"].get("200", {}).get("content", {}).get(JSON)
        if method == "get" and path.endswith("_id}") and content:
            shown[path] = schemas[content["schema"]["$ref"].rpartition("/")[2]]
    assert len(shown) >= 5
    assert [path for path, schema in shown.items() if "id" not in schema["required"]] == []


def test_reading_conflicts_with_nothing(document: Json) -> None:
    reading = [(path, one) for method, path, one in operations(document) if method == "get"]
    assert [path for path, operation in reading if {"409", "412"} & set(operation["responses"])] == []


def test_paths_are_kebab_case_and_native_ones_have_a_version(document: Json) -> None:
    outside = {"/health", "/ready", "/api/load-document"}  # probes, and what callers of other services expect
    for path in document["paths"]:
        assert path in outside or path.startswith("/v1/"), path
        assert re.fullmatch(r"(/([a-z0-9-]+|\{[a-z_]+\}(\.png)?))+", path), path


def test_work_in_the_background_has_no_name_of_its_own_in_resources(document: Json) -> None:
    assert [(schema, name) for schema, name, _ in fields(document) if name == "task_id"] == []


def test_the_conventions_name_the_statuses_that_work_has(document: Json) -> None:
    page = (ROOT / "docs" / "api-conventions.md").read_text("utf-8")
    known = ("pending", "processing", "waiting", "completed", "failed", "cancelled")
    told = {status for status in known if f"`{status}`" in page}
    of_work = ("DocumentOut", "WebSourceOut", "RunOut", "AcceptedOut", "LoadedOut")
    for name in of_work:
        assert set(document["components"]["schemas"][name]["properties"]["status"]["enum"]) <= told, name


def test_the_conventions_name_every_old_name(document: Json) -> None:
    page = (
        (ROOT / "docs" / "api-conventions.md").read_text("utf-8").partition("## Versions")[2].partition("## Limits")[0]
    )
    schemas = document["components"]["schemas"].values()
    old = {
        name
        for schema in schemas
        for name, described in schema.get("properties", {}).items()
        if described.get("deprecated")
    }
    assert {name for name in old if f"`{name}`" not in page} == set()
