"""What the routes of this family have in common: their heading, and how they tell errors."""

import json
import re
from collections.abc import Mapping
from typing import Any

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from api.description_parts import PROBLEM
from utils.errors import NotReady

_ABOUT = "What clients of OpenAI's API call. Errors have its shape; `code` is the name of a problem type."
openai_blueprint = APIBlueprint("openai", __name__, abp_tags=[Tag(name="OpenAI", description=_ABOUT)])
# Addresses that OpenAI's clients call, those that are not served among them: no route says so of these.
_NAMES = (
    "audio/(?:speech|transcriptions|translations)|chat/completions|completions|embeddings|models|moderations|responses"
)
_ADDRESS = re.compile(rf"/v1/(?:{_NAMES})(?:/.*)?", re.DOTALL)
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def describe_openai_error(problem: Mapping[str, Any]) -> dict[str, Any]:
    """*problem*, a problem document, as OpenAI's clients read it; `param` is the first wrong field."""
    status, errors = problem["status"], problem.get("errors") or [{}]
    return {
        "message": problem["detail"],
        "type": "server_error" if status >= 500 else _KINDS.get(status, "invalid_request_error"),
        "param": errors[0].get("field"),
        "code": str(problem["type"]).rpartition(":")[2],
    }


def make_void_error(path: str) -> NotReady:
    """What ends a stream in which words were told that are void: its clients cannot take them back."""
    return NotReady(
        f"The answer was begun anew, and what was sent of it is void. Read it with GET {path}, or ask again."
    )


@openai_blueprint.after_app_request
def translate_problem(response: Response) -> Response:
    """Every refusal of these routes, and of addresses and methods beside them, in OpenAI's shape."""
    if response.mimetype == PROBLEM and _ADDRESS.fullmatch(request.path):
        response.set_data(json.dumps({"error": describe_openai_error(json.loads(response.get_data()))}))
        response.mimetype = "application/json"
    return response
