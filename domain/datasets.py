"""A tenant's datasets: made, listed, changed, removed with all they hold."""

from collections.abc import Sequence
from typing import TypedDict

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth.principal import Principal
from domain.bot_uses import name_bots
from domain.documents import is_present, lock_documents
from domain.job_requests import remove_with_jobs
from domain.models import Dataset, DatasetRole, Document, DocumentState
from domain.paging import Part, Rows, read_part
from domain.scoping import scoped, scoped_count, scoped_update
from utils.errors import Conflict, NotFound


class DatasetChange(TypedDict, total=False):
    """What a dataset shall be like; what is not in it stays as it is."""

    name: str
    description: str
    tags: list[str]
    labels: dict[str, object]
    document_links: str | None


def create_dataset(session: Session, ctx: Principal, name: str, about: DatasetChange | None = None) -> Dataset:
    """Add an empty dataset to the caller's tenant; flushed, not committed.

    Raises:
        Conflict: the tenant already has a dataset called *name*.
    """
    dataset = Dataset(tenant_id=ctx.tenant_id, description="", tags=[], labels={})
    _apply(dataset, {**(about or {}), "name": name})
    try:
        # A savepoint, so that the caller's transaction survives the refusal.
        with session.begin_nested():
            session.add(dataset)
    except IntegrityError as exc:
        raise _make_name_taken_error(name) from exc
    return dataset


def get_dataset(session: Session, ctx: Principal, dataset_id: str) -> Dataset:
    """One dataset.

    Raises:
        NotFound: the tenant has no such dataset.
    """
    dataset = session.scalar(scoped(ctx, Dataset).where(Dataset.dataset_id == dataset_id))
    if dataset is None:
        raise _make_missing_error(dataset_id)
    return dataset


def list_datasets(session: Session, ctx: Principal, part: Part) -> Rows[Dataset]:
    """A part of the tenant's datasets, oldest first."""
    total = session.scalar(scoped_count(ctx, Dataset)) or 0
    return read_part(session, scoped(ctx, Dataset), (Dataset.created_at, Dataset.dataset_id), part, total=total)


def count_documents(session: Session, ctx: Principal, dataset_ids: Sequence[str]) -> dict[str, int]:
    """How many documents each of these datasets holds; those without any are left out."""
    documents = scoped(ctx, Document).where(Document.dataset_id.in_(dataset_ids), is_present())
    counted = documents.with_only_columns(Document.dataset_id, func.count()).group_by(Document.dataset_id)
    return {dataset_id: count for dataset_id, count in session.execute(counted) if dataset_id is not None}


def change_dataset(session: Session, ctx: Principal, dataset_id: str, change: DatasetChange) -> Dataset:
    """Make the dataset as *change* says; flushed, not committed.

    Raises:
        NotFound: the tenant has no such dataset.
        Conflict: another one has the name.
    """
    dataset = lock_dataset(session, ctx, dataset_id)
    try:
        with session.begin_nested():
            _apply(dataset, change)
    except IntegrityError as exc:
        raise _make_name_taken_error(change.get("name", "")) from exc
    return dataset


def remove_dataset(session: Session, ctx: Principal, dataset_id: str) -> set[str]:
    """Take the dataset away, with all its documents; gives the files that their jobs were to read.

    Their rows go later, see `domain.documents.remove_documents`.

    Raises:
        NotFound: the tenant has no such dataset.
        Conflict: it is the one that folders and web sources fill, or bots answer from it.
    """
    # Nobody adds a document from here on: whoever does holds a share of this lock.
    dataset = lock_dataset(session, ctx, dataset_id)
    if dataset.role == DatasetRole.DEFAULT:
        raise Conflict("Folders and web sources bring documents into this dataset: delete those instead.")
    if named := name_bots(session, ctx, "dataset_ids", dataset_id):
        raise Conflict(f"Bots answer from this dataset ({named}): take it out of their dataset_ids first.")
    all_of_it = scoped(ctx, Document).where(Document.dataset_id == dataset_id).with_only_columns(Document.document_id)
    lock_documents(session, ctx, session.scalars(all_of_it).all())  # also those removed before, which forget it below
    files = remove_with_jobs(
        session, ctx, session.scalars(all_of_it.where(Document.state != DocumentState.REMOVED)).all()
    )
    session.execute(scoped_update(ctx, Document).where(Document.dataset_id == dataset_id).values(dataset_id=None))
    session.delete(dataset)
    session.flush()
    return files


def lock_dataset(session: Session, ctx: Principal, dataset_id: str, *, shared: bool = False) -> Dataset:
    """The dataset, kept as it is by others until the commit; *shared*: with others who do the same.

    Raises:
        NotFound: the tenant has no such dataset.
    """
    statement = scoped(ctx, Dataset).where(Dataset.dataset_id == dataset_id).with_for_update(read=shared)
    dataset = session.scalar(statement)
    if dataset is None:
        raise _make_missing_error(dataset_id)
    return dataset


def _apply(dataset: Dataset, change: DatasetChange) -> None:
    for name, value in change.items():
        setattr(dataset, name, value)


def _make_missing_error(dataset_id: str) -> NotFound:
    return NotFound(f"Dataset {dataset_id!r} not found.")


def _make_name_taken_error(name: str) -> Conflict:
    return Conflict(f"A dataset named {name!r} exists.")
