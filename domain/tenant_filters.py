"""No statement of a session reads or changes rows of a tenant without naming it: one that forgets to is refused.

Statements that `domain/scoping.py` begins say whose rows they are about, in an execution option that whatever narrows
them keeps. Others may touch no table that is `TenantOwned`, not in a query within them either. Rows that were found are
written and refreshed by their keys. New rows, and SQL as text, are not looked at.
"""

from functools import cache

from sqlalchemy import Executable, Table, event
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker
from sqlalchemy.sql import visitors

from domain.models import Base, TenantOwned

SCOPE = "tenant_scope"  # the execution option: a tenant's id, or …
EVERY_TENANT = "*"  # … which is no tenant's, or …
BOUND_TENANT = ":tenant_id"  # … said anew each time the statement is executed


class TenantFilterMissing(Exception):
    """A mistake in the program: a statement about a tenant's rows that names no tenant."""


def require_tenant_filters(sessions: sessionmaker[Session]) -> None:
    """Let these sessions raise `TenantFilterMissing` for statements that forget the tenant."""
    event.listen(sessions, "do_orm_execute", _refuse_unfiltered)


def _refuse_unfiltered(state: ORMExecuteState) -> None:
    if state.execution_options.get(SCOPE) or state.is_column_load:
        return
    if not (state.is_select or state.is_update or state.is_delete):
        return
    if owned_tables := find_owned_tables(state.statement):
        raise TenantFilterMissing(
            f"A statement reads or changes {', '.join(sorted(owned_tables))} without a tenant. Begin it with a "
            "function of domain/scoping.py, and with one whose name ends in everywhere if it is meant for all tenants."
        )


def find_owned_tables(statement: Executable) -> set[str]:
    """The tables of tenants that *statement* is about, wherever in it."""
    elements = visitors.iterate(statement)  # type: ignore[arg-type] # selects, updates and deletes can be traversed
    return {each.name for each in elements if isinstance(each, Table)} & _list_owned_tables()


@cache
def _list_owned_tables() -> frozenset[str]:
    owned = [each.local_table for each in Base.registry.mappers if issubclass(each.class_, TenantOwned)]
    return frozenset(each.name for each in owned if isinstance(each, Table))
