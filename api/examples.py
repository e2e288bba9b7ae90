"""Examples for the OpenAPI document, made from its schemas: a field's own example, else one by its name or its type."""

from typing import Any

Json = dict[str, Any]

_MOMENT = "2026-11-23T01:21:19.042Z"
_ID = "0b9f1c52-6d1e-4f0a-9a57-2d1f4d1f7a10"
# One name means one thing everywhere, so one example does for each.
_BY_NAME: Json = {
    "allowed_origins": "https://www.example.org",
    "answer": "A room costs IDR 850,000 a month [1].",
    "approvals": "search_documents",
    "base_url": "https://api.example.org/v1",
    "content": "How much does a dormitory room cost?",
    "conversation_id": "visitor-42",
    "date": "2026-02-03",
    "description": "What students ask most.",
    "detail": "Document not found.",
    "document_id": _ID,
    "id": _ID,
    "instance": "/v1/tenant/documents/nothing",
    "language": "en",
    "media_type": "application/pdf",
    "message": "How much does a dormitory room cost?",
    "model": "extractive",
    "name": "Handbook",
    "persistence": "redis",
    "public_id": "acme/admissions",
    "query": "dormitory rent",
    "quote": "A dormitory room costs IDR 850,000 a month.",
    "redis": "ok",
    "response": "A room costs IDR 850,000 a month [1].",
    "role": "user",
    "sentence": "A dormitory room costs IDR 850,000 a month.",
    "source": "dormitories.pdf",
    "sources": "dormitories.pdf",
    "text": "A dormitory room costs IDR 850,000 a month.",
    "title": "Dormitories",
    "tools": "search_documents",
    "type": "urn:pustaka:problem:not-found",
    "uri": "postgresql://reader:password@db.example.org:5432/machines",
    "url": "https://www.example.org/handbook/",
    "valid_from": "2026-01-01",
    "valid_until": "2026-12-31",
    "version": 1,
}


def make_example(schema: Json, schemas: Json, name: str = "") -> Any:
    """A value that *schema* allows, a field's called *name*; *schemas* are the named ones that it may refer to."""
    if "$ref" in schema:
        return make_example(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return make_example(next(one for one in schema["anyOf"] if one.get("type") != "null"), schemas, name)
    return _make_value(schema, schemas, name)


def _make_value(schema: Json, schemas: Json, name: str) -> Any:
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {}).items()
            return {field: make_example(of, schemas, field) for field, of in fields if not of.get("deprecated")}
        case "array":
            return [make_example(schema["items"], schemas, name)] if schema.get("maxItems") != 0 else []
        case "null":
            return None
        case "boolean":
            return bool(schema.get("default"))
        case "integer" | "number":
            example = _BY_NAME.get(name)
            return example if isinstance(example, int) else schema.get("default") or schema.get("minimum", 1)
        case _:
            return _make_text(schema, name)


def _make_text(schema: Json, name: str) -> Any:
    if schema.get("format") == "date-time":
        return _MOMENT
    if name in _BY_NAME:
        return str(_BY_NAME[name])
    return _ID if name.endswith("_id") else schema.get("default") or name
