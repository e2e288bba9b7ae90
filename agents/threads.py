"""The id that a conversation is kept under: its tenant, whose it is, and its id as the API has it.

    visitor-42                      the default tenant's, shared by the keys that have the scope conversations:all
    acme.visitor-42                 the same of another tenant
    acme.k3y1d000.visitor-42        of one subject alone; so also default.k3y1d000.visitor-42
    acme.k3y1d000@helper.visitor-42 with another bot than the default one; acme.@helper.visitor-42 where it is shared

No part holds a dot, so that no id that a caller chooses reaches what is another's.
"""

from dataclasses import dataclass

from auth.principal import DEFAULT_TENANT, Principal


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation by its parts; *owner_id* is empty for a shared one."""

    tenant_id: str
    owner_id: str
    conversation_id: str


def make_thread_id(ctx: Principal, conversation_id: str) -> str:
    """The id under which the caller's conversation is kept."""
    if ctx.owner_id:
        return f"{ctx.tenant_id}.{ctx.owner_id}.{conversation_id}"
    return conversation_id if ctx.tenant_id == DEFAULT_TENANT else f"{ctx.tenant_id}.{conversation_id}"


def parse_thread(thread_id: str) -> Thread:
    """The parts of *thread_id*."""
    tenant, dot, rest = thread_id.partition(".")
    if not dot:
        return Thread(DEFAULT_TENANT, "", thread_id)
    owner, dot, conversation = rest.partition(".")
    return Thread(tenant, owner, conversation) if dot else Thread(tenant, "", rest)
