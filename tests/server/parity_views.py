"""The views of the parity app, each made of the kind it is asked for: a plain function or a coroutine function."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    after_this_request,
    g,
    make_response,
    redirect,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
)
from flask.views import MethodView

from server.streaming import AsyncStream
from tests.server.live_server import Journal


class Odd(Exception):
    """Handled by the app."""


class Ignored(Exception):
    """Not shown to the teardown functions."""


class Nested(Exception):
    """Its handler fails."""


Kind = Callable[[Callable[..., Any]], Callable[..., Any]]


def as_sync(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself."""
    return function


def as_coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a coroutine function that really waits."""

    @wraps(function)
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    return coroutine


def add_requests(bp: Blueprint, kind: Kind) -> None:
    def echo(rest: str = "") -> Any:
        names = ("method", "path", "full_path", "script_root", "url", "base_url", "host", "scheme", "remote_addr")
        told = {name: getattr(request, name) for name in names}
        ignored = ("Content-Length", "Transfer-Encoding")
        told["headers"] = sorted((k, v) for k, v in request.headers if k not in ignored)
        told |= {"rest": rest, "args": request.args.to_dict(flat=False), "cookies": request.cookies.to_dict(flat=False)}
        return told | {"data": request.get_data(as_text=True), "endpoint": request.endpoint}

    def form() -> Any:
        files = {name: file.read().decode() for name, file in request.files.items()}
        return {"form": request.form.to_dict(flat=False), "files": files, "wanted": request.form["wanted"]}

    def parsed() -> Any:
        return {"json": request.get_json()}

    def counter() -> Any:
        session["count"] = session.get("count", 0) + 1
        return {"count": session["count"]}

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    bp.add_url_rule("/echo", "echo", kind(echo), methods=methods)
    bp.add_url_rule("/echo/<path:rest>", "echo_path", kind(echo), methods=methods)
    bp.add_url_rule("/form", view_func=kind(form), methods=["POST"])
    bp.add_url_rule("/json", view_func=kind(parsed), methods=["POST"])
    bp.add_url_rule("/counter", view_func=kind(counter))
    bp.add_url_rule("/slash/", "slash", kind(echo))


def add_responses(bp: Blueprint, kind: Kind) -> None:
    def made(what: str) -> Any:
        response = make_response("hällo")
        response.set_etag("tag")
        answers: dict[str, Any] = {
            "text": "hällo",
            "bytes": b"\x00\xff",
            "dict": {"ä": 1},
            "list": [1, 2],
            "status": ("", 201),
            "headers": ("x", {"X-A": "1"}),
            "all": ("x", 202, [("X-A", "1"), ("X-A", "2")]),
            "no content": (b"ignored", 204),
            "not modified": response.make_conditional(request),
            "unicode header": ("x", {"X-Name": "日本", "X-Latin": "ü"}),
            "redirect": redirect(url_for(".echo", q="ä", _external=True)),
            "relative redirect": ("", 302, {"Location": "/ü"}),
            "file": send_file(io.BytesIO(b"0123456789" * 3000), mimetype="text/plain", conditional=True),
            "none": None,
            "nonsense": 12,
        }
        return answers[what]

    def cookies() -> Response:
        response = make_response("two")
        response.set_cookie("a", "1", httponly=True)
        response.set_cookie("b", "ü", path="/x")
        return response

    def later() -> str:
        @after_this_request
        def add(response: Response) -> Response:
            response.headers["X-Later"] = "yes"
            return response

        return "x"

    class Two(MethodView):
        def get(self) -> str:
            return "got"

    Two.post = kind(lambda self: "posted")  # type: ignore[attr-defined] # of the kind asked for
    bp.add_url_rule("/made/<what>", view_func=kind(made))
    bp.add_url_rule("/cookies", view_func=kind(cookies))
    bp.add_url_rule("/later", view_func=kind(later))
    bp.add_url_rule("/two", view_func=Two.as_view("two"))


def add_streams(bp: Blueprint, journal: Journal, kind: Kind) -> None:
    def generated() -> Response:
        def chunks() -> Iterator[str]:
            try:
                yield "ä"
                yield ""
                yield "b"
            finally:
                journal.note("generator closed")

        response = Response(chunks())
        response.call_on_close(lambda: journal.note("response closed"))
        return response

    def with_context() -> Response:
        return Response(stream_with_context(request.args[name] for name in ("a", "b")))

    def asynchronous() -> AsyncStream:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one,"
            await asyncio.sleep(0)
            yield b"two"

        return AsyncStream(chunks(), mimetype="text/event-stream", headers={"X-A": "1"})

    bp.add_url_rule("/generated", view_func=kind(generated))
    bp.add_url_rule("/with-context", view_func=kind(with_context))
    bp.add_url_rule("/asynchronous", view_func=kind(asynchronous))


def add_errors(bp: Blueprint, kind: Kind) -> None:
    def failing(how: str) -> Any:
        raising: dict[str, Callable[[], Any]] = {
            "odd": lambda: _throw(Odd("one")),
            "ignored": lambda: _throw(Ignored()),
            "nested": lambda: _throw(Nested()),
            "unhandled": lambda: _throw(ZeroDivisionError("by zero")),
            "404": lambda: abort(404),
            "418": lambda: abort(418, "short and stout"),
            "response": lambda: abort(make_response("made", 410)),
            "key": lambda: request.args["missing"],
        }
        return raising[how]()

    bp.add_url_rule("/failing/<how>", view_func=kind(failing))


def _throw(error: Exception) -> None:
    raise error


def add_special(bp: Blueprint, journal: Journal, kind: Kind, hook_kind: Kind) -> None:
    """A blueprint with hooks of its own, and a number in its prefix that the views do not see."""

    def special(how: str) -> Any:
        if how == "fail":
            raise LookupError("special")
        return {"number": g.number, "link": url_for(".special", how="other")}

    @bp.url_value_preprocessor
    def take_number(endpoint: str | None, values: dict[str, Any] | None) -> None:
        g.number = (values or {}).pop("number", None)

    @bp.url_defaults
    def add_number(endpoint: str, values: dict[str, Any]) -> None:
        values.setdefault("number", g.number)

    bp.before_request(hook_kind(lambda: journal.note(f"blueprint before {g.number}")))
    bp.after_request(hook_kind(lambda response: journal.note("blueprint after") or response))
    bp.teardown_request(hook_kind(lambda error: journal.note("blueprint teardown")))
    bp.register_error_handler(Exception, hook_kind(lambda error: (f"the blueprint's: {error!r}", 500)))
    bp.add_url_rule("/<how>", "special", kind(special))
