"""Credential in, principal out: the only place of the API that makes a `TenantContext`."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from flask import Request
from sqlalchemy.exc import SQLAlchemyError

from api.links import LinkSigner
from api.visitors import VISITOR_HEADER, verify_visitor
from domain.db import Database
from domain.keys import find_key
from utils.context import ALL_SCOPES, Kind, TenantContext
from utils.errors import StoreUnavailable, Unauthorized

_REMEMBERED_S = 10.0  # a revoked key is refused this much later at the latest
_REMEMBERED_KEYS = 10_000
_LONGEST_KEY = 512
_LOOK_UPS = 4  # at once
_VISITOR = "v-"  # begins the subject of a visitor; a dash stands in no key's id


@dataclass(slots=True)
class Authenticator:
    """Resolves keys: fixed ones from the configuration first, then those in the database.

    Args:
        fixed: secret → who it stands for.
        database: where other keys are; asked in a thread, its answers remembered for 10 s.
        unlimited: ids of keys whose requests are not counted.
    """

    fixed: Mapping[str, TenantContext]
    database: Database
    unlimited: frozenset[str] = frozenset()
    _seen: dict[str, tuple[float, TenantContext | None]] = field(default_factory=dict)
    # Of its own: made-up keys must not keep the threads busy that everything else uses, when the database is slow.
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_LOOK_UPS, "keys"))

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)

    async def principal(self, request: Request) -> TenantContext:
        """Who sends this request, by `X-API-Key` or `Authorization: Bearer`; the first of them that is valid counts.

        With the chat page's key it is the visitor that the page names, if it names one.

        Raises:
            Unauthorized: there is no key, or it is not valid.
            VisitorRefused: the visitor's token is not valid.
        """
        presented = _presented(request)
        if not presented:
            raise _refusal("Send your API key in the X-API-Key header, or as Authorization: Bearer <key>.")
        for key in presented:
            found = self._fixed(key) or await self._stored(key)
            if found is not None:
                return _for_visitor(found, key, request)
        raise _refusal("This API key is not valid. Check that it is complete and has not been revoked.")

    def _fixed(self, presented: str) -> TenantContext | None:
        found = None
        for secret, ctx in self.fixed.items():  # every one is compared, so that the time taken tells nothing
            if secrets.compare_digest(secret.encode(), presented.encode()):
                found = ctx
        return found

    async def _stored(self, presented: str) -> TenantContext | None:
        digest = hashlib.sha256(presented.encode()).hexdigest()
        known = self._seen.get(digest)
        if known and time.monotonic() - known[0] < _REMEMBERED_S:
            return known[1]
        try:
            ctx = await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, presented)
        except (SQLAlchemyError, StoreUnavailable) as exc:
            raise StoreUnavailable("API keys cannot be checked at present. Try again soon.") from exc
        if len(self._seen) >= _REMEMBERED_KEYS:
            self._seen.clear()  # a flood of made-up keys must not grow this without bound
        self._seen[digest] = (time.monotonic(), ctx)
        return ctx

    def _look_up(self, presented: str) -> TenantContext | None:
        with self.database.reading() as session:
            key = find_key(session, presented)
            return TenantContext(key.tenant_id, key.key_id, scopes=ALL_SCOPES) if key else None


def link_bearer(links: LinkSigner, token: str, document_id: str, version: int) -> TenantContext:
    """Who opens that version of a document by a link: the tenant it was made for.

    Raises:
        LinkRefused: the token opens nothing, or something else.
    """
    return TenantContext(links.tenant_of(token, document_id, version), "link", Kind.LINK)


def _for_visitor(ctx: TenantContext, key: str, request: Request) -> TenantContext:
    token = request.headers.get(VISITOR_HEADER)
    if ctx.kind is not Kind.VISITOR or token is None:
        return ctx
    return replace(ctx, subject_id=f"{_VISITOR}{verify_visitor(key, token)}")


def has_key(request: Request) -> bool:
    """Whether the request presents a key, valid or not."""
    return bool(_presented(request))


def _presented(request: Request) -> list[str]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    keys = (request.headers.get("X-API-Key", ""), token if scheme.lower() == "bearer" else "")
    return [key for key in dict.fromkeys(map(str.strip, keys)) if 0 < len(key) <= _LONGEST_KEY]


def _refusal(detail: str) -> Unauthorized:
    return Unauthorized(detail, headers={"WWW-Authenticate": 'Bearer realm="pustaka"'})
