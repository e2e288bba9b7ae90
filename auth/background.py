"""Principals of background work: of the service itself, and of whoever asked for what is gone on with later."""

from collections.abc import Set
from dataclasses import replace

from auth.principal import Principal, PrincipalKind
from auth.scopes import Scope

# As 1.0.0 has stored them; they stay, so that workers of both versions can go on with each other's runs.
_STORED_KINDS = {PrincipalKind.API_KEY: "key", PrincipalKind.SYSTEM: "background"}
_KINDS = {stored: kind for kind, stored in _STORED_KINDS.items()}


def make_system(tenant_id: str) -> Principal:
    """The service itself, working on what *tenant_id* has."""
    return Principal(tenant_id, "background", PrincipalKind.SYSTEM, frozenset())


def store_kind(kind: PrincipalKind) -> str:
    """The word that *kind* is stored by."""
    return _STORED_KINDS.get(kind, str(kind))


def restore_principal(
    tenant_id: str, subject_id: str, stored_kind: str, scopes: Set[Scope], bot_id: str | None = None
) -> Principal:
    """The principal that something stored was of, its kind by the word of `store_kind`."""
    kind = _KINDS.get(stored_kind) or PrincipalKind(stored_kind)
    return Principal(tenant_id, subject_id, kind, frozenset(scopes), bot_id)


def narrow_principal(principal: Principal, current: Set[Scope]) -> Principal:
    """*principal* with those of its scopes that are among *current*."""
    return replace(principal, scopes=principal.scopes & current)
