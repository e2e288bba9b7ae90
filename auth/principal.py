"""Who is asking: made from the credential alone, passed explicitly to everything that touches data."""

from dataclasses import dataclass, replace
from enum import StrEnum

from auth.scopes import Scope

DEFAULT_TENANT = "default"
DEFAULT_BOT = "default"
CONFIGURED_KEY = "configured"  # the subject of the key that the settings name; no other key's id is as long


class PrincipalKind(StrEnum):
    """What a principal is."""

    OPERATOR = "operator"  # a command on the server
    USER = "user"  # a person who has signed in
    API_KEY = "api_key"
    VISITOR = "visitor"  # of the chat page, which vouches for it, or of a website, by a token of ours
    LINK = "link"  # whoever has a link to a document
    SYSTEM = "system"  # work of the service itself


@dataclass(frozen=True, slots=True)
class Principal:
    """The tenant a call acts for, and who within it: the subject, its kind and what it may do.

    Made in three places: `auth/credentials.py` for requests, `auth/operators.py` for commands, `auth/background.py` for
    background work. It is the first parameter of every function that reads or writes a tenant's data, so that a
    forgotten filter is a missing argument.

    `subject_id`: the id of the key, user or visitor; unique within the tenant. `bot_id`: the bot that it talks to; its
    credential may be for one bot alone, else the request names it. None: the tenant's default bot.
    """

    tenant_id: str
    subject_id: str
    kind: PrincipalKind
    scopes: frozenset[Scope]
    bot_id: str | None = None

    @property
    def subject(self) -> tuple[str, str]:
        """What it is counted by: a key whose scopes have changed is the same one."""
        return self.tenant_id, self.subject_id

    @property
    def owner_id(self) -> str:
        """Whose conversations the principal has: its own, by `subject_id`; or "", those that keys with the scope
        conversations:all share. With another bot than the default one they are others, as "k3y1d000@helper" has."""
        owner = "" if Scope.CONVERSATIONS_ALL in self.scopes else self.subject_id
        return owner if self.bot_id in (None, DEFAULT_BOT) else f"{owner}@{self.bot_id}"

    def with_bot(self, bot_id: str) -> "Principal":
        """A copy of the principal that talks to this bot of its tenant."""
        return replace(self, bot_id=bot_id)

    def make_log_facts(self) -> dict[str, str]:
        """What log lines tell of it: tenant, key, visitor and bot. Of a principal without a key, what it is."""
        facts = {
            "tenant_id": self.tenant_id,
            "key_id": self.subject_id if self.kind is PrincipalKind.API_KEY else str(self.kind),
            **({"bot_id": self.bot_id} if self.bot_id else {}),
        }
        return {**facts, "visitor_id": self.subject_id} if self.kind is PrincipalKind.VISITOR else facts
