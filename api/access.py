"""Who may use which route. Every view of ours says so in its `policy`; a test refuses one that does not."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, Literal, TypeVar

from flask import Request, Response, g, request
from flask_openapi3 import validate_request

from api.auth import has_key
from api.conditional import refuse_unread_condition
from api.links import Link
from api.repeats import answers_repeats
from api.request_parts import read_signature
from api.services import services
from api.visitors import find_client_network
from auth.authorisation import authorise
from auth.principal import Principal, PrincipalKind
from auth.scopes import Scope
from domain.document_links import LinkMode
from server.request_body import SMALL_BYTES, call_at_end, expect_no_body, load_body, reads_body_itself
from server.sync_pool import get_sync_pool
from utils.errors import LinkRefused, ProblemError
from utils.logging_config import log_facts
from utils.turns import current_tenant

View = Callable[..., Awaitable[Response] | Response]
AsyncView = Callable[..., Awaitable[Response]]
DecoratedView = TypeVar("DecoratedView", bound=Callable[..., Any])
Decorator = Callable[[View], AsyncView]

Repeating = Literal["kept", "own", "none"]
_CONDITIONAL = "conditional"
PRINCIPAL = "pustaka.principal"  # where in a request's environ stands what logs tell of its principal
_MAX_OPEN_BODY_BYTES = 8192  # of whoever has no key
MAX_BODY_BYTES = 1_048_576  # more than the fields of any request take, but those that hold a document


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may use a route: everybody (`open`), keys that have *scope* (`key`; None: see `requires_key`), or those and
    links (`link`).

    `repeats`: what becomes of a POST with an `Idempotency-Key`; its result is `kept`, unless the view sees to it.
    `conditional`: whether it reads `If-Match`; other routes that change something refuse a request that has one.
    `max_body_bytes`: of a body that is read before the view runs; None: as many as MAX_CONTENT_LENGTH.
    """

    kind: Literal["open", "key", "link"]
    scope: Scope | None = None
    repeats: Repeating = "none"
    conditional: bool = False
    max_body_bytes: int | None = MAX_BODY_BYTES


def requires(scope: Scope, *, repeats: Repeating = "kept", max_body_bytes: int | None = MAX_BODY_BYTES) -> Decorator:
    """Give the view its principal as the first argument, after three steps: the key is verified (who is it), found to
    have *scope* (may they), and counted (how much). What one step refuses does not reach the next.

    Its arguments `path`, `query` and `body` are read from the request after that: whoever has no key learns nothing
    about what would be valid. A view that is no coroutine function runs in a thread. *repeats*,
    *max_body_bytes*: see `Policy`.

    Raises:
        Unauthorized: there is no valid key.
        Forbidden: the key does not have the scope.
        RateLimited: the key has made all its requests.
        TooManyAtOnce: it has as many under way as it may.
        BadInput, UnsupportedMediaType: what was sent is not valid; see `api/request_parts.py`.
    """
    return partial(_guard, scope=scope, take_body=load_body, repeats=repeats, max_body_bytes=max_body_bytes)


def requires_key(*, max_body_bytes: int | None = MAX_BODY_BYTES) -> Decorator:
    """`requires` for a view at whose one address many things can be asked for: any key may, and the view calls
    `authorise` for each thing. It answers repeats itself."""
    return partial(_guard, scope=None, take_body=load_body, repeats="own", max_body_bytes=max_body_bytes)


def checks_if_match(view: DecoratedView) -> DecoratedView:
    """Mark a view that changes or deletes what has an `ETag`, and calls `check_unchanged`; put below `requires`."""
    if "policy" in view.__dict__:
        raise TypeError("Put it below `requires`, which would not see it.")
    view.__dict__[_CONDITIONAL] = True
    return view


def requires_before_body(scope: Scope) -> Decorator:
    """`requires` for a coroutine view that reads the body itself, piece by piece, as it may be larger than others.

    It answers repeats itself: until it has read the body, nothing tells one request from another.
    """
    return partial(_guard, scope=scope, take_body=_skip_body, repeats="own")


def _guard(
    view: View,
    scope: Scope | None,
    take_body: Callable[[Request, str, int | None], Awaitable[None]],
    repeats: Repeating,
    max_body_bytes: int | None = MAX_BODY_BYTES,
) -> AsyncView:
    answered = validated = _read_arguments(view)
    is_conditional: bool = getattr(view, _CONDITIONAL, False)
    if repeats == "kept":
        answered = answers_repeats(validated)

    @wraps(validated)
    async def answer(**kwargs: Any) -> Response:
        ctx = await _authenticate()
        if scope is not None:
            authorise(ctx, scope)
        headers = await _count(ctx)
        try:
            if not is_conditional:
                refuse_unread_condition()
            await take_body(request, ctx.tenant_id, max_body_bytes)
            response = await answered(ctx, **kwargs)
        except ProblemError as error:
            error.headers = {**headers, **error.headers}
            raise
        for name, value in headers.items():
            response.headers.setdefault(name, value)  # a view may know more of it
        return response

    answer.__dict__["policy"] = Policy("key", scope, repeats, is_conditional, max_body_bytes)
    return reads_body_itself(answer)  # a body takes memory only for those who may send it


def _note_principal(ctx: Principal) -> None:
    """Let turns be taken for its tenant, and log lines tell whose request it is."""
    current_tenant.set(ctx.tenant_id)
    facts = request.environ[PRINCIPAL] = ctx.make_log_facts()
    log_facts.set(facts)


async def _authenticate() -> Principal:
    ctx = await services().authenticator.authenticate(request)
    _note_principal(ctx)
    return ctx


async def _count(ctx: Principal) -> dict[str, str]:
    """Count the request among those of its subject; what is to be said of it in headers.

    Raises:
        RateLimited: the subject has made all its requests.
        TooManyAtOnce: it has as many under way as it may.
    """
    call_at_end(request, services().admission.request_of(ctx).release)
    if ctx.kind is PrincipalKind.VISITOR:
        visitors = services().visitor_limits
        return (await visitors.spend_request(visitors.find_visit(ctx, request))).headers if visitors else {}
    limits = services().rate_limits
    return (await limits.spend(ctx.tenant_id, ctx.subject_id)).headers if limits else {}


def requires_or_link(scope: Scope, *, mode: LinkMode = LinkMode.FULL) -> Decorator:
    """`requires` for a view of one version of a document, which a link with `version` and `token` opens too.

    *mode* is what such a link must open at least. Requests with a link are not counted as a key's, but by the network
    they come from, and for the tenant.

    Raises:
        LinkRefused: the token is too old, revoked, or not for this, and there is no key that opens it either.
        RateLimited: the network, or the tenant, has had all of this hour.
        TooManyAtOnce: the network has as many under way as it may.
    """
    return partial(_guard_unless_linked, scope=scope, mode=mode)


def _guard_unless_linked(view: View, scope: Scope, mode: LinkMode) -> AsyncView:
    validated, by_key = _read_arguments(view), requires(scope)(view)

    @wraps(validated)
    async def answer(**kwargs: Any) -> Response:
        token = request.args.get("token")
        if token is None:
            return await by_key(**kwargs)
        try:
            g.valid_link = link = await _admit_link(token, str(kwargs["document_id"]), mode)
        except LinkRefused:
            if not has_key(request):
                raise
            return await by_key(**kwargs)
        _note_principal(link.bearer)
        return await validated(link.bearer, **kwargs)  # a body is left where it is: no such view takes one

    answer.__dict__["policy"] = Policy("link", scope)
    return reads_body_itself(answer)


async def _admit_link(token: str, document_id: str, mode: LinkMode) -> Link:
    """The link of the present request: found to be ours, to open as much as *mode*, and counted; then the database is
    asked what it opens now, for a revoked one can be sent for ever."""
    links, limits = services().links, services().link_limits
    link = links.signer.open(token, document_id, request.args.get("version", default=0, type=int))
    link.require(mode)
    if limits is not None:
        network = find_client_network(request)
        call_at_end(request, limits.enter(network))
        await limits.spend(link.tenant_id, network)
    call_at_end(request, services().admission.request_of(link.bearer).release)
    return await links.check(link, document_id, needed=mode)


def get_valid_link() -> Link | None:
    """The link by which the present request was let in, None where a key did."""
    link: Link | None = g.get("valid_link")
    return link


async def _skip_body(request: Request, owner: str, max_bytes: int | None) -> None:
    """The view reads it."""


def open_to_all(view: View) -> AsyncView:
    """Mark a view that needs no key, and takes no body: health, readiness, documentation.

    Its arguments are read as those of others.
    """
    validated = _read_arguments(view)
    validated.__dict__["policy"] = Policy("open")
    return expect_no_body(validated)


def open_with_body(view: View) -> AsyncView:
    """Mark a coroutine view that needs no key, and takes a small body; it limits its callers itself."""
    validated = _read_arguments(view)

    @wraps(validated)
    async def answer(**kwargs: Any) -> Response:
        refuse_unread_condition()
        await load_body(request, max_bytes=_MAX_OPEN_BODY_BYTES)
        return await validated(**kwargs)

    answer.__dict__["policy"] = Policy("open")
    return reads_body_itself(answer)


def _read_arguments(view: View) -> AsyncView:
    """The view with its arguments read from the request, in a thread where that may take long."""
    parts = read_signature(view)
    is_coroutine = iscoroutinefunction(view)

    marked = validate_request()(view)  # type: ignore[no-untyped-call] # by this flask-openapi3 leaves requests unread

    @wraps(marked)
    async def call(*args: Any, **path_values: Any) -> Response:
        pool = get_sync_pool()
        if not is_coroutine:
            pool.check_room()
            return await pool.run(lambda: view(*args, **parts.read(path_values)))  # type: ignore[arg-type,return-value]
        if parts.body and (request.content_length is None or request.content_length > SMALL_BYTES):
            arguments = await pool.run(partial(parts.read, path_values))
        else:
            arguments = parts.read(path_values)
        response: Response = await view(*args, **arguments)  # type: ignore[misc]  # it is a coroutine function
        return response

    return call
