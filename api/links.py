"""Links that open a document at a quote, in a browser that has no key; and what has become of what is cited."""

import asyncio
import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

from flask import current_app, request

from domain.db import Database
from domain.documents import in_batches
from domain.originals import current_versions
from utils.context import TenantContext
from utils.errors import LinkRefused, StoreUnavailable
from utils.expiring import Expiring

_MAC_BYTES = 24
_LONGEST_TOKEN = 200
_STEPS = 24  # a link stays the same for this part of its time, so that a page that is drawn again does not change
_KNOWN_S = 10.0
_EXPIRED = "This link has expired. Open the conversation again, or ask once more: each reading makes new links."
_CHANGED = "This link is not complete, or was changed. Copy it again from where it came from."


@dataclass(frozen=True, slots=True)
class LinkSigner:
    """Makes and checks tokens `<expiry>.<tenant>.<mac>`, each for one version of one document.

    The MAC is HMAC-SHA256 with *key* over everything that the token opens, of which 192 bits are kept.
    """

    key: bytes = field(repr=False)
    ttl_s: int

    def sign(self, tenant_id: str, document_id: str, version: int) -> str:
        """A token for that version, which expires after *ttl_s* or a little more."""
        step = max(1, self.ttl_s // _STEPS)
        expires_at = (int(time.time()) + self.ttl_s) // step * step + step
        return _kept_token(self.key, tenant_id, document_id, version, expires_at)

    def sign_alike(self, token: str, document_id: str, version: int) -> str:
        """A token for another version that opens as long as *token*, which was checked, and for the same tenant."""
        expires_at, tenant_id, _ = token.split(".")
        return _token(self.key, tenant_id, document_id, version, int(expires_at, 16))

    def tenant_of(self, token: str, document_id: str, version: int) -> str:
        """Whose document the token opens.

        Raises:
            LinkRefused: it is too old, or was made for something else, or not by us.
        """
        expires_at, _, rest = token[:_LONGEST_TOKEN].partition(".")
        tenant_id = rest.partition(".")[0]
        try:
            expected = _token(self.key, tenant_id, document_id, version, int(expires_at, 16))
        except ValueError:
            raise LinkRefused(_CHANGED) from None
        if not hmac.compare_digest(token.encode(), expected.encode()):
            raise LinkRefused(_CHANGED)
        if time.time() > int(expires_at, 16):
            raise LinkRefused(_EXPIRED)
        return tenant_id


def _token(key: bytes, tenant_id: str, document_id: str, version: int, expires_at: int) -> str:
    told = "\n".join(["view", tenant_id, document_id, str(version), str(expires_at)])
    mac = hmac.digest(key, told.encode(), "sha256")[:_MAC_BYTES]
    return f"{expires_at:x}.{tenant_id}.{urlsafe_b64encode(mac).decode()}"


# Every answer from a document has the same token until the next step. Not for tokens that strangers bring.
_kept_token = lru_cache(4096)(_token)


class CitationLinks:
    """Adds `link` and `document_state` to citations as they are read; neither is stored with them.

    *public_url*: where browsers find the API; without it links lead to where the request went.
    """

    def __init__(self, database: Database, signer: LinkSigner, *, public_url: str | None) -> None:
        self.signer = signer
        self._database, self._public_url = database, public_url
        self._versions: Expiring[tuple[str, str], int] = Expiring(10_000, _KNOWN_S)

    def base(self) -> str:
        """What links begin with, asked within a request."""
        return self._public_url or request.host_url.rstrip("/")

    async def shown(
        self, ctx: TenantContext, citations: Sequence[Mapping[str, Any]], base: str
    ) -> list[dict[str, Any]]:
        """The citations as they are given out; *base* as `base` has told it."""
        asked = {one["document_id"] for one in citations if one.get("version")}
        versions = await self._current(ctx, asked)
        return [self._linked(ctx, citation, versions, base) for citation in citations]

    def _linked(
        self, ctx: TenantContext, citation: Mapping[str, Any], versions: Mapping[str, int] | None, base: str
    ) -> dict[str, Any]:
        document_id, version = citation["document_id"], citation.get("version")
        if not version:
            return {**citation, "version": None, "link": None, "document_state": None}
        query = {"version": version, "start": citation["start"], "end": citation["end"]}
        query |= {"token": self.signer.sign(ctx.tenant_id, document_id, version)}
        return {
            **citation,
            "link": f"{base}/v1/documents/{quote(document_id, safe='')}/view?{urlencode(query)}#quote",
            "document_state": None if versions is None else state_of(version, versions.get(document_id)),
        }

    async def _current(self, ctx: TenantContext, document_ids: Iterable[str]) -> dict[str, int] | None:
        """The present version of each document, without those that are deleted; None while it cannot be known."""
        known = {one: self._versions.get((ctx.tenant_id, one)) for one in document_ids}
        unknown = [one for one, version in known.items() if version is None]
        if unknown:
            try:
                found = await asyncio.to_thread(self._look_up, ctx, unknown)
            except StoreUnavailable:
                return None
            for one in unknown:
                known[one] = found.get(one, 0)
                self._versions.put((ctx.tenant_id, one), found.get(one, 0))
        return {one: version for one, version in known.items() if version}

    def _look_up(self, ctx: TenantContext, document_ids: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        with self._database.reading() as session:
            for ids in in_batches(document_ids):
                found |= current_versions(session, ctx, ids)
        return found


def sibling_prefix() -> str:
    """What the address of another page begins with, seen from the one that is asked for.

    Relative, because a proxy may serve the API below a path that is not known here; and pages answer with a slash at
    their end, too.
    """
    return "../" if request.path.endswith("/") else ""


def state_of(version: int, current: int | None) -> str:
    """What has become of *version* of a document that is at *current* now, None where it is deleted."""
    if current is None:
        return "deleted"
    return "current" if version >= current else "replaced"


async def linked(ctx: TenantContext, told: Mapping[str, Any], base: str) -> dict[str, Any]:
    """An answer, or an event of a run, with its citations as they are given out."""
    links: CitationLinks = current_app.extensions["links"]
    if told.get("type") == "citation":
        return (await links.shown(ctx, [told], base))[0]
    if not told.get("citations"):
        return dict(told)
    return {**told, "citations": await links.shown(ctx, told["citations"], base)}


async def linked_conversation(ctx: TenantContext, conversation: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation with the citations of all its messages as they are given out."""
    links: CitationLinks = current_app.extensions["links"]
    messages = conversation["messages"]
    cited = [citation for message in messages for citation in message.get("citations", ())]
    shown = iter(await links.shown(ctx, cited, links.base()))
    told = [
        {**message, "citations": [next(shown) for _ in message["citations"]]} if "citations" in message else message
        for message in messages
    ]
    return {**conversation, "messages": told}
