"""Which routes need a key. Every view of ours is marked one way or the other; a test refuses one that is not."""

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from flask import Request, Response, current_app, request
from flask_openapi3.request import _validate_request
from flask_openapi3.utils import parse_parameters

from api.admission import Admission
from api.auth import Authenticator, link_bearer
from api.intake import at_end, load_body, reads_body_itself
from api.limits import RateLimits
from api.links import CitationLinks
from api.sync_pool import SyncPool
from utils.errors import ProblemError

View = Callable[..., Awaitable[Response] | Response]
AsyncView = Callable[..., Awaitable[Response]]


def needs_key(view: View) -> AsyncView:
    """Give the view its caller as the first argument, once the key is verified and the request counted.

    The arguments that flask-openapi3 reads from the request (`path`, `query`, `body`) are validated after that: whoever
    has no key learns nothing about what would be valid. A view that is no coroutine function, and the validation of
    what it is sent, run in a thread.

    Raises:
        Unauthorized: there is no valid key.
        RateLimited: the key has made all its requests.
        TooManyAtOnce: it has as many under way as it may.
        BadInput: what was sent is not valid.
    """
    return _guarded(view, load_body)


def needs_key_first(view: View) -> AsyncView:
    """The same for a coroutine view that takes the body itself, piece by piece: one that may be larger than others."""
    return _guarded(view, _leave_body)


def _guarded(view: View, take_body: Callable[[Request], Awaitable[None]]) -> AsyncView:
    validated = _validated(view)

    @wraps(validated)
    async def guarded(**kwargs: Any) -> Response:
        authenticator: Authenticator = current_app.extensions["authenticator"]
        admission: Admission = current_app.extensions["admission"]
        limits: RateLimits | None = current_app.extensions["rate_limits"]
        ctx = await authenticator.principal(request)
        at_end(request, admission.request_of(ctx).release)
        if limits is None or ctx.key_id in authenticator.unlimited:
            await take_body(request)
            return await validated(ctx, **kwargs)
        allowance = await limits.spend(ctx)
        await take_body(request)
        try:
            response = await validated(ctx, **kwargs)
        except ProblemError as error:
            error.headers = {**allowance.headers, **error.headers}
            raise
        response.headers.update(allowance.headers)
        return response

    guarded.__dict__["policy"] = "key"
    return reads_body_itself(guarded)  # a body takes memory only for those who may send it


def needs_key_or_link(view: View) -> AsyncView:
    """The same for a view of one version of a document, which a link with `version` and `token` opens too.

    Requests with one are not counted as a key's: their bearers have none, and cannot wait for it.

    Raises:
        LinkRefused: the token is too old, or not for this document.
    """
    validated, by_key = _validated(view), needs_key(view)

    @wraps(validated)
    async def guarded(**kwargs: Any) -> Response:
        token = request.args.get("token")
        if token is None:
            return await by_key(**kwargs)
        links: CitationLinks = current_app.extensions["links"]
        admission: Admission = current_app.extensions["admission"]
        version = request.args.get("version", default=0, type=int)
        ctx = link_bearer(links.signer, token, str(kwargs["document_id"]), version)
        at_end(request, admission.request_of(ctx).release)
        await load_body(request)
        return await validated(ctx, **kwargs)

    guarded.__dict__["policy"] = "link"
    return reads_body_itself(guarded)


async def _leave_body(request: Request) -> None:
    """The view reads it."""


def _validated(view: View) -> AsyncView:
    """What `flask_openapi3.validate_request` makes of it, whose models it looks up, and describes, at every request.

    For the body of a chat that took 0.6 ms of the 1 ms its whole edge did.
    """
    parts = ("header", "cookie", "path", "query", "form", "body", "raw")
    models: dict[str, Any] = dict(zip(parts, parse_parameters(view, doc_ui=False), strict=True))
    view.__dict__["__delay_validate_request__"] = True  # it need not do so itself

    def read(kwargs: dict[str, Any]) -> dict[str, Any]:
        return {**_validate_request(**models, path_kwargs=kwargs), **kwargs}

    if iscoroutinefunction(view):

        @wraps(view)
        async def validated(*args: Any, **kwargs: Any) -> Response:
            response: Response = await view(*args, **read(kwargs))
            return response

    else:

        @wraps(view)
        async def validated(*args: Any, **kwargs: Any) -> Response:
            pool: SyncPool = current_app.extensions["sync_pool"]
            pool.check_room()
            return await pool.run(lambda: view(*args, **read(kwargs)))  # type: ignore[arg-type,return-value]

    return validated


def open_to_all(view: Any) -> Any:
    """Mark a view that needs no key: health, readiness, documentation."""
    view.policy = "open"
    return view
