"""Datasets that the service itself keeps for a tenant: known by their role, whatever people call them or theirs."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count

from sqlalchemy import Select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.models import Dataset, DatasetRole
from domain.scoping import scoped

_ABOUT = {
    DatasetRole.DEFAULT: ("default", "What folders and web sources bring, and imports."),
    DatasetRole.LOADED: ("documents", "What /api/load-document brings."),
}


def find_dataset_of(session: Session, ctx: Principal, role: DatasetRole) -> Dataset | None:
    """The tenant's dataset of this role, if it has been needed before."""
    return session.scalar(_select_role(ctx, role))


def ensure_dataset_of(session: Session, ctx: Principal, role: DatasetRole) -> Dataset:
    """The tenant's dataset of this role, made if there is none, under a name that is free; flushed, not committed."""
    for name in _names(role):
        result = session.scalar(_select_role(ctx, role))
        if result is not None:
            return result
        # The name is somebody's, or on PostgreSQL another transaction was first.
        with suppress(IntegrityError), session.begin_nested():
            session.add(Dataset(tenant_id=ctx.tenant_id, name=name, description=_ABOUT[role][1], role=role))
    raise AssertionError("There is always another name.")


def list_indexed_ids(session: Session, ctx: Principal, dataset_ids: Sequence[str]) -> tuple[str, ...]:
    """What the index calls these datasets: a passage that names no dataset counts to the default one."""
    default = find_dataset_of(session, ctx, DatasetRole.DEFAULT)
    return (*dataset_ids, "") if default and default.dataset_id in dataset_ids else tuple(dataset_ids)


def _select_role(ctx: Principal, role: DatasetRole) -> Select[Dataset]:
    return scoped(ctx, Dataset).where(Dataset.role == role)


def _names(role: DatasetRole) -> Iterator[str]:
    name = _ABOUT[role][0]
    yield name
    yield from (f"{name} {number}" for number in count(2))
