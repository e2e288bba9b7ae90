"""`/v1/tenant/usage`: what a tenant may have, and what it has."""

from datetime import datetime

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from api.access import requires
from api.datasets import make_responses
from api.responses import respond
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from bootstrap.ingesting import make_quotas
from domain.quotas import count_failed_documents, find_next_day, get_usage
from ingestion.pipeline import has_samples

usage_blueprint = APIBlueprint("usage", __name__, abp_tags=[Tag(name="Usage", description="Quotas of the tenant.")])


class QuotaOut(BaseModel):
    """A quota and the use of it."""

    limit: int
    used: int


class DailyQuotaOut(QuotaOut):
    """A quota that is new every day, in UTC."""

    resets_at: datetime


class UsageOut(BaseModel):
    """What the tenant may have, and what it has."""

    document_quota: QuotaOut = Field(description="Those that are kept, whoever brought them.")
    failed_document_count: int = Field(description="Those of them that could not be read, until they are deleted.")
    are_samples_replaced: bool = Field(
        description="Whether there are built-in samples, which go as soon as there is a document of one's own."
    )
    byte_quota: QuotaOut = Field(description="Of their files, former versions that are kept included.")
    page_quota: DailyQuotaOut = Field(description="Read today; of documents without pages, 3,000 characters each.")
    job_quota: QuotaOut = Field(description="Documents that wait to be read, or are being read.")


@usage_blueprint.get(
    "/v1/tenant/usage", operation_id="getUsage", summary="Look at the quotas", responses=make_responses(200, UsageOut)
)
@requires(Scope.DOCUMENTS_READ)
def show(ctx: Principal) -> Response:
    """The quotas of the key's tenant, and what it uses of them now."""
    settings, database = services().settings, services().database
    with database.open_read_session() as session:
        used, failed_count = get_usage(session, ctx), count_failed_documents(session, ctx)
    may = make_quotas(settings)
    resets_at = find_next_day()
    return respond(
        UsageOut(
            document_quota=QuotaOut(limit=may.documents, used=used.documents),
            failed_document_count=failed_count,
            are_samples_replaced=settings.knowledge_dir is None and has_samples(database, ctx),
            byte_quota=QuotaOut(limit=may.size_bytes, used=used.size_bytes),
            page_quota=DailyQuotaOut(limit=may.pages_per_day, used=used.pages_today, resets_at=resets_at),
            job_quota=QuotaOut(limit=may.queued_jobs, used=used.queued_jobs),
        )
    )
