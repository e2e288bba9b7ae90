"""A Flask app that uses Flask's features and notes in a journal what is called, in which order.

Every view exists twice, under `/sync` and `/coroutine`; the hooks are of one kind or the other.
"""

import logging
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    g,
    got_request_exception,
    make_response,
    request,
    request_finished,
    request_started,
    request_tearing_down,
)
from werkzeug.exceptions import HTTPException, InternalServerError

from tests.server.live_server import Journal
from tests.server.parity_views import (
    Ignored,
    Kind,
    Nested,
    Odd,
    add_errors,
    add_requests,
    add_responses,
    add_special,
    add_streams,
    as_coroutine,
    as_sync,
)

LIMIT_BYTES = 200


class Parity(Flask):
    def should_ignore_error(self, error: BaseException | None) -> bool:
        return isinstance(error, Ignored)


def make_app(hook_kind: Kind) -> tuple[Flask, Journal]:
    """The app and its journal."""
    app, journal = Parity("parity"), Journal()
    app.config.update(SECRET_KEY="for a test", MAX_CONTENT_LENGTH=LIMIT_BYTES)
    _add_hooks(app, journal, hook_kind)
    _add_handlers(app, journal, hook_kind)
    _connect_signals(app, journal, hook_kind)
    for prefix, kind in {"sync": as_sync, "coroutine": as_coroutine}.items():
        plain, special = Blueprint(prefix, __name__), Blueprint(f"{prefix}_special", __name__)
        add_requests(plain, kind)
        add_responses(plain, kind)
        add_streams(plain, journal, kind)
        add_errors(plain, kind)
        add_special(special, journal, kind, hook_kind)
        app.register_blueprint(plain, url_prefix=f"/{prefix}")
        app.register_blueprint(special, url_prefix=f"/{prefix}/special/<int:number>")
    app.logger.addHandler(_Noting(journal))
    app.logger.propagate = False
    return app, journal


class _Noting(logging.Handler):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        self._journal.note(f"logged {record.levelname} {record.getMessage()}")


def _add_hooks(app: Flask, journal: Journal, kind: Kind) -> None:
    def first() -> Any:
        journal.note(f"before {request.path}")
        g.seen = ["first"]
        match request.args.get("before"):
            case "answer":
                return "from the hook", 203
            case "abort":
                abort(409)
            case "fail":
                raise RuntimeError("in the hook")
            case "read":
                journal.note(f"hook read {len(request.get_data())}")
        return None

    def second() -> None:
        g.seen.append("second")

    def after(response: Response) -> Response:
        journal.note(f"after {response.status_code} {g.get('seen')}")
        response.headers["X-After"] = "yes"
        if request.args.get("after") == "fail":
            raise RuntimeError("after the request")
        if request.args.get("after") == "replace":
            return make_response("another", 202)
        return response

    def teardown(error: BaseException | None) -> None:
        journal.note(f"teardown {error!r} {request.path} {g.get('seen')}")

    def app_teardown(error: BaseException | None) -> None:
        journal.note(f"app teardown {error!r}")

    app.before_request(kind(first))
    app.before_request(kind(second))
    app.after_request(kind(after))
    app.after_request(lambda response: journal.note("registered last, runs first") or response)
    app.teardown_request(kind(teardown))
    app.teardown_appcontext(kind(app_teardown))
    app.context_processor(lambda: {"who": "parity"})


def _add_handlers(app: Flask, journal: Journal, kind: Kind) -> None:
    def odd(error: Odd) -> Any:
        journal.note("handled Odd")
        return {"odd": str(error)}, 422

    def nested(error: Nested) -> Any:
        raise RuntimeError("in the handler") from error

    def too_large(error: HTTPException) -> Any:
        return {"too large": error.description}, 413, {"X-Handled": "413"}

    def unexpected(error: InternalServerError) -> Any:
        journal.note(f"handled 500 {error.original_exception!r}")
        return {"unexpected": type(error.original_exception).__name__}, 500

    app.register_error_handler(Odd, kind(odd))
    app.register_error_handler(Nested, kind(nested))
    app.register_error_handler(413, kind(too_large))
    app.register_error_handler(InternalServerError, kind(unexpected))


def _connect_signals(app: Flask, journal: Journal, kind: Kind) -> None:
    receivers = []
    for signal in (request_started, request_finished, request_tearing_down, got_request_exception):

        def receiver(sender: Flask, name: str = signal.name, **kwargs: Any) -> None:
            journal.note(f"signal {name} {sorted(kwargs)}")

        receivers.append(kind(receiver))
        signal.connect(receivers[-1], app)
    app.extensions["receivers"] = receivers  # signals hold them weakly
