"""The OpenAPI document: what flask-openapi3 makes of the routes, completed by what holds for all of them.

Who may use a route, its refusals, headers and examples are added here for every operation, so that none can lack them.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask_openapi3 import OpenAPI
from flask_openapi3.models import OPENAPI3_REF_TEMPLATE
from pydantic import BaseModel

from api.access import Policy
from api.deprecations import DEPRECATED
from api.description_parts import (
    EVENTS,
    JSON,
    OPENAI_ERRORS,
    REQUEST_HEADERS,
    RESPONSE_HEADERS,
    STREAMS,
    describe_headers,
    describe_problems,
    refer_to_headers,
    refer_to_problem,
    request_header,
)
from api.event_schemas import RunEvent
from api.examples import make_example
from api.idempotency import IDEMPOTENCY_HEADER, IDEMPOTENCY_KEY
from api.problem_schemas import OpenAiErrorOut
from api.repeats import REPLAYED_HEADER
from api.request_parts import MERGE_PATCH
from api.voice_events import VoiceEvent

Json = dict[str, Any]
_OF_STATUS = {"201": ["Location"], "202": ["Location"], "206": ["Content-Range"]}
_EVERY, _GUARDED, _WITH_BODY, _OF_REPEATS = (400, 431, 500, 503), (401, 403, 429), (408, 413, 415), (409, 422)
_REPEATED = request_header(
    IDEMPOTENCY_HEADER,
    "The same for a request that is sent again: it gets what the first one came to, for a day.",
    pattern=IDEMPOTENCY_KEY.pattern,
)
_IF_MATCH = request_header("If-Match", "Do it only while it still has this ETag.")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document, and who may use it."""

    method: str
    endpoint: str
    described: Json
    policy: Policy

    @property
    def has_body(self) -> bool:
        """Whether it takes a body."""
        return "requestBody" in self.described

    @property
    def is_repeatable(self) -> bool:
        """Whether it takes an `Idempotency-Key`."""
        return self.method == "post" and self.policy.repeats != "none"


class DescribedApi(OpenAPI):
    """An app with a complete document."""

    def generate_spec_json(self) -> None:
        """Make the document."""
        super().generate_spec_json()  # type: ignore[no-untyped-call]  # flask-openapi3 has no type for it
        components = self.spec_json["components"]
        components["headers"], components["responses"] = describe_headers(), describe_problems()
        for model in (RunEvent, VoiceEvent, OpenAiErrorOut):
            _add_schema(components["schemas"], model)
        _describe_defaults(self.spec_json)
        for operation in self._list_operations():
            _complete(operation, components)
        _remove_unused(self.spec_json, "headers", "responses")

    def list_deprecating(self) -> frozenset[tuple[str, str]]:
        """The endpoints, each with its method, whose answers hold names that are deprecated."""
        schemas = self.api_doc["components"]["schemas"]
        operations = ((one, _list_answer_schemas(one.described)) for one in self._list_operations())
        return frozenset(
            (one.endpoint, one.method) for one, answers in operations if _has_deprecated(answers, schemas, set())
        )

    def _list_operations(self) -> Iterator[Operation]:
        for rule in self.url_map.iter_rules():
            policy: Policy | None = getattr(self.view_functions[rule.endpoint], "policy", None)
            path = re.sub(r"<(?:[^<>:]++:)?+([^<>]++)>", r"{\1}", rule.rule)
            described = self.spec_json["paths"].get(path, {})
            for method in map(str.lower, rule.methods or ()):
                if policy and method in described:
                    yield Operation(method, rule.endpoint, described[method], policy)


def _complete(operation: Operation, components: Json) -> None:
    described, policy = operation.described, operation.policy
    described["security"] = _describe_security(policy) if policy.scope else described.get("security", [])
    described["description"] = described.get("description", "").replace("<br/>", "\n")
    headers, streams = described.pop(RESPONSE_HEADERS, []), described.pop(STREAMS, None)
    problem_kind = "OpenAiError" if described.pop(OPENAI_ERRORS, False) else "Problem"
    parameters = [*described.pop(REQUEST_HEADERS, []), *([_REPEATED] if operation.is_repeatable else [])]
    parameters += [_IF_MATCH] if policy.conditional else []
    if parameters:
        described["parameters"] = [*described.get("parameters", []), *parameters]
    headers += ["RateLimit", "RateLimit-Policy"] if policy.scope else []
    headers += [REPLAYED_HEADER] if operation.is_repeatable else []
    if _has_deprecated(_list_answer_schemas(described), components["schemas"], set()):
        headers = [*headers, *DEPRECATED]
    for status, response in described["responses"].items():
        if int(status) < 400:
            _complete_response(response, [*headers, *_OF_STATUS.get(status, ())], components)
    if streams:
        described["responses"]["200"].setdefault("content", {})[EVENTS] = streams
    if operation.has_body:
        _complete_body(operation, components)
    _add_problems(operation, problem_kind)


def _add_problems(operation: Operation, kind: str) -> None:
    responses = operation.described["responses"]
    statuses = {int(status) for status in responses if int(status) >= 400} | set(_EVERY)
    statuses |= set(_GUARDED) if operation.policy.scope else set()
    statuses |= set(_OF_REPEATS) if operation.is_repeatable else set()
    statuses |= set(_WITH_BODY) if operation.has_body else set()
    statuses |= {412} if operation.policy.conditional else set()
    answers = {status: response for status, response in responses.items() if int(status) < 400}
    operation.described["responses"] = answers | {
        str(status): refer_to_problem(status, kind) for status in sorted(statuses)
    }


def _complete_response(response: Json, headers: list[str], components: Json) -> None:
    response["headers"] = response.get("headers", {}) | refer_to_headers("X-Request-Id", *headers)
    for media_type, content in response.get("content", {}).items():
        if media_type == JSON:
            content.setdefault("example", make_example(content["schema"], components["schemas"]))
            name = content["schema"].get("$ref", "").rpartition("/")[2]
            response["description"] = components["schemas"].get(name, {}).get("description", response["description"])


def _list_answer_schemas(described: Json) -> list[Json]:
    answers = (answer for status, answer in described["responses"].items() if int(status) < 300)
    return [content["schema"] for answer in answers for content in answer.get("content", {}).values()]


def _has_deprecated(schema: Any, schemas: Json, seen: set[str]) -> bool:
    if isinstance(schema, list):
        return any(_has_deprecated(one, schemas, seen) for one in schema)
    if not isinstance(schema, dict):
        return False
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name and name not in seen:
        seen.add(name)
        return _has_deprecated(schemas[name], schemas, seen)
    return schema.get("deprecated") is True or any(_has_deprecated(one, schemas, seen) for one in schema.values())


def _complete_body(operation: Operation, components: Json) -> None:
    content = operation.described["requestBody"]["content"]
    if JSON in content:
        content[JSON].setdefault("example", make_example(content[JSON]["schema"], components["schemas"]))
    if operation.method == "patch":
        # In words: a second media type makes generated clients ask which of two bodies that are the same is meant.
        operation.described["description"] += (
            f"\n\nThe body is a JSON merge patch (RFC 7396), as {JSON} or {MERGE_PATCH}."
        )


def _describe_defaults(schema: Any) -> None:
    """Say defaults in words: many generators take a field with a `default` for one that is always there."""
    if isinstance(schema, list):
        for one in schema:
            _describe_defaults(one)
    elif isinstance(schema, dict):
        for name, field in schema.get("properties", {}).items():
            if isinstance(field, dict) and "default" in field and name not in schema.get("required", []):
                default = field.pop("default")
                text = field.get("description", "").removesuffix(".")
                if default not in (None, "", [], {}):
                    text = f"{text}. Default: {json.dumps(default)}" if text else f"Default: {json.dumps(default)}"
                if text:
                    field["description"] = f"{text}."
        for one in schema.values():
            _describe_defaults(one)


def _add_schema(schemas: Json, model: type[BaseModel]) -> None:
    schema = model.model_json_schema(ref_template=OPENAPI3_REF_TEMPLATE, mode="serialization")
    for name, definition in schema.pop("$defs").items():
        schemas.setdefault(name, definition)
    schemas[model.__name__] = schema


def _remove_unused(document: Json, *kinds: str) -> None:
    used = set(re.findall(r'"#/components/([^"]+)"', json.dumps(document)))
    for kind in kinds:
        described = document["components"][kind]
        document["components"][kind] = {name: one for name, one in described.items() if f"{kind}/{name}" in used}


def _describe_security(policy: Policy) -> list[dict[str, list[str]]]:
    """Any one of these is enough; the scope stands as the role that a key has to have."""
    by_link: list[dict[str, list[str]]] = [{"link": []}] if policy.kind == "link" else []
    return [{"key": [str(policy.scope)]}, {"bearer": [str(policy.scope)]}, *by_link]
