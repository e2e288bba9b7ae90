"""Principals of requests. Nothing else makes one for HTTP: whoever has verified a credential calls one of these."""

from collections.abc import Set
from dataclasses import replace

from auth.principal import CONFIGURED_KEY, DEFAULT_TENANT, Principal, PrincipalKind
from auth.scopes import ALL_SCOPES, BOT_KEY_SCOPES, VISITOR_SCOPES, Scope

# Begin the subjects of visitors of the chat page, and of websites; a dash stands in no key's id.
_VISITOR, _WEBSITE_VISITOR = "v-", "w-"


def make_key_principal(
    tenant_id: str, key_id: str, scopes: Set[Scope] = frozenset(), bot_id: str | None = None
) -> Principal:
    """Who presents a key of the tenant. Where the key is for one bot it may talk to that bot and nothing else, whatever
    its *scopes* are: keys that were made before this was so are held to it too."""
    allowed = frozenset(scopes) if bot_id is None else BOT_KEY_SCOPES & scopes
    return Principal(tenant_id, key_id, PrincipalKind.API_KEY, allowed, bot_id)


def make_configured_key_principal() -> Principal:
    """Who presents the key that the settings name, `API_KEY`."""
    return make_key_principal(DEFAULT_TENANT, CONFIGURED_KEY, ALL_SCOPES)


def make_page_principal() -> Principal:
    """The chat page, for visitors whom it does not name: they are one subject together."""
    return Principal(DEFAULT_TENANT, "chat-page", PrincipalKind.VISITOR, VISITOR_SCOPES)


def make_visitor(page: Principal, visitor_id: str) -> Principal:
    """The visitor *visitor_id* of the chat page, whose principal is *page*."""
    return replace(page, subject_id=f"{_VISITOR}{visitor_id}")


def make_website_visitor(tenant_id: str, bot_id: str, visitor_id: str) -> Principal:
    """A visitor of the bot on a website; it may talk to that bot and nothing else."""
    subject_id = f"{_WEBSITE_VISITOR}{visitor_id}"
    return Principal(tenant_id, subject_id, PrincipalKind.VISITOR, VISITOR_SCOPES, bot_id)


def is_website_visitor(ctx: Principal) -> bool:
    """Whether *ctx* is one, for whose address no page vouches."""
    return ctx.kind is PrincipalKind.VISITOR and ctx.subject_id.startswith(_WEBSITE_VISITOR)


def make_link_bearer(tenant_id: str) -> Principal:
    """Who opens a document of the tenant by a link; it has no scope, the link says what it opens."""
    return Principal(tenant_id, "link", PrincipalKind.LINK, frozenset())


def make_share_reader(tenant_id: str, owner_id: str) -> Principal:
    """Who reads a conversation of *owner_id* by a link to it; it has no scope, the link says what it shows."""
    return Principal(tenant_id, owner_id, PrincipalKind.LINK, frozenset())
