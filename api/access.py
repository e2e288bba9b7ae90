"""Which routes need a key. Every view of ours is marked one way or the other; a test refuses one that is not."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from flask import Response, current_app, request
from flask_openapi3 import validate_request

from api.admission import Admission
from api.auth import Authenticator
from api.intake import at_end, load_body, reads_body_itself
from api.limits import RateLimits
from utils.errors import ProblemError

View = Callable[..., Awaitable[Response]]


def needs_key(view: View) -> View:
    """Give the view its caller as the first argument, once the key is verified and the request counted.

    The arguments that flask-openapi3 reads from the request (`path`, `query`, `body`) are validated after that: whoever
    has no key learns nothing about what would be valid.

    Raises:
        Unauthorized: there is no valid key.
        RateLimited: the key has made all its requests.
        TooManyAtOnce: it has as many under way as it may.
        BadInput: what was sent is not valid.
    """
    validated: View = validate_request()(view)  # type: ignore[no-untyped-call]  # the library leaves it untyped

    @wraps(validated)
    async def guarded(**kwargs: Any) -> Response:
        authenticator: Authenticator = current_app.extensions["authenticator"]
        admission: Admission = current_app.extensions["admission"]
        limits: RateLimits | None = current_app.extensions["rate_limits"]
        ctx = await authenticator.principal(request)
        at_end(request, admission.request_of(ctx).release)
        if limits is None or ctx.key_id in authenticator.unlimited:
            await load_body(request)
            return await validated(ctx, **kwargs)
        allowance = await limits.spend(ctx)
        await load_body(request)
        try:
            response = await validated(ctx, **kwargs)
        except ProblemError as error:
            error.headers = {**allowance.headers, **error.headers}
            raise
        response.headers.update(allowance.headers)
        return response

    guarded.__dict__["policy"] = "key"
    return reads_body_itself(guarded)  # a body takes memory only for those who may send it


def open_to_all(view: Any) -> Any:
    """Mark a view that needs no key: health, readiness, documentation."""
    view.policy = "open"
    return view
