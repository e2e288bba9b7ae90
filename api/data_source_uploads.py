"""`/v1/tenant/data-sources/upload`: files with tables that become a data source, or take the place of one's tables."""

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Response, url_for
from flask_openapi3 import APIBlueprint
from pydantic import BaseModel, Field

from api import uploads
from api.access import requires_before_body
from api.data_source_schemas import SourceOut, SourcePath
from api.data_sources import TAG, compute_etag, describe
from api.datasets import make_responses
from api.description_parts import RESPONSE_HEADERS
from api.responses import respond
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from datasources.text_fields import NAME, TEXT, read_text_field
from domain import data_sources
from ingestion.tables.shapes import Kind
from ingestion.uploaded_tables import MAX_FILES, SentFile, UploadedSource
from server.sync_pool import get_sync_pool
from utils.errors import UnreadableDocument

data_source_uploads_blueprint = APIBlueprint("data_source_uploads", __name__, abp_tags=[TAG])
_NEW, _ONE = "/v1/tenant/data-sources/upload", "/v1/tenant/data-sources/<source_id>/upload"
_ABOUT = (
    "multipart/form-data: a part `files` for each CSV, TSV, XLSX or Parquet file. Each sheet becomes a table, with the "
    "types of its columns by all of their values. At most 1,000,000 rows and 200 columns of a table, 120 seconds."
)
_FILES = uploads.describe_files("The files, each in a part of its own with its name.", most=MAX_FILES)
_TEXTS = {"name": NAME.json_schema(), "description": TEXT.json_schema()}


def _make_body(**texts: Any) -> dict[str, Any]:
    """The description of a body with these parts beside its files."""
    required = ["files", *(name for name in texts if name == "name")]
    return uploads.describe_form({"files": _FILES, **texts}, required=required)


class UploadedColumnOut(BaseModel):
    """A column that was read of a file."""

    name: str = Field(description="As `allowed_columns` names it.")
    header: str = Field(description="What it is called in the file; empty where it has no name there.")
    type: Kind = Field(description="By all of its values. Dates are ISO 8601, truth values 1 and 0.")
    is_hidden: bool = Field(description="Whether it is hidden in the file; such columns are not opened.")


class UploadedTableOut(BaseModel):
    """A table that was read of a file."""

    name: str = Field(description="As `allowed_tables` names it.")
    file: str
    sheet: str = Field(description="Where it stands in the file; empty in files that have no sheets.")
    row_count: int
    fields: list[UploadedColumnOut] = Field(description="Its columns.")
    is_hidden: bool = Field(description="Whether its sheet is hidden in the file; such tables are not opened.")
    notes: list[str] = Field(description="What was left out or may be wrong, and what to do about it.")


class UploadedSourceOut(SourceOut):
    """A data source that was uploaded."""

    tables: list[UploadedTableOut]


@data_source_uploads_blueprint.post(
    _NEW,
    operation_id="uploadDataSource",
    summary="Make a data source of files",
    description=f"{_ABOUT} Questions may read all but what is hidden in the file: see `allowed_tables`.",
    responses=make_responses(201, UploadedSourceOut, 409, 413, 422),
    openapi_extensions={"requestBody": _make_body(**_TEXTS), RESPONSE_HEADERS: ["ETag"]},
)
@requires_before_body(Scope.DATA_SOURCES_WRITE)
async def upload(ctx: Principal) -> Response:
    """201 once it can be asked; 409 if there is one of this name; 413 or 422 if a file cannot be read."""

    def create(form: uploads.Form) -> UploadedSource:
        name = read_text_field(NAME, form.texts["name"], "name")
        description = read_text_field(TEXT, form.texts["description"], "description")
        return services().uploaded_tables.create(ctx, name, description, _list_files(form))

    return await _receive(ctx, create, 201, tuple(_TEXTS))


@data_source_uploads_blueprint.post(
    _ONE,
    operation_id="replaceUploadedDataSource",
    summary="Upload the files of a data source anew",
    description=f"{_ABOUT} They take the place of all tables that it has, at one moment. What `allowed_tables` says of "
    "tables and columns stays; those that are new are not opened. One table in place of one keeps its name.",
    responses=make_responses(200, UploadedSourceOut, 404, 409, 413, 422),
    openapi_extensions={"requestBody": _make_body(), RESPONSE_HEADERS: ["ETag"]},
)
@requires_before_body(Scope.DATA_SOURCES_WRITE)
async def replace(ctx: Principal, path: SourcePath) -> Response:
    """A question under way ends on the former tables, or says that they were replaced. 409: it is a database."""

    def put(form: uploads.Form) -> UploadedSource:
        return services().uploaded_tables.replace(ctx, path.source_id, _list_files(form))

    return await _receive(ctx, put, 200, ())


async def _receive(
    ctx: Principal, make: Callable[[uploads.Form], UploadedSource], status: int, text_fields: tuple[str, ...]
) -> Response:
    async def take(form: uploads.Form) -> Response:
        async with services().uploaded_tables.turns.place(ctx.tenant_id):
            return await get_sync_pool().run(lambda: _show(ctx, make(form), status))

    return await uploads.receive(ctx, take, text_fields=text_fields)


def _list_files(form: uploads.Form) -> list[SentFile]:
    limit = services().settings.max_file_size
    sent = []
    for file in form.files:
        name = uploads.clean_name(file.name.replace("\\", "/").rpartition("/")[2]) or "file"
        sent.append(SentFile(name, partial(_read_file, name, file.read, limit)))
    return sent


def _read_file(name: str, read: Callable[[], bytes], max_bytes: int) -> bytes:
    try:
        return uploads.check_size(read(), max_bytes)
    except UnreadableDocument as exc:
        raise UnreadableDocument(f"{name}: {exc.detail}") from exc


def _show(ctx: Principal, upload: UploadedSource, status: int) -> Response:
    with services().database.open_read_session() as session:
        view = describe(data_sources.get_source(session, ctx, upload.source_id))
    tables = [
        UploadedTableOut(
            name=each.table.name,
            file=each.file,
            sheet=each.table.sheet,
            row_count=each.row_count,
            fields=[
                UploadedColumnOut(name=one.name, header=one.header, type=one.kind, is_hidden=one.is_hidden)
                for one in each.table.columns
            ],
            is_hidden=each.table.is_hidden,
            notes=list(each.table.notes),
        )
        for each in upload.tables
    ]
    body = UploadedSourceOut(**view.model_dump(), tables=tables)
    location = url_for("data_sources.show", source_id=view.id)
    return respond(body, status, etag=compute_etag(view), location=location if status == 201 else None)
