"""Principals of commands on the server. Nothing else makes one for a command."""

from auth.principal import Principal, PrincipalKind
from auth.scopes import ALL_SCOPES


def make_operator(tenant_id: str) -> Principal:
    """The operator of the server, acting for *tenant_id*."""
    return Principal(tenant_id, "operator", PrincipalKind.OPERATOR, ALL_SCOPES)


def make_operator_for(tenant_id: str, owner_id: str) -> Principal:
    """The operator, dealing with conversations that are *owner_id*'s alone, or, where it is empty, with shared ones."""
    return Principal(tenant_id, owner_id, PrincipalKind.OPERATOR, frozenset()) if owner_id else make_operator(tenant_id)
