"""`/v1/tenant/datasets`: collections of documents."""

from datetime import datetime
from functools import partial
from typing import Any

from flask import Response, url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.access import checks_if_match, requires
from api.conditional import check_unchanged, make_etag
from api.dataset_schemas import DatasetIn, DatasetOut, DatasetPatch, DatasetPath, DatasetsOut
from api.description_parts import RESPONSE_HEADERS
from api.paging import PageQuery, make_page_members, read_part_query
from api.problem_schemas import Problem
from api.responses import respond
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from domain import datasets
from domain.datasets import DatasetChange
from domain.models import Dataset

datasets_blueprint = APIBlueprint(
    "datasets", __name__, abp_tags=[Tag(name="Datasets", description="Collections of documents.")]
)
_ALL, _ONE = "/v1/tenant/datasets", "/v1/tenant/datasets/<dataset_id>"


def make_responses(status: int, body: type[BaseModel] | None, *refusals: int) -> Any:
    """What a route answers with: *body* under *status*, and problems, those of every route among them."""
    return {status: body, **dict.fromkeys((400, 401, 429, 503, *refusals), Problem)}


@datasets_blueprint.post(
    _ALL,
    operation_id="createDataset",
    summary="Make a dataset",
    responses=make_responses(201, DatasetOut, 409),
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.DATASETS_WRITE)
def create(ctx: Principal, body: DatasetIn) -> Response:
    """An empty dataset. 201; 409 if the name is taken."""
    change = DatasetChange(
        description=body.description, tags=body.tags, labels=body.metadata, document_links=body.document_links
    )
    with services().database.open_write_session() as session:
        view = _describe(datasets.create_dataset(session, ctx, body.name, change), 0)
    return respond(view, 201, etag=_compute_etag(view), location=url_for("datasets.show", dataset_id=view.id))


@datasets_blueprint.get(
    _ALL, operation_id="listDatasets", summary="List the datasets", responses=make_responses(200, DatasetsOut)
)
@requires(Scope.DATASETS_READ)
def index(ctx: Principal, query: PageQuery) -> Response:
    """A part of them, oldest first, with how many documents each holds."""
    part = read_part_query(query, datetime, str)
    with services().database.open_read_session() as session:
        own_datasets = datasets.list_datasets(session, ctx, part)
        counts = datasets.count_documents(session, ctx, [dataset.dataset_id for dataset in own_datasets.rows])
    rows = [_describe(one, counts.get(one.dataset_id, 0)) for one in own_datasets.rows]
    return respond(DatasetsOut(datasets=rows, **make_page_members(own_datasets, part)))


@datasets_blueprint.get(
    _ONE,
    operation_id="getDataset",
    summary="Look at a dataset",
    responses=make_responses(200, DatasetOut, 404),
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.DATASETS_READ)
def show(ctx: Principal, path: DatasetPath) -> Response:
    """The dataset. 404 if the caller has none of this id."""
    with services().database.open_read_session() as session:
        dataset = datasets.get_dataset(session, ctx, path.dataset_id)
        counts = datasets.count_documents(session, ctx, [dataset.dataset_id])
    view = _describe(dataset, counts.get(dataset.dataset_id, 0))
    return respond(view, etag=_compute_etag(view))


@datasets_blueprint.patch(
    _ONE,
    operation_id="updateDataset",
    summary="Change a dataset",
    responses=make_responses(200, DatasetOut, 404, 409),
    openapi_extensions={RESPONSE_HEADERS: ["ETag"]},
)
@requires(Scope.DATASETS_WRITE)
@checks_if_match
def change(ctx: Principal, path: DatasetPath, body: DatasetPatch) -> Response:
    """The dataset as it is now. 404 if the caller has none of this id, 409 if another one has the name."""
    with services().database.open_write_session() as session:
        former = _check_unchanged(session, ctx, path.dataset_id)
        change = body.change(former.metadata)
        dataset = datasets.change_dataset(session, ctx, path.dataset_id, change)
        view = _describe(dataset, former.document_count)
    services().links.forget()
    return respond(view, etag=_compute_etag(view))


@datasets_blueprint.delete(
    _ONE,
    operation_id="deleteDataset",
    summary="Delete a dataset with its documents",
    responses=make_responses(204, None, 404, 409),
)
@requires(Scope.DATASETS_WRITE)
@checks_if_match
def remove(ctx: Principal, path: DatasetPath) -> Response:
    """204. Removed with its documents from lists and links at once; searches and answers may still quote them for a
    second or two. 404 if the caller has none of this id.

    409 where bots answer from it, which `detail` names, or folders and web sources fill it.
    """
    check = partial(_check_unchanged, ctx=ctx, dataset_id=path.dataset_id)
    services().library.remove_dataset(ctx, path.dataset_id, check=check)
    return Response(status=204)


def _check_unchanged(session: Session, ctx: Principal, dataset_id: str) -> DatasetOut:
    """The dataset as it is shown, locked, if `If-Match` lets it be changed."""
    dataset = datasets.lock_dataset(session, ctx, dataset_id)
    view = _describe(dataset, datasets.count_documents(session, ctx, [dataset_id]).get(dataset_id, 0))
    check_unchanged(_compute_etag(view), view.model_dump())
    return view


def _describe(dataset: Dataset, documents: int) -> DatasetOut:
    return DatasetOut.model_validate(
        {
            "id": dataset.dataset_id,
            "name": dataset.name,
            "tenant_id": dataset.tenant_id,
            "description": dataset.description,
            "tags": dataset.tags,
            "metadata": dataset.labels,
            "document_links": dataset.document_links,
            "document_count": documents,
            "documents": documents,
            "created_at": dataset.created_at,
            "updated_at": dataset.updated_at,
        }
    )


def _compute_etag(view: DatasetOut) -> str:
    return make_etag(view.model_dump(include={"name", "description", "tags", "metadata", "document_links"}))
