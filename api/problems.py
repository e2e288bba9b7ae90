"""Errors out: every refusal and every failure becomes an RFC 9457 problem document."""

import logging
from http import HTTPStatus
from urllib.parse import quote

from flask import Flask, Response, json, request
from werkzeug.exceptions import HTTPException, RequestedRangeNotSatisfiable
from werkzeug.routing import WebsocketMismatch

from utils.errors import (
    BadInput,
    NotEnoughSpace,
    NotReady,
    Overloaded,
    ProblemError,
    TooLarge,
    make_problem_document,
    make_refusal,
)
from utils.logging_config import request_id

logger = logging.getLogger("api.problems")

# What werkzeug says of an address speaks to people at a keyboard.
_ADDRESS = {
    404: "No such path: /docs lists those there are.",
    405: "Method not allowed: the Allow header names those that are.",
}
PROBLEM = "pustaka.problem"  # where in a request's environ the slug of what it was refused for stands


def register_problems(app: Flask) -> None:
    """Render whatever goes wrong in a request."""
    app.register_error_handler(ProblemError, _refuse)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(RecursionError, _answer_deep_nesting)
    app.register_error_handler(Exception, _answer_failure)


def note_failure(error: BaseException) -> None:
    """Log what went wrong on our side, or on that of something we depend on; what a caller did wrong is no news."""
    if not isinstance(error, ProblemError):
        logger.error("A request failed unexpectedly.", exc_info=error)
    elif error.status >= 500 and not isinstance(error, Overloaded | NotEnoughSpace | NotReady):
        logger.error("A request failed: %s", error, exc_info=error)


def _refuse(error: ProblemError) -> Response:
    note_failure(error)
    return _respond(error, error.headers)


def _answer_deep_nesting(error: RecursionError) -> Response:
    # Python's JSON reader gives up on deep nesting this way; what `read_json` reads is refused much sooner.
    return _refuse(BadInput("The body is nested too deeply."))


def _answer_http_error(error: HTTPException) -> Response:
    refusal = translate_http_error(error)
    return _respond(refusal, refusal.headers)


def translate_http_error(error: HTTPException) -> ProblemError:
    """Our refusal for what werkzeug, or the reader of bodies, refuses."""
    code = error.code or 500
    if code == 413:
        return TooLarge("The body is too large; send less.")
    if isinstance(error, WebsocketMismatch):
        return BadInput("There are no websockets here: send a plain request, without the Upgrade header.")
    if isinstance(error, RequestedRangeNotSatisfiable) and error.length is not None:
        error.description = f"The range starts after the end of the file, which has {error.length} bytes."
    refusal = make_refusal(code, _ADDRESS.get(code) or error.description or HTTPStatus(code).phrase)
    named = error.get_headers()  # such as Allow for a 405
    refusal.headers = {name: value for name, value in named if name.lower() not in ("content-type", "content-length")}
    return refusal


def _answer_failure(error: Exception) -> Response:
    note_failure(error)
    return _respond(error, {})


def _respond(error: BaseException, headers: dict[str, str]) -> Response:
    document = make_problem_document(error, instance=quote(request.path), request_id=request_id.get())
    request.environ[PROBLEM] = str(document["type"]).rpartition(":")[2]
    return Response(json.dumps(document), int(str(document["status"])), headers, mimetype="application/problem+json")
