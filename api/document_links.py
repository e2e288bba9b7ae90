"""`…/links`: the links to documents that were given out so far, revoked."""

from collections.abc import Callable

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy.orm import Session

from api.access import requires
from api.dataset_schemas import DatasetPath, DocumentPath
from api.datasets import make_responses
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from domain import document_links

document_links_blueprint = APIBlueprint(
    "document_links",
    __name__,
    url_prefix="/v1/tenant",
    abp_tags=[Tag(name="Documents", description="What answers come from.")],
)


@document_links_blueprint.delete(
    "/links",
    operation_id="revokeLinks",
    summary="Revoke the links to all documents",
    responses=make_responses(204, None),
)
@requires(Scope.DATASETS_WRITE)
def revoke_all(ctx: Principal) -> Response:
    """204, and no link that was given out so far opens anything; citations that are read from now on have others."""
    return _revoke(lambda session: document_links.revoke_all_links(session, ctx))


@document_links_blueprint.delete(
    "/datasets/<dataset_id>/links",
    operation_id="revokeDatasetLinks",
    summary="Revoke the links to the documents of a dataset",
    responses=make_responses(204, None, 404),
)
@requires(Scope.DATASETS_WRITE)
def revoke_of_dataset(ctx: Principal, path: DatasetPath) -> Response:
    """204; 404 if the caller has no dataset of this id."""
    return _revoke(lambda session: document_links.revoke_dataset_links(session, ctx, path.dataset_id))


@document_links_blueprint.delete(
    "/documents/<document_id>/links",
    operation_id="revokeDocumentLinks",
    summary="Revoke the links to a document",
    responses=make_responses(204, None, 404),
)
@requires(Scope.DOCUMENTS_WRITE)
def revoke_of_document(ctx: Principal, path: DocumentPath) -> Response:
    """204; 404 if the caller has no document of this id."""
    return _revoke(lambda session: document_links.revoke_document_links(session, ctx, path.document_id))


def _revoke(work: Callable[[Session], None]) -> Response:
    with services().database.open_write_session() as session:
        work(session)
    services().links.forget()
    return Response(status=204)
