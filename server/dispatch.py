"""Flask's request cycle around a view that is awaited, so that nothing in it blocks the server's loop.

Hooks, error handlers and signals are called by Flask's own methods. Functions given to Flask may be coroutine functions
anywhere; where hooks are, these methods run in a thread, which waits for the loop. A table in
tests/server/test_asgi_parity.py runs every case through this and through WSGI.
"""

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from itertools import chain
from typing import Any, Self, TypeVar

from asgiref.sync import iscoroutinefunction
from flask import Flask, Request, Response, got_request_exception, request_finished, request_started
from werkzeug.exceptions import HTTPException

from server.request_body import RequestBodyReader
from server.streaming import AsyncStream
from server.sync_pool import SyncPool, adopt

_serving_loop: contextvars.ContextVar[asyncio.AbstractEventLoop] = contextvars.ContextVar("serving_loop")
_postponed: contextvars.ContextVar[list["Postponed"]] = contextvars.ContextVar("postponed")

T = TypeVar("T")
Postponed = tuple[contextvars.Context, Callable[[], Coroutine[Any, Any, Any]]]


class Dispatch:
    """One request on its way through the app. Leaving it runs the teardown functions and leaves the request's context.

    A refused request is refused where the view would be called, so that the app's hooks run and its handlers render it.
    A coroutine view runs in *view_watch*, which may cancel it. *has_coroutine_hooks* is what the function of that name
    says of *app*.
    """

    def __init__(
        self,
        app: Flask,
        intake: RequestBodyReader,
        view_watch: AbstractContextManager[object],
        pool: SyncPool,
        *,
        has_coroutine_hooks: bool,
    ) -> None:
        self._app, self._view_watch, self._pool = app, view_watch, pool
        self._intake, self._has_coroutine_hooks = intake, has_coroutine_hooks
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
            return await self._handle(self._app.handle_exception, error)

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
        app._got_first_request = True  # noqa: SLF001 - Flask's guard against late changes; tests/server/test_asgi.py holds it
        try:
            rv = await self._call_flask(partial(_run_before_request, app))
            if rv is None:
                rv = await self._dispatch_request()
        except Exception as error:
            rv = await self._handle(app.handle_user_exception, error)
        if isinstance(rv, HTTPException):
            # Flask would run it as a WSGI app and get an iterator, which is sent through the pool.
            rv = rv.get_response(self._request.environ)
        return await self._call_flask(partial(app.finalize_request, rv))

    async def _call_flask(self, step: Callable[[], T]) -> T:
        return await self._pool.run(step) if self._has_coroutine_hooks else step()

    async def _handle(self, handle: Callable[[Exception], T], error: Exception) -> T:
        return await self._call_flask(partial(_handle_raised, handle, error))

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
                await self._stream.fetch_first()
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


def has_coroutine_hooks(app: Flask) -> bool:
    """Whether a hook, an error handler or a receiver of a request's signals is a coroutine function."""
    before, after = app.before_request_funcs.values(), app.after_request_funcs.values()
    hooks = chain(chain.from_iterable(before), chain.from_iterable(after))
    tables = chain.from_iterable(by_code.values() for by_code in app.error_handler_spec.values())
    handlers = chain.from_iterable(table.values() for table in tables)
    signals = (request_started, request_finished, got_request_exception)
    receivers = chain.from_iterable(signal.receivers_for(app) for signal in signals)
    return any(iscoroutinefunction(function) for function in chain[Any](hooks, handlers, receivers))


def _run_before_request(app: Flask) -> Any:
    if request_started.receivers:
        request_started.send(app, _async_wrapper=app.ensure_sync)
    return app.preprocess_request()


def _handle_raised(handle: Callable[[Exception], T], error: Exception) -> T:
    """What *handle* makes of *error*, which has to be the exception that is being handled, in a thread as well."""
    try:
        raise error
    except Exception:
        return handle(error)


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
    if not _is_running(loop):
        return _wait_for(loop, partial(function, *args, **kwargs))
    postponed = _postponed.get(None)
    if postponed is None:
        raise RuntimeError(f"{function!r} was called synchronously on the event loop; await it instead.")
    postponed.append((contextvars.copy_context(), partial(function, *args, **kwargs)))
    return None


def _wait_for(loop: asyncio.AbstractEventLoop, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of `call()` on *loop*, for a thread, which then has the context variables that it set."""
    contexts: list[contextvars.Context] = []

    async def run() -> T:
        try:
            return await call()
        finally:
            contexts.append(contextvars.copy_context())

    try:
        return asyncio.run_coroutine_threadsafe(run(), loop).result()
    finally:
        for context in contexts:
            adopt(context)


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


@lru_cache(1000)  # views are few, and to look takes longer than to find the view
def _is_coroutine(view: Callable[..., Any]) -> bool:
    return iscoroutinefunction(view)


def _stream_in(rv: Any) -> AsyncStream | None:
    """The stream a view returned, bare or as the first of `(body, status, headers)`."""
    body = rv[0] if isinstance(rv, tuple) and rv else rv
    return body if isinstance(body, AsyncStream) else None
