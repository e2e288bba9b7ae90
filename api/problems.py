"""Errors out: every refusal and every failure becomes an RFC 9457 problem document."""

import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, json, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from utils.errors import BadInput, Overloaded, ProblemError, TooLarge, http_problem, problem_of
from utils.logging_config import request_id

logger = logging.getLogger("api.problems")

# What werkzeug says of an address speaks to people at a keyboard.
_ADDRESS = {
    404: "There is nothing at this address: /docs lists what there is.",
    405: "This address does not take that method: the Allow header names those it takes.",
}
PROBLEM = "pustaka.problem"  # where in a request's environ the slug of what it was refused for stands


def register_problems(app: Flask) -> None:
    """Render whatever goes wrong in a request."""
    app.register_error_handler(ProblemError, _refused)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(RecursionError, _too_deep)
    app.register_error_handler(Exception, _unexpected)


def problem_document(error: BaseException) -> dict[str, Any]:
    """The document for *error*, also for use inside a stream; what is not ours to tell becomes a plain 500."""
    return _document(problem_of(error))


def invalid(error: ValidationError) -> None:
    """Turn pydantic's findings into a `BadInput` that names every wrong field.

    Raises:
        BadInput: always.
    """
    if request.is_json and request.get_json(silent=True) is None and request.get_data():
        raise BadInput(_why_not_json())
    errors = [
        {"field": ".".join(map(str, found["loc"])) or "body", "message": _plain(found)}
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    named = "; ".join(f"{found['field']}: {found['message']}" for found in errors)
    raise BadInput(named, members={"errors": errors})


def _why_not_json() -> str:
    try:
        json.loads(request.get_data())
    except (ValueError, RecursionError) as exc:
        return f"The body is not valid JSON: {exc}."
    return "The body is JSON null; send an object."


def _plain(found: Any) -> str:
    if found["type"] == "extra_forbidden":
        return "There is no such field"
    if found["type"] == "model_type":
        return "Send a JSON object with Content-Type: application/json"
    return str(found["msg"]).removeprefix("Value error, ")


def note_failure(error: BaseException) -> None:
    """Log what went wrong on our side, or on that of something we depend on; what a caller did wrong is no news."""
    if not isinstance(error, ProblemError):
        logger.error("A request failed unexpectedly.", exc_info=error)
    elif error.status >= 500 and not isinstance(error, Overloaded):
        logger.error("A request failed: %s", error, exc_info=error)


def _refused(error: ProblemError) -> Response:
    note_failure(error)
    return _respond(problem_document(error), error.headers)


def _too_deep(error: RecursionError) -> Response:
    # Python's JSON reader gives up on deep nesting this way; no code of ours recurses over what callers send.
    return _refused(BadInput("The body is nested too deeply."))


def _http(error: HTTPException) -> Response:
    code = error.code or 500
    if code == 413:
        return _refused(TooLarge("The body is larger than this server takes; send less."))
    detail = _ADDRESS.get(code) or error.description or HTTPStatus(code).phrase
    response = _respond(_document(http_problem(code, detail)), {})
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value  # such as Allow for a 405
    return response


def _unexpected(error: Exception) -> Response:
    note_failure(error)
    return _respond(problem_document(error), {})


def _respond(document: dict[str, Any], headers: dict[str, str]) -> Response:
    body = json.dumps(document)
    request.environ[PROBLEM] = document["type"].rpartition(":")[2]
    return Response(body, document["status"], headers, mimetype="application/problem+json")


def _document(problem: Mapping[str, object]) -> dict[str, Any]:
    return {
        **problem,
        "instance": request.path,
        "request_id": request_id.get(),
        "message": problem["detail"],
        "timestamp": int(time.time()),
    }
