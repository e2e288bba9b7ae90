"""The documents of a tenant: uploaded, followed on their way into the index, read again, cancelled, deleted."""

import binascii
from base64 import b64decode
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from flask import Response, url_for
from flask_openapi3 import APIBlueprint, Tag

from api import uploads
from api.access import checks_if_match, requires, requires_before_body
from api.dataset_schemas import (
    AcceptedDocumentOut,
    AddedOut,
    DatasetPath,
    DocumentOut,
    DocumentPath,
    DocumentsOut,
    DocumentsQuery,
    LoadDocumentIn,
    LoadedOut,
    TextDocumentIn,
    UploadOut,
)
from api.datasets import make_responses
from api.description_parts import RESPONSE_HEADERS
from api.document_changes import DocumentPatch, take_unchanged
from api.document_views import compute_etag, describe, make_members
from api.multipart import UploadedFile
from api.paging import make_page_members, read_part_query
from api.responses import respond
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from domain import datasets, job_requests, progress
from domain.documents import change_description, get_document
from domain.progress import DocumentProgress
from domain.uploads import Accepted, Description
from server.sync_pool import get_sync_pool
from utils.errors import NotEnoughSpace, NotFound, ProblemError, QuotaExceeded, TooLarge, UnreadableDocument
from utils.validation import refuse_field

documents_blueprint = APIBlueprint(
    "documents", __name__, abp_tags=[Tag(name="Documents", description="What answers come from.")]
)
_ALL = "/v1/tenant/documents"
_IN = "/v1/tenant/datasets/<dataset_id>/documents"
_ONE = "/v1/tenant/documents/<document_id>"


@documents_blueprint.post(
    f"{_IN}/upload",
    operation_id="uploadDocuments",
    summary="Upload files",
    description="multipart/form-data: a part `files` for each, and `metadata`, a JSON object that holds for all. Files "
    "that cannot be taken are named with the reason; the others go in. Each is a new document, also under a name that "
    "there is already, unless `external_ids` name the documents to be replaced, or the dataset has this very content.",
    responses=make_responses(202, UploadOut, 404, 413, 422),
    openapi_extensions={"requestBody": uploads.BODY},
)
@requires_before_body(Scope.DOCUMENTS_WRITE)
async def upload(ctx: Principal, path: DatasetPath) -> Response:
    """202 once the files are kept: from here on none is lost. 422 if none could be taken."""

    async def take(form: uploads.Form) -> Response:
        status_url = url_for("documents.index", dataset_id=path.dataset_id)
        outcome = await get_sync_pool().run(lambda: _take_all(ctx, path.dataset_id, form))
        return respond(UploadOut.model_validate({**outcome, "status_url": status_url}), 202, location=status_url)

    return await uploads.receive(ctx, take)


@documents_blueprint.post(
    _IN, operation_id="createTextDocument", summary="Add a text", responses=make_responses(202, AddedOut, 404, 413, 422)
)
@requires(Scope.DOCUMENTS_WRITE, max_body_bytes=None)
def add_text(ctx: Principal, path: DatasetPath, body: TextDocumentIn) -> Response:
    """A document of the text that is sent. Others may have its title; `external_id` says which one it replaces."""
    data = uploads.check_size(body.content.encode(), services().settings.max_file_size)
    about = Description(body.title, body.tags, body.metadata, body.external_id, source=uploads.clean_name(body.title))
    accepted = services().library.take(ctx, path.dataset_id, uploads.make_text_file_name(body.title), data, about)
    progress, outcome = _get_progress(ctx, accepted.document.document_id), _describe_outcome(accepted)
    view = AddedOut.model_validate({**make_members(progress), **outcome})
    return respond(view, 202, location=view.status_url)


@documents_blueprint.get(
    _IN,
    operation_id="listDatasetDocuments",
    summary="List the documents of a dataset",
    responses=make_responses(200, DocumentsOut, 404),
)
@requires(Scope.DOCUMENTS_READ)
def index(ctx: Principal, path: DatasetPath, query: DocumentsQuery) -> Response:
    """A page of them, oldest first, with how far each is."""
    return _list_page(ctx, path.dataset_id, query)


@documents_blueprint.get(
    _ALL, operation_id="listDocuments", summary="List all documents", responses=make_responses(200, DocumentsOut)
)
@requires(Scope.DOCUMENTS_READ)
def index_all(ctx: Principal, query: DocumentsQuery) -> Response:
    """A page of the documents of all datasets, oldest first, with how far each is."""
    return _list_page(ctx, None, query)


@documents_blueprint.get(
    _ONE,
    operation_id="getDocument",
    summary="Look at a document",
    responses=make_responses(200, DocumentOut, 404),
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.DOCUMENTS_READ)
def show(ctx: Principal, path: DocumentPath) -> Response:
    """The document and how far it is. 404 if the caller has none of this id."""
    view = describe(_get_progress(ctx, path.document_id))
    return respond(view, etag=compute_etag(view))


@documents_blueprint.patch(
    _ONE,
    operation_id="updateDocument",
    summary="Change what is said of a document",
    description="Its tags and its metadata, with from when to when it holds. Searches know within a second or two; "
    "until then its status may be processing.",
    responses=make_responses(200, DocumentOut, 404),
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.DOCUMENTS_WRITE)
@checks_if_match
def change(ctx: Principal, path: DocumentPath, body: DocumentPatch) -> Response:
    """The document as it is now. 404 if the caller has none of this id."""
    with services().database.open_write_session() as session:
        document = take_unchanged(session, ctx, path.document_id)
        tags, labels = body.change(document)
        change_description(session, document, tags=tags, labels=labels)
        view = describe(progress.get_progress(session, ctx, path.document_id))
    return respond(view, etag=compute_etag(view))


@documents_blueprint.delete(
    _ONE, operation_id="deleteDocument", summary="Delete a document", responses=make_responses(204, None, 404)
)
@requires(Scope.DOCUMENTS_WRITE)
@checks_if_match
def remove(ctx: Principal, path: DocumentPath) -> Response:
    """204. Removed from lists and links at once; searches and answers may still quote it for a second or two. 404 if
    the caller has none of this id."""
    check = partial(take_unchanged, ctx=ctx, document_id=path.document_id)
    services().library.remove_document(ctx, path.document_id, check=check)
    return Response(status=204)


@documents_blueprint.post(
    f"{_ONE}/reprocess",
    operation_id="reprocessDocument",
    summary="Read a document again",
    responses=make_responses(202, AcceptedDocumentOut, 404, 409),
)
@requires(Scope.DOCUMENTS_WRITE)
def reprocess(ctx: Principal, path: DocumentPath) -> Response:
    """From the file that is kept. 404 if the caller has none of this id, 409 if it was not uploaded."""
    services().library.read_again(ctx, path.document_id)
    return _accept(ctx, path.document_id)


@documents_blueprint.post(
    f"{_ONE}/cancel",
    operation_id="cancelDocument",
    summary="Read a document no further",
    responses=make_responses(202, AcceptedDocumentOut, 404, 409),
)
@requires(Scope.DOCUMENTS_WRITE)
def cancel(ctx: Principal, path: DocumentPath) -> Response:
    """What can be found of it already stays. 404 if the caller has none of this id, 409 if there is nothing to end."""
    with services().database.open_write_session() as session:
        get_document(session, ctx, path.document_id)
        job_requests.cancel(session, ctx, path.document_id)
    return _accept(ctx, path.document_id)


@documents_blueprint.post(
    "/api/load-document",
    operation_id="loadDocument",
    summary="Load a document",
    description="A file in Base64, into the dataset `documents`, which is made if it is not there.",
    responses=make_responses(200, LoadedOut, 404, 413, 422),
)
@requires(Scope.DOCUMENTS_WRITE, max_body_bytes=None)
def load_document(ctx: Principal, body: LoadDocumentIn) -> Response:
    """Its id, once the file is kept; it is found as soon as it is read. `document_id` is the id as a number."""
    if body.company != ctx.tenant_id:
        raise NotFound(f"Company {body.company!r} not found.")
    try:
        data = b64decode("".join(body.content.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise refuse_field("content is not Base64.", "content") from exc
    name, data = uploads.clean_file_name(body.filename), uploads.check_size(data, services().settings.max_file_size)
    dataset_id = services().library.get_loaded_dataset(ctx)
    about = Description(labels=body.metadata, external_id=body.external_id)
    accepted = services().library.take(ctx, dataset_id, name, data, about)
    document_id = accepted.document.document_id
    view = {"id": document_id, "document_id": _convert_to_number(document_id), **_describe_outcome(accepted)}
    return respond(LoadedOut.model_validate(view))


def _list_page(ctx: Principal, dataset_id: str | None, query: DocumentsQuery) -> Response:
    part = read_part_query(query, datetime, str)
    with services().database.open_read_session() as session:
        if dataset_id is not None:
            datasets.get_dataset(session, ctx, dataset_id)
        rows = progress.list_progress(session, ctx, dataset_id, part, status=query.status)
    return respond(DocumentsOut(documents=list(map(describe, rows.rows)), **make_page_members(rows, part)))


def _accept(ctx: Principal, document_id: str) -> Response:
    """202: what was asked for will be done."""
    status_url = url_for("documents.show", document_id=document_id)
    view = AcceptedDocumentOut.model_validate(
        {**make_members(_get_progress(ctx, document_id)), "status_url": status_url}
    )
    return respond(view, 202, location=status_url)


def _take_all(ctx: Principal, dataset_id: str, form: uploads.Form) -> dict[str, Any]:
    """Take each file; those that cannot be are named with the reason."""
    if not form.files:
        raise refuse_field("There is no file in it: send each in a part called files.", "files")
    with services().database.open_read_session() as session:
        datasets.get_dataset(session, ctx, dataset_id)
    jobs: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    causes: list[ProblemError] = []
    external_ids: set[str] = set()
    for file, external_id in zip(form.files, form.external_ids, strict=True):
        about = Description(labels=form.metadata, external_id=external_id)
        try:
            if external_id in external_ids:
                raise UnreadableDocument("Another file of this upload has the same external id.")
            jobs.append(_take(ctx, dataset_id, file, about))
        except (UnreadableDocument, TooLarge, QuotaExceeded, NotEnoughSpace) as exc:
            refused.append({"name": uploads.clean_name(file.name), "reason": exc.detail})
            causes.append(exc)
        else:
            external_ids |= {external_id} if external_id else set()
    if not jobs:
        raise _make_refusal(refused, causes)
    return {"dataset_id": dataset_id, "jobs": jobs, "refused": refused}


def _make_refusal(refused: list[dict[str, str]], causes: Sequence[ProblemError]) -> ProblemError:
    """That of an upload of which no file was taken: the quota or the disk if it was one of *causes*, else all."""
    if quota := [each for each in causes if isinstance(each, QuotaExceeded)]:
        members = {**quota[-1].members, "refused": refused}
        return QuotaExceeded(quota[-1].detail, headers=quota[-1].headers, members=members)
    if no_space := [each for each in causes if isinstance(each, NotEnoughSpace)]:
        return NotEnoughSpace(no_space[-1].detail, headers=no_space[-1].headers, members={"refused": refused})
    reasons = "; ".join(f"{one['name']}: {one['reason']}" for one in refused)
    kind = TooLarge if all(isinstance(each, TooLarge) for each in causes) else UnreadableDocument
    return kind(reasons, members={"refused": refused})


def _take(ctx: Principal, dataset_id: str, file: UploadedFile, about: Description) -> dict[str, Any]:
    name = uploads.clean_file_name(file.name)
    data = uploads.check_size(file.read(), services().settings.max_file_size)
    accepted = services().library.take(ctx, dataset_id, name, data, about)
    document = accepted.document
    own = {"document_id": document.document_id, "external_id": document.external_id, "name": name}
    return own | _describe_outcome(accepted)


def _convert_to_number(document_id: str) -> int:
    """The id as a number: its first 52 bits, as every language reads so many from JSON exactly."""
    return UUID(document_id).int >> (128 - 52)


def _describe_outcome(accepted: Accepted) -> dict[str, Any]:
    return {
        "job_id": accepted.job.job_id if accepted.job else None,
        "status": progress.derive_status(accepted.document, accepted.job),
        "unchanged": accepted.unchanged,
        "replaced": accepted.replaced,
        "status_url": url_for("documents.show", document_id=accepted.document.document_id),
    }


def _get_progress(ctx: Principal, document_id: str) -> DocumentProgress:
    with services().database.open_read_session() as session:
        return progress.get_progress(session, ctx, document_id)
