"""Who is asking: made from the credential alone, passed explicitly to everything that touches data."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

DEFAULT_TENANT = "default"


class Scope(StrEnum):
    """What a principal may do. Every route needs one, which its `@requires` names."""

    CHAT_WRITE = "chat:write"  # ask; follow and cancel the runs of one's own questions
    CONVERSATIONS_READ = "conversations:read"
    CONVERSATIONS_WRITE = "conversations:write"  # delete
    CONVERSATIONS_ALL = "conversations:all"  # share conversations with the other keys of the tenant that have it
    RATINGS_READ = "ratings:read"
    RATINGS_WRITE = "ratings:write"
    SEARCH = "search"
    DOCUMENTS_READ = "documents:read"
    DOCUMENTS_WRITE = "documents:write"
    DATASETS_READ = "datasets:read"
    DATASETS_WRITE = "datasets:write"
    WEB_SOURCES_READ = "web-sources:read"
    WEB_SOURCES_WRITE = "web-sources:write"
    HEALTH_READ = "health:read"  # how the service is, in full


ALL_SCOPES = frozenset(Scope)
VISITOR_SCOPES = frozenset({Scope.CHAT_WRITE, Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE, Scope.RATINGS_WRITE})


class CallerKind(StrEnum):
    """What a principal is."""

    KEY = "key"
    VISITOR = "visitor"  # of the chat page, which vouches for it
    LINK = "link"  # whoever has a link to a document
    OPERATOR = "operator"  # a command on the server
    BACKGROUND = "background"  # work of the service itself


@dataclass(frozen=True, slots=True)
class TenantContext:
    """The tenant a call acts for, and who within it: the subject, its kind and what it may do.

    Made of a credential, for the operator's commands, or for background work, in a few places that a test lists. It is
    the first parameter of every function that reads or writes a tenant's data, so that a forgotten filter is a missing
    argument.
    """

    tenant_id: str
    subject_id: str
    kind: CallerKind = CallerKind.KEY
    scopes: frozenset[Scope] = frozenset()

    @property
    def owner_id(self) -> str:
        """Whose conversations the principal has: its own, by `subject_id`; or "", those that keys with the scope
        conversations:all share."""
        return "" if Scope.CONVERSATIONS_ALL in self.scopes else self.subject_id

    def make_log_facts(self) -> dict[str, str]:
        """What log lines tell of it: tenant, key and visitor. Of a principal without a key, what it is."""
        facts = {
            "tenant_id": self.tenant_id,
            "key_id": self.subject_id if self.kind is CallerKind.KEY else str(self.kind),
        }
        return {**facts, "visitor_id": self.subject_id} if self.kind is CallerKind.VISITOR else facts

    @classmethod
    def for_operator(cls, tenant_id: str) -> Self:
        """The operator of the server, acting for *tenant_id*."""
        return cls(tenant_id, "operator", CallerKind.OPERATOR, ALL_SCOPES)

    @classmethod
    def for_background(cls, tenant_id: str) -> Self:
        """The service itself, working on what *tenant_id* has."""
        return cls(tenant_id, "background", CallerKind.BACKGROUND)
