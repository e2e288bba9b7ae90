"""Flask's request cycle as a coroutine: the same steps in the same order, but nothing in it blocks the server's loop.

Each function is the namesake of a method of `flask.Flask` 3.1 that cannot be awaited; a table in tests/api/test_asgi.py
runs every case through both. Functions given to Flask may be coroutine functions anywhere.
"""

import asyncio
import contextvars
import inspect
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from itertools import chain
from typing import Any, Self

from asgiref.sync import iscoroutinefunction
from blinker import Signal
from flask import Flask, Request, Response, got_request_exception, request_finished, request_started
from werkzeug.exceptions import BadRequestKeyError, HTTPException, InternalServerError
from werkzeug.routing import RoutingException

from api.intake import Intake
from api.streaming import AsyncStream
from api.sync_pool import SyncPool

_serving_loop: contextvars.ContextVar[asyncio.AbstractEventLoop] = contextvars.ContextVar("serving_loop")
_postponed: contextvars.ContextVar[list["Postponed"]] = contextvars.ContextVar("postponed")

Postponed = tuple[contextvars.Context, Callable[[], Coroutine[Any, Any, Any]]]


class Dispatch:
    """One request on its way through the app. Leaving it runs the teardown functions and leaves the request's context.

    A refused request is refused where the view would be called, so that the app's hooks run and its handlers render it.
    A coroutine view runs in *view_watch*, which may cancel it.
    """

    def __init__(self, app: Flask, intake: Intake, view_watch: AbstractContextManager[object], pool: SyncPool) -> None:
        self._app, self._view_watch, self._pool = app, view_watch, pool
        self._intake = intake
        self._context = app.request_context(intake.environ)
        self._error: BaseException | None = None
        self._stream: AsyncStream | None = None

    @property
    def _request(self) -> Request:
        return self._context.request

    async def response(self) -> Response:
        """The finished response, also to an exception that nothing handles."""
        _serving_loop.set(asyncio.get_running_loop())
        try:
            self._context.push()
            if not self._intake.is_prepared:
                await self._intake.prepare(self._app.view_functions.get(self._request.endpoint or ""))
            return await self._full_dispatch_request()
        except Exception as error:
            self._error = error
            return await self._handle_exception(error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: object) -> None:
        try:
            if self._stream is not None:  # closed even if another response replaced it
                await self._stream.aclose()
        finally:
            await self._tear_down(self._error or exc)

    async def _tear_down(self, error: BaseException | None) -> None:
        if error is not None and self._app.should_ignore_error(error):
            error = None
        # Flask calls these functions without awaiting; see `await_coroutines`.
        postponed: list[Postponed] = []
        token = _postponed.set(postponed)
        try:
            self._context.pop(error)
        finally:
            _postponed.reset(token)
        for context, call in postponed:
            await asyncio.create_task(call(), context=context)

    async def _full_dispatch_request(self) -> Response:
        app = self._app
        app._got_first_request = True
        try:
            if request_started.receivers:
                await _emit(request_started, app)
            rv = await self._preprocess_request()
            if rv is None:
                rv = await self._dispatch_request()
        except Exception as error:
            rv = await self._handle_user_exception(error)
        return await self._finalize_request(rv)

    async def _preprocess_request(self) -> Any:
        app, request = self._app, self._request
        names = (None, *reversed(request.blueprints))
        for name in names:
            for preprocess in app.url_value_preprocessors.get(name, ()):
                preprocess(request.endpoint, request.view_args)
        for name in names:
            for hook in app.before_request_funcs.get(name, ()):
                rv = await _call(hook)
                if rv is not None:
                    return rv
        return None

    async def _dispatch_request(self) -> Any:
        app, request = self._app, self._request
        if self._intake.refusal is not None:
            raise self._intake.refusal
        if request.routing_exception is not None:
            app.raise_routing_exception(request)
        rule = request.url_rule
        if getattr(rule, "provide_automatic_options", False) and request.method == "OPTIONS":
            return app.make_default_options_response()
        rv = await self._call_view(app.view_functions[request.endpoint or ""], request.view_args or {})
        self._stream = _stream_in(rv)
        if self._stream is not None and request.method != "HEAD":
            with self._view_watch:
                await self._stream.prime()
        return rv

    async def _call_view(self, view: Callable[..., Any], args: dict[str, Any]) -> Any:
        if not _is_coroutine(view):
            self._pool.check_room()
            rv = await self._pool.run(partial(view, **args))
            if not inspect.isawaitable(rv):
                return rv
        else:
            rv = view(**args)
        with self._view_watch:
            return await rv

    async def _handle_user_exception(self, error: Exception) -> Any:
        app = self._app
        if isinstance(error, BadRequestKeyError) and (app.debug or app.config["TRAP_BAD_REQUEST_ERRORS"]):
            error.show_exception = True
        is_answer = isinstance(error, HTTPException) and not app.trap_http_exception(error)
        if is_answer and (isinstance(error, RoutingException) or getattr(error, "code", None) is None):
            return error
        handler = app._find_error_handler(error, self._request.blueprints)
        if handler is not None:
            return await _call(handler, error)
        if is_answer:
            return error
        raise error

    async def _handle_exception(self, error: Exception) -> Response:
        app = self._app
        await _emit(got_request_exception, app, exception=error)
        propagate = app.config["PROPAGATE_EXCEPTIONS"]
        if propagate or (propagate is None and (app.testing or app.debug)):
            raise error
        app.log_exception(sys.exc_info())
        answer = InternalServerError(original_exception=error)
        handler = app._find_error_handler(answer, self._request.blueprints)
        rv = answer if handler is None else await _call(handler, answer)
        return await self._finalize_request(rv, from_error_handler=True)

    async def _finalize_request(self, rv: Any, *, from_error_handler: bool = False) -> Response:
        app = self._app
        if isinstance(rv, HTTPException):
            # Flask would run it as a WSGI app and get an iterator, which is sent through the pool.
            rv = rv.get_response(self._request.environ)
        response = app.make_response(rv)
        try:
            response = await self._process_response(response)
            if request_finished.receivers:
                await _emit(request_finished, app, response=response)
        except Exception:
            if not from_error_handler:
                raise
            app.logger.exception("Request finalizing failed with an error while handling an error")
        return response

    async def _process_response(self, response: Response) -> Response:
        app, context = self._app, self._context
        for function in context._after_request_functions:
            response = await _call(function, response)
        for name in chain(self._request.blueprints, (None,)):
            for function in reversed(app.after_request_funcs.get(name, ())):
                response = await _call(function, response)
        session = context._session
        if session is not None and not app.session_interface.is_null_session(session):
            app.session_interface.save_session(app, session, response)
        return response


def await_coroutines(app: Flask) -> None:
    """Make Flask's own calls of coroutine functions run on the serving loop while the bridge serves a request.

    In a pool's thread (class-based views, decorators that use `ensure_sync`) the thread waits for the loop. On the loop
    only teardown is left, where results do not matter: they run after the plain functions, in the order of the calls.
    Elsewhere, as in the test client, nothing changes.
    """
    default = app.async_to_sync

    def async_to_sync(function: Callable[..., Any]) -> Callable[..., Any]:
        loop = _serving_loop.get(None)
        return default(function) if loop is None else partial(_call_from_sync, loop, function)

    app.async_to_sync = async_to_sync  # type: ignore[method-assign, assignment] # Flask's documented place for this


def _call_from_sync(loop: asyncio.AbstractEventLoop, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if asyncio._get_running_loop() is not loop:
        return asyncio.run_coroutine_threadsafe(function(*args, **kwargs), loop).result()
    postponed = _postponed.get(None)
    if postponed is None:
        raise RuntimeError(f"{function!r} was called synchronously on the event loop; await it instead.")
    postponed.append((contextvars.copy_context(), partial(function, *args, **kwargs)))
    return None


@lru_cache(1000)  # views are few, and to look takes longer than to find the view
def _is_coroutine(view: Callable[..., Any]) -> bool:
    return iscoroutinefunction(view)


async def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    result = function(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


async def _emit(signal: Signal, app: Flask, **kwargs: object) -> None:
    await signal.send_async(app, _sync_wrapper=lambda receiver: partial(_call, receiver), **kwargs)


def _stream_in(rv: Any) -> AsyncStream | None:
    """The stream a view returned, bare or as the first of `(body, status, headers)`."""
    body = rv[0] if isinstance(rv, tuple) and rv else rv
    return body if isinstance(body, AsyncStream) else None
