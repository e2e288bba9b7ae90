"""The only place that writes the SQL tenant filter, and the only one that looks across tenants."""

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Delete, Select, Update, bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from auth.background import make_system
from auth.principal import Principal
from domain.models import Tenant, TenantOwned
from domain.tenant_filters import BOUND_TENANT, EVERY_TENANT, SCOPE

Owned = TypeVar("Owned", bound=TenantOwned)
EVERYWHERE = {SCOPE: EVERY_TENANT}  # execution options of a statement


def scoped(ctx: Principal, model: type[Owned]) -> Select[Owned]:
    """The caller's rows of *model*; narrow it further with `.where`."""
    return scoped_to(ctx.tenant_id, model)


def scoped_to(tenant_id: str, model: type[Owned]) -> Select[Owned]:
    """The rows of *model* of a tenant, for what acts before there is a caller: making and finding keys."""
    return select(model).where(model.tenant_id == tenant_id).execution_options(**{SCOPE: tenant_id})


def prepare(model: type[TenantOwned], *columns: Any) -> Select[Any]:
    """*columns* of one tenant's rows of *model*, for `Database.find`; narrow it by bound parameters."""
    bound = model.tenant_id == bindparam("tenant_id")
    return select(*columns).where(bound).execution_options(**{SCOPE: BOUND_TENANT})


def select_over(ctx: Principal, *what: Any) -> Select[Any]:
    """A query that reads from subqueries of `scoped`, and from what is joined with their rows by reference."""
    return select(*what).execution_options(**{SCOPE: ctx.tenant_id})


def scoped_count(ctx: Principal, model: type[Owned]) -> Select[int]:
    """How many rows of *model* the caller has."""
    counted = select(func.count()).select_from(model).where(model.tenant_id == ctx.tenant_id)
    return counted.execution_options(**{SCOPE: ctx.tenant_id})


def scoped_update(ctx: Principal, model: type[Owned]) -> Update:
    """A change to the caller's rows of *model* alone."""
    options = {"synchronize_session": False, SCOPE: ctx.tenant_id}
    return update(model).where(model.tenant_id == ctx.tenant_id).execution_options(**options)


def scoped_delete(ctx: Principal, model: type[Owned]) -> Delete:
    """The removal of the caller's rows of *model* alone."""
    options = {"synchronize_session": False, SCOPE: ctx.tenant_id}
    return delete(model).where(model.tenant_id == ctx.tenant_id).execution_options(**options)


def list_tenants_with(
    session: Session, model: type[Owned], condition: ColumnElement[bool], *, first: ColumnElement[int] | None = None
) -> list[Principal]:
    """A context for each tenant that has a row of *model* under *condition*, for background work on its behalf.

    In the order of their names, or that tenant first whose row has the least of *first*.
    """
    return [make_system(tenant_id) for tenant_id in session.scalars(select_tenants_with(model, condition, first=first))]


def select_tenants_with(
    model: type[Owned], condition: ColumnElement[bool], *, first: ColumnElement[int] | None = None
) -> Select[Any]:
    """What `list_tenants_with` asks."""
    having = select(model.tenant_id).where(condition).group_by(model.tenant_id).execution_options(**EVERYWHERE)
    order = [] if first is None else [func.min(first)]
    return having.order_by(*order, model.tenant_id)


def list_tenants(session: Session) -> list[Principal]:
    """A context for each tenant, for background work on its behalf."""
    tenant_ids = session.scalars(select(Tenant.tenant_id).order_by(Tenant.tenant_id))
    return [make_system(tenant_id) for tenant_id in tenant_ids]


def count_everywhere(session: Session, model: type[Owned], condition: ColumnElement[bool]) -> int:
    """How many rows of *model* are under *condition*, over all tenants: a figure for operators."""
    counted = select(func.count()).select_from(model).where(condition).execution_options(**EVERYWHERE)
    return session.scalar(counted) or 0


def update_everywhere(model: type[Owned]) -> Update:
    """A change to the rows of *model* of all tenants, for what concerns an index as a whole."""
    return update(model).execution_options(synchronize_session=False, **EVERYWHERE)


def delete_everywhere(model: type[Owned]) -> Delete:
    """The removal of rows of *model* of all tenants; narrow it with `.where`."""
    return delete(model).execution_options(synchronize_session=False, **EVERYWHERE)


def select_everywhere(model: type[Owned]) -> Select[Owned]:
    """The rows of *model* of all tenants, for work in the background that gives each its own context."""
    return select(model).execution_options(**EVERYWHERE)
