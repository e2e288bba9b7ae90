"""`/v1/tenant/data-sources`: the databases of a tenant that questions are put to, and what of them may be read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Response, url_for
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy.orm import Session

from agents.opened_sources import load_source_schema
from api.access import checks_if_match, requires
from api.conditional import check_unchanged, make_etag
from api.data_source_schemas import (
    ColumnOut,
    ForeignKeyOut,
    SchemaOut,
    SourceIn,
    SourceOut,
    SourcePatch,
    SourcePath,
    SourcesOut,
    SourceTestOut,
    TableIn,
    TableOut,
    TableSaid,
)
from api.datasets import make_responses
from api.description_parts import RESPONSE_HEADERS
from api.paging import PageQuery, make_page_members, read_part_query
from api.responses import respond
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from bootstrap.source_opening import make_spec
from datasources.allowed_tables import merge_tables
from datasources.catalog import make_key
from datasources.functions import DIALECTS
from datasources.schema import Schema
from domain import data_sources
from domain.data_sources import SourceType
from domain.in_thread import read
from domain.models import DataSourceRow
from ingestion.uploaded_files import delete_source
from utils.errors import Conflict

_ABOUT = "Databases of a tenant that questions are put to. They are only read."
TAG = Tag(name="Data sources", description=_ABOUT)
data_sources_blueprint = APIBlueprint("data_sources", __name__, abp_tags=[TAG])
_ALL, _ONE = "/v1/tenant/data-sources", "/v1/tenant/data-sources/<source_id>"
_ETAG = {RESPONSE_HEADERS: ["ETag"]}
_UPLOADED = "This data source was made of files and has no address. To replace them, POST new files to …/{id}/upload."


@data_sources_blueprint.post(
    _ALL,
    operation_id="createDataSource",
    summary="Add a data source",
    responses=make_responses(201, SourceOut, 409),
    openapi_extensions=_ETAG,
)
@requires(Scope.DATA_SOURCES_WRITE)
def create(ctx: Principal, body: SourceIn) -> Response:
    """201; 409 if there is one of this name, or its address cannot be encrypted. Nothing is connected to yet, and none
    of its tables may be read before `allowed_tables` says so."""
    spec = make_spec(services().settings, ctx, body.uri.get_secret_value(), body.type)
    with services().database.open_write_session() as session:
        row = data_sources.create_source(session, ctx, body.name, body.description, spec, services().state_keys)
        view = describe(row)
    return respond(view, 201, etag=compute_etag(view), location=url_for("data_sources.show", source_id=view.id))


@data_sources_blueprint.get(
    _ALL, operation_id="listDataSources", summary="List the data sources", responses=make_responses(200, SourcesOut)
)
@requires(Scope.DATA_SOURCES_READ)
def index(ctx: Principal, query: PageQuery) -> Response:
    """A part of them, oldest first."""
    part = read_part_query(query, datetime, str)
    with services().database.open_read_session() as session:
        sources = data_sources.list_sources(session, ctx, part)
    rows = [describe(each) for each in sources.rows]
    return respond(SourcesOut(data_sources=rows, **make_page_members(sources, part)))


@data_sources_blueprint.get(
    _ONE,
    operation_id="getDataSource",
    summary="Look at a data source",
    responses=make_responses(200, SourceOut, 404),
    openapi_extensions=_ETAG,
)
@requires(Scope.DATA_SOURCES_READ)
def show(ctx: Principal, path: SourcePath) -> Response:
    """The data source. 404 if the caller has none of this id."""
    with services().database.open_read_session() as session:
        view = describe(data_sources.get_source(session, ctx, path.source_id))
    return respond(view, etag=compute_etag(view))


@data_sources_blueprint.patch(
    _ONE,
    operation_id="updateDataSource",
    summary="Change a data source",
    responses=make_responses(200, SourceOut, 404, 409),
    openapi_extensions=_ETAG,
)
@requires(Scope.DATA_SOURCES_WRITE)
@checks_if_match
def change(ctx: Principal, path: SourcePath, body: SourcePatch) -> Response:
    """The data source as it is now, which holds from the next question on.

    Tables can be named once its schema was read. With another address that has to be read again.
    """
    sent, uri = body.model_fields_set, body.uri.get_secret_value()
    spec = make_spec(services().settings, ctx, uri, None) if "uri" in sent else None
    with services().database.open_write_session() as session:
        row = _lock_unchanged(session, ctx, path.source_id)
        if spec is not None and row.type == data_sources.UPLOAD:
            raise Conflict(_UPLOADED)
        changed = data_sources.change_source(
            session,
            row,
            name=body.name if "name" in sent else None,
            description=body.description if "description" in sent else None,
            allowed_tables=_merge_tables(row, body.allowed_tables),
            open_to_visitors=body.open_to_visitors if "open_to_visitors" in sent else None,
            spec=spec,
            keys=services().state_keys,
        )
        view = describe(changed)
    return respond(view, etag=compute_etag(view))


@data_sources_blueprint.delete(
    _ONE, operation_id="deleteDataSource", summary="Delete a data source", responses=make_responses(204, None, 404)
)
@requires(Scope.DATA_SOURCES_WRITE)
@checks_if_match
def remove(ctx: Principal, path: SourcePath) -> Response:
    """204; 404 if the caller has none of this id. A database itself stays as it is, what was uploaded is deleted."""
    folder, keys = services().settings.uploaded_tables_folder, services().state_keys
    delete_source(services().database, folder, keys, lambda session: _lock_unchanged(session, ctx, path.source_id))
    return Response(status=204)


@data_sources_blueprint.post(
    f"{_ONE}/test",
    operation_id="testDataSource",
    summary="Connect to a data source",
    responses=make_responses(200, SourceTestOut, 404, 503),
)
@requires(Scope.DATA_SOURCES_WRITE, repeats="none")
async def test(ctx: Principal, path: SourcePath) -> Response:
    """Whether it can be read, how fast, or why not; after some 15 seconds at most."""
    checked = await services().data_sources.check(ctx, path.source_id)
    view = SourceTestOut(
        source_id=path.source_id,
        answers=not checked.detail,
        duration_ms=checked.duration_ms,
        notes=list(checked.notes),
        detail=checked.detail or None,
    )
    return respond(view)


@data_sources_blueprint.get(
    f"{_ONE}/schema",
    operation_id="getDataSourceSchema",
    summary="Look at what a data source holds",
    responses=make_responses(200, SchemaOut, 404, 503),
)
@requires(Scope.DATA_SOURCES_READ)
def show_schema(ctx: Principal, path: SourcePath) -> Response:
    """Its tables, as they were when they were last read."""
    with services().database.open_read_session() as session:
        view = _describe_schema(data_sources.get_source(session, ctx, path.source_id))
    return respond(view)


@data_sources_blueprint.post(
    f"{_ONE}/schema",
    operation_id="readDataSourceSchema",
    summary="Read what a data source holds",
    responses=make_responses(200, SchemaOut, 404, 409, 502, 503),
)
@requires(Scope.DATA_SOURCES_WRITE, repeats="none")
async def read_schema(ctx: Principal, path: SourcePath) -> Response:
    """Its tables as they are now, with samples of 1,000 rows each; after some 40 seconds at most."""
    await services().data_sources.read_schema(ctx, path.source_id)
    view = await read(
        services().database, lambda session: _describe_schema(data_sources.get_source(session, ctx, path.source_id))
    )
    return respond(view)


def _merge_tables(row: DataSourceRow, sent: dict[str, TableIn | None]) -> dict[str, Any]:
    """What is said of the tables after it; see `merge_tables`."""
    dumped = {name: None if entry is None else entry.model_dump(exclude_unset=True) for name, entry in sent.items()}
    schema = _load_schema(row) if any(entry is not None for entry in dumped.values()) else None
    return merge_tables(row.allowed_tables, dumped, schema, DIALECTS[row.type])


def _lock_unchanged(session: Session, ctx: Principal, source_id: str) -> DataSourceRow:
    """The data source, which is locked, if `If-Match` lets it be changed."""
    row = data_sources.get_source(session, ctx, source_id, lock=True)
    view = describe(row)
    check_unchanged(compute_etag(view), view.model_dump())
    return row


def _find_type(row: DataSourceRow) -> SourceType:
    source_type: SourceType = row.type  # type: ignore[assignment] # only domain/data_sources.py writes it
    return source_type


def _load_schema(row: DataSourceRow) -> Schema | None:
    return load_source_schema(row, services().state_keys)


def describe(row: DataSourceRow) -> SourceOut:
    """The data source as callers see it."""
    return SourceOut(
        id=row.source_id,
        tenant_id=row.tenant_id,
        version=row.version,
        name=row.name,
        type=_find_type(row),
        location=row.location,
        description=row.description,
        allowed_tables=describe_tables(row.allowed_tables),
        open_to_visitors=row.open_to_visitors,
        schema_read_at=row.schema_read_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def describe_tables(allowed_tables: Mapping[str, Any]) -> dict[str, TableSaid]:
    """What is said of tables as callers see it; what was stored by an older version has no `name_column`."""
    return {name: TableSaid(**{"name_column": None, **entry}) for name, entry in allowed_tables.items()}


def _describe_schema(row: DataSourceRow) -> SchemaOut:
    schema, dialect = _load_schema(row), DIALECTS[row.type]
    tables = [
        TableOut(
            name=make_key(table.name, dialect),
            fields=[
                ColumnOut(
                    name=each.name,
                    type=each.type,
                    nullable=each.is_nullable,
                    samples=[str(sample) for sample in each.samples],
                    distinct_count=each.distinct_count,
                )
                for each in table.columns
            ],
            primary_key=list(table.primary_key),
            foreign_keys=[
                ForeignKeyOut(
                    columns=list(key.columns),
                    table=make_key(key.other_table, dialect),
                    other_columns=list(key.other_columns),
                )
                for key in table.foreign_keys
            ],
            sampled_row_count=table.sampled_rows,
            may_be_read=make_key(table.name, dialect) in row.allowed_tables,
        )
        for table in (schema.tables if schema else ())
    ]
    complete = schema is not None and schema.complete
    return SchemaOut(source_id=row.source_id, read_at=row.schema_read_at, complete=complete, tables=tables)


def compute_etag(view: SourceOut) -> str:
    """The tag of its version."""
    return make_etag(view.model_dump(include={"id", "version"}))
