"""What a schema cannot say of requests, for Schemathesis: which of their parts belong together."""

from itertools import count
from typing import Any

import schemathesis

_numbers = count(1)


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Before OpenAPI 3.2 Schemathesis takes the schema of a stream for that of each event."""
    data = {"type": "string", "minLength": 2}
    event = {
        "type": "object",
        "required": ["id", "event", "data"],
        "properties": {"id": {"type": "string", "pattern": "-[0-9]+$"}, "data": data},
    }
    of_openai = {"type": "object", "required": ["data"], "properties": {"data": data}}
    for item in raw_schema["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                if stream := response.get("content", {}).get("text/event-stream"):
                    stream["schema"] = event if "contentSchema" in stream["schema"] else of_openai


@schemathesis.hook
def map_case(context: schemathesis.HookContext, case: schemathesis.Case) -> schemathesis.Case:
    """Make valid requests consistent; what is meant to be wrong stays so."""
    if case.meta is not None and case.meta.generation.mode.is_negative:
        return case
    headers = case.headers or {}
    if "Idempotency-Key" in headers:
        case.headers["Idempotency-Key"] = f"fuzz-{next(_numbers)}"  # else most keys would be those of other requests
    if "Last-Event-ID" in headers:
        case.headers["Last-Event-ID"] = f"{case.path_parameters['run_id']}-0"
    if case.query:
        case.query.pop("after", None)  # opaque: only the service makes it
    body = case.body
    if isinstance(body, dict):
        if "messages" in body:
            body["messages"] = [{"role": "user", "content": "How do I apply?"}]  # the last has to be a question
        elif case.operation.label == "POST /v1/embeddings":
            body.pop("dimensions", None)  # that of the model
        elif "input" in body:
            body["input"] = "How do I apply?"
            body.pop("previous_response_id", None)  # of those that there are
        elif body.get("session_id") is not None:
            headers.pop("X-Conversation-Id", None)
        elif case.path.startswith("/v1/chat") and "X-Conversation-Id" not in headers:
            body["session_id"] = None  # one of them has to name the conversation
        if "files" in body:
            body.pop("external_ids", None)  # as many as files
        if "/v1/tenant/bots" in case.operation.label:
            for names in ("tools", "approvals"):
                body.pop(names, None)  # of those that there are
        if "/v1/tenant/models" in case.operation.label and body.get("base_url"):
            body["base_url"] = f"https://{next(_numbers)}.invalid/v1"
        if "/v1/tenant/data-sources" in case.operation.label and "uri" in body:
            body["uri"] = f"postgresql://reader:password@{next(_numbers)}.invalid:5432/data"
            if "type" in body:
                body["type"] = "postgresql"
        if case.operation.label in ("POST /v1/tenant/web-sources", "POST /v1/tenant/webhooks"):
            body["url"] = f"https://{next(_numbers)}.invalid/"
    return case
