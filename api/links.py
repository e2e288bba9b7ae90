"""Links that open a document at a quote, in a browser that has no key; and what has become of what is cited."""

import asyncio
import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Self
from urllib.parse import quote, urlencode

from flask import request

from api.services import services
from auth.credentials import make_link_bearer
from auth.principal import Principal
from domain.db import Database
from domain.document_files import find_document_status
from domain.document_links import LinkMode, LinkRules, link_rules
from domain.documents import split_into_batches
from utils.errors import LinkRefused, StoreUnavailable
from utils.expiring import Expiring

_MAC_BYTES = 24
_LONGEST_TOKEN = 200
_STEPS = 24  # a link stays the same for this part of its time, so that a page that is drawn again does not change
_KNOWN_S = 10.0
_GRANT = re.compile(r"([qf])([0-9a-f]{1,8})-([0-9a-f]{1,8})-([0-9a-f]{1,8})")
_MODES = {"q": LinkMode.QUOTE, "f": LinkMode.FULL}
_EXPIRED = "This link has expired. Open the conversation again, or ask once more: each reading makes new links."
_CHANGED = "This link is not complete, or was changed. Copy it again from where it came from."
_REVOKED = "This link was revoked. Open the conversation again: each reading makes new links."
_OFF = "Links to the documents of this dataset are turned off. Ask the people who manage it."
_QUOTE_ALONE = "Links to this document open the quoted passage alone, neither the whole document nor its file."
_GONE = LinkRules(0)  # stands for a document that is deleted


@dataclass(frozen=True, slots=True)
class Grant:
    """What a link may open at most: of the version that it is for all, or what stands from `start` to `end` in it.

    `generation`: see `domain/document_links.py`.
    """

    mode: LinkMode = LinkMode.FULL
    generation: int = 0
    start: int = 0
    end: int = 0

    def __str__(self) -> str:
        return f"{self.mode[0]}{self.generation:x}-{self.start:x}-{self.end:x}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `str` has made a text of.

        Raises:
            ValueError: this is none.
        """
        match = _GRANT.fullmatch(text)
        if match is None:
            raise ValueError("This is no grant.")
        generation, start, end = (int(part, 16) for part in match.groups()[1:])
        return cls(_MODES[match[1]], generation, start, end)


@dataclass(frozen=True, slots=True)
class Link:
    """A link that is valid: its token, whose document it opens, and what of it."""

    token: str
    tenant_id: str
    grant: Grant

    @property
    def bearer(self) -> Principal:
        """Who opens a document by it: the tenant it was made for."""
        return make_link_bearer(self.tenant_id)

    def require(self, mode: LinkMode) -> None:
        """Return where it opens as much as *mode*.

        Raises:
            LinkRefused: it opens the quoted passage alone.
        """
        if self.grant.mode.rank < mode.rank:
            raise LinkRefused(_QUOTE_ALONE)


@dataclass(frozen=True, slots=True)
class LinkSigner:
    """Makes and checks tokens `<expiry>.<tenant>.<grant>.<mac>`, each for one version of one document.

    The MAC is HMAC-SHA256 with *key* over everything that the token opens, of which 192 bits are kept.
    """

    key: bytes = field(repr=False)
    ttl_s: int

    def sign(self, tenant_id: str, document_id: str, version: int, grant: Grant | None = None) -> str:
        """A token for that version, which expires after *ttl_s* or a little more."""
        step = max(1, self.ttl_s // _STEPS)
        expires_at = (int(time.time()) + self.ttl_s) // step * step + step
        return _make_token_once(self.key, tenant_id, document_id, version, grant or Grant(), expires_at)

    def open(self, token: str, document_id: str, version: int) -> Link:
        """What the token was made for; whether it was revoked since, its documents know.

        Raises:
            LinkRefused: it is too old, or was made for something else, or not by us.
        """
        expires_at, tenant_id, grant_text, _ = [*token[:_LONGEST_TOKEN].split("."), "", "", ""][:4]
        try:
            grant = Grant.parse(grant_text)
            expected = _make_token(self.key, tenant_id, document_id, version, grant, int(expires_at, 16))
        except ValueError:
            raise LinkRefused(_CHANGED) from None
        if not hmac.compare_digest(token.encode(), expected.encode()):
            raise LinkRefused(_CHANGED)
        if time.time() > int(expires_at, 16):
            raise LinkRefused(_EXPIRED)
        return Link(token, tenant_id, grant)


def _make_token(key: bytes, tenant_id: str, document_id: str, version: int, grant: Grant, expires_at: int) -> str:
    text = "\n".join(["view", tenant_id, document_id, str(version), str(grant), str(expires_at)])
    mac = hmac.digest(key, text.encode(), "sha256")[:_MAC_BYTES]
    return f"{expires_at:x}.{tenant_id}.{grant}.{urlsafe_b64encode(mac).decode()}"


# Every answer from a document has the same token until the next step. Not for tokens that strangers bring.
_make_token_once = lru_cache(4096)(_make_token)


class CitationLinks:
    """Adds `link` and `document_status` to citations as they are read; neither is stored with them.

    *public_url*: where browsers find the API; without it links lead to where the request went. *mode*: what they open
    where a dataset does not say it.
    """

    def __init__(self, database: Database, signer: LinkSigner, *, public_url: str | None, mode: LinkMode) -> None:
        self.signer = signer
        self._database, self._public_url, self._mode = database, public_url, mode
        self.forget()

    def forget(self) -> None:
        """Ask again what links may open: it has been changed here. Other processes find out within 10 s.

        Until then they give out links that open nothing, or not as much as they could.
        """
        self._rules: Expiring[tuple[str, str], LinkRules] = Expiring(10_000, _KNOWN_S)

    def get_base_url(self) -> str:
        """What links begin with, asked within a request."""
        return self._public_url or request.host_url.rstrip("/")

    def find_mode(self, rules: LinkRules) -> LinkMode:
        """What links to a document of these rules open."""
        return rules.mode or self._mode

    async def check(self, link: Link, document_id: str, *, needed: LinkMode) -> Link:
        """A link that `signer` has opened, with what it opens now: at most what it did when it was made.

        A document that is deleted is not looked into: its link may know that it was there.

        Raises:
            LinkRefused: it opens nothing any more, or not as much as is *needed*.
            StoreUnavailable: that cannot be known now.
        """
        rules = (await asyncio.to_thread(self._look_up, link.bearer, [document_id])).get(document_id)
        if rules is None:
            return link
        if link.grant.generation != rules.generation:
            raise LinkRefused(_REVOKED)
        mode = min(link.grant.mode, self.find_mode(rules), key=lambda one: one.rank)
        if mode is LinkMode.OFF:
            raise LinkRefused(_OFF)
        if mode.rank < needed.rank or (mode is LinkMode.QUOTE and link.grant.start == link.grant.end):
            raise LinkRefused(_QUOTE_ALONE)
        return replace(link, grant=replace(link.grant, mode=mode))

    async def add_links(
        self, ctx: Principal, citations: Sequence[Mapping[str, Any]], base: str, *, needed: LinkMode = LinkMode.QUOTE
    ) -> list[dict[str, Any]]:
        """The citations as they are given out, with links where these open *needed*; *base*: of `get_base_url`."""
        document_ids = {one["document_id"] for one in citations if one.get("version")}
        rules = await self._load_rules(ctx, document_ids)
        return [self._add_link(ctx, citation, rules, base, needed) for citation in citations]

    async def make_document_link(self, ctx: Principal, document_id: str, version: int, base: str) -> str | None:
        """A link to the whole of a document; None where links open less."""
        rules = (await self._load_rules(ctx, [document_id]) or {}).get(document_id)
        if rules is None or self.find_mode(rules) is not LinkMode.FULL:
            return None
        whole = {"document_id": document_id, "version": version, "start": 0, "end": 0}
        return self._make_address(ctx, whole, rules, base)

    def _add_link(
        self,
        ctx: Principal,
        citation: Mapping[str, Any],
        rules: Mapping[str, LinkRules] | None,
        base: str,
        needed: LinkMode,
    ) -> dict[str, Any]:
        document_id, version = citation["document_id"], citation.get("version")
        if not version:
            return {**citation, "version": None, "link": None, **_name_status(None)}
        if rules is None:  # nor could the link be opened now
            return {**citation, "link": None, **_name_status(None)}
        result = rules.get(document_id)
        is_enough = self.find_mode(result or _GONE).rank >= needed.rank
        return {
            **citation,
            "link": self._make_address(ctx, citation, result or _GONE, base) if is_enough else None,
            **_name_status(find_document_status(version, result.version if result else None)),
        }

    def _make_address(self, ctx: Principal, citation: Mapping[str, Any], rules: LinkRules, base: str) -> str | None:
        mode = self.find_mode(rules)
        if mode is LinkMode.OFF:
            return None
        document_id, version = citation["document_id"], citation["version"]
        grant = Grant(mode, rules.generation, citation["start"], citation["end"])
        query = {"version": version, "start": grant.start, "end": grant.end}
        query |= {"token": self.signer.sign(ctx.tenant_id, document_id, version, grant)}
        return f"{base}/v1/documents/{quote(document_id, safe='')}/view?{urlencode(query)}#quote"

    async def _load_rules(self, ctx: Principal, document_ids: Iterable[str]) -> dict[str, LinkRules] | None:
        """What holds for each document, without those that are deleted; None while it cannot be known."""
        known = self._rules  # what is looked up before `forget` is called is not kept after it
        by_id = {one: known.get((ctx.tenant_id, one)) for one in document_ids}
        unknown = [one for one, rules in by_id.items() if rules is None]
        if unknown:
            try:
                loaded = await asyncio.to_thread(self._look_up, ctx, unknown)
            except StoreUnavailable:
                return None
            for one in unknown:
                by_id[one] = loaded.get(one, _GONE)
                known.put((ctx.tenant_id, one), loaded.get(one, _GONE))
        return {one: rules for one, rules in by_id.items() if rules is not None and rules is not _GONE}

    def _look_up(self, ctx: Principal, document_ids: Sequence[str]) -> dict[str, LinkRules]:
        result: dict[str, LinkRules] = {}
        with self._database.open_read_session() as session:
            for ids in split_into_batches(document_ids):
                result |= link_rules(session, ctx, ids)
        return result


def make_sibling_prefix() -> str:
    """What the address of another page begins with, seen from the one that is asked for.

    Relative, because a proxy may serve the API below a path that is not known here; and pages answer with a slash at
    their end, too.
    """
    return "../" if request.path.endswith("/") else ""


def _name_status(status: str | None) -> dict[str, str | None]:
    return {"document_status": status, "document_state": status}  # the second is its old name


def find_address(citation: Mapping[str, Any], run_id: str, base: str) -> str:
    """Where a citation of the run leads, "" where to nothing: its document, or the run, which tells of its query.

    *base* as `CitationLinks.get_base_url` has told it.
    """
    run_url = f"{base}/v1/runs/{run_id}" if citation.get("query") else ""
    return citation["link"] or citation["url"] or run_url


async def link_citations(ctx: Principal, payload: Mapping[str, Any], base: str) -> dict[str, Any]:
    """An answer, or an event of a run, with its citations as they are given out."""
    links = services().links
    if payload.get("type") == "citation":
        return (await links.add_links(ctx, [payload], base))[0]
    if not payload.get("citations"):
        return dict(payload)
    return {**payload, "citations": await links.add_links(ctx, payload["citations"], base)}


async def link_conversation(ctx: Principal, conversation: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation with the citations of all its messages as they are given out."""
    links = services().links
    messages = conversation["messages"]
    cited = [citation for message in messages for citation in message.get("citations", ())]
    citations = iter(await links.add_links(ctx, cited, links.get_base_url()))
    linked = [
        {**message, "citations": [next(citations) for _ in message["citations"]]} if "citations" in message else message
        for message in messages
    ]
    return {**conversation, "messages": linked}
