"""A tenant's data sources: made, listed, changed and removed.

How a server is reached is stored encrypted alone. The address of an SQLite file is no secret, and what was read of it
stands in that file: without keys, these are stored as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import Select, or_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer

from auth.principal import Principal
from auth.scopes import Scope
from domain.data_source_secrets import encrypt_value
from domain.models import DataSourceRow, now
from domain.paging import Part, Rows, read_part
from domain.quotas import lock_usage
from domain.scoping import scoped, scoped_count
from utils.checkpointer.cipher import Keyring
from utils.errors import Conflict, Forbidden, NotFound

SourceType = Literal["postgresql", "mysql", "sqlite", "upload"]
UPLOAD: SourceType = "upload"  # files whose tables the service itself keeps in an SQLite file
MAX_SOURCES = 100  # of a tenant


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """What a data source is reached by: `uri` is secret, `location` is what of it people may see."""

    type: SourceType
    uri: str
    location: str


def create_source(
    session: Session,
    ctx: Principal,
    name: str,
    description: str,
    spec: SourceSpec,
    keys: Keyring | None,
    allowed_tables: Mapping[str, Any] | None = None,
) -> DataSourceRow:
    """Add a data source to the caller's tenant; flushed, not committed. Without *allowed_tables* nothing of it may be
    read yet.

    Raises:
        Conflict: there is one of this name, or as many as a tenant may have, or nothing to encrypt the address with.
    """
    lock_usage(session, ctx)  # of many at once each sees the others
    if (session.scalar(scoped_count(ctx, DataSourceRow)) or 0) >= MAX_SOURCES:
        raise Conflict(f"There are {MAX_SOURCES} data sources already: delete one first.")
    row = DataSourceRow(tenant_id=ctx.tenant_id, source_id=str(uuid4()), name=name, description=description)
    row.type, row.location, row.allowed_tables = spec.type, spec.location, dict(allowed_tables or {})
    row.uri = encrypt_value(row, "uri", spec.uri.encode(), keys)
    _save(session, row)
    return row


def list_sources(session: Session, ctx: Principal, part: Part) -> Rows[DataSourceRow]:
    """A part of the tenant's data sources, oldest first."""
    total = session.scalar(scoped_count(ctx, DataSourceRow)) or 0
    keys = (DataSourceRow.created_at, DataSourceRow.source_id)
    return read_part(session, scoped(ctx, DataSourceRow), keys, part, total=total)


def get_source(session: Session, ctx: Principal, source_id: str, *, lock: bool = False) -> DataSourceRow:
    """One data source; to *lock* it keeps others from changing it until the commit.

    Raises:
        NotFound: the tenant has none of this id.
    """
    statement = scoped(ctx, DataSourceRow).where(DataSourceRow.source_id == source_id)
    row = session.scalar(statement.with_for_update() if lock else statement)
    if row is None:
        raise _make_missing_error(source_id)
    return row


def find_source(session: Session, ctx: Principal, name: str, *, lock: bool = False) -> DataSourceRow:
    """The data source of this name, or of this id; what was read of it comes once it is asked for. *lock*: as above.

    Raises:
        NotFound: the tenant has none, or none that answers *ctx*.
    """
    named = _open_to(ctx).where(or_(DataSourceRow.source_id == name, DataSourceRow.name == name))
    statement = named.order_by(DataSourceRow.source_id != name).limit(1)
    row = session.scalar(statement.with_for_update() if lock else statement)
    if row is None:
        raise NotFound(f"Data source {name!r} not found.")
    return row


def check_may_ask(session: Session, ctx: Principal, source_id: str) -> None:
    """Return if the data source answers *ctx*.

    Raises:
        NotFound: the tenant has none of this id.
        Forbidden: it answers others alone.
    """
    statement = scoped(ctx, DataSourceRow).where(DataSourceRow.source_id == source_id)
    is_open = session.scalar(statement.with_only_columns(DataSourceRow.open_to_visitors))
    if is_open is None:
        raise _make_missing_error(source_id)
    if not is_open and Scope.DATA_SOURCES_READ not in ctx.scopes:
        raise Forbidden(f"This data source answers only keys with the scope {Scope.DATA_SOURCES_READ}.")


def find_only_source(session: Session, ctx: Principal) -> DataSourceRow:
    """The data source of a tenant that has one alone that answers *ctx*; see `find_source`.

    Raises:
        NotFound: it has none.
        Conflict: it has several; the text names some.
    """
    only_source = list(session.scalars(_open_to(ctx).order_by(DataSourceRow.created_at).limit(5)))
    if not only_source:
        raise NotFound("There are no data sources.")
    if len(only_source) > 1:
        raise Conflict(
            f"There are several data sources: name one, such as {', '.join(each.name for each in only_source)}."
        )
    return only_source[0]


def list_open_ids(session: Session, ctx: Principal, limit: int) -> list[str]:
    """The data sources that answer *ctx*, the oldest first; see `find_source`."""
    return [each.source_id for each in session.scalars(_open_to(ctx).order_by(DataSourceRow.created_at).limit(limit))]


def find_located(session: Session, ctx: Principal, type_: SourceType, location: str) -> DataSourceRow | None:
    """The oldest data source of the tenant at *location*, None where it has none."""
    statement = scoped(ctx, DataSourceRow).where(DataSourceRow.type == type_, DataSourceRow.location == location)
    return session.scalar(statement.order_by(DataSourceRow.created_at).limit(1))


def change_source(
    session: Session,
    row: DataSourceRow,
    *,
    name: str | None = None,
    description: str | None = None,
    allowed_tables: Mapping[str, Any] | None = None,
    open_to_visitors: bool | None = None,
    spec: SourceSpec | None = None,
    keys: Keyring | None = None,
) -> DataSourceRow:
    """Change what is not None of the data source, which is locked. Flushed, not committed.

    *keys* encrypt the address of *spec*, of which the schema has to be read anew; what may be read of it stays.

    Raises:
        Conflict: there is another one of this name, or nothing to encrypt the address with.
    """
    if name is not None:
        row.name = name
    if description is not None:
        row.description = description
    if allowed_tables is not None:
        row.allowed_tables = dict(allowed_tables)
    if open_to_visitors is not None:
        row.open_to_visitors = open_to_visitors
    if spec is not None:
        row.type, row.location = spec.type, spec.location
        row.uri = encrypt_value(row, "uri", spec.uri.encode(), keys)
        row.schema_read = row.schema_read_at = None
    if session.is_modified(row):
        row.version, row.updated_at = row.version + 1, now()
    _save(session, row)
    return row


def remove_source(session: Session, row: DataSourceRow) -> None:
    """Forget the data source; the database itself stays as it is."""
    session.delete(row)
    session.flush()


def list_uploaded(session: Session, ctx: Principal) -> list[DataSourceRow]:
    """The tenant's data sources that were uploaded."""
    return list(session.scalars(scoped(ctx, DataSourceRow).where(DataSourceRow.type == UPLOAD)))


def list_source_ids(session: Session, ctx: Principal) -> list[str]:
    """The ids of the tenant's data sources."""
    return list(session.scalars(scoped(ctx, DataSourceRow).with_only_columns(DataSourceRow.source_id)))


def _open_to(ctx: Principal) -> Select[DataSourceRow]:
    """The tenant's data sources that *ctx* may ask, without their large columns."""
    own = scoped(ctx, DataSourceRow).options(defer(DataSourceRow.schema_read), defer(DataSourceRow.allowed_tables))
    return own if Scope.DATA_SOURCES_READ in ctx.scopes else own.where(DataSourceRow.open_to_visitors)


def _make_missing_error(source_id: str) -> NotFound:
    return NotFound(f"Data source {source_id!r} not found.")


def _save(session: Session, row: DataSourceRow) -> None:
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as exc:
        raise Conflict(
            f"There is a data source {row.name!r} already: choose another name, or change that one."
        ) from exc
