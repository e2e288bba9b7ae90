"""`…/data-sources/{id}/glossary-proposals`: what a language model proposes to say of tables and columns."""

from flask import Response
from flask_openapi3 import APIBlueprint

from api.access import requires
from api.data_source_schemas import GlossaryIn, GlossaryProposalOut, SourcePath
from api.data_sources import TAG, describe_tables
from api.datasets import make_responses
from api.responses import respond
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope

glossary_proposals_blueprint = APIBlueprint("glossary_proposals", __name__, abp_tags=[TAG])


@glossary_proposals_blueprint.post(
    "/v1/tenant/data-sources/<source_id>/glossary-proposals",
    operation_id="proposeDataSourceGlossary",
    summary="Have a glossary proposed",
    responses=make_responses(200, GlossaryProposalOut, 404, 409, 502, 503),
)
@requires(Scope.DATA_SOURCES_WRITE, repeats="none")
async def propose(ctx: Principal, path: SourcePath, body: GlossaryIn) -> Response:
    """Synonyms in English, Spanish and Indonesian, descriptions, and the columns that rows are known by.

    The model of the tenant's default bot is shown names, types and three samples of each column that may be read. Of a
    large data source a part is looked at; `remaining_table_names` names the others. 409 without a language model.
    """
    part = await services().glossary.propose(ctx, path.source_id, body.table_names)
    view = GlossaryProposalOut(
        source_id=path.source_id,
        allowed_tables=describe_tables(part.allowed_tables),
        notes=part.proposal.notes,
        remaining_table_names=part.remaining,
    )
    return respond(view)
