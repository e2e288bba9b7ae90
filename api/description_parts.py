"""What many operations of the OpenAPI document have in common: headers, problems, streams of events."""

from http import HTTPStatus
from typing import Any

from utils.errors import list_problem_types

Json = dict[str, Any]

# What a route may say of itself in `openapi_extensions`, beside what OpenAPI has; none of it stands in the document.
REQUEST_HEADERS, RESPONSE_HEADERS, STREAMS = "x-request-headers", "x-response-headers", "x-streams-events"
OPENAI_ERRORS = "x-openai-errors"
PROBLEM, EVENTS, JSON = "application/problem+json", "text/event-stream", "application/json"
_PROBLEM_HEADERS = {
    401: ("WWW-Authenticate",),
    409: ("Retry-After",),
    412: ("ETag",),
    415: ("Accept",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}
_HEADERS: dict[str, tuple[str, Json]] = {
    "Accept": ("The media types that are taken.", {"type": "string"}),
    "Content-Disposition": ("The name to keep the file under.", {"type": "string"}),
    "Content-Range": ("Which part of the file this is.", {"type": "string"}),
    "Deprecation": ("Since when names of this answer are deprecated.", {"type": "string"}),
    "ETag": ("Which state this is; to be sent back in If-Match or If-None-Match.", {"type": "string"}),
    "Idempotency-Replayed": ("`true` for the result of an earlier request.", {"type": "string", "enum": ["true"]}),
    "Link": ("Where the deprecation is explained.", {"type": "string"}),
    "Location": ("The path of what was made.", {"type": "string", "format": "uri-reference"}),
    "RateLimit": ("What is left: `r` requests, and after `t` seconds one more.", {"type": "string"}),
    "RateLimit-Policy": ("`q` requests within `w` seconds.", {"type": "string"}),
    "Retry-After": ("Seconds to wait.", {"type": "integer", "minimum": 0}),
    "Sunset": ("Until when deprecated names stay.", {"type": "string"}),
    "WWW-Authenticate": ("How to present a key.", {"type": "string"}),
    "X-Conversation-Id": ("The conversation, to go on with.", {"type": "string"}),
    "X-Request-Id": ("What the operator finds the request in the log by.", {"type": "string"}),
    "X-Run-Id": ("The run that gives the answer.", {"type": "string"}),
}


def refer_to_headers(*names: str) -> Json:
    """References to the described response headers *names*."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(names)}


def request_header(name: str, description: str, *, pattern: str | None = None) -> Json:
    """A header that a route reads; *pattern* is what all of it has to match."""
    schema = {"type": "string", **({"pattern": f"^{pattern}$"} if pattern else {})}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def describe_file_response(media_type: str, description: str) -> Json:
    """The success of a route that gives a file or a page."""
    binary = {} if media_type.startswith("text/") else {"format": "binary"}
    return {"description": description, "content": {media_type: {"schema": {"type": "string", **binary}}}}


def describe_headers() -> Json:
    """`components.refer_to_headers`."""
    return {name: {"description": text, "schema": schema} for name, (text, schema) in _HEADERS.items()}


def refer_to_problem(status: int, kind: str = "Problem") -> Json:
    """The response of a problem with *status*; *kind* is also `OpenAiError`."""
    return {"$ref": f"#/components/responses/{kind}{status}"}


def describe_problems() -> Json:
    """`components.responses`: a problem for every status that one may have, with the types that have it, in its own
    shape and in OpenAI's."""
    kinds: dict[int, list[str]] = {}
    for kind in list_problem_types():
        kinds.setdefault(kind.status, []).append(kind.slug)
    shapes = {"Problem": (PROBLEM, "Problem"), "OpenAiError": (JSON, "OpenAiErrorOut")}
    return {
        f"{name}{status}": _describe_problem(status, slugs, *shape)
        for name, shape in shapes.items()
        for status, slugs in sorted(kinds.items())
    }


def _describe_problem(status: int, slugs: list[str], media_type: str, schema: str) -> Json:
    types = ", ".join(f"`{slug}`" for slug in sorted(slugs))
    return {
        "description": f"{HTTPStatus(status).phrase}. Problem types: {types}.",
        "headers": refer_to_headers("X-Request-Id", *_PROBLEM_HEADERS.get(status, ())),
        "content": {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def describe_event_stream(schema: str = "RunEvent") -> Json:
    """The media type of a stream of events, each as *schema* says."""
    return {
        "schema": {
            "type": "string",
            "description": f"Server-Sent Events. The `data` of each is a {schema}, as JSON in one line of ASCII.",
            "contentMediaType": EVENTS,
            "contentSchema": {"$ref": f"#/components/schemas/{schema}"},
        },
        "example": 'id: 7f9c-1\nevent: token\ndata: {"type":"token","content":"A room"}\n\n',
    }
