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
from domain.quotas import find_next_day, get_usage

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
    byte_quota: QuotaOut = Field(description="Of their files, former versions that are kept included.")
    page_quota: DailyQuotaOut = Field(description="Read today; of documents without pages, 3,000 characters each.")
    job_quota: QuotaOut = Field(description="Documents that wait to be read, or are being read.")


@usage_blueprint.get(
    "/v1/tenant/usage", operation_id="getUsage", summary="Look at the quotas", responses=make_responses(200, UsageOut)
)
@requires(Scope.DOCUMENTS_READ)
def show(ctx: Principal) -> Response:
    """The quotas of the key's tenant, and what it uses of them now."""
    with services().database.open_read_session() as session:
        used = get_usage(session, ctx)
    may = make_quotas(services().settings)
    resets_at = find_next_day()
    return respond(
        UsageOut(
            document_quota=QuotaOut(limit=may.documents, used=used.documents),
            byte_quota=QuotaOut(limit=may.size_bytes, used=used.size_bytes),
            page_quota=DailyQuotaOut(limit=may.pages_per_day, used=used.pages_today, resets_at=resets_at),
            job_quota=QuotaOut(limit=may.queued_jobs, used=used.queued_jobs),
        )
    )
